defmodule AdTally.MetricsTest do
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.{
    Attribution,
    Counters,
    Dedupe,
    Event,
    FrequencyCap,
    Meter,
    Metrics,
    Pacer,
    Reach,
    Store
  }

  alias AdTally.Metrics.Parts

  import AdTally.Test.{Crashes, Polling}

  doctest AdTally.Metrics

  defmodule Sink do
    @moduledoc false
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, to: to) do
      if :counters.get(to, 2) > 0,
        do: {:error, "as the test wants it"},
        else: :counters.add(to, 1, 1)
    end
  end

  defmodule Late do
    @moduledoc false
    def take(_events), do: :ok
  end

  setup do
    # Names are atoms that nobody else has.
    {:ok, name: :"metrics_#{System.unique_integer([:positive])}"}
  end

  defp child(module, options), do: start_supervised!({module, options}, id: options[:name])

  defp meter(name, options \\ []) do
    given = [
      name: name,
      dimensions: [:campaign],
      metrics: [:clicks, :spend_micros],
      on_late: {Late, :take}
    ]

    child(Meter, Keyword.merge(given, options))
  end

  defp event(amounts, at \\ System.system_time(:millisecond)),
    do: %Event{at: at, dimensions: {42}, metrics: amounts}

  defp store(name) do
    dir = Path.join(System.tmp_dir!(), "ad_tally_#{name}_#{System.pid()}")
    on_exit(fn -> File.rm_rf!(dir) end)
    store = :"#{name}_store"
    child(Store, name: store, dir: dir)
    store
  end

  test "a meter's totals are cumulative, and what closed windows have is by metric", %{name: name} do
    sink = :counters.new(2, [])
    meter(name, sinks: [{Sink, to: sink}])

    Meter.record_many(name, [
      event(clicks: 1),
      event(clicks: 2, spend_micros: 70),
      event([clicks: 5], 7)
    ])

    meter = Metrics.snapshot().meters[name]

    assert %{received: 3, applied: 2, late: 1, duplicate: 0} = meter.events
    assert %{metrics: %{clicks: 0}, closed_windows: 0, open_windows: 1} = meter
    assert meter.excluded.late == %{clicks: 5, spend_micros: 0}
    assert meter.watermark_lag_ms in 0..5_000

    assert Meter.close(name) == :ok
    meter = Metrics.snapshot().meters[name]
    assert meter.metrics == %{clicks: 3, spend_micros: 70}
    assert %{closed_windows: 1, open_windows: 0} = meter

    assert %{delivered: 1, failed: 0, dropped: 0, waiting: 0, failures: 0} =
             meter.sinks[inspect(Sink)]

    assert meter.memory.closed_windows > 0
    assert meter.memory_bytes == meter.memory |> Map.values() |> Enum.sum()

    assert meter.names.dimensions == [:campaign] and
             meter.names.metrics == [:clicks, :spend_micros]
  end

  test "windows whose total is below 0 are in the corrections, and neither number falls", %{
    name: name
  } do
    meter(name, clock: :events, window: 1_000, lateness: 0)

    for {amount, at} <- [{9, 1_000}, {-4, 2_000}, {5, 3_000}],
        do: Meter.record(name, event([clicks: amount], at))

    assert Meter.close(name) == :ok
    assert %{metrics: %{clicks: 14}, corrections: %{clicks: 4}} = Metrics.snapshot().meters[name]
  end

  test "a sink that fails is seen before it takes the window", %{name: name} do
    sink = :counters.new(2, [])
    :counters.put(sink, 2, 1)
    meter(name, sinks: [{Sink, to: sink}])
    Meter.record(name, event(clicks: 1))
    assert Meter.close(name, 50) == {:error, :timeout}
    told = fn -> Metrics.snapshot().meters[name].sinks[inspect(Sink)] end
    await(fn -> told.().failures > 0 end)
    assert %{waiting: 1, delivered: 0} = told.()
    :counters.put(sink, 2, 0)
    assert Meter.close(name) == :ok
    await(fn -> told.().delivered == 1 end)
    assert %{waiting: 0, failures: 0, failed: failed} = told.()
    assert failed > 0
  end

  test "totals go on over a crash and over a stop", %{name: name} do
    sink = :counters.new(2, [])
    options = [sinks: [{Sink, to: sink}]]
    meter(name, options)

    count = fn ->
      Meter.record_many(name, [event(clicks: 1), event(clicks: 1), event([clicks: 1], 7)])
      assert Meter.close(name) == :ok
      await(fn -> Meter.info(name).on_late.handed == 1 end)
    end

    count.()
    await(fn -> Metrics.snapshot().meters[name].sinks[inspect(Sink)].delivered == 1 end)
    crash(name)
    assert %{events: %{received: 3}, metrics: %{clicks: 2}} = Metrics.snapshot().meters[name]
    count.()
    await(fn -> Metrics.snapshot().meters[name].sinks[inspect(Sink)].delivered == 2 end)

    stop_supervised!(name)
    refute is_map_key(Metrics.snapshot().meters, name)
    # For a moment nobody knows why it has ended.
    await(fn -> name not in Metrics.snapshot().missing end)
    meter(name, options)
    count.()

    meter = Metrics.snapshot().meters[name]
    assert %{received: 9, applied: 6, late: 3} = meter.events
    assert %{metrics: %{clicks: 6}, closed_windows: 3} = meter
    assert meter.excluded.late.clicks == 3
    assert meter.sinks[inspect(Sink)].delivered == 3
    assert %{handed: 3, waiting: 0} = meter.on_late
    # Those of the process alone.
    assert Meter.info(name).events.received == 3
  end

  test "a table that a store keeps over a crash is counted once", %{name: name} do
    store = store(name)
    meter(name, store: store)
    Meter.record(name, event(clicks: 1))
    crash(name)
    assert Metrics.snapshot().meters[name].events.applied == 1
    Meter.record(name, event(clicks: 1))
    assert Metrics.snapshot().meters[name].events.applied == 2

    assert Store.sync(store) == :ok
    records = Metrics.snapshot().stores[store].records
    assert records > 0
    crash(store)
    assert Metrics.snapshot().stores[store].records >= records
    assert Metrics.snapshot().stores[store].records < 2 * records

    # Another native table, whose events are those of its own.
    stop_supervised!(name)
    meter(name, store: store)
    Meter.record(name, event(clicks: 1))
    assert %{events: %{applied: 3}, store: ^store} = Metrics.snapshot().meters[name]
  end

  test "a name that has crashed and does not run again is missing", %{name: name} do
    Process.flag(:trap_exit, true)
    {:ok, table} = Counters.start_link(name: name, metrics: [:clicks])
    refute name in Metrics.snapshot().missing
    Process.exit(table, :kill)
    await(fn -> not is_map_key(Metrics.snapshot().counters, name) end)
    assert name in Metrics.snapshot().missing
    start_supervised!({Counters, name: name, metrics: [:clicks]})
    assert is_map_key(Metrics.snapshot().counters, name)
    refute name in Metrics.snapshot().missing
  end

  # Its watcher runs by then, and its entry is that of the process before.
  test "a process that is killed before it owns its table takes nothing from the totals", %{
    name: name
  } do
    options = [window: 60_000, capacity: 1_000]
    start = fn -> child(Dedupe, [name: name] ++ options) end
    start.()
    for _ <- 1..4, do: Dedupe.first?(name, 7)
    stop_supervised!(name)
    await(fn -> Parts.watcher(name, Dedupe) == nil end)

    Parts.ended(name, Dedupe, Dedupe.new(options), :killed)
    start.()
    assert Metrics.snapshot().dedupes[name].duplicates == 3
  end

  test "no process is asked: one that does not answer is in it all the same", %{name: name} do
    meter = meter(name)
    Meter.record(name, event(clicks: 1))
    :sys.suspend(meter)
    assert Metrics.snapshot().meters[name].events.applied == 1
    :sys.resume(meter)
  end

  test "tables, with what they have denied or forgotten", %{name: name} do
    [counters, reach, caps, dedupe] = names = for kind <- [:c, :r, :f, :d], do: :"#{name}_#{kind}"
    child(Counters, name: counters, metrics: [:clicks])
    child(Reach, name: reach)
    child(FrequencyCap, name: caps, capacity: 1_000)
    child(Dedupe, name: dedupe, window: 60_000, capacity: 1_000)

    for key <- 1..3, do: Counters.add(counters, key, :clicks)
    Reach.add(reach, 42, "ann")
    for _ <- 1..3, do: FrequencyCap.admit(caps, 42, "ann", [{1, 300_000}])
    for _ <- 1..5, do: Dedupe.first?(dedupe, 7)

    snapshot = Metrics.snapshot()
    assert %{keys: 3, max_keys: 1_000_000, store: nil} = snapshot.counters[counters]
    assert %{keys: 1} = snapshot.reach[reach]
    assert %{denials: %{rule: 2, rounding: 0, full: 0}, pairs: 1} = snapshot.frequency_caps[caps]
    assert snapshot.frequency_caps[caps].memory_bytes == FrequencyCap.info(caps).memory_bytes
    assert snapshot.frequency_caps[caps].load == FrequencyCap.info(caps).load
    assert %{duplicates: 4, forgotten: 0} = snapshot.dedupes[dedupe]
    # A table without a name is in none of the maps.
    unnamed = Counters.new(metrics: [:clicks])
    assert Counters.add(unnamed, 1, :clicks) == :ok
    assert map_size(Map.take(Metrics.snapshot().counters, names)) == 1
  end

  test "an attribution's counts", %{name: name} do
    options = [
      dimensions: [:campaign],
      touches: [click: 604_800_000],
      conversions: [purchase: :every]
    ]

    child(Attribution, [{:name, name} | options])
    at = System.system_time(:millisecond)
    click = %AdTally.Touch{id: 1, user: "ann", at: at, kind: :click, dimensions: {42}}
    assert [:ok, :duplicate] = for(_ <- 1..2, do: Attribution.touch(name, click))
    order = %AdTally.Conversion{order: 9, user: "ann", at: at, action: :purchase}
    assert Attribution.convert(name, order) == :ok
    assert Attribution.close(name) == :ok

    assert %{
             touches: %{received: 2, applied: 1, duplicate: 1},
             conversions: %{received: 1},
             attributed: 1
           } = attribution = Metrics.snapshot().attributions[name]

    info = Attribution.info(name)
    assert attribution.users == info.users and attribution.kept_touches == info.kept_touches
  end

  test "a pacer's budgets are summed", %{name: name} do
    child(Pacer, name: name)
    for campaign <- 1..130, do: :ok = Pacer.put(name, campaign, budget_micros: 1_000)
    at = System.system_time(:millisecond)
    {:ok, reservation} = Pacer.reserve(name, 7, "r-1", 300, at)
    assert Pacer.confirm(name, reservation, 200, at) == :ok
    assert Pacer.reserve(name, 131, "r-2", 300, at) == :unknown

    pacer = Metrics.snapshot().pacers[name]
    assert %{campaigns: 130, budget_micros: 130_000} = pacer.budgets
    assert %{reserved: 1, confirmed: 1, unknown: 1} = pacer.outcomes
    # What this node has spent is known to the budget after the next round.
    await(fn -> Metrics.snapshot().pacers[name].budgets.spent_micros == 200 end)
  end

  test "a store tells how long its writes took", %{name: name} do
    store = store(name)
    child(Counters, name: name, store: store, metrics: [:clicks])

    for _ <- 1..3 do
      Counters.add(name, 42, :clicks)
      assert Store.sync(store) == :ok
    end

    told = Metrics.snapshot().stores[store]
    assert told.sync_times.count >= 3 and told.sync_times.count == told.intervals
    counts = told.sync_times.buckets |> Enum.sort() |> Enum.map(&elem(&1, 1))
    assert counts == Enum.sort(counts) and List.last(counts) <= told.sync_times.count
    assert told.sync_times.sum_us > 0 and told.error == nil and told.lag_ms == 0
  end

  test "campaigns that are the largest first get a place and keep it, over a restart too", %{
    name: name
  } do
    options = [dimensions: [:country, :campaign], window: 1_000, lateness: 0, clock: :events]
    meter(name, options)
    refute is_map_key(Metrics.snapshot().meters[name], :top)

    none = %{
      dimension: :campaign,
      order_by: :spend_micros,
      values: %{},
      others: %{clicks: 0, spend_micros: 0}
    }

    assert Metrics.with_top(2).meters[name].top == none

    window = fn at, spent ->
      events =
        for {campaign, spend} <- spent, country <- ["us", "ca"] do
          %{event([clicks: 1, spend_micros: spend], at) | dimensions: {country, campaign}}
        end

      Meter.record_many(name, events)
      assert Meter.close(name) == :ok
      Metrics.snapshot().meters[name].top
    end

    top = window.(1_000, [{1, 10}, {"two", 30}, {:three, 20}])

    assert top.values == %{
             "two" => %{clicks: 2, spend_micros: 60},
             :three => %{clicks: 2, spend_micros: 40}
           }

    assert top.others == %{clicks: 2, spend_micros: 20}

    # Larger ones that come later have none.
    top = window.(2_000, [{1, 500}, {:three, 1}])
    assert top.values[:three] == %{clicks: 4, spend_micros: 42}
    assert top.others == %{clicks: 4, spend_micros: 1_020}

    # Nobody asks for them between the restart and the next window.
    crash(name)
    assert Metrics.snapshot().meters[name].top == top
    top = window.(3_000, [{1, 500}, {:three, 1}, {4, 9}])
    assert Map.keys(top.values) |> Enum.sort() == [:three, "two"]
    assert top.values[:three] == %{clicks: 6, spend_micros: 44}
    assert top.others == %{clicks: 8, spend_micros: 2_038}

    # More places, and never fewer.
    assert Metrics.with_top(3).meters[name].top == top
    assert %{values: %{4 => %{spend_micros: 4}}} = window.(4_000, [{4, 2}])
    assert map_size(Metrics.with_top(1).meters[name].top.values) == 3
  end

  test "windows that a meter closes when it starts are in the totals of campaigns", %{name: name} do
    options = [store: store(name), window: 1_000, lateness: 0]
    meter(name, options)
    Metrics.with_top(5)
    # In the next window, which the meter does not close before it is stopped.
    next = (div(System.system_time(:millisecond), 1_000) + 1) * 1_000
    assert Meter.record(name, event([clicks: 3], next)) == :ok
    stop_supervised!(name)
    await(fn -> System.system_time(:millisecond) > next + 1_000 end)
    meter(name, options)
    top = Metrics.snapshot().meters[name].top
    assert top.values == %{42 => %{clicks: 3, spend_micros: 0}}

    # With the table that the store has kept over a crash.
    crash(name)
    assert Metrics.snapshot().meters[name].top == top
  end

  test "a correction takes nothing from a campaign's total", %{name: name} do
    meter(name, window: 1_000, lateness: 0, clock: :events)
    Metrics.with_top(5)

    for {at, amount} <- [{1_000, 9}, {2_000, -4}, {3_000, 2}],
        do: Meter.record(name, event([clicks: amount], at))

    assert Meter.close(name) == :ok
    assert Metrics.snapshot().meters[name].top.values == %{42 => %{clicks: 11, spend_micros: 0}}
  end

  test "the campaign is the dimension of that name, and its spend what is named so, for the page too" do
    alias AdTally.Metrics.Top
    alias AdTally.Web.Roles

    for {dimensions, campaign} <- [
          {[:a, :campaign_id], :campaign_id},
          {[:ad_group, :line_item], :line_item},
          {[:a, :b], :a}
        ] do
      assert Top.dimension(%{dimensions: dimensions}) == campaign
      assert Roles.campaign(nil, dimensions) == campaign
    end

    for {metrics, largest, spend} <- [
          {[:cost_cents, :spend_micros], :spend_micros, :spend_micros},
          {[:clicks, :media_cost_micros], :media_cost_micros, :media_cost_micros},
          # An amount of which nobody knows the unit.
          {[:clicks, :media_cost], :media_cost, nil},
          {[:clicks, :views], :clicks, nil}
        ] do
      assert Top.metric(%{metrics: metrics}) == largest
      assert Roles.of([], metrics)[:spend] == spend
    end
  end

  test "two sinks of a module have names of their own" do
    sinks = [{Sink, [a: 1]}, {Other, []}, {Sink, [a: 2]}]
    names = for {name, _sink} <- AdTally.Windows.Sinks.named(sinks), do: name
    assert names == ["AdTally.MetricsTest.Sink", "Other", "AdTally.MetricsTest.Sink 2"]
  end

  test "totals are added by name, whatever the other one lacks" do
    one = %{a: 1, b: %{c: 2}}

    assert Parts.add(one, %{a: 2, b: %{c: 3, d: 4}, e: %{f: 5}}) == %{
             a: 3,
             b: %{c: 5, d: 4},
             e: %{f: 5}
           }

    assert Parts.add(one, %{}) == one and Parts.add(%{}, one) == one
  end
end
