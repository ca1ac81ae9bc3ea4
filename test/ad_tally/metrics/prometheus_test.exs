defmodule AdTally.Metrics.PrometheusTest do
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.{Counters, Event, Meter, Metrics, Store}
  alias AdTally.Metrics.{Catalog, Prometheus}
  alias AdTally.Test.Exposition

  import AdTally.Test.{Crashes, Polling}

  doctest Prometheus

  # Of a meter while events are recorded.
  @crashes 3

  defp name, do: :"prometheus_#{System.unique_integer([:positive])}"

  defp child(module, options), do: start_supervised!({module, options}, id: options[:name])

  defp read(format), do: [format: format] |> Prometheus.render() |> Exposition.read!(format)

  defp meter(name, options \\ []) do
    child(
      Meter,
      [name: name, dimensions: [:campaign], metrics: [:clicks, :spend_micros]] ++ options
    )
  end

  test "both formats have what the snapshot has" do
    name = name()
    meter(name, window: 1_000, lateness: 0, clock: :events)
    event = %Event{at: 1_000_500, dimensions: {42}, metrics: [clicks: 2, spend_micros: 70]}
    Meter.record_many(name, [event, event, %{event | at: 2_000_500, metrics: [clicks: -3]}])
    assert Meter.close(name) == :ok
    meter = Atom.to_string(name)

    for format <- [:prometheus, :openmetrics] do
      families = read(format)
      value = fn name, labels -> Exposition.value(families, name, [{:meter, meter} | labels]) end
      assert value.("adtally_events_total", outcome: "applied") == 3
      assert value.("adtally_events_total", outcome: "received") == nil
      assert value.("adtally_metric_total", metric: "spend_micros") == 140
      assert value.("adtally_metric_corrections_total", metric: "clicks") == 3
      assert value.("adtally_newest_event_timestamp_seconds", []) == 2_000.5
      assert value.("adtally_open_windows", []) == 0
    end

    assert read(:prometheus)["adtally_events_total"].type == "counter"
    assert read(:openmetrics)["adtally_events"].type == "counter"
    assert read(:openmetrics)["adtally_memory_bytes"].unit == "bytes"
  end

  @tag :tmp_dir
  test "the writes of a store are a histogram", %{tmp_dir: dir} do
    [store, name] = [name(), name()]
    child(Store, name: store, dir: dir)
    child(Counters, name: name, store: store, metrics: [:clicks])
    Counters.add(name, 42, :clicks)
    assert Store.sync(store) == :ok

    families = read(:openmetrics)
    labels = [store: Atom.to_string(store)]
    count = Exposition.value(families, "adtally_store_fsync_duration_seconds_count", labels)
    assert count >= 1
    bucket = "adtally_store_fsync_duration_seconds_bucket"
    assert Exposition.value(families, bucket, [le: "+Inf"] ++ labels) == count
    assert Exposition.value(families, bucket, [le: "0.0005"] ++ labels) in 0..count
    assert Exposition.value(families, "adtally_store_failing", labels) == 0
  end

  test "there are series of as many campaigns as are asked for, and one of all others" do
    name = name()
    meter(name, window: 1_000, lateness: 0, clock: :events)
    read = fn -> [top: 3] |> Prometheus.render() |> Exposition.read!(:prometheus) end
    read.()

    for {campaign, spend} <- [
          {7, 90},
          {"7", 80},
          {<<255>>, 70},
          {"a\"b\n", 60},
          {"other", 50},
          {6, 40}
        ] do
      event = %Event{at: 1_000, dimensions: {campaign}, metrics: [spend_micros: spend]}
      assert Meter.record(name, event) == :ok
    end

    assert Meter.close(name) == :ok
    families = read.()

    spent = fn campaign ->
      labels = [meter: Atom.to_string(name), campaign: campaign, metric: "spend_micros"]
      Exposition.value(families, "adtally_campaign_metric_total", labels)
    end

    # Those that are the same as text are one series.
    assert spent.("7") == 170
    assert spent.("<<255>>") == 70
    assert spent.("other") == 150
    assert spent.("6") == nil

    # Somebody else who asks for none has none.
    labels = [meter: Atom.to_string(name), campaign: "7", metric: "spend_micros"]
    assert Exposition.value(read(:prometheus), "adtally_campaign_metric_total", labels) == nil

    assert_raise ArgumentError, ~r/expected :top to be from 0 to 1000/, fn ->
      Prometheus.render(top: -1)
    end
  end

  test "names with quotes, backslashes and lines in them are escaped" do
    name = :"a\"b\\c\nd é #{System.unique_integer([:positive])}"
    meter(name)

    for format <- [:prometheus, :openmetrics] do
      labels = [meter: Atom.to_string(name), outcome: "applied"]
      assert Exposition.value(read(format), "adtally_events_total", labels) == 0
    end
  end

  test "without anything that runs there is still what the library is" do
    assert %{"adtally_build" => %{samples: [{"adtally_build_info", %{"version" => version}, 1}]}} =
             read(:openmetrics)

    assert version == to_string(Application.spec(:ad_tally, :vsn))
    assert %{"adtally_build_info" => %{type: "gauge"}} = read(:prometheus)
  end

  test "no total falls while events are counted and a meter crashes, and each event is counted once" do
    name = name()
    meter(name, window: 1_000, lateness: 0, clock: :events)
    counted = :counters.new(1, [])
    applied = {"adtally_events_total", %{"meter" => Atom.to_string(name), "outcome" => "applied"}}
    writer = Task.async(fn -> record(name, counted, 1_000_000) end)

    before =
      for _crash <- 1..@crashes, reduce: totals() do
        before ->
          before = Enum.reduce(1..20, before, fn _scrape, before -> not_fallen!(before) end)
          crashing = Task.async(fn -> crash(name) end)
          before = not_fallen_until!(crashing, before)
          # And the next process counts on.
          await(fn -> Map.get(totals(), applied, 0) > Map.fetch!(before, applied) end)
          not_fallen!(before)
      end

    send(writer.pid, :stop)
    at = Task.await(writer, :infinity)
    after_load = not_fallen!(before)[applied]

    # Of what was recorded in the last moment of a process that was killed: one call of the writer, for each.
    assert (:counters.get(counted, 1) - after_load) in 0..@crashes

    # Nobody records while this one is killed, so nothing is lost.
    for _event <- 1..7, do: assert(record(name, at) == :ok)
    assert totals()[applied] == after_load + 7
    crash(name)
    for _event <- 1..5, do: assert(record(name, at) == :ok)
    assert totals()[applied] == after_load + 12
  end

  # Until it is stopped. Returns the time of the next event.
  defp record(name, counted, at) do
    try do
      :ok = record(name, at)
      :counters.add(counted, 1, 1)
    rescue
      ArgumentError -> Process.sleep(1)
    end

    receive do
      :stop -> at + 100
    after
      0 -> record(name, counted, at + 100)
    end
  end

  defp record(name, at),
    do: Meter.record(name, %Event{at: at, dimensions: {42}, metrics: [clicks: 1]})

  defp totals do
    for {_name, %{type: "counter", samples: samples}} <- read(:openmetrics),
        {name, labels, value} <- samples,
        into: %{},
        do: {{name, labels}, value}
  end

  # A meter between two processes is in none of them, and then goes on.
  defp not_fallen!(before) do
    now = totals()
    for {series, value} <- now, do: assert(value >= Map.get(before, series, 0), inspect(series))
    Map.merge(before, now)
  end

  defp not_fallen_until!(task, before) do
    before = not_fallen!(before)
    if Task.yield(task, 0), do: before, else: not_fallen_until!(task, before)
  end

  test "the format that a request asks for" do
    assert Prometheus.accepted(nil) == :prometheus
    assert Prometheus.accepted("text/plain;version=0.0.4;q=1,*/*;q=0.1") == :prometheus
    assert Prometheus.accepted("Application/OpenMetrics-Text; version=1.0.0, */*") == :openmetrics
    assert Prometheus.content_type() =~ "version=0.0.4"

    assert_raise ArgumentError, ~r/expected :format to be one of/, fn ->
      Prometheus.render(format: :json)
    end

    assert_raise ArgumentError, ~r/:formats/, fn -> Prometheus.render(formats: :json) end
  end

  test "every metric is there once, and named as Prometheus wants it" do
    names = for metric <- Catalog.all(), do: metric.name
    assert names == Enum.uniq(names)

    for metric <- Catalog.all() do
      assert metric.name =~ ~r/\Aadtally_[a-z_]+[a-z]\z/
      refute metric.name =~ ~r/_total\z|milli|_ms\b/
      assert metric.help =~ ~r/\A[A-Z0-9].*\.\z/
      assert metric.unit == nil or String.ends_with?(metric.name, "_" <> metric.unit)
      # A unit that the name has is told.
      for unit <- ["seconds", "bytes", "ratio"],
          String.ends_with?(metric.name, "_" <> unit),
          do: assert(metric.unit == unit)
    end
  end

  test "the guide has every metric" do
    rows =
      for metric <- Catalog.all() do
        name = metric.name <> Map.get(%{counter: "_total", info: "_info"}, metric.type, "")
        labels = Enum.map_join(metric.labels, ", ", &"`#{&1}`")
        "| `#{name}` | #{metric.type} | #{labels} | #{metric.help} |"
      end

    guide = File.read!("guides/observability.md")

    [_before, table] =
      String.split(guide, "| name | type | labels | what |\n| --- | --- | --- | --- |\n")

    assert table |> String.split("\n\n") |> hd() |> String.split("\n") == rows
    # And every name in an alert is one of them.
    [_before, alerts] = String.split(guide, "## Alerts\n")
    [alerts, _after] = String.split(alerts, "## The live page\n")
    names = for [name] <- Regex.scan(~r/\badtally_[a-z_]+/, alerts), do: name
    assert length(names) > 10
    assert Enum.reject(names, &Enum.any?(rows, fn row -> row =~ "`#{&1}`" end)) == []
  end

  test "every number of a meter in the snapshot has a metric" do
    name = name()
    meter(name, on_late: {Enum, :count}, sinks: [{__MODULE__, []}])
    Meter.record(name, %Event{at: System.system_time(:millisecond), dimensions: {42}})
    # Each number is another one then. Milliseconds become seconds.
    {meter, _next} = mark(Metrics.snapshot().meters[name], 1)

    told =
      for %{of: :meters, read: read} <- Catalog.all(),
          {_labels, value} <- read.(meter),
          into: MapSet.new(),
          do: round(value)

    untold =
      for {path, number} <- numbers(meter, []),
          number not in told,
          div(number, 1_000) not in told,
          do: path

    # Net amounts, sums of others, and what is configured.
    assert Enum.uniq(for [first | _path] <- untold, do: first) --
             [:excluded, :lateness_ms, :memory_bytes] == [:events]

    assert [:events, :received] in untold
    refute [:events, :applied] in untold
  end

  # A sink, of which nobody wants anything.
  def deliver(_window, _options), do: :ok

  defp mark(map, next) when is_map(map) do
    Enum.reduce(map, {map, next}, fn {key, value}, {map, next} ->
      {value, next} = mark(value, next)
      {Map.put(map, key, value), next}
    end)
  end

  defp mark(number, next) when is_number(number), do: {1_000 * next, next + 1}
  defp mark(other, next), do: {other, next}

  defp numbers(map, path) when is_map(map),
    do: Enum.flat_map(map, fn {key, value} -> numbers(value, path ++ [key]) end)

  defp numbers(number, path) when is_number(number), do: [{path, number}]
  defp numbers(_other, _path), do: []
end
