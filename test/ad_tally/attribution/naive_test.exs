defmodule AdTally.Attribution.NaiveTest do
  # What others are compared with is compared with figures that were made by hand.
  use ExUnit.Case, async: true

  alias AdTally.{Conversion, Touch}
  alias AdTally.Test.NaiveAttribution
  alias AdTally.Test.NaiveAttribution.Models

  @minute 60_000
  @hour 60 * @minute
  @begin 1_780_272_000_000

  defp new(options \\ []) do
    defaults = [
      touches: [click: 24 * @hour, view: @hour],
      conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
      models: [:last_touch, :linear],
      prevail: false
    ]

    defaults |> Keyword.merge(options) |> NaiveAttribution.new()
  end

  defp touch(state, id, minute, fields \\ []) do
    touch = %Touch{
      id: id,
      user: "ann",
      at: @begin + minute * @minute,
      kind: :click,
      dimensions: {id}
    }

    {_outcome, state} = NaiveAttribution.touch(state, struct!(touch, fields))
    state
  end

  defp convert(state, order, minute, fields \\ []) do
    conversion = %Conversion{
      order: order,
      user: "ann",
      at: @begin + minute * @minute,
      action: :purchase
    }

    {_outcome, state} = NaiveAttribution.convert(state, struct!(conversion, fields))
    state
  end

  # `%{touch => credit}`
  defp credits(state, order, model \\ :linear) do
    for credit <- NaiveAttribution.credits(state, order)[model],
        into: %{},
        do: {credit.touch, credit.credit_micros}
  end

  defp path(touches, at, options) do
    config = new(options).config

    touches = for {id, at, kind} <- touches, do: %{id: id, at: at, kind: kind, dimensions: {id}}
    for touch <- Models.path(touches, at, config), do: touch.id
  end

  test "both ends of a lookback are in it, to the millisecond" do
    touches = [{1, 0, :click}, {2, 1, :click}, {3, 23 * @hour, :view}, {4, 23 * @hour + 1, :view}]
    at = 24 * @hour
    assert path(touches, at, []) == [1, 2, 3, 4]
    assert path(touches, at + 1, []) == [2, 4]
    assert path([{1, 7, :click}, {2, 8, :click}], 7, []) == [1]
  end

  test "touches of one time are in the order of their ids, the negative ones first" do
    assert path([{1, 5, :click}, {-1, 5, :click}, {0, 5, :view}, {9, 4, :view}], 5, []) == [
             9,
             -1,
             0,
             1
           ]
  end

  test "an eligible click excludes views where it is to prevail, and one that is too old does not" do
    touches = [{1, 0, :click}, {2, @hour, :view}, {3, 24 * @hour, :view}]
    assert path(touches, 24 * @hour, prevail: true) == [1]
    assert path(touches, 24 * @hour + 1, prevail: true) == [3]
    assert path(touches, 24 * @hour, prevail: false) == [1, 3]
  end

  test "only the newest touches count, those of the future not among them" do
    touches = for id <- 1..9, do: {id, id, :click}
    assert path(touches, 7, touches_per_user: 3) == [5, 6, 7]
  end

  test "neighbours of the same dimensions and kind are one, with the last one's time" do
    touches =
      for {id, dimensions, kind} <- [
            {1, 1, :view},
            {2, 1, :view},
            {3, 2, :view},
            {4, 1, :view},
            {5, 1, :click}
          ],
          do: %{id: id, at: id, kind: kind, dimensions: {dimensions}}

    config = new(collapse: :consecutive).config
    assert touches |> Models.path(9, config) |> Enum.map(& &1.id) == [2, 3, 4, 5]
    assert touches |> Models.path(1, config) |> Enum.map(& &1.id) == [1]
  end

  test "weights are those of the formulas" do
    path = fn ages -> for age <- ages, do: %{at: 1_000_000 - age} end
    weights = fn ages, model -> ages |> path.() |> Models.weights(1_000_000, model) end
    assert weights.([3, 2, 1], :last_touch) == [0, 0, 1]
    assert weights.([3, 2, 1], :first_touch) == [1, 0, 0]
    assert weights.([3, 2, 1], :linear) == [1, 1, 1]
    assert weights.([1], :position_based) == [1]
    assert weights.([2, 1], :position_based) == [1, 1]
    assert weights.([3, 2, 1], :position_based) == [2, 1, 2]
    assert weights.([5, 4, 3, 2, 1], :position_based) == [6, 1, 1, 1, 6]

    # 2^32, its half, half of that and 2^-0.5 of it, which is 3,037,000,499.976.
    assert weights.([2_000, 1_000, 500, 0], {:time_decay, 1_000}) ==
             [1_073_741_824, 2_147_483_648, 3_037_000_500, 4_294_967_296]

    # The 256th part of a half-life is one step: 2^(-1/256) of 2^32 is 4,283,353,945.32 (Python decimal).
    assert weights.([3, 4, 0], {:time_decay, 1_000}) == [
             4_294_967_296,
             4_283_353_945,
             4_294_967_296
           ]

    # After 32 half-lives it stays 1.
    assert weights.([31_000, 32_000, 900_000], {:time_decay, 1_000}) == [2, 1, 1]
  end

  test "what is left of a value goes to the largest remainders, of equal ones to the later touch" do
    assert Models.split(100, [1, 1, 1]) == [33, 33, 34]
    assert Models.split(101, [1, 1, 1]) == [33, 34, 34]
    assert Models.split(-100, [1, 1, 1]) == [-33, -33, -34]
    # 1.25, 2.5, 6.25: the second one has the largest remainder.
    assert Models.split(10, [1, 2, 5]) == [1, 3, 6]
    assert Models.split(0, [1, 2]) == [0, 0]
    assert Models.split(2 ** 62 - 1, [2 ** 32]) == [2 ** 62 - 1]
  end

  test "a conversion is provisional until its window is closed, and changes with late touches until then" do
    state = new() |> touch(1, 0) |> convert("o", 10, value_micros: 100)
    assert credits(state, "o") == %{1 => 100}
    # Not after it, and not of anybody else.
    state = state |> touch(2, 11) |> touch(3, 5, user: "bob") |> touch(4, 10)
    assert credits(state, "o") == %{1 => 50, 4 => 50}
    assert %{final: false, revision: 2} = NaiveAttribution.credits(state, "o")
    state = state |> NaiveAttribution.close() |> touch(5, 9)
    assert credits(state, "o") == %{1 => 50, 4 => 50}
    assert NaiveAttribution.credits(state, "o").final
    # The late touch is there for those that come now.
    assert state |> convert("p", 10, value_micros: 3) |> credits("p") == %{1 => 1, 4 => 1, 5 => 1}
  end

  test "a conversion says that it is truncated where a touch that it might have counted was evicted" do
    state = new(touches_per_user: 2) |> touch(1, 1) |> touch(2, 2) |> touch(3, 3)

    at = fn order, minute ->
      state |> convert(order, minute) |> NaiveAttribution.credits(order)
    end

    assert at.("o", 10).truncated
    assert at.("o", 1 + 24 * 60).truncated
    refute at.("o", 2 + 24 * 60).truncated
  end

  test "once a user is the first conversion by time, whichever came first" do
    signups = [{"a", 3}, {"b", 1}, {"c", 2}]

    for signups <- [signups, Enum.reverse(signups)] do
      state =
        for {order, minute} <- signups, reduce: touch(new(), 1, 0) do
          state -> convert(state, order, minute, action: :signup, value_micros: 10)
        end

      assert for(order <- ["a", "b", "c"], do: credits(state, order)) == [%{}, %{1 => 10}, %{}]
      state = NaiveAttribution.close(state)
      assert for(order <- ["a", "b", "c"], do: credits(state, order)) == [%{}, %{1 => 10}, %{}]
      # Too late to be the first one.
      assert state |> convert("d", 0, action: :signup) |> credits("d") == %{}
      assert for(row <- NaiveAttribution.rows(state), uniq: true, do: elem(row, 1)) == ["b"]
    end
  end

  test "once a touch is the first conversion that has the last touch in common, and any without a touch" do
    state =
      new() |> convert("none", 0, action: :install) |> convert("neither", 0, action: :install)

    state = state |> touch(1, 1) |> convert("second", 3, action: :install, value_micros: 7)
    state = state |> convert("first", 2, action: :install, value_micros: 8)
    state = state |> touch(2, 4) |> convert("third", 5, action: :install, value_micros: 9)

    counted =
      for order <- ["none", "neither", "first", "second", "third"],
          do: NaiveAttribution.credits(state, order).counted

    assert counted == [true, true, true, false, true]
    # Now that touch is the last one of neither.
    state = touch(state, 3, 3)
    assert NaiveAttribution.credits(state, "second").counted
  end

  test "what is adjusted is a row of its own, of the difference to what there was before" do
    state = new() |> touch(1, 0) |> touch(2, 1) |> convert("o", 2, value_micros: 101)
    state = NaiveAttribution.close(state)
    adjust = fn state, change, at -> NaiveAttribution.adjust(state, "o", change, @begin + at) end
    {:ok, state} = adjust.(state, {:restate, 50}, 300_000)
    # Older than the one before, and of the same time a smaller one.
    {:ok, state} = adjust.(state, {:restate, 7}, 299_999)
    {:ok, state} = adjust.(state, {:restate, 49}, 300_000)
    assert state.counts.superseded == 2
    assert credits(state, "o") == %{1 => 25, 2 => 25}
    {:ok, state} = adjust.(state, :retract, 400_000)
    assert {{:error, :retracted}, ^state} = adjust.(state, :retract, 500_000)
    assert {{:error, :unknown}, ^state} = NaiveAttribution.adjust(state, "p", :retract, @begin)

    rows =
      for {:linear, "o", :purchase, :click, touch, {touch}, _, _, adjusted_at, ppm, value, false,
           1} <-
            NaiveAttribution.rows(state),
          do: {touch, adjusted_at && adjusted_at - @begin, ppm, value}

    assert Enum.sort(rows) == [
             {1, 300_000, 0, -25},
             {1, 400_000, -500_000, -25},
             {1, nil, 500_000, 50},
             {2, 300_000, 0, -26},
             {2, 400_000, -500_000, -25},
             {2, nil, 500_000, 51}
           ]
  end

  test "a user whom an alias is linked to has its touches, and whatever comes for it" do
    state =
      new() |> touch(1, 0, user: "cookie") |> touch(2, 1) |> convert("o", 5, value_micros: 10)

    state = NaiveAttribution.link(state, "cookie", "ann")
    assert credits(state, "o") == %{1 => 5, 2 => 5}
    state = touch(state, 3, 4, user: "cookie")
    assert credits(state, "o", :last_touch) == %{3 => 10}

    assert state |> convert("p", 5, user: "cookie", value_micros: 3) |> credits("p") == %{
             1 => 1,
             2 => 1,
             3 => 1
           }

    # Each of these is nothing.
    assert NaiveAttribution.link(state, "ann", "cookie") == state
    assert NaiveAttribution.link(state, "ann", "ann") == state
  end

  test "of a user who is forgotten nothing is left but what was converted" do
    state = new() |> touch(1, 0) |> convert("o", 5, value_micros: 10, action: :signup)
    state = state |> NaiveAttribution.link("cookie", "ann") |> NaiveAttribution.forget("cookie")
    assert {state.users, state.aliases} == {%{}, %{}}
    # As it was, whatever comes.
    state = touch(state, 2, 1)
    assert credits(state, "o") == %{1 => 10}
    assert state |> convert("p", 6, value_micros: 4, action: :signup) |> credits("p") == %{2 => 4}
    assert state |> convert("q", 6, value_micros: 4, user: "cookie") |> credits("q") == %{}
  end
end
