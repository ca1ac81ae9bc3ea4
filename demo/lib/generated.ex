defmodule AdTally.Demo.Generated do
  @moduledoc """
  Counts generated events from one process a scheduler, once through
  `AdTally.Counters` and once with `:ets.update_counter`, and checks both sums.

  Campaigns and creatives follow Zipf's law: a few get most of the events. Every
  process draws its events before the clock starts and goes through them again and
  again, so that the time is that of counting.
  """

  alias AdTally.Counters
  alias AdTally.Demo.{Progress, Text}

  @campaigns 1_000
  @creatives 20
  @drawn 50_000
  # Events between two steps of the progress line.
  @step 10_000
  @metrics [:impressions, :clicks, :spend_micros]
  @seed 20_191_124

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
    drawn = for process <- 1..processes, do: draw(process)
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
    begin = System.monotonic_time(:microsecond)

    work
    |> Enum.map(fn {drawn, share} -> Task.async(fn -> cycle(drawn, share, count, done) end) end)
    |> Progress.await(done, events, label)

    System.monotonic_time(:microsecond) - begin
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

  # What the first `share` events of an endless repetition of `drawn` add up to.
  defp expected(work) do
    for {drawn, share} <- work, reduce: sum([]) do
      sums ->
        whole = div(share, @drawn)
        part = Enum.take(drawn, rem(share, @drawn))

        sums
        |> Map.merge(totals(drawn), fn _metric, sum, total -> sum + whole * total end)
        |> Map.merge(totals(part), fn _metric, sum, total -> sum + total end)
    end
  end

  defp totals(events) do
    %{
      impressions: length(events),
      clicks: Enum.count(events, fn {_key, clicked?, _spend} -> clicked? end),
      spend_micros: events |> Enum.map(&elem(&1, 2)) |> Enum.sum()
    }
  end

  defp sum(rows) do
    Map.new(@metrics, fn metric -> {metric, rows |> Enum.map(& &1[metric]) |> Enum.sum()} end)
  end

  defp shares(events, processes) do
    for process <- 1..processes,
        do: div(events, processes) + if(process <= rem(events, processes), do: 1, else: 0)
  end

  defp draw(process) do
    :rand.seed(:exsss, {@seed, process, 0})
    campaigns = zipf(@campaigns)
    creatives = zipf(@creatives)

    for _event <- 1..@drawn do
      creative = "creative-#{pick(creatives)}"
      {{pick(campaigns), creative}, :rand.uniform(100) == 1, 500 + :rand.uniform(2_000)}
    end
  end

  # The cumulated shares of ranks 1 to n, the k-th of which is as frequent as 1 / k.
  defp zipf(ranks) do
    weights = for rank <- 1..ranks, do: 1 / rank
    total = Enum.sum(weights)
    weights |> Enum.scan(&(&1 + &2)) |> Enum.map(&(&1 / total)) |> List.to_tuple()
  end

  defp pick(cumulated), do: search(cumulated, :rand.uniform(), 1, tuple_size(cumulated))

  defp search(_cumulated, _at, rank, rank), do: rank

  defp search(cumulated, at, low, high) do
    middle = div(low + high, 2)

    if elem(cumulated, middle - 1) >= at,
      do: search(cumulated, at, low, middle),
      else: search(cumulated, at, middle + 1, high)
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
