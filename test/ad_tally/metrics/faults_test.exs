defmodule AdTally.Metrics.FaultsTest do
  # What somebody on call sees of faults: each of them is in the text that Prometheus reads, and has an alert.
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.{Attribution, Counters, Event, FrequencyCap, Meter, Metrics, Pacer, Reach, Store}
  alias AdTally.Metrics.Prometheus
  alias AdTally.Test.{Exposition, Stores}

  import AdTally.Test.Polling

  defmodule Sink do
    @moduledoc false
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, down?: down?) do
      if :atomics.get(down?, 1) == 1, do: {:error, "connection refused"}, else: :ok
    end
  end

  defp name(what), do: :"#{what}_#{System.unique_integer([:positive])}"

  defp read, do: Prometheus.render() |> Exposition.read!(:prometheus)

  defp value(name, labels), do: read() |> Exposition.value(name, labels)

  defp text(name), do: Atom.to_string(name)

  defp meter(name, options \\ []),
    do: {Meter, [name: name, dimensions: [:campaign], metrics: [:clicks]] ++ options}

  defp record(name, clicks \\ 1) do
    event = %Event{
      at: System.system_time(:millisecond),
      dimensions: {42},
      metrics: [clicks: clicks]
    }

    Meter.record(name, event)
  end

  # Each child is started again after a crash, as often as that is allowed.
  defp supervised(children, options \\ []) do
    {:ok, supervisor} = Supervisor.start_link(children, [strategy: :one_for_one] ++ options)
    # It gives up, or is stopped at the end.
    Process.unlink(supervisor)
    on_exit(fn -> Stores.stop_tree(supervisor) end)
    supervisor
  end

  test "a disk that refuses, and one that takes it again" do
    {store, name, dir} = {name(:store), name(:counters), Stores.dir()}

    supervised([
      {Store, name: store, dir: dir, interval: 10, segment_bytes: 1_048_576},
      {Counters, name: name, store: store, metrics: [:clicks]}
    ])

    labels = [store: text(store)]
    assert value("adtally_store_failing", labels) == 0
    # What is open goes on, and no other file can be made.
    File.rename!(dir, dir <> "_away")
    on_exit(fn -> File.rm_rf!(dir <> "_away") end)

    await(fn ->
      for key <- 1..10_000, do: Counters.add(name, key, :clicks)
      value("adtally_store_failing", labels) == 1
    end)

    families = read()
    assert Exposition.value(families, "adtally_store_errors_total", labels) > 0
    assert Exposition.value(families, "adtally_store_waiting_bytes", labels) > 0
    await(fn -> value("adtally_store_durable_lag_seconds", labels) > 0.1 end)

    File.rename!(dir <> "_away", dir)
    await(fn -> value("adtally_store_failing", labels) == 0 end)
    assert value("adtally_store_errors_total", labels) > 0
  end

  test "a sink that is down, and is there again" do
    {name, down?} = {name(:meter), :atomics.new(1, [])}
    :atomics.put(down?, 1, 1)
    supervised([meter(name, sinks: [{Sink, down?: down?}])])
    labels = [meter: text(name), sink: inspect(Sink)]
    record(name)
    assert Meter.close(name, 10) == {:error, :timeout}
    await(fn -> value("adtally_sink_failures", labels) > 0 end)
    families = read()
    assert Exposition.value(families, "adtally_sink_waiting_windows", labels) == 1
    windows = fn result -> value("adtally_sink_windows_total", [result: result] ++ labels) end
    assert windows.("failed") > 0 and windows.("delivered") == 0

    :atomics.put(down?, 1, 0)
    assert Meter.close(name) == :ok
    await(fn -> windows.("delivered") == 1 end)
    assert value("adtally_sink_failures", labels) == 0
    assert value("adtally_sink_waiting_windows", labels) == 0
  end

  test "a part that crashes, again and again until its supervisor gives up" do
    {name, other} = {name(:meter), name(:other)}
    supervisor = supervised([meter(name), meter(other)], max_restarts: 2, max_seconds: 60)
    monitor = Process.monitor(supervisor)
    crashes = fn name -> value("adtally_crashes_total", part: text(name)) end
    assert {crashes.(name), crashes.(other)} == {0, 0}

    for crash <- 1..2 do
      record(name)
      AdTally.Test.Crashes.crash(name)
      # It runs again, so nobody would miss it.
      refute name in Metrics.snapshot().missing
      assert crashes.(name) == crash
      labels = [meter: text(name), outcome: "applied"]
      assert value("adtally_events_total", labels) == crash
    end

    name |> Process.whereis() |> Process.exit(:kill)
    assert_receive {:DOWN, ^monitor, :process, _supervisor, :shutdown}
    # That one was stopped with the supervisor, which is known a moment after it has ended.
    await(fn -> crashes.(name) == 3 and other not in Metrics.snapshot().missing end)
    snapshot = Metrics.snapshot()
    assert name in snapshot.missing
    assert snapshot.crashes[other] == 0
    assert value("adtally_missing_parts", []) >= 1
  end

  test "a part whose store was stopped and which has stopped for that is missing" do
    {store, name} = {name(:store), name(:counters)}

    supervisor =
      supervised([
        {Store, name: store, dir: Stores.dir()},
        Supervisor.child_spec({Counters, name: name, store: store, metrics: [:clicks]},
          restart: :temporary
        )
      ])

    :ok = Supervisor.terminate_child(supervisor, {Store, store})
    await(fn -> value("adtally_crashes_total", part: text(name)) == 1 end)
    assert name in Metrics.snapshot().missing
    refute store in Metrics.snapshot().missing
    assert value("adtally_crashes_total", part: text(store)) == 0
  end

  test "a node of a pacer that has other options" do
    {name, other} = {name(:pacer), :"other@127.0.0.1"}
    supervised([{Pacer, name: name, nodes: [node(), other]}])
    nodes = fn fault -> value("adtally_pacer_faulty_nodes", pacer: text(name), fault: fault) end
    assert {nodes.("lost"), nodes.("disagreeing"), nodes.("clock")} == {0, 0, 0}
    send(name, {:ad_tally_pacer, :another, other, :refused})
    await(fn -> nodes.("disagreeing") == 1 end)
  end

  test "names that only differ by what makes them a module are series of their own" do
    number = System.unique_integer([:positive])

    names = [
      {:"Elixir.My#{number}.App", "My#{number}.App"},
      {:"My#{number}.App", ":My#{number}.App"},
      {:":My#{number}.App", "::My#{number}.App"},
      {:"Elixir.my#{number}", "Elixir.my#{number}"},
      {:"my#{number}", "my#{number}"},
      {:"Elixir.#{number}", "Elixir.#{number}"},
      {:"", ""},
      {:" a\t\"b\"\\\n\r{},= #{number}", " a\t\"b\"\\\n\r{},= #{number}"},
      {:"été ☃ #{number}", "été ☃ #{number}"}
    ]

    supervised(
      for {name, _text} <- names do
        Supervisor.child_spec(meter(name, window: 1_000, lateness: 0, clock: :events), id: name)
      end
    )

    for {{name, _text}, count} <- Enum.with_index(names, 1) do
      event = %Event{at: 1_000, dimensions: {42}, metrics: [clicks: 1]}
      assert %{ok: ^count} = Meter.record_many(name, List.duplicate(event, count))
    end

    for format <- [:prometheus, :openmetrics] do
      # Which raises for a series that is there twice.
      families = Exposition.read!(Prometheus.render(format: format), format)

      for {{_name, text}, count} <- Enum.with_index(names, 1) do
        labels = [meter: text, outcome: "applied"]
        assert Exposition.value(families, "adtally_events_total", labels) == count
        assert Exposition.value(families, "adtally_crashes_total", part: text) == 0
      end
    end
  end

  test "totals beyond 64 bits are exact, and do not fall" do
    name = name(:meter)
    supervised([meter(name, window: 1_000, lateness: 0, clock: :events)])
    most = 2 ** 58
    total = fn -> value("adtally_metric_total", meter: text(name), metric: "clicks") end

    for {window, expected} <- [
          {1, 2 ** 53 + 1},
          {2, 2 ** 53 + 1 + 64 * most},
          {3, 2 ** 53 + 2 + 64 * most}
        ] do
      event = fn clicks ->
        %Event{at: 1_000 * window, dimensions: {42}, metrics: [clicks: clicks]}
      end

      events =
        case window do
          1 -> [event.(2 ** 53 + 1)]
          2 -> List.duplicate(event.(most), 64)
          3 -> [event.(1)]
        end

      # A row has 64 bits. What is more is counted beside it.
      %{ok: ok, overflow: overflow} = Meter.record_many(name, events)
      assert ok + overflow == length(events)
      assert Meter.close(name) == :ok
      assert total.() == expected
    end

    AdTally.Test.Crashes.crash(name)
    assert total.() == 2 ** 53 + 2 + 64 * most
  end

  test "what alerts select is there" do
    {store, meter, attribution} = {name(:store), name(:meter), name(:attribution)}
    sinks = [{Sink, down?: :atomics.new(1, [])}]
    pacer = name(:pacer)

    supervised([
      {Store, name: store, dir: Stores.dir()},
      {Attribution,
       name: attribution,
       dimensions: [:campaign],
       touches: [click: 3_600_000],
       conversions: [purchase: :every],
       sinks: sinks},
      meter(meter, sinks: sinks, on_late: {Enum, :count}),
      {Counters, name: name(:counters), metrics: [:clicks]},
      {Reach, name: name(:reach)},
      {FrequencyCap, name: name(:caps), capacity: 100},
      {AdTally.Dedupe, name: name(:dedupe), window: 60_000, capacity: 100},
      {Pacer, name: pacer}
    ])

    assert Pacer.put(pacer, 42, budget_micros: 1_000_000) == :ok
    record(meter)

    :ok =
      Attribution.touch(attribution, %AdTally.Touch{
        id: 1,
        user: 1,
        at: System.system_time(:millisecond),
        kind: :click,
        dimensions: {42}
      })

    families = read()
    [_before, alerts] = "guides/observability.md" |> File.read!() |> String.split("## Alerts\n")
    [alerts, _after] = String.split(alerts, "## The live page\n")

    selected =
      for [_all, name | matcher] <-
            Regex.scan(~r/\b(adtally_\w+)(?:\{(\w+)=~?"([^"]+)"\})?/, alerts),
          do: {name, matcher}

    assert length(selected) > 20

    for {name, matcher} <- selected do
      assert is_map_key(families, name), name

      for [label, values] <- [matcher], value <- String.split(values, "|") do
        found = Enum.any?(families[name].samples, &(elem(&1, 1)[label] == value))
        assert found, "#{name} with #{label} #{value}"
      end
    end
  end
end
