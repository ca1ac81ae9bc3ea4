defmodule AdTally.Attribution.PathsTest do
  use ExUnit.Case, async: true

  alias AdTally.Attribution
  alias AdTally.Test.Attributions

  defp start(options \\ []),
    do: Attributions.start_another([dimensions: [:campaign, :country]] ++ options)

  defp at(minute), do: Attributions.at(60 * minute)

  # The minutes of the touches are their ids.
  defp go(name, user, touches) do
    for {minute, dimensions} <- touches do
      touch = Attributions.touch(minute, user, 60 * minute, dimensions: dimensions)
      assert Attribution.touch(name, touch) == :ok
    end
  end

  defp buy(name, order, user, minute, value) do
    conversion = Attributions.conversion(order, user, 60 * minute, value_micros: value)
    assert Attribution.convert(name, conversion) == :ok
  end

  defp paths(name, options \\ []) do
    for path <- Attribution.paths(name, options), into: %{} do
      assert map_size(path) == 4
      {path.path, {path.conversions, path.value_micros, path.non_conversions}}
    end
  end

  test "are counted with what came of them" do
    name = start()
    go(name, "ann", [{1, {42, "us"}}, {2, {43, "us"}}])
    go(name, "ben", [{1, {42, "us"}}, {2, {43, "us"}}])
    go(name, "cid", [{1, {42, "us"}}, {2, {43, "us"}}])
    go(name, "dan", [{2, {43, "ca"}}])
    buy(name, 1, "ann", 10, 5)
    buy(name, 2, "ben", 10, 6)

    assert paths(name) == %{
             [{42, "us"}, {43, "us"}] => {2, 11, 1},
             [{43, "ca"}] => {0, 0, 1}
           }

    assert paths(name, by: [:country]) == %{
             [{"us"}, {"us"}] => {2, 11, 1},
             [{"ca"}] => {0, 0, 1}
           }

    assert paths(name, by: [:country, :campaign]) |> Map.keys() |> Enum.sort() == [
             [{"ca", 43}],
             [{"us", 42}, {"us", 43}]
           ]

    assert Attribution.close(name) == :ok
    assert paths(name)[[{42, "us"}, {43, "us"}]] == {2, 11, 1}
  end

  test "a user who has converted begins anew" do
    name = start()
    go(name, "ann", [{1, {42, "us"}}])
    buy(name, 1, "ann", 10, 5)
    go(name, "ann", [{20, {43, "us"}}])
    # The older touch is still in the lookback of another conversion, which has both.
    assert paths(name, by: [:campaign]) == %{[{42}] => {1, 5, 0}, [{43}] => {0, 0, 1}}
    buy(name, 2, "ann", 30, 7)
    assert paths(name, by: [:campaign]) == %{[{42}] => {1, 5, 0}, [{42}, {43}] => {1, 7, 0}}
  end

  test "have net values, and nothing of what was retracted" do
    name = start()
    go(name, "ann", [{1, {42, "us"}}])
    go(name, "ben", [{1, {43, "us"}}])
    buy(name, 1, "ann", 10, 5)
    buy(name, 2, "ben", 10, 5)
    assert Attribution.adjust(name, 1, {:restate, 3}, at(60)) == :ok
    assert Attribution.adjust(name, 2, :retract, at(60)) == :ok
    assert paths(name, by: [:campaign]) == %{[{42}] => {1, 3, 0}}
  end

  test "conversions without a touch have none" do
    name = start()
    buy(name, 1, "ann", 10, 5)
    assert paths(name) == %{}
  end

  test "are those of conversions of a time" do
    name = start()
    go(name, "ann", [{1, {42, "us"}}])
    buy(name, 1, "ann", 10, 5)
    buy(name, 2, "ann", 20, 7)
    assert paths(name, by: [:campaign]) == %{[{42}] => {2, 12, 0}}
    assert paths(name, by: [:campaign], to: at(20)) == %{[{42}] => {1, 5, 0}}
    assert paths(name, by: [:campaign], from: at(20)) == %{[{42}] => {1, 7, 0}}
    assert paths(name, from: at(21)) == %{}
  end

  test "have nil for a touch whose dimensions were one too many" do
    name = start(max_keys: 1)
    other = {43, "us"}
    go(name, "ann", [{1, {42, "us"}}, {2, other}])
    go(name, "ben", [{1, other}, {2, other}, {3, {42, "us"}}, {4, other}])
    buy(name, 1, "ann", 10, 5)
    buy(name, 2, "ben", 10, 6)

    assert paths(name, by: [:campaign]) == %{
             [{42}, nil] => {1, 5, 0},
             [nil, nil, {42}, nil] => {1, 6, 0}
           }

    lines = name |> Attribution.paths() |> Attribution.path_lines() |> Enum.to_list()
    assert "(overflow) > (overflow) > 42/us > (overflow),1,0.000006,0\n" in lines
  end

  test "refuse wrong options at once" do
    name = start()

    for {options, words} <- [
          {[by: []], "expected :by to have a dimension of [:campaign, :country]"},
          {[by: [:kind]], "expected :by to be a list of dimensions, of [:campaign, :country]"},
          {[model: :linear], "unknown or repeated options [:model]"},
          {[from: "now"], "expected :from to be Unix milliseconds or a DateTime"}
        ] do
      error = assert_raise ArgumentError, fn -> Attribution.paths(name, options) end
      assert error.message =~ words
    end
  end

  describe "lines" do
    defp lines(paths) do
      for {path, conversions, value, none} <- paths do
        %{path: path, conversions: conversions, value_micros: value, non_conversions: none}
      end
      |> Attribution.path_lines()
      |> Enum.to_list()
    end

    @header "path,total_conversions,total_conversion_value,total_null\n"

    test "are a header, and a line for each path" do
      assert lines([]) == [@header]

      assert lines([
               {[{42, 7}], 3, 179_970_000, 41},
               {[{42, "us"}, {43, :ca}], 0, 0, 1},
               {[{1}], 1, -1, 0}
             ]) == [
               @header,
               "42/7,3,179.970000,41\n",
               "42/us > 43/ca,0,0.000000,1\n",
               "1,1,-0.000001,0\n"
             ]
    end

    test "need no quotes, and values can be told again" do
      values = [~s(a "b", c), "x > y", "a/b", "ä", "50%", "line\nbreak", "(overflow)", ""]

      for value <- values do
        [@header, line] = lines([{[{value, 1}, nil], 1, 0, 0}])
        assert [path, "1", "0.000000", "0\n"] = String.split(line, ",")
        assert [step, "(overflow)"] = String.split(path, " > ")
        assert [text, "1"] = String.split(step, "/")
        assert URI.decode(text) == value
      end
    end

    test "have values of any size" do
      assert [_header, line] = lines([{[{1}], 1, Integer.pow(10, 30), 0}])
      assert line == "1,1,1#{String.duplicate("0", 24)}.000000,0\n"
    end
  end
end
