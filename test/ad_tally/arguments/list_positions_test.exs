defmodule AdTally.Arguments.ListPositionsTest do
  # An argument of a list that is refused is named by its index, also where the list is
  # worked through in several calls.
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Event, FrequencyCap, Meter, Reach, Sketch}

  # One call, its longest list, several calls, and so many that the time of one is up.
  @lengths [1, 2, 100, 256, 257, 1_024, 1_025, 10_000, 50_000]
  @at 1_780_272_000_000

  setup_all do
    name = __MODULE__
    start_supervised!({Meter, name: name, dimensions: [:a], metrics: [:n], clock: :events})
    caps = FrequencyCap.new(capacity: 100)
    rules = FrequencyCap.rules!([{1, :timer.hours(1)}])
    %{caps: caps, rules: rules, name: name}
  end

  # {name, a good element, bad ones, the call}
  defp calls(context) do
    %{caps: caps, rules: rules, name: name} = context
    event = %Event{at: @at, dimensions: {42}, metrics: [n: 1]}

    [
      {"Counters.add_many/2", {1, :n, 1}, [:item, {1.5, :n, 1}, {1, :m, 1}, {1, :n, "1"}],
       &Counters.add_many(Counters.new(metrics: [:n]), &1)},
      {"Reach.add_many/2", {1, 1}, [:pair, {1.5, 1}, {1, :ann}],
       &Reach.add_many(Reach.new(), &1)},
      {"Reach.add_many/3", 1, [:ann, ""], &Reach.add_many(Reach.new(), :key, &1)},
      {"Reach.estimate_union/2", 1, [1.5, {}], &Reach.estimate_union(Reach.new(), &1)},
      {"Sketch.from_users/1", 1, [:ann, ""], &Sketch.from_users/1},
      {"FrequencyCap.admissible/4", {:ad, rules}, [:ad, {1.5, rules}, {:ad, :rules}],
       &FrequencyCap.admissible(caps, &1, 7, @at)},
      {"Meter.record_many/2", event,
       [
         :event,
         %{event | at: -1},
         %{event | dimensions: {}},
         %{event | metrics: [m: 1]},
         %{event | metrics: [n: 2 ** 64]},
         Map.from_struct(event)
       ], &Meter.record_many(name, &1)}
    ]
  end

  for length <- @lengths do
    test "a refused element of a list of #{length} is named by its index", context do
      for {name, good, bad, call} <- calls(context),
          bad <- bad,
          index <- Enum.uniq([0, div(unquote(length), 2), unquote(length) - 1]) do
        list = good |> List.duplicate(unquote(length)) |> List.replace_at(index, bad)

        assert message(fn -> call.(list) end) =~ ~r"[^)]\)? \(at index #{index} of the list\)\z",
               "#{name} of #{inspect(bad)}"
      end
    end

    test "a list of #{length} that ends with something else says after how many elements",
         context do
      for {name, good, _bad, call} <- calls(context) do
        list = List.duplicate(good, unquote(length)) ++ :tail
        message = message(fn -> call.(list) end)
        assert message =~ ~r"\Aexpected a proper list of .*s, got: :tail ", name

        assert message =~ ~r" \(after #{unquote(length)} elements? of the list\)\z", name
      end
    end
  end

  test "the first of several is named", %{name: name} do
    events = List.duplicate(:first, 3) ++ [:second]
    assert message(fn -> Meter.record_many(name, events) end) =~ "got: :first (at index 0 of"
  end

  test "scopes that are admitted together are named by their index", %{caps: caps, rules: rules} do
    for length <- [1, 2, 64],
        index <- [0, length - 1],
        bad <- [:ad, {1.5, rules}, {:ad, :rules}] do
      scopes = for(scope <- 1..length, do: {scope, rules}) |> List.replace_at(index, bad)
      message = message(fn -> FrequencyCap.admit_all(caps, scopes, 7, @at) end)
      assert String.ends_with?(message, " (at index #{index} of the list)")
    end

    message = message(fn -> FrequencyCap.admit_all(caps, [{:ad, rules} | :tail], 7, @at) end)
    assert String.ends_with?(message, "got: :tail (after 1 element of the list)")
  end

  test "sketches of a union are named by their index" do
    sketch = Sketch.from_users([1])

    for length <- [1, 2, 10_000], index <- Enum.uniq([0, length - 1]), bad <- [:sketch, %{}] do
      sketches = sketch |> List.duplicate(length) |> List.replace_at(index, bad)
      message = message(fn -> Sketch.union(sketches) end)

      assert message =~
               ~r"\Aexpected an AdTally.Sketch, got: .* \(at index #{index} of the list\)\z"
    end

    message = message(fn -> Sketch.union([sketch, sketch | :tail]) end)
    assert message =~ ~r"got: :tail \(after 2 elements of the list\)\z"
  end

  test "what is no list at all has no index", context do
    for {_name, _good, _bad, call} <- calls(context),
        do: assert(message(fn -> call.(:no_list) end) =~ ~r"\Aexpected .*got: :no_list\z")
  end

  test "events left out by on_refused: :skip have their index beside the error, not in it",
       %{name: name} do
    event = %Event{at: @at, dimensions: {42}, metrics: [n: 1]}

    for length <- [10, 300, 20_000] do
      events = event |> List.duplicate(length) |> List.replace_at(length - 2, :event)

      assert %{refused: [{index, error}]} = Meter.record_many(name, events, on_refused: :skip)
      assert index == length - 2
      assert error.message == "expected a %AdTally.Event{} struct, got: :event"

      message = message(fn -> Meter.record_many(name, events ++ :tail, on_refused: :skip) end)
      assert String.ends_with?(message, "got: :tail (after #{length} elements of the list)")
    end
  end

  defp message(call), do: assert_raise(ArgumentError, call).message
end
