defmodule AdTally.Bench.Jobs.Metrics do
  @moduledoc false
  # Not in turns with anything: what a look at a thousand series takes while every scheduler records, and how much slower
  # recording is beside one a second. What is promised of a full run fails it.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.WrongResultError
  alias AdTally.{Event, Meter, Metrics}
  alias AdTally.Metrics.{Catalog, Prometheus, StatsD}

  @sizes %{
    full: [series: 1_000, looks: 500, rounds: 20, ms: 1_000, promises?: true],
    quick: [series: 1_000, looks: 200, rounds: 8, ms: 1_000, promises?: true],
    smoke: [series: 100, looks: 3, rounds: 2, ms: 20, promises?: false]
  }

  @metrics [:impressions, :clicks, :conversions, :spend_micros]
  # Events that a process makes before it looks at the clock.
  @batch 1_000

  @impl true
  def name, do: "metrics"

  @impl true
  def about,
    do:
      "a thousand series: snapshots and scrapes while all schedulers record, and recording beside them"

  @impl true
  def text(size) do
    size = Map.fetch!(@sizes, size)
    meters = start(size[:series], [])
    series = series()

    try do
      [looks(meters, series, size), recording(meters, series, size)]
    after
      Enum.each(meters, &GenServer.stop/1)
    end
  end

  # As many meters as it takes, one for each process at least.
  defp start(least, meters) do
    if series() >= least and length(meters) >= System.schedulers_online(),
      do: meters,
      else: start(least, [meter(length(meters)) | meters])
  end

  defp meter(n) do
    name = Module.concat(__MODULE__, "Meter#{n}")
    {:ok, _meter} = Meter.start_link(name: name, dimensions: [:campaign], metrics: @metrics)
    name
  end

  defp series,
    do:
      for(
        {_metric, samples} <- Catalog.samples(Metrics.snapshot()),
        reduce: 0,
        do: (n -> n + length(samples))
      )

  ## What a look takes

  defp looks(meters, series, size) do
    looked = fn look -> for _ <- 1..size[:looks], do: look |> :timer.tc() |> elem(0) end

    rows =
      for {label, look} <- [
            {"snapshot", &Metrics.snapshot/0},
            {"text 0.0.4", fn -> IO.iodata_to_binary(Prometheus.render()) end},
            {"OpenMetrics",
             fn -> IO.iodata_to_binary(Prometheus.render(format: :openmetrics)) end}
          ] do
        alone = looked.(look)
        {beside, _rate} = beside(meters, fn -> looked.(look) end)

        promise!(
          size[:promises?],
          median(beside) <= 5_000,
          "#{label} in us",
          "at most 5000",
          median(beside)
        )

        row([label, median(alone), median(beside), p99(beside)])
      end

    [
      "### #{series} series, in us\n\n",
      row(["", "alone", "recording", "its p99"]),
      rows
    ]
  end

  ## What recording pays

  # In turns, so that a machine that is slower for a while is so for both.
  defp recording(meters, series, size) do
    {:ok, agent} = :gen_udp.open(0, ip: {127, 0, 0, 1}, active: false)
    {:ok, port} = :inet.port(agent)
    {:ok, stats_d} = StatsD.start_link(port: port, interval: 3_600_000)

    scrape = fn ->
      Process.sleep(div(size[:ms], 2))
      IO.iodata_to_binary(Prometheus.render())
      send(stats_d, :send)
      Process.sleep(div(size[:ms], 2))
    end

    rounds =
      for _ <- 1..size[:rounds] do
        {_none, alone} = beside(meters, fn -> Process.sleep(size[:ms]) end)
        {_text, scraped} = beside(meters, scrape)
        {alone, scraped}
      end

    GenServer.stop(stats_d)
    {alone, scraped} = Enum.unzip(rounds)
    ratio = median(for {alone, scraped} <- rounds, do: scraped / alone)

    promise!(
      size[:promises?],
      ratio >= 0.97,
      "record beside a scrape a second",
      "at least 0.97",
      ratio
    )

    [
      "\n### record by #{System.schedulers_online()} processes beside a scrape and a send to StatsD a second, #{series} series\n\n",
      row(["", "alone", "scraped", "ratio"]),
      row([
        "events/s",
        round(median(alone)),
        round(median(scraped)),
        :erlang.float_to_binary(ratio, decimals: 3)
      ])
    ]
  end

  # What `act` returns, and how many events a second all schedulers have recorded meanwhile.
  defp beside(meters, act) do
    stop = :atomics.new(1, [])
    begin = System.monotonic_time()
    processes = System.schedulers_online()

    tasks =
      for n <- 1..processes do
        meter = Enum.at(meters, rem(n, length(meters)))
        Task.async(fn -> record(meter, stop, 0) end)
      end

    result = act.()
    :atomics.put(stop, 1, 1)
    events = tasks |> Task.await_many(:infinity) |> Enum.sum()

    seconds =
      System.convert_time_unit(System.monotonic_time() - begin, :native, :microsecond) / 1_000_000

    {result, events / seconds}
  end

  defp record(meter, stop, recorded) do
    at = System.system_time(:millisecond)

    for n <- 1..@batch do
      event = %Event{
        at: at,
        dimensions: {rem(n, 100)},
        metrics: [impressions: 1, spend_micros: 1_250]
      }

      :ok = Meter.record(meter, event)
    end

    if :atomics.get(stop, 1) == 0,
      do: record(meter, stop, recorded + @batch),
      else: recorded + @batch
  end

  defp median(numbers), do: at(numbers, 0.5)
  defp p99(numbers), do: at(numbers, 0.99)

  defp at(numbers, share) do
    sorted = Enum.sort(numbers)
    Enum.at(sorted, min(trunc(length(sorted) * share), length(sorted) - 1))
  end

  defp promise!(true, false, label, expected, counted),
    do: raise(WrongResultError, label: label, expected: expected, counted: counted)

  defp promise!(_promised?, _kept?, _label, _expected, _counted), do: :ok

  defp row(columns), do: [Enum.map(columns, &String.pad_leading("#{&1}", 14)), "\n"]
end
