defmodule AdTally.Demo.Generated do
  @moduledoc """
  Counts generated events once through `AdTally.Counters` and once with
  `:ets.update_counter`, and checks both sums.
  """

  alias AdTally.Counters
  alias AdTally.Demo.Workers

  @metrics [:impressions, :clicks, :spend_micros]

  @type result :: %{
          label: String.t(),
          microseconds: pos_integer(),
          sums: Counters.totals(),
          bytes: pos_integer()
        }

  @doc "Runs both ways with the same events."
  @spec run(pos_integer()) :: %{
          events: pos_integer(),
          processes: pos_integer(),
          expected: Counters.totals(),
          ours: result(),
          ets: result()
        }
  def run(events) do
    work = Workers.work(events)

    %{
      events: events,
      processes: length(work),
      expected: Workers.expected(work),
      ours: ours(work),
      ets: ets(work)
    }
  end

  defp ours(work) do
    counters = Counters.new(metrics: @metrics)

    time =
      Workers.measure(work, "AdTally.Counters", fn event, _number -> add(counters, event) end)

    bytes = Counters.info(counters).memory_bytes
    rows = for {_key, row} <- Counters.drain(counters), do: row
    result("AdTally.Counters", time, sum(rows), bytes)
  end

  defp add(counters, {key, clicked?, spend}) do
    :ok = Counters.add(counters, key, :impressions)
    if clicked?, do: :ok = Counters.add(counters, key, :clicks)
    :ok = Counters.add(counters, key, :spend_micros, spend)
  end

  defp ets(work) do
    table = :ets.new(:counters, [:set, :public, write_concurrency: true])

    time =
      Workers.measure(work, ":ets.update_counter", fn event, _number -> update(table, event) end)

    bytes = :ets.info(table, :memory) * :erlang.system_info(:wordsize)

    rows =
      for {_key, impressions, clicks, spend} <- :ets.tab2list(table),
          do: %{impressions: impressions, clicks: clicks, spend_micros: spend}

    :ets.delete(table)
    result(":ets.update_counter", time, sum(rows), bytes)
  end

  defp update(table, {key, clicked?, spend}) do
    default = {key, 0, 0, 0}
    :ets.update_counter(table, key, {2, 1}, default)
    if clicked?, do: :ets.update_counter(table, key, {3, 1}, default)
    :ets.update_counter(table, key, {4, spend}, default)
  end

  defp result(label, time, sums, bytes),
    do: %{label: label, microseconds: max(time, 1), sums: sums, bytes: bytes}

  defp sum(rows) do
    Map.new(@metrics, fn metric -> {metric, rows |> Enum.map(& &1[metric]) |> Enum.sum()} end)
  end

  @doc "The sums that are not those of the generated events, a sentence each."
  @spec differences(map()) :: [String.t()]
  def differences(run), do: Workers.differences([run.ours, run.ets], run.expected)

  @doc "A table of both."
  @spec table(map()) :: String.t()
  def table(run), do: Workers.table(run, [run.ours, run.ets])
end
