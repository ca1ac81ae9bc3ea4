defmodule AdTally.Bench.Jobs.StoreLoad do
  @moduledoc false
  # Not in turns with anything: what a store takes of the disk, and of those who record and sync meanwhile. Figures worse
  # than promised fail a full run only, as a short one is noisy; a wrong result fails every run.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Disk, Load, WrongResultError}

  # A store looks for what it can merge more often than this.
  @rest 6_000
  @rates [low: 100_000, promised: 500_000, high: 1_000_000, most: 3_000_000, calls: 10_000]
  @sizes %{
    full: [seconds: 60, short: 15, rest: @rest, promises?: true] ++ @rates,
    quick: [seconds: 10, short: 5, rest: @rest, promises?: false] ++ @rates,
    smoke:
      [seconds: 0.2, short: 0.2, rest: 10, promises?: false] ++
        [low: 5_000, promised: 10_000, high: 20_000, most: 30_000, calls: 1_000]
  }

  # So that files are merged all the time.
  @small_segment 1_048_576
  @feeders 2
  @callers 16
  @disk_syncs 500
  @millisecond 1_000_000

  @impl true
  def name, do: "store_load"

  @impl true
  def about,
    do: "a store under load: the rate that it takes, bytes of the disk, calls and syncs meanwhile"

  @impl true
  def text(size) do
    size = Map.fetch!(@sizes, size)
    [rates(size), calls(size), syncs(size)]
  end

  ## How much it takes

  defp rates(size) do
    promises? = size[:promises?]

    rows = [
      rate(size, size[:low], size[:seconds], promises?),
      rate(size, size[:promised], size[:seconds], promises?),
      rate(size, size[:high], size[:short], false),
      # More than most machines have, to see how much there is.
      rate(size, size[:most], size[:short], false)
    ]

    [
      "### record_many by 100 from #{@feeders} processes, an id each, 1000 rows, 100000 users\n\n",
      row([
        "events/s wanted",
        "reached",
        "busy",
        "bytes an event",
        "of merging",
        "intervals",
        "merges"
      ]),
      rows
    ]
  end

  defp rate(size, rate, seconds, promised?) do
    load = Load.start(rate)
    merged = fn -> Load.rest(load, size[:rest]).compacted_bytes end
    {%{info: info} = figures, _} = Load.run(load, @feeders, rate, ms(seconds))
    promise!(promised?, figures.busy == 0, "#{rate} events a second", "none busy", figures.busy)
    promise!(promised?, figures.rate > 0.99 * rate, "events a second", rate, round(figures.rate))

    row([
      rate,
      round(figures.rate),
      figures.busy,
      decimals(info.written_bytes / figures.events),
      decimals(merged.() / figures.events),
      info.intervals,
      info.compactions
    ])
  end

  ## What calls take meanwhile

  defp calls(size) do
    {rate, ms} = {size[:low], ms(size[:short])}
    load = Load.start(2 * rate, segment_bytes: @small_segment)
    timed = fn -> load |> Load.calls(size[:calls], ms) |> then(&{length(&1), &1}) end
    {%{info: info}, took} = Load.run(load, 1, rate, ms, timed)
    {p50, p99, p999, most} = percentiles(took)
    label = "p99.9 of record in ns while files are written and merged"
    promise!(size[:promises?], info.intervals > 1 and info.compactions > 1, label, "both", info)
    promise!(size[:promises?], p999 < @millisecond, label, "less than 1 ms", p999)

    [
      "\n### record of one event, #{size[:calls]} a second, beside #{rate} a second of another process, in us\n\n",
      row(["calls", "p50", "p99", "p99.9", "slowest", "intervals", "merges"]),
      row([length(took), us(p50), us(p99), us(p999), us(most), info.intervals, info.compactions])
    ]
  end

  ## What a sync takes

  defp syncs(size) do
    load = Load.start(100_000)
    before = AdTally.Store.info(load.store)

    took =
      1..@callers
      |> Enum.map(fn _caller -> Task.async(fn -> Load.syncs(load, ms(size[:short])) end) end)
      |> Task.await_many(:infinity)
      |> Enum.concat()

    info = AdTally.Store.info(load.store)
    intervals = info.intervals - before.intervals
    bytes = div(info.written_bytes - before.written_bytes, intervals)
    disk = Disk.syncs(System.tmp_dir!(), bytes, @disk_syncs)
    {p50, p99, p999, most} = percentiles(took)
    {disk_p50, disk_p99, disk_p999, disk_most} = percentiles(disk)
    label = "p99 of sync in ns from #{@callers} processes"
    bound = 2 * disk_p99 + 20 * @millisecond
    promise!(size[:promises?], p99 <= bound, label, "at most #{bound}", p99)

    [
      "\n### sync from #{@callers} processes, each after an event, in us\n\n",
      row(["", "times", "p50", "p99", "p99.9", "slowest", "intervals"]),
      row(["sync", length(took), us(p50), us(p99), us(p999), us(most), intervals]),
      row([
        "write of #{bytes}",
        length(disk),
        us(disk_p50),
        us(disk_p99),
        us(disk_p999),
        us(disk_most),
        ""
      ])
    ]
  end

  defp percentiles(numbers) do
    sorted = numbers |> Enum.sort() |> List.to_tuple()

    at = fn share ->
      elem(sorted, min(trunc(tuple_size(sorted) * share), tuple_size(sorted) - 1))
    end

    {at.(0.5), at.(0.99), at.(0.999), at.(1)}
  end

  defp promise!(true, false, label, expected, counted),
    do: raise(WrongResultError, label: label, expected: expected, counted: counted)

  defp promise!(_promised?, _kept?, _label, _expected, _counted), do: :ok

  defp row(columns) do
    [Enum.map(columns, &String.pad_leading("#{&1}", 16)), "\n"]
  end

  defp ms(seconds), do: round(seconds * 1_000)
  defp us(nanoseconds), do: decimals(nanoseconds / 1_000)
  defp decimals(number), do: :erlang.float_to_binary(number * 1.0, decimals: 1)
end
