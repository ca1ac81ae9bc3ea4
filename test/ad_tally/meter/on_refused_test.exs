defmodule AdTally.Meter.OnRefusedTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Meter}

  @begin 1_780_272_000_000

  setup context do
    name = Module.concat(__MODULE__, "Meter#{context.line}")
    start_supervised!({Meter, options(name, [])}, id: name)
    {:ok, name: name}
  end

  defp options(name, more) do
    defaults = [
      name: name,
      dimensions: [:campaign],
      metrics: [:clicks],
      clock: :events,
      lateness: 0,
      dedupe: [window: 600_000, capacity: 200_000, fingerprint_bits: 61],
      reach: [by: [:campaign]]
    ]

    Keyword.merge(defaults, more)
  end

  defp event(fields \\ []),
    do: struct!(%Event{at: @begin, dimensions: {42}, metrics: [clicks: 1]}, fields)

  # What may be wrong with an event, and what is said of it.
  defp bad do
    [
      {event(dimensions: {42, 7}), "expected a tuple of 1 dimensions"},
      {event(dimensions: {4.2}), "a key is"},
      {event(metrics: [views: 1]), "unknown metric :views"},
      {event(metrics: [clicks: 1.5]), "an amount is"},
      {event(metrics: %{clicks: 1}), "a keyword list of at most 16"},
      {event(id: 1.5), "a key is"},
      {event(user: :ann), "a user is"},
      {event(at: -1), "a time is"},
      {event(at: nil), "a time is"},
      {:event, "expected a %AdTally.Event{} struct"},
      {%{at: @begin}, "expected a %AdTally.Event{} struct"}
    ]
  end

  test "events that are refused are skipped, and all others are counted", %{name: name} do
    # Between good ones, first, last, and next to each other; in lists of one call and of several.
    for good <- [0, 1, 10, 700] do
      {wrong, words} = Enum.unzip(bad())
      some = List.duplicate(event(), good)
      events = Enum.flat_map(wrong, &[&1 | some]) ++ wrong
      before = Meter.info(name).events

      assert %{
               ok: ok,
               duplicate: 0,
               late: 0,
               future: 0,
               no_window: 0,
               overflow: 0,
               refused: refused
             } = Meter.record_many(name, events, on_refused: :skip)

      assert ok == good * length(wrong)

      # An index is that in the whole list, and so is the order.
      expected = for {event, index} <- Enum.with_index(events), event in wrong, do: index
      assert Enum.map(refused, &elem(&1, 0)) == expected

      for {{_index, error}, words} <- Enum.zip(refused, words ++ words) do
        assert is_struct(error, ArgumentError)
        message = Exception.message(error)
        assert message =~ words
        # The position is beside it.
        refute message =~ "index"
      end

      info = Meter.info(name).events
      assert info.refused - before.refused == length(refused)
      assert info.applied - before.applied == ok
      assert info.received - before.received == length(events)
    end

    # 0, 11, 110 and 7,700 good ones.
    assert [%{clicks: 7_821}] = Meter.report(name, by: [:campaign])
  end

  test "all may be refused, or none", %{name: name} do
    nothing = %{ok: 0, duplicate: 0, late: 0, future: 0, no_window: 0, overflow: 0, refused: []}
    assert Meter.record_many(name, [], on_refused: :skip) == nothing

    assert Meter.record_many(name, [event(), event()], on_refused: :skip) == %{nothing | ok: 2}

    events = List.duplicate(event(at: -1), 3_000)
    assert %{ok: 0, refused: refused} = Meter.record_many(name, events, on_refused: :skip)
    assert Enum.map(refused, &elem(&1, 0)) == Enum.to_list(0..2_999)
    assert %{refused: 3_000, applied: 2} = Meter.info(name).events
  end

  test "the other outcomes are as ever, and an id that was refused is not known", %{name: name} do
    assert Meter.record(name, event(at: @begin + 600_000)) == :ok
    close(name)

    events = [
      event(at: @begin + 600_000, id: 1),
      event(at: @begin + 600_000, id: 1),
      event(id: 2),
      event(at: -1, id: 3),
      event(at: @begin + 600_000, id: 3)
    ]

    assert %{ok: 2, duplicate: 1, late: 1, refused: [{3, _error}]} =
             Meter.record_many(name, events, on_refused: :skip)
  end

  test "without the option, or with :raise, one of them has the list raise and nothing counted",
       %{
         name: name
       } do
    events = [event(id: 1), event(at: -1)]

    for options <- [[], [on_refused: :raise]] do
      assert_raise ArgumentError, ~r/a time is/, fn ->
        Meter.record_many(name, events, options)
      end
    end

    assert %{applied: 0, refused: 4} = Meter.info(name).events
    assert Meter.record(name, event(id: 1)) == :ok
  end

  test "what is no proper list raises and is counted once", %{name: name} do
    improper = List.duplicate(event(), 2_000) ++ [event(at: -1) | :end]

    for {events, count} <- [{:events, 1}, {[event() | :end], 2}, {improper, 2_002}] do
      before = Meter.info(name).events.refused

      assert_raise ArgumentError, ~r/expected a proper list/, fn ->
        Meter.record_many(name, events, on_refused: :skip)
      end

      assert Meter.info(name).events.refused - before == count
    end

    assert %{applied: 0} = Meter.info(name).events
  end

  test "wrong options are named", %{name: name} do
    assert_raise ArgumentError,
                 ~r/expected :on_refused to be :raise or :skip, got: :ignore/,
                 fn ->
                   Meter.record_many(name, [], on_refused: :ignore)
                 end

    assert_raise ArgumentError, ~r/unknown or repeated options \[:refused\]/, fn ->
      Meter.record_many(name, [], refused: :skip)
    end
  end

  # The windows that are behind the newest event's.
  defp close(name) do
    send(name, :tick)
    :sys.get_state(name)
  end
end
