defmodule AdTally.Test.DroppedTables do
  @moduledoc """
  Resident memory before 500 tables or windows of 4,000 rows were filled, while they are there, and
  after they were dropped, for `AdTally.Test.FreshVM`: in bytes.

  Eight processes fill them, on whichever schedulers, and they are dropped by others: by a garbage
  collection, and by the thread that frees what is large.
  """

  alias AdTally.{Counters, Event, Meter, Reach}
  alias AdTally.Test.ResidentMemory

  @tables 500
  @rows 4_000
  @processes 8
  @minute 60_000

  def counters, do: measure(&fill(&1, fn _number -> some_counters() end))
  def reach, do: measure(&fill(&1, fn _number -> some_reach() end))
  def windows, do: measure(&fill_windows/1)

  # A few are made and dropped before: code is loaded then, and as many processes had heaps.
  defp measure(fill) do
    threads = ResidentMemory.threads()
    passing(fn -> fill.(@processes) end, threads)
    before = ResidentMemory.bytes()
    full = passing(fn -> fill.(@tables) end, threads)

    %{before: before, full: full, after: ResidentMemory.least_bytes(1.2 * before)}
  end

  # `fill` returns what is to be dropped, and a function that drops what is not by itself.
  defp passing(fill, threads) do
    full =
      ResidentMemory.in_passing(fn ->
        full = fill_and_look(fill)
        # Whoever waits for a process to end does not wait for its heap.
        :erlang.garbage_collect()
        full
      end)

    ResidentMemory.await_threads(threads)
    full
  end

  defp fill_and_look(fill) do
    {filled, drop} = fill.()
    full = ResidentMemory.bytes()
    drop.(filled)
    full
  end

  defp fill(count, table) do
    tables =
      1..count
      |> Task.async_stream(table, max_concurrency: @processes, timeout: :infinity)
      |> Enum.map(fn {:ok, table} -> table end)

    {tables, fn _tables -> :ok end}
  end

  defp some_counters do
    counters = Counters.new(metrics: [:impressions, :clicks, :spend])

    for row <- 1..@rows,
        metric <- [:impressions, :clicks],
        do: :ok = Counters.add(counters, {row, "creative"}, metric)

    counters
  end

  # Lists, sets and, of every fortieth key, registers.
  defp some_reach do
    reach = Reach.new(precision: 10)

    users =
      List.to_tuple(
        for size <- [100 | List.duplicate(3, 36)] ++ [10, 20, 40], do: Enum.to_list(1..size)
      )

    for row <- 1..@rows,
        do:
          :ok = Reach.add_many(reach, {row, "creative"}, elem(users, rem(row, tuple_size(users))))

    reach
  end

  # Windows that are open until their meter stops, as many of each meter.
  defp fill_windows(count) do
    names = for number <- 1..@processes, do: :"#{__MODULE__}.#{number}"

    meters =
      for name <- names do
        {:ok, meter} =
          Meter.start_link(
            name: name,
            dimensions: [:campaign, :creative],
            metrics: [:impressions, :clicks, :spend],
            clock: :events,
            lateness: @tables * @minute,
            reach: [by: [:campaign]]
          )

        meter
      end

    names
    |> Task.async_stream(&record(&1, ceil(count / @processes)),
      max_concurrency: @processes,
      timeout: :infinity
    )
    |> Stream.run()

    {meters, fn meters -> Enum.each(meters, &GenServer.stop/1) end}
  end

  defp record(name, windows) do
    creatives = div(@rows, 40)

    for window <- 1..windows, campaign <- 1..40 do
      events =
        for creative <- 1..creatives do
          %Event{
            at: window * @minute,
            dimensions: {campaign, creative},
            user: creative,
            metrics: [impressions: 1, clicks: 1, spend: 1_250]
          }
        end

      %{ok: ^creatives} = Meter.record_many(name, events)
    end
  end
end
