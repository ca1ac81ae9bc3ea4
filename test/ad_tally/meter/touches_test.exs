defmodule AdTally.Meter.TouchesTest do
  # Events that are touches as well: what is counted the attribution knows, and nothing else.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeAttribution, only: [at: 0, conversion: 1]

  alias AdTally.{Attribution, Event, Meter, Named, Native}
  alias AdTally.Meter.Events
  alias AdTally.Test.NativeAttribution

  require Named

  defmodule Attributing do
    @moduledoc false
    # An attribution that only keeps what it is told: the native one, under its name.
    use GenServer

    def start_link({name, dimensions}),
      do: GenServer.start_link(__MODULE__, {name, dimensions}, name: name)

    @impl true
    def init({name, dimensions}) do
      Named.claim(name, Attribution)
      native = NativeAttribution.new(dimensions: length(dimensions))

      names = %{
        dimensions: dimensions,
        kinds: [:impression],
        actions: [:purchase],
        models: [:linear]
      }

      # As an attribution says them, for whoever takes a snapshot of all that runs meanwhile.
      about = %{store: nil, names: names, clock: :system, lateness: 0, counters: []}
      Named.put(name, Attribution, native, native, about)
      {:ok, {name, native, dimensions}}
    end

    @impl true
    def handle_call(:names, _from, {_name, _native, dimensions} = state),
      do: {:reply, %{dimensions: dimensions}, state}

    def handle_call(:stop_native, _from, {name, native, _dimensions} = state) do
      Named.erase(name)
      {:reply, Native.attribution_stop(native), state}
    end
  end

  setup %{test: test} do
    name = :"touches #{test}"
    to = :"attribution of #{test}"
    start_supervised!({Attributing, {to, [:creative, :campaign]}})
    %{name: name, to: to}
  end

  defp start(name, to, options \\ []) do
    defaults = [
      name: name,
      dimensions: [:campaign, :country, :creative],
      metrics: [:impressions, :clicks, :spend_micros],
      clock: :events,
      dedupe: [window: 600_000, capacity: 1_000],
      attribution: [name: to, cost: :spend_micros]
    ]

    start_supervised!({Meter, Keyword.merge(defaults, options)})
  end

  defp event(fields) do
    event = %Event{id: 1, user: "ann", at: at(), dimensions: {42, "us", 7}, touch: :click}
    struct!(%{event | metrics: [clicks: 1, spend_micros: 1_250]}, fields)
  end

  defp info(to), do: Native.attribution_info(Named.fetch!(Attribution, to))

  defp credits(to, order, user) do
    native = Named.fetch!(Attribution, to)
    :ok = Native.attribution_convert(native, conversion(order: order, user: user))
    Native.attribution_credits(native, order).linear
  end

  test "an event that is counted is a touch of its kind, dimensions and cost, once", %{
    name: name,
    to: to
  } do
    start(name, to)
    assert Meter.record(name, event([])) == :ok
    assert Meter.record(name, event([])) == :duplicate
    # No touch.
    assert Meter.record(name, event(id: 2, touch: nil)) == :ok
    assert Meter.record(name, event(id: {:no, "touch"}, user: nil, touch: nil)) == :ok

    view =
      event(id: "v", touch: :view, user: {1, :x}, metrics: [spend_micros: 5, spend_micros: 6])

    assert Meter.record(name, view) == :ok

    assert %{applied: 2, duplicate: 0, refused: 0} = info(to).touches
    assert [%{touch: 1, kind: :click, dimensions: {7, 42}, at: at}] = credits(to, 1, "ann")
    assert at == at()
    assert [%{kind: :view, dimensions: {7, 42}}] = credits(to, 2, {1, :x})

    {[{_begin, _end, _rows, window}], false} = GenServer.call(to, :stop_native)
    {walk, []} = Native.attribution_window_touches(window)

    assert walk |> AdTally.Steps.collect() |> Enum.sort() ==
             [{{7, 42}, :click, 1, 1_250}, {{7, 42}, :view, 1, 11}]
  end

  test "an attribution and a meter under one supervisor: spend and credits of counted events", %{
    name: name
  } do
    to = :"#{name} real"

    attribution =
      {Attribution,
       name: to,
       dimensions: [:campaign],
       touches: [click: 86_400_000, view: 3_600_000],
       conversions: [purchase: :every],
       clock: :events}

    pid = start_supervised!(attribution)
    start(name, to)
    assert Meter.record(name, event([])) == :ok
    assert Meter.record_many(name, [event([]), event(id: 2, touch: :view)]).ok == 1
    conversion = conversion(order: "o", user: "ann")
    assert Attribution.convert(to, conversion) == :ok

    assert [%{campaign: 42, touches: 2, spend_micros: 2_500, value_micros: 59_990_000}] =
             Attribution.report(to, by: [:campaign])

    # After a crash the next one of that name is told.
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
    assert recorded(name, event(id: 3)) == :ok
    assert %{touches: %{applied: 1}} = Attribution.info(to)
    assert %{applied: 3} = Meter.info(name).events
  end

  # Until the attribution runs again nothing is counted.
  defp recorded(name, event) do
    Meter.record(name, event)
  rescue
    ArgumentError ->
      Process.sleep(1)
      recorded(name, event)
  end

  test "lists are the same as single events, in steps as well", %{name: name, to: to} do
    start(name, to, max_keys: 1_000)
    native = Named.fetch!(Attribution, to)

    # Every third one is no touch, and every fifth one a copy of the one before.
    events =
      for number <- 1..3_000 do
        id = if rem(number, 5) == 0, do: number - 1, else: number
        touch = if rem(number, 3) == 0, do: nil, else: :click
        event(id: id, user: number, dimensions: {rem(number, 7), "us", "c"}, touch: touch)
      end

    counts = Meter.record_many(name, events)
    assert %{ok: 2_400, duplicate: 600} = counts
    touches = for e <- Enum.uniq_by(events, & &1.id), e.touch != nil, do: e
    assert %{applied: applied, duplicate: 0} = info(to).touches
    assert applied == length(touches)

    for %Event{id: id, user: user, dimensions: {campaign, _, creative}} <-
          Enum.take_random(touches, 50) do
      :ok = Native.attribution_convert(native, conversion(order: id, user: user))

      assert [%{touch: ^id, dimensions: {^creative, ^campaign}}] =
               Native.attribution_credits(native, id).linear
    end

    for number <- 0..10, e = Enum.at(events, 5 * number + 4) do
      assert Native.attribution_convert(native, conversion(order: -number - 1, user: e.user)) ==
               :ok

      assert Native.attribution_credits(native, -number - 1).linear == []
    end
  end

  test "what a meter does not count is no touch: late and future events, and those without a window",
       %{name: name, to: to} do
    start(name, to, lateness: 1_000, window: 1_000)
    assert Meter.record(name, event(id: 1, at: at() + 3_600_000)) == :ok
    assert Meter.record(name, event(id: 2, at: at())) == :late
    assert %{late: 1} = Meter.record_many(name, [event(id: 3, at: at())])
    assert %{applied: 1, late: 0} = info(to).touches
  end

  test "what is counted in the overflow is a touch", %{name: name, to: to} do
    start(name, to, max_keys: 1)
    assert Meter.record(name, event(id: 1)) == :ok
    assert Meter.record(name, event(id: 2, dimensions: {43, "us", 7})) == :overflow
    assert %{overflow: 1} = Meter.record_many(name, [event(id: 3, dimensions: {44, "us", 7})])
    assert %{applied: 3} = info(to).touches
  end

  test "an event that is no touch that could be taken is refused, and nothing is counted", %{
    name: name,
    to: to
  } do
    start(name, to)

    bad = [
      {[touch: :clik], "expected touch: one of [:click, :view], got: :clik"},
      {[touch: "click"], ~s(expected touch: one of [:click, :view], got: "click")},
      {[id: nil], "expected id: an integer of 64 bits"},
      {[id: {:click, 1}], "expected id: an integer of 64 bits"},
      {[user: nil], "expected a user that is one person only"},
      {[user: 1.5], "a key is an integer of 64 bits"},
      {[metrics: [spend_micros: -1]],
       "expected the :spend_micros of an event that is a touch, its cost, to be from 0 to 2^62 - 1, got: -1"},
      {[metrics: [spend_micros: 0x4000_0000_0000_0000]],
       "expected the :spend_micros of an event"},
      {[metrics: [spend_micros: 1, spend_micros: 0x3FFF_FFFF_FFFF_FFFF]],
       "expected the :spend_micros of an event"},
      # What no event may be is said as ever.
      {[at: -1], "a time is an integer"},
      {[dimensions: {1}], "expected a tuple of 3 dimensions, one for each the meter has"},
      {[dimensions: {1, 2, 3.0}], "a key is an integer of 64 bits"},
      {[dimensions: {1, 2.0, 3}], "a key is an integer of 64 bits"},
      {[metrics: :none], "expected a keyword list of at most 16 metrics"},
      {[metrics: [spend_micros: 1.5]], "an amount is an integer of 64 bits"},
      {[metrics: [views: 1]], "unknown metric :views"}
    ]

    for {fields, words} <- bad do
      error = assert_raise ArgumentError, fn -> Meter.record(name, event(fields)) end
      assert String.starts_with?(error.message, words)

      for good <- [0, 300] do
        list = for(id <- 1..good//1, do: event(id: id)) ++ [event([id: -1] ++ fields)]
        error = assert_raise ArgumentError, fn -> Meter.record_many(name, list) end
        assert String.starts_with?(error.message, words)
        assert String.ends_with?(error.message, "(at index #{good} of the list)")
      end
    end

    assert_raise ArgumentError, ~r/^expected a %AdTally.Event\{\} struct/, fn ->
      Meter.record(name, :none)
    end

    refused = length(bad) * (1 + 1 + 301) + 1
    assert %{applied: 0, refused: ^refused} = Meter.info(name).events
    assert info(to).touches == %{applied: 0, duplicate: 0, late: 0, future: 0, refused: 0}
    assert Meter.report(name) == []

    # The others of a list are counted, and are touches.
    list = [event(id: 1), event(id: nil), event(id: 2, touch: nil), event(id: 3)]
    assert %{ok: 3, refused: [{1, error}]} = Meter.record_many(name, list, on_refused: :skip)
    assert error.message =~ "expected id: "
    assert %{applied: 2} = info(to).touches
  end

  test "without cost: touches cost nothing, whatever the amounts", %{name: name, to: to} do
    start(name, to, attribution: [name: to])
    assert Meter.record(name, event(metrics: [spend_micros: -5])) == :ok
    {[{_begin, _end, _rows, window}], false} = GenServer.call(to, :stop_native)
    {walk, []} = Native.attribution_window_touches(window)
    assert AdTally.Steps.collect(walk) == [{{7, 42}, :click, 1, 0}]
  end

  test "a meter without attribution: ignores what an event is a touch of", %{name: name, to: to} do
    start(name, to, attribution: false)
    assert Meter.record(name, event(touch: "anything", id: {1, 2}, user: nil)) == :ok
    assert %{ok: 1} = Meter.record_many(name, [event(touch: 1.5, id: 2)])
    assert %{applied: 0} = info(to).touches
  end

  test "late events are handed on as without an attribution", %{name: name, to: to} do
    Process.register(self(), :touches_test_late)
    start(name, to, lateness: 1_000, window: 1_000, on_late: {__MODULE__, :late})
    assert Meter.record(name, event(id: 1, at: at() + 3_600_000)) == :ok
    assert Meter.record(name, event(id: 2)) == :late
    assert Meter.record_many(name, [event(id: 3)]).late == 1
    assert late_ids(2) == [2, 3]
  end

  def late(events), do: send(:touches_test_late, {:late, events})

  defp late_ids(0), do: []

  defp late_ids(count) do
    assert_receive {:late, events}
    Enum.map(events, & &1.id) ++ late_ids(count - length(events))
  end

  test "raises and counts nothing while the attribution does not run, and goes on with the next one",
       %{name: name, to: to} do
    start(name, to)
    assert Meter.record(name, event(id: 1)) == :ok
    stop_supervised!(Attributing)

    for call <- [
          fn -> Meter.record(name, event(id: 2)) end,
          fn -> Meter.record(name, event(id: 2, touch: nil)) end,
          fn -> Meter.record_many(name, [event(id: 2)]) end
        ] do
      assert_raise ArgumentError, Named.not_running(Attribution, to), call
    end

    start_supervised!({Attributing, {to, [:creative, :campaign]}})
    assert Meter.record(name, event(id: 2)) == :ok
    assert %{applied: 1} = info(to).touches
    assert %{applied: 2} = Meter.info(name).events
  end

  test "one that was stopped in order between is told nothing, and nothing is counted", %{
    name: name,
    to: to
  } do
    start(name, to)
    {meter, nil, ^to} = Named.fetch!(Meter, name)
    native = Named.fetch!(Attribution, to)
    {[], false} = GenServer.call(to, :stop_native)

    for call <- [
          &Native.meter_record(meter, native, &1),
          &Native.meter_record_many(meter, native, [&1]),
          &Native.meter_record_first(meter, native, [&1]),
          &Native.meter_check_some(meter, native, [&1], 0),
          &Native.meter_refused_some(meter, native, [&1], 0)
        ] do
      assert_raise ArgumentError, Named.not_running(Attribution, to), fn ->
        call.(event(id: 1))
      end
    end

    assert %{applied: 0} = Meter.info(name).events
  end

  test "a list of which some was counted before the attribution ended is counted to its end", %{
    name: name,
    to: to
  } do
    start(name, to, dedupe: false)
    {meter, late, ^to} = Named.fetch!(Meter, name)
    into = {meter, late, Named.fetch!(Attribution, to)}
    events = for id <- 1..5_000, do: event(id: id)
    [_ | _] = rest = take_first(into, events)
    assert Meter.info(name).events.applied == 5_000 - length(rest)
    stop_supervised!(Attributing)
    take(into, rest)
    assert %{applied: 5_000, refused: 0} = Meter.info(name).events
    # A list of which nothing was counted is not.
    assert_raise ArgumentError, fn -> Events.take_first(into, events) end
    assert_raise ArgumentError, fn -> Events.check_some(into, events, 0) end
    assert %{applied: 5_000} = Meter.info(name).events
  end

  # Where the processor is taken away nothing may be taken in the time that there is.
  defp take_first(into, events) do
    case Events.take_first(into, events) do
      {^events, _counts} -> take_first(into, events)
      {rest, _counts} -> rest
    end
  end

  defp take(_into, []), do: :ok

  defp take(into, events) do
    {rest, _counts} = Events.take_some(into, events)
    take(into, rest)
  end

  test "an attribution of other dimensions than at the meter's start is refused", %{
    name: name,
    to: to
  } do
    start(name, to)
    stop_supervised!(Attributing)
    start_supervised!({Attributing, {to, [:creative]}})
    message = ~r/^expected an AdTally.Attribution of 2 dimensions, .* got: one of 1/
    assert_raise ArgumentError, message, fn -> Meter.record(name, event([])) end
    assert_raise ArgumentError, message, fn -> Meter.record_many(name, [event([])]) end
    assert %{applied: 0} = Meter.info(name).events
  end

  test "options are checked when the meter starts", %{name: name, to: to} do
    options = [name: name, dimensions: [:campaign, :creative], metrics: [:clicks]]
    start = fn attribution -> Meter.start_link([attribution: attribution] ++ options) end
    strange = :"touches of other dimensions"
    start_supervised!({Attributing, {strange, [:campaign, :device]}}, id: :strange)

    for {attribution, message} <- [
          {[name: :nobody_there],
           "in :attribution: " <> Named.not_running(Attribution, :nobody_there)},
          {[],
           "in :attribution: expected :name to be the name of an AdTally.Attribution, an atom, got: nil"},
          {[name: "text"],
           ~s(in :attribution: expected :name to be the name of an AdTally.Attribution, an atom, got: "text")},
          {[name: to, cost: :spend],
           "in :attribution: expected :cost to be one of the metrics [:clicks], got: :spend"},
          {[name: to, price: :spend],
           "in :attribution: unknown or repeated options [:price], known are :name and :cost"},
          {[name: strange],
           "in :attribution: expected the dimensions of #{inspect(strange)}, [:campaign, :device], to be " <>
             "among those of the meter, [:campaign, :creative]"},
          {true, "expected :attribution to be false or a keyword list of options"}
        ] do
      error = assert_raise ArgumentError, fn -> start.(attribution) end
      assert String.starts_with?(error.message, message)
    end

    assert {:ok, meter} = start.(name: to)
    GenServer.stop(meter)
  end
end
