defmodule AdTally.DrainableTable.RefusalsTest do
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Native, Reach, Sketch}
  alias AdTally.Test.DrainableTable

  @key_rule "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, " <>
              "or a tuple of one to eight of those, got: "

  @bad_keys [
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

  for table <- DrainableTable.all() do
    describe "#{inspect(table.module())} rejects" do
      @describetag table: table

      for {name, key, shown} <- @bad_keys do
        test "#{name} as a key", %{table: t} do
          assert_no_key(t, unquote(Macro.escape(key)), unquote(shown))
        end
      end

      test "what stands for something running as a key", %{table: t} do
        for key <- [self(), make_ref(), fn -> 1 end, t.new([])] do
          assert_no_key(t, key, "")
          assert_no_key(t, {1, key}, "{1, ")
        end
      end

      test "a binary that is too long as a key, in a message that is shorter", %{table: t} do
        binary = String.duplicate("x", 65_537)
        why = " (a binary in a key has at most 65536 bytes, this one has 65537)"
        assert_no_key(t, binary, ~S(xxx" <> ...) <> why)
        assert_no_key(t, {1, binary}, ~S(xxx" <> ...}) <> why)
        assert String.length(message(fn -> t.add(t.new([]), binary, 1) end)) < 500
      end

      test "what is no table", %{table: t} do
        table = t.new([])
        tables = [Counters.new(metrics: [:n]), Reach.new()]
        others = List.delete_at(tables, Enum.find_index(DrainableTable.all(), &(&1 == t)))
        others = others ++ [1, "table", {table}, [table], make_ref(), self()]

        for other <-
              others ++
                [t.begin_walk(table), Native.reach_unite(Reach.new()), Sketch.from_users([1])],
            call <- t.calls(other) do
          rule = "expected an #{inspect(t.module())} table, got: "
          assert String.starts_with?(message(call), rule)
        end

        assert_empty(t, table)
      end

      for length <- [1, 2, 100, 1_024, 1_025, 10_000] do
        test "a list of #{length} that ends in something else", %{table: t} do
          table = t.new([])

          for {items, _call} <- t.calls_with_list(table, []),
              {tail, shown} <- [{:tail, ":tail"}, {{1, 1}, "{1, 1}"}, {7, "7"}, {%{}, ""}] do
            list = t.items(items, unquote(length)) ++ tail
            {^items, call} = List.keyfind!(t.calls_with_list(table, list), items, 0)
            rule = "expected a proper list of #{items}, got: "
            assert String.starts_with?(message(call), rule <> shown)
            assert_empty(t, table)
          end
        end
      end

      test "what is no list", %{table: t} do
        table = t.new([])

        for other <- [nil, %{}, {1, 1}, "items", 1, 1..3],
            {items, call} <- t.calls_with_list(table, other) do
          assert String.starts_with?(message(call), "expected a proper list of #{items}, got: ")
          assert_empty(t, table)
        end
      end

      test "a budget out of range", %{table: t} do
        for max_keys <- [0, -1, 1_000_000_001, 2 ** 64, 1.0, nil, "10", :infinity] do
          rule = "expected :max_keys to be an integer from 1 to 1000000000, got: "
          assert message(fn -> t.new(max_keys: max_keys) end) == rule <> inspect(max_keys)
        end
      end

      test "unknown and repeated options by name", %{table: t} do
        for {options, shown} <- [
              {[max_key: 1], "[:max_key]"},
              {[name: :a, shards: 2], "[:name, :shards]"},
              {[max_keys: 12, max_keys: 13], "[:max_keys]"}
            ] do
          rule = "unknown or repeated options #{shown}, known are "
          assert String.starts_with?(message(fn -> t.new(options) end), rule)
        end
      end

      test "options that are no keyword list", %{table: t} do
        for options <- [nil, %{max_keys: 1}, :max_keys, [:max_keys], [{"max_keys", 12}]] do
          message = message(fn -> t.module().new(options) end)
          assert String.starts_with?(message, "expected a keyword list of options")
        end
      end
    end
  end

  defp assert_no_key(t, key, shown) do
    table = t.new([])

    for call <- t.calls_with_key(table, key) do
      message = message(call)
      assert String.starts_with?(message, @key_rule)
      assert message =~ shown
    end

    assert_empty(t, table)
  end

  defp assert_empty(t, table) do
    assert t.module().to_list(table) == []
    assert %{keys: 0, overflow: overflow} = t.module().info(table)
    assert overflow == t.overflowed([])
  end

  defp message(call), do: assert_raise(ArgumentError, call).message
end
