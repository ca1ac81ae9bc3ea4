defmodule AdTally.Bench.Jobs.Metrics do
  @moduledoc false
  # Not in turns with anything: what a look at a thousand series takes while every scheduler records, and how much slower
  # recording is beside one a second. Figures worse than promised fail a full run only, as a short one is noisy; a wrong
  # result fails every run.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.WrongResultError
  alias AdTally.{Event, Meter, Metrics}
  alias AdTally.Metrics.{Catalog, Prometheus, StatsD}

  @sizes %{
    full: [series: 1_000, looks: 500, rounds: 20, ms: 1_000, promises?: true],
    quick: [series: 1_000, looks: 200, rounds: 8, ms: 1_000, promises?: false],
    smoke: [series: 100, looks: 3, rounds: 2, ms: 20, promises?: false]
  }

  @metrics [:impressions, :clicks, :conversions, :spend_micros]
  # Events that a process makes before it looks at the clock.
  @batch 1_000
  # What names of its meters begin with, also as labels: others may run in the VM.
  @meter inspect(Module.concat(__MODULE__, Meter))

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

  # With an event, as there are series that only meters with events have.
  defp meter(n) do
    name = Module.concat([@meter <> "#{n}"])
    {:ok, _meter} = Meter.start_link(name: name, dimensions: [:campaign], metrics: @metrics)
    :ok = Meter.record(name, event(n, System.system_time(:millisecond)))
    name
  end

  defp series, do: Metrics.snapshot() |> seen() |> elem(0)

  # How many series of the meters something has, and how many events were applied by these.
  defp seen(%{meters: _meters} = snapshot) do
    samples =
      for {metric, samples} <- Catalog.samples(snapshot),
          {[@meter <> _n | labels], value} <- samples,
          do: {metric.name, labels, value}

    {length(samples), Enum.sum(for {"adtally_events", ["applied"], value} <- samples, do: value)}
  end

  defp seen(text) when is_binary(text) do
    lines = for line <- String.split(text, "\n"), line =~ ~s(="#{@meter}), do: line
    applied = ~r/\Aadtally_events_total{.*outcome="applied"} (\d+)\z/

    events =
      for line <- lines,
          [_line, count] <- [Regex.run(applied, line)],
          do: String.to_integer(count)

    {length(lines), Enum.sum(events)}
  end

  ## What a look takes

  defp looks(meters, series, size) do
    looked = fn look ->
      Enum.map_reduce(1..size[:looks], nil, fn _n, _last -> :timer.tc(look) end)
    end

    rows =
      for {label, look} <- [
            {"snapshot", &Metrics.snapshot/0},
            {"text 0.0.4", fn -> IO.iodata_to_binary(Prometheus.render()) end},
            {"OpenMetrics",
             fn -> IO.iodata_to_binary(Prometheus.render(format: :openmetrics)) end}
          ] do
        {alone, last} = looked.(look)
        WrongResultError.equal!(label, {series, applied()}, seen(last))
        {{beside, last}, _rate} = beside(meters, fn -> looked.(look) end)
        WrongResultError.equal!(label, series, last |> seen() |> elem(0))

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
    {:ok, agent} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(agent)
    {:ok, stats_d} = StatsD.start_link(port: port, interval: 3_600_000)

    scrape = fn ->
      Process.sleep(div(size[:ms], 2))
      text = IO.iodata_to_binary(Prometheus.render())
      send(stats_d, :send)
      Process.sleep(div(size[:ms], 2))
      text
    end

    rounds =
      for _ <- 1..size[:rounds] do
        {_none, alone} = beside(meters, fn -> Process.sleep(size[:ms]) end)
        {text, scraped} = beside(meters, scrape)
        WrongResultError.equal!("series of a scrape", series, text |> seen() |> elem(0))
        WrongResultError.equal!("packets of StatsD", :some, packets(agent))
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

  # Takes all that are there: a socket that is full takes no more.
  defp packets(agent) do
    with {:ok, {_address, _port, "adtally." <> _packet}} <- :gen_udp.recv(agent, 0, 1_000) do
      drain(agent)
      :some
    end
  end

  defp drain(agent),
    do: with({:ok, _packet} <- :gen_udp.recv(agent, 0, 0), do: drain(agent))

  # What `act` returns, and how many events a second all schedulers have recorded meanwhile.
  defp beside(meters, act) do
    before = applied()
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

    WrongResultError.equal!("events", before + events, applied())
    {result, events / seconds}
  end

  defp applied, do: Metrics.snapshot() |> seen() |> elem(1)

  defp record(meter, stop, recorded) do
    at = System.system_time(:millisecond)
    for n <- 1..@batch, do: :ok = Meter.record(meter, event(n, at))

    if :atomics.get(stop, 1) == 0,
      do: record(meter, stop, recorded + @batch),
      else: recorded + @batch
  end

  defp event(n, at) do
    %Event{
      at: at,
      dimensions: {rem(n, 100)},
      metrics: [impressions: 1, spend_micros: 1_250]
    }
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
