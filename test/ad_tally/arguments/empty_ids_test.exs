defmodule AdTally.Arguments.EmptyIdsTest do
  # An empty column of ids would make all of its events copies of the first, and one of users would
  # give all of them one cap.
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Dedupe, Event, FrequencyCap, Meter, Reach}

  @at 1_780_272_000_000
  @long :binary.copy("0123456789", 10)
  @nothing ["", {nil}, {""}, {:click, nil}, {"", 7}, {"click", 7, ""}, {@long, nil}, {@long, ""}]
  # Next to those, and ids all the same. A part of nothing is an empty binary that lies elsewhere.
  @something [0, " ", <<0>>, {0}, {false}, {:click, 0}, {" ", 7}, {@long, 0}, :nothing, {:"", 1}]

  defp part_of_nothing, do: binary_part(@long, 5, 0)
  defp nothing, do: [part_of_nothing(), {part_of_nothing(), 1} | @nothing]

  defp event(id), do: %Event{at: @at, id: id, dimensions: {42}, metrics: [clicks: 1]}

  defp start(options \\ []) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    options = Keyword.merge([dedupe: [window: 600_000]], options)
    options = [name: name, dimensions: [:campaign], metrics: [:clicks], clock: :events] ++ options
    start_supervised!({Meter, options}, id: name)
    name
  end

  test "an id that says nothing is refused by a meter, one by one and in lists" do
    name = start()

    for id <- nothing() do
      assert_raise ArgumentError, ~r/an id that is of one event only.*id: nil/s, fn ->
        Meter.record(name, event(id))
      end

      for good <- [0, 10, 1_000] do
        events = List.duplicate(event(nil), good) ++ [event(id)]

        assert_raise ArgumentError, ~r/an id that is of one event only/, fn ->
          Meter.record_many(name, events)
        end
      end
    end

    assert %{applied: 0, duplicate: 0} = Meter.info(name).events
  end

  test "an event without an id is never a copy, and ids that are next to nothing are ids" do
    name = start()
    for _ <- 1..3, do: assert(Meter.record(name, event(nil)) == :ok)
    assert %{ok: 3} = Meter.record_many(name, List.duplicate(event(nil), 3))

    for id <- @something do
      assert Meter.record(name, event(id)) == :ok
      assert Meter.record(name, event(id)) == :duplicate
      assert %{duplicate: 1} = Meter.record_many(name, [event(id)])
    end
  end

  test "dimensions may be empty, and so may keys and scopes" do
    name = start(dedupe: false)

    for value <- ["", nil],
        do: assert(Meter.record(name, %{event(nil) | dimensions: {value}}) == :ok)

    counters = Counters.new(metrics: [:n])
    reach = Reach.new()
    caps = FrequencyCap.new(capacity: 100)
    rules = FrequencyCap.rules!([{1, 60_000 * 60}])

    for key <- [nil | nothing()] do
      assert Counters.add(counters, key, :n) == :ok
      assert Reach.add(reach, key, 7) == :ok
      assert FrequencyCap.check(caps, key, 7, rules, @at) == :ok
    end
  end

  test "an id that says nothing is refused by a table of ids" do
    dedupe = Dedupe.new(capacity: 1_000)

    for id <- [nil | nothing()] do
      assert_raise ArgumentError, ~r/do not ask AdTally.Dedupe/, fn ->
        Dedupe.first?(dedupe, id, @at)
      end

      assert_raise ArgumentError, ~r/do not ask AdTally.Dedupe/, fn ->
        Dedupe.first?(dedupe, id)
      end
    end

    for id <- @something,
        first? <- [true, false],
        do: assert(Dedupe.first?(dedupe, id, @at) == first?)

    assert Dedupe.info(dedupe).ids == length(@something)
  end

  test "a user that says nothing is refused by caps, by every function, and nothing is counted" do
    caps = FrequencyCap.new(capacity: 100)
    rules = FrequencyCap.rules!([{1, 60_000 * 60}])

    for user <- [nil | nothing()],
        ask <- [
          &FrequencyCap.admit(caps, :ad, &1, rules, @at),
          &FrequencyCap.admit(caps, :ad, &1, rules),
          &FrequencyCap.check(caps, :ad, &1, rules, @at),
          &FrequencyCap.record(caps, :ad, &1, @at),
          &FrequencyCap.release(caps, :ad, &1, @at),
          &FrequencyCap.count(caps, :ad, &1, 60_000 * 60, @at),
          &FrequencyCap.opens_at(caps, :ad, &1, rules, @at),
          &FrequencyCap.admit_all(caps, [{:ad, rules}], &1, @at),
          &FrequencyCap.admissible(caps, [{:ad, rules}], &1, @at)
        ] do
      assert_raise ArgumentError, ~r/a user that is one person only/, fn -> ask.(user) end
    end

    assert FrequencyCap.info(caps).pairs == 0

    for user <- @something do
      assert FrequencyCap.admit(caps, :ad, user, rules, @at) == :ok
      assert {:capped, _rule} = FrequencyCap.admit(caps, :ad, user, rules, @at)
    end
  end

  test "a user that says nothing is refused by sketches" do
    reach = Reach.new()
    for user <- [nil, ""], do: assert_raise(ArgumentError, fn -> Reach.add(reach, 1, user) end)
    name = start(reach: [by: [:campaign]])
    refused = fn -> Meter.record(name, %{event(nil) | user: ""}) end
    assert_raise ArgumentError, ~r/a user is .* a binary of 1 to 65536 bytes/, refused
    assert Meter.record(name, %{event(nil) | user: nil}) == :ok
  end
end
