defmodule AdTally.Reach.RefusalsTest do
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Native, Reach, Sketch}
  alias AdTally.Test.Users

  @key_rule "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, " <>
              "or a tuple of one to eight of those, got: "
  @list_rule "expected a proper list of "
  @pair_rule "expected a {key, user} tuple, got: "

  @lengths [1, 2, 100, 1_024, 1_025, 10_000]

  setup do
    %{reach: Reach.new(max_keys: 10)}
  end

  bad_keys = [
    {"a float", 1.5, "1.5"},
    {"a list", [1, 2], "[1, 2]"},
    {"an empty list", [], "[]"},
    {"a map", %{a: 1}, "%{a: 1}"},
    {"a bitstring", <<5::3>>, "a bitstring that is not a binary"},
    {"an integer beyond 64 bits, that would be a user", 2 ** 63, "9223372036854775808"},
    {"a negative integer beyond 64 bits", -(2 ** 63) - 1, "-9223372036854775809"},
    {"an empty tuple", {}, "{} (a tuple key has one to eight elements, this one has 0)"},
    {"a tuple of nine", Tuple.duplicate(1, 9), "(a tuple key has one to eight elements"},
    {"a tuple in a tuple", {1, {2, "three"}}, ~S({1, {2, "three"}})},
    {"a float in a tuple", {:a, 1.5}, "{:a, 1.5"},
    {"a binary that is too long", String.duplicate("x", 65_537), "this one has 65537"}
  ]

  for {name, key, shown} <- bad_keys do
    test "#{name} is no key", %{reach: reach} do
      assert_no_key(reach, unquote(Macro.escape(key)), unquote(shown))
    end
  end

  test "what stands for something running is no key", %{reach: reach} do
    for key <- [self(), make_ref(), fn -> 1 end, reach], do: assert_no_key(reach, key, "")
  end

  for {name, user, shown} <- Users.bad() do
    test "#{name} is no user", %{reach: reach} do
      assert_no_user(reach, unquote(Macro.escape(user)), unquote(shown))
    end
  end

  test "what stands for something running is no user", %{reach: reach} do
    for user <- [self(), make_ref(), fn -> 1 end, reach], do: assert_no_user(reach, user, "")
  end

  test "a long user that is none makes no message as long as itself", %{reach: reach} do
    for user <- [:binary.copy(<<1>>, 100_000) |> then(&<<&1::binary, 1::1>>), 2 ** 10_000] do
      assert String.length(message(fn -> Reach.add(reach, 1, user) end)) < 500
    end
  end

  test "what is no table is refused", %{reach: reach} do
    counters = Counters.new(metrics: [:n])
    others = [1, "table", {reach}, [reach], make_ref(), self(), counters]

    others =
      others ++ [Native.reach_walk(reach), Native.reach_unite(reach), Sketch.from_users([1])]

    for other <- others,
        call <- [
          fn -> Reach.add(other, 1, 1) end,
          fn -> Reach.add_many(other, []) end,
          fn -> Reach.add_many(other, [{1, 1}]) end,
          fn -> Reach.add_many(other, 1, []) end,
          fn -> Reach.add_many(other, 1, [1]) end,
          fn -> Reach.estimate(other, 1) end,
          fn -> Reach.estimate_union(other, []) end,
          fn -> Reach.estimate_union(other, [1]) end,
          fn -> Reach.sketch(other, 1) end,
          fn -> Reach.merge(other, 1, Sketch.from_users([1])) end,
          fn -> Reach.to_list(other) end,
          fn -> Reach.drain(other) end,
          fn -> Reach.drain_with_overflow(other) end,
          fn -> Reach.info(other) end
        ] do
      assert String.starts_with?(message(call), "expected an AdTally.Reach table, got: ")
    end

    assert_nothing_counted(reach)
  end

  for length <- @lengths do
    test "one bad pair in a list of #{length} is refused, and the others are not counted",
         %{reach: reach} do
      for {bad, shown} <- [
            {:pair, @pair_rule <> ":pair"},
            {{1}, @pair_rule <> "{1}"},
            {{1, 2, 3}, @pair_rule <> "{1, 2, 3}"},
            {[1, 2], @pair_rule <> "[1, 2]"},
            {{{}, 1}, @key_rule <> "{}"},
            {{1.5, 1}, @key_rule <> "1.5"},
            {{1, ""}, Users.rule() <> ~S("")},
            {{1, :ann}, Users.rule() <> ":ann"}
          ],
          at <- places(unquote(length)) do
        pairs = for(user <- 1..unquote(length), do: {user, user}) |> List.replace_at(at, bad)
        assert String.starts_with?(message(fn -> Reach.add_many(reach, pairs) end), shown)
        assert_nothing_counted(reach)
      end
    end

    test "one bad user in a list of #{length} is refused, and the others are not counted",
         %{reach: reach} do
      for {bad, shown} <- [{"", ~S("")}, {:ann, ":ann"}, {2 ** 64, "18446744073709551616"}],
          at <- places(unquote(length)) do
        users = 1..unquote(length) |> Enum.to_list() |> List.replace_at(at, bad)
        message = message(fn -> Reach.add_many(reach, 1, users) end)
        assert message == Users.rule() <> shown <> " (at index #{at} of the list)"
        assert_nothing_counted(reach)
      end
    end

    test "a list of #{length} that ends in something else is refused", %{reach: reach} do
      for {tail, shown} <- [{:tail, ":tail"}, {{1, 1}, "{1, 1}"}, {7, "7"}] do
        users = Enum.to_list(1..unquote(length))
        pairs = Enum.map(users, &{&1, &1})

        for {call, items} <- [
              {fn -> Reach.add_many(reach, pairs ++ tail) end, "{key, user} tuples"},
              {fn -> Reach.add_many(reach, 1, users ++ tail) end, "users"},
              {fn -> Reach.estimate_union(reach, users ++ tail) end, "keys"}
            ] do
          assert String.starts_with?(message(call), @list_rule <> items <> ", got: " <> shown)
          assert_nothing_counted(reach)
        end
      end
    end
  end

  test "one bad key anywhere in a list of keys is refused", %{reach: reach} do
    for length <- @lengths, at <- places(length) do
      keys = 1..length |> Enum.to_list() |> List.replace_at(at, 1.5)
      message = message(fn -> Reach.estimate_union(reach, keys) end)
      assert message == @key_rule <> "1.5 (at index #{at} of the list)"
    end
  end

  test "what is no list is refused", %{reach: reach} do
    for other <- [nil, %{}, {1, 1}, "items", 1, 1..3],
        {call, items} <- [
          {fn -> Reach.add_many(reach, other) end, "{key, user} tuples, got: "},
          {fn -> Reach.add_many(reach, 1, other) end, "users, got: "},
          {fn -> Reach.estimate_union(reach, other) end, "keys, got: "}
        ] do
      assert String.starts_with?(message(call), @list_rule <> items)
      assert_nothing_counted(reach)
    end
  end

  test "a budget or a precision out of range is refused" do
    for max_keys <- [0, -1, 1_000_000_001, 2 ** 64, 1.0, nil, "10", :infinity] do
      rule = "expected :max_keys to be an integer from 1 to 1000000000, got: "
      assert message(fn -> Reach.new(max_keys: max_keys) end) == rule <> inspect(max_keys)
    end

    for precision <- [3, 19, -12, 2 ** 64, 12.0, nil, "12"] do
      rule = "expected :precision to be an integer from 4 to 18, got: "
      assert message(fn -> Reach.new(precision: precision) end) == rule <> inspect(precision)
    end
  end

  test "unknown and repeated options are refused by name, and others than keywords" do
    for {options, shown} <- [
          {[max_key: 1], "[:max_key]"},
          {[precision: 12, name: :a, shards: 2], "[:name, :shards]"},
          {[precision: 12, precision: 13], "[:precision]"}
        ] do
      assert message(fn -> Reach.new(options) end) ==
               "unknown or repeated options #{shown}, " <>
                 "known are :precision, :max_keys and :secret, once each"
    end

    for options <- [nil, %{precision: 12}, :precision, [:precision], [{"precision", 12}]] do
      message = message(fn -> Reach.new(options) end)
      assert String.starts_with?(message, "expected a keyword list of options")
    end
  end

  defp assert_no_key(reach, key, shown) do
    for call <- [
          fn -> Reach.add(reach, key, 1) end,
          fn -> Reach.add_many(reach, [{1, 1}, {key, 1}]) end,
          fn -> Reach.add_many(reach, key, [1]) end,
          fn -> Reach.add_many(reach, key, []) end,
          fn -> Reach.add_many(reach, key, Enum.to_list(1..2_000)) end,
          fn -> Reach.estimate(reach, key) end,
          fn -> Reach.estimate_union(reach, [1, key]) end,
          fn -> Reach.sketch(reach, key) end,
          fn -> Reach.merge(reach, key, Sketch.from_users([1])) end
        ] do
      message = message(call)
      assert String.starts_with?(message, @key_rule)
      assert message =~ shown
    end

    assert_nothing_counted(reach)
  end

  defp assert_no_user(reach, user, shown) do
    for call <- [
          fn -> Reach.add(reach, 1, user) end,
          fn -> Reach.add_many(reach, [{1, 1}, {1, user}]) end,
          fn -> Reach.add_many(reach, 1, [1, user]) end
        ] do
      message = message(call)
      assert String.starts_with?(message, Users.rule())
      assert message =~ shown
    end

    assert_nothing_counted(reach)
  end

  defp assert_nothing_counted(reach) do
    assert Reach.to_list(reach) == []
    assert %{keys: 0, overflow: 0} = Reach.info(reach)
  end

  defp places(length), do: Enum.uniq([0, div(length, 2), length - 1])

  defp message(call), do: assert_raise(ArgumentError, call).message
end
