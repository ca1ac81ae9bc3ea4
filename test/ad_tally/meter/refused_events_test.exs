defmodule AdTally.Meter.RefusedEventsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

  alias AdTally.Meter

  setup :own_name

  test "rejects wrong events by what is wrong, and counts nothing of them", %{name: name} do
    start(name)

    for {fields, words} <- [
          {[dimensions: {1, 2}], "expected a tuple of 3 dimensions"},
          {[dimensions: [1, 2, 3]], "expected a tuple of 3 dimensions"},
          {[dimensions: {1, 2, 3.0}], "a key is"},
          {[metrics: [impressions: 1, views: 1]], ":views"},
          {[metrics: [impressions: 1, clicks: 1.5]], "an amount is an integer of 64 bits"},
          {[metrics: [impressions: 1, clicks: Bitwise.bsl(1, 63)]], "an amount is"},
          {[metrics: %{impressions: 1}], "a keyword list of at most 16"},
          {[metrics: [{:impressions, 1} | :clicks]], "a keyword list of at most 16"},
          {[metrics: List.duplicate({:impressions, 1}, 17)], "a keyword list of at most 16"},
          {[id: 1.5], "a key is"},
          {[user: :somebody], "a user"},
          {[at: -1], "a time"},
          {[at: nil], "a time"}
        ] do
      bad = event([{:id, "the id"} | fields])
      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn -> Meter.record(name, bad) end

      # Wherever it is in a list of whatever length.
      for good <- [0, 10, 1_000] do
        events = List.duplicate(event(), good) ++ [bad]

        assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn ->
          Meter.record_many(name, events)
        end
      end
    end

    for other <- [:event, [:event], [event() | :event], [event(), %{}]] do
      assert_raise ArgumentError,
                   ~r/expected a (proper list of )?%AdTally.Event\{\} struct/,
                   fn ->
                     Meter.record_many(name, other)
                   end
    end

    nothing = %{ok: 0, duplicate: 0, late: 0, future: 0, no_window: 0, overflow: 0}
    assert Meter.record_many(name, []) == nothing

    # Thirteen one by one, and lists of 1, 11 and 1,001 of each; then 1, 1, 2 and 2.
    refused = 13 * (1 + 1 + 11 + 1_001) + 6

    assert %{received: ^refused, refused: ^refused, applied: 0, duplicate: 0} =
             Meter.info(name).events

    assert Meter.report(name) == []
    # Its id was not remembered either.
    assert Meter.record(name, event(id: "the id")) == :ok
  end

  test "a rejected event does not keep the next one from its window", %{name: name} do
    start(name, dimensions: [:page], metrics: [:n], clock: :events, window: 1_000, reach: false)
    good = event(at: 5_000, dimensions: {1}, metrics: [n: 1])

    refused = [
      %{good | at: -1},
      %{good | id: 1.5},
      %{good | dimensions: {}},
      %{good | metrics: 1},
      :none
    ]

    for {bad, number} <- Enum.with_index(refused) do
      assert Meter.record(name, %{good | at: 5_000 + 10_000 * number}) == :ok
      assert_raise ArgumentError, fn -> Meter.record(name, bad) end
      assert Meter.record(name, %{good | at: 9_000 + 10_000 * number}) == :ok
    end

    assert %{applied: 10, refused: 5} = Meter.info(name).events
  end
end
