defmodule AdTally.Counters.RefusalsTest do
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Native}

  @key_rule "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, " <>
              "or a tuple of one to eight of those, got: "

  setup do
    %{counters: Counters.new(metrics: [:impressions, :clicks], max_keys: 10)}
  end

  bad_keys = [
    {"a float", 1.5, "1.5"},
    {"a list", [1, 2], "[1, 2]"},
    {"an empty list", [], "[]"},
    {"a charlist", ~c"ab", ~S(~c"ab")},
    {"a map", %{a: 1}, "%{a: 1}"},
    {"a bitstring", <<5::3>>, "a bitstring that is not a binary"},
    {"an integer beyond 64 bits", 2 ** 63, "9223372036854775808"},
    {"a negative integer beyond 64 bits", -(2 ** 63) - 1, "-9223372036854775809"},
    {"an integer far beyond 64 bits", 2 ** 64 + 1, "18446744073709551617"},
    {"an empty tuple", {}, "{} (a tuple key has one to eight elements, this one has 0)"},
    {"a tuple of nine", {1, 2, 3, 4, 5, 6, 7, 8, 9},
     "{1, 2, 3, 4, 5, 6, 7, 8, 9} (a tuple key has one to eight elements, this one has 9)"},
    {"a tuple in a tuple", {1, {2, "three"}}, ~S({1, {2, "three"}})},
    {"a float in a tuple", {:a, 1.5}, "{:a, 1.5"},
    {"a list in a tuple", {"ab", [:a]}, ~S({"ab", [:a]})},
    {"an integer beyond 64 bits in a tuple", {2 ** 63}, "{9223372036854775808}"}
  ]

  for {name, key, shown} <- bad_keys do
    test "#{name} is no key", %{counters: counters} do
      assert_no_key(counters, unquote(Macro.escape(key)), unquote(shown))
    end
  end

  test "what stands for something running is no key", %{counters: counters} do
    for key <- [self(), make_ref(), fn -> 1 end, counters] do
      assert_no_key(counters, key, "")
      assert_no_key(counters, {1, key}, "{1, ")
    end
  end

  test "a binary that is too long is no key, and the message is not as long as the binary",
       %{counters: counters} do
    binary = String.duplicate("x", 65_537)
    why = " (a binary in a key has at most 65536 bytes, this one has 65537)"
    assert_no_key(counters, binary, ~S(xxx" <> ...) <> why)
    assert_no_key(counters, {1, binary}, ~S(xxx" <> ...}) <> why)
    message = message(fn -> Counters.add(counters, binary, :clicks) end)
    assert String.length(message) < 500
  end

  test "an unknown metric is refused by its name, with those there are", %{counters: counters} do
    for {metric, shown} <- [{:spend, ":spend"}, {nil, "nil"}, {"clicks", ~S("clicks")}, {0, "0"}],
        call <- [
          fn -> Counters.add(counters, 1, metric) end,
          fn -> Counters.add(counters, 1, metric, 2) end,
          fn -> Counters.get(counters, 1, metric) end,
          fn -> Counters.add_many(counters, [{1, :clicks, 2}, {1, metric, 2}]) end
        ] do
      rule = "unknown metric #{shown}, the table has: :impressions, :clicks"
      assert message(call) in [rule, rule <> " (at index 1 of the list)"]
    end

    assert_nothing_counted(counters)
  end

  test "an amount that is no integer of 64 bits is refused", %{counters: counters} do
    rule = "an amount is an integer of 64 bits (-2^63 to 2^63 - 1), got: "

    for {amount, shown} <- [
          {1.0, "1.0"},
          {"1", ~S("1")},
          {nil, "nil"},
          {:one, ":one"},
          {2 ** 63, "9223372036854775808"},
          {-(2 ** 63) - 1, "-9223372036854775809"},
          {2 ** 64, "18446744073709551616"}
        ],
        call <- [
          fn -> Counters.add(counters, 1, :clicks, amount) end,
          fn -> Counters.add_many(counters, [{1, :clicks, 2}, {1, :clicks, amount}]) end
        ] do
      assert String.starts_with?(message(call), rule <> shown)
    end

    assert_nothing_counted(counters)
  end

  test "what is no table is refused", %{counters: counters} do
    others = [1, "table", {counters}, [counters], make_ref(), self()]
    others = others ++ [Native.counters_walk(counters), AdTally.Reach.new()]

    for other <- others,
        call <- [
          fn -> Counters.add(other, 1, :clicks) end,
          fn -> Counters.add(other, 1, :clicks, 2) end,
          fn -> Counters.add_many(other, []) end,
          fn -> Counters.get(other, 1) end,
          fn -> Counters.get(other, 1, :clicks) end,
          fn -> Counters.to_list(other) end,
          fn -> Counters.drain(other) end,
          fn -> Counters.drain_with_overflow(other) end,
          fn -> Counters.info(other) end
        ] do
      assert String.starts_with?(message(call), "expected an AdTally.Counters table, got: ")
    end
  end

  for length <- [1, 2, 100, 1_024, 1_025, 10_000] do
    test "one bad item in a list of #{length} is refused, and the others are not counted",
         %{counters: counters} do
      for {bad, shown} <- [
            {:item, "expected a {key, metric, amount} tuple, got: :item"},
            {{1, :clicks}, "expected a {key, metric, amount} tuple, got: {1, :clicks}"},
            {{1, :clicks, 1, 1},
             "expected a {key, metric, amount} tuple, got: {1, :clicks, 1, 1"},
            {{{}, :clicks, 1}, @key_rule <> "{}"},
            {{1, :spend, 1}, "unknown metric :spend, the table has: :impressions, :clicks"},
            {{1, :clicks, :one}, "an amount is an integer of 64 bits"}
          ],
          at <- Enum.uniq([0, div(unquote(length), 2), unquote(length) - 1]) do
        items = List.replace_at(good_items(unquote(length)), at, bad)
        message = message(fn -> Counters.add_many(counters, items) end)
        assert String.starts_with?(message, shown)
        assert_nothing_counted(counters)
      end
    end

    test "a list of #{length} that ends in something else is refused", %{counters: counters} do
      for {tail, shown} <- [{:tail, ":tail"}, {{1, :clicks, 1}, "{1, :clicks, 1}"}, {%{}, ""}] do
        message =
          message(fn -> Counters.add_many(counters, good_items(unquote(length)) ++ tail) end)

        rule = "expected a proper list of {key, metric, amount} tuples, got: "
        assert String.starts_with?(message, rule <> shown)
        assert_nothing_counted(counters)
      end
    end
  end

  test "what is no list is refused", %{counters: counters} do
    for other <- [nil, %{}, {1, :clicks, 1}, "items", 1] do
      message = message(fn -> Counters.add_many(counters, other) end)
      assert message =~ "expected a proper list of {key, metric, amount} tuples, got: "
    end

    assert_nothing_counted(counters)
  end

  test "a table without metrics, with too many, twice the same or other than atoms is refused" do
    for metrics <- [nil, [], :clicks, ["clicks"], [1], [:a | :b], [:a, :b, :a], many_metrics(17)] do
      expected =
        "expected :metrics to be a list of one to sixteen distinct atoms, got: #{inspect(metrics)}"

      assert message(fn -> Counters.new(metrics: metrics) end) == expected
    end

    assert message(fn -> Counters.new([]) end) =~ "expected :metrics to be a list"
  end

  test "a budget out of range is refused" do
    for max_keys <- [0, -1, 1_000_000_001, 2 ** 64, 1.0, nil, "10", :infinity] do
      expected =
        "expected :max_keys to be an integer from 1 to 1000000000, got: #{inspect(max_keys)}"

      assert message(fn -> Counters.new(metrics: [:n], max_keys: max_keys) end) == expected
    end
  end

  test "unknown and repeated options are refused by name" do
    for {options, shown} <- [
          {[metrics: [:n], max_key: 1], "[:max_key]"},
          {[metrics: [:n], name: :a, shards: 2], "[:name, :shards]"},
          {[metrics: [:n], metrics: [:m]], "[:metrics]"}
        ] do
      assert message(fn -> Counters.new(options) end) ==
               "unknown or repeated options #{shown}, known are :metrics and :max_keys, once each"
    end
  end

  test "options that are no keyword list are refused" do
    for options <- [nil, %{metrics: [:n]}, :metrics, [:n], [{"metrics", [:n]}]] do
      assert message(fn -> Counters.new(options) end) ==
               "expected a keyword list of options, got: #{inspect(options)}"
    end
  end

  defp assert_no_key(counters, key, shown) do
    for call <- [
          fn -> Counters.add(counters, key, :clicks) end,
          fn -> Counters.add(counters, key, :clicks, 2) end,
          fn -> Counters.get(counters, key) end,
          fn -> Counters.get(counters, key, :clicks) end,
          fn -> Counters.add_many(counters, [{1, :clicks, 2}, {key, :clicks, 2}]) end
        ] do
      message = message(call)
      assert String.starts_with?(message, @key_rule)
      assert message =~ shown
    end

    assert_nothing_counted(counters)
  end

  defp assert_nothing_counted(counters) do
    assert Counters.to_list(counters) == []
    assert %{keys: 0, overflow: %{impressions: 0, clicks: 0}} = Counters.info(counters)
  end

  defp message(call), do: assert_raise(ArgumentError, call).message

  defp good_items(length), do: for(key <- 1..length, do: {key, :impressions, key})

  defp many_metrics(count), do: for(number <- 1..count, do: :"metric_#{number}")
end
