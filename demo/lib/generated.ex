defmodule AdTally.Demo.Generated do
  @moduledoc """
  Counts generated events from one process a scheduler, once through
  `AdTally.Counters` and once with `:ets.update_counter`, and checks both sums.

  The clock starts when every process has its events and ends when the last one
  has counted its share: the time is that of the counting loop alone.
  """

  alias AdTally.Counters
  alias AdTally.Demo.{Events, Progress, Text}

  # Events between two steps of the progress line.
  @step 10_000
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
    processes = System.schedulers_online()
    shares = shares(events, processes)
    drawn = for process <- 1..processes, do: Events.draw(process)
    work = Enum.zip(drawn, shares)

    %{
      events: events,
      processes: processes,
      expected: expected(work),
      ours: ours(work, events),
      ets: ets(work, events)
    }
  end

  defp ours(work, events) do
    counters = Counters.new(metrics: @metrics)
    time = measure(work, events, "AdTally.Counters", &add(counters, &1))
    bytes = Counters.info(counters).memory_bytes
    rows = for {_key, row} <- Counters.drain(counters), do: row
    result("AdTally.Counters", time, sum(rows), bytes)
  end

  defp add(counters, {key, clicked?, spend}) do
    :ok = Counters.add(counters, key, :impressions)
    if clicked?, do: :ok = Counters.add(counters, key, :clicks)
    :ok = Counters.add(counters, key, :spend_micros, spend)
  end

  defp ets(work, events) do
    table = :ets.new(:counters, [:set, :public, write_concurrency: true])
    time = measure(work, events, ":ets.update_counter", &update(table, &1))
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

  defp measure(work, events, label, count) do
    done = :counters.new(1, [:write_concurrency])

    # Starting a task copies its events to it, so all are started before the clock.
    tasks =
      for {drawn, share} <- work do
        Task.async(fn ->
          receive do: (:begin -> cycle(drawn, share, count, done))
          System.monotonic_time(:microsecond)
        end)
      end

    begin = System.monotonic_time(:microsecond)
    Enum.each(tasks, &send(&1.pid, :begin))
    ends = Progress.await(tasks, done, events, label)
    Enum.max(ends) - begin
  end

  defp cycle(drawn, share, count, done), do: cycle(drawn, drawn, share, @step, count, done)

  defp cycle(_all, _rest, 0, _left, _count, _done), do: :ok
  defp cycle(all, [], share, left, count, done), do: cycle(all, all, share, left, count, done)

  defp cycle(all, rest, share, 0, count, done) do
    :counters.add(done, 1, @step)
    cycle(all, rest, share, @step, count, done)
  end

  defp cycle(all, [event | rest], share, left, count, done) do
    count.(event)
    cycle(all, rest, share - 1, left - 1, count, done)
  end

  defp expected(work) do
    for {drawn, share} <- work, reduce: sum([]) do
      sums ->
        drawn |> Events.totals(share) |> Map.merge(sums, fn _metric, one, sum -> one + sum end)
    end
  end

  defp sum(rows) do
    Map.new(@metrics, fn metric -> {metric, rows |> Enum.map(& &1[metric]) |> Enum.sum()} end)
  end

  defp shares(events, processes) do
    for process <- 1..processes,
        do: div(events, processes) + if(process <= rem(events, processes), do: 1, else: 0)
  end

  @doc "The sums that are not those of the generated events, a sentence each."
  @spec differences(map()) :: [String.t()]
  def differences(run) do
    for result <- [run.ours, run.ets],
        metric <- @metrics,
        result.sums[metric] != run.expected[metric],
        do:
          "#{result.label} counted #{Text.integer(result.sums[metric])} #{metric}, " <>
            "generated were #{Text.integer(run.expected[metric])}"
  end

  @doc "A table of both."
  @spec table(map()) :: String.t()
  def table(run) do
    rows =
      for result <- [run.ours, run.ets] do
        a_second = round(run.events / result.microseconds * 1_000_000)

        [
          result.label,
          :erlang.float_to_binary(result.microseconds / 1_000_000, decimals: 2) <> " s",
          Text.integer(a_second),
          Text.integer(div(a_second, run.processes)),
          Text.integer(div(result.bytes, 1024)) <> " KiB"
        ]
      end

    head = ["counted with", "time", "events/s", "events/s a scheduler", "memory"]
    Text.table(head, rows, 1)
  end
end
