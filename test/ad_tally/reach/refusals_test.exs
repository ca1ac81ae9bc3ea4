defmodule AdTally.Reach.RefusalsTest do
  use ExUnit.Case, async: true

  alias AdTally.Reach
  alias AdTally.Test.Users

  @key_rule "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, " <>
              "or a tuple of one to eight of those, got: "
  @pair_rule "expected a {key, user} tuple, got: "

  @lengths [1, 2, 100, 1_024, 1_025, 10_000]

  setup do
    %{reach: Reach.new(max_keys: 10)}
  end

  for {name, user, shown} <- Users.bad() do
    test "rejects #{name} as a user", %{reach: reach} do
      assert_no_user(reach, unquote(Macro.escape(user)), unquote(shown))
    end
  end

  test "rejects what stands for something running as a user", %{reach: reach} do
    for user <- [self(), make_ref(), fn -> 1 end, reach], do: assert_no_user(reach, user, "")
  end

  test "rejects a long user in a message that is shorter", %{reach: reach} do
    for user <- [:binary.copy(<<1>>, 100_000) |> then(&<<&1::binary, 1::1>>), 2 ** 10_000] do
      assert String.length(message(fn -> Reach.add(reach, 1, user) end)) < 500
    end
  end

  for length <- @lengths do
    test "rejects a list of #{length} with one bad pair, and adds none of it",
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

    test "rejects a list of #{length} with one bad user, and adds none of it",
         %{reach: reach} do
      for {bad, shown} <- [{"", ~S("")}, {:ann, ":ann"}, {2 ** 64, "18446744073709551616"}],
          at <- places(unquote(length)) do
        users = 1..unquote(length) |> Enum.to_list() |> List.replace_at(at, bad)
        message = message(fn -> Reach.add_many(reach, 1, users) end)
        assert message == Users.rule() <> shown <> " (at index #{at} of the list)"
        assert_nothing_counted(reach)
      end
    end
  end

  test "rejects one bad key anywhere in a list of keys", %{reach: reach} do
    for length <- @lengths, at <- places(length) do
      keys = 1..length |> Enum.to_list() |> List.replace_at(at, 1.5)
      message = message(fn -> Reach.estimate_union(reach, keys) end)
      assert message == @key_rule <> "1.5 (at index #{at} of the list)"
    end
  end

  test "rejects a precision out of range" do
    for precision <- [3, 19, -12, 2 ** 64, 12.0, nil, "12"] do
      rule = "expected :precision to be an integer from 4 to 18, got: "
      assert message(fn -> Reach.new(precision: precision) end) == rule <> inspect(precision)
    end
  end

  test "rejects unknown and repeated options by name, with those there are" do
    for {options, shown} <- [
          {[max_key: 1], "[:max_key]"},
          {[precision: 12, name: :a, shards: 2], "[:name, :shards]"},
          {[precision: 12, precision: 13], "[:precision]"}
        ] do
      assert message(fn -> Reach.new(options) end) ==
               "unknown or repeated options #{shown}, " <>
                 "known are :precision, :max_keys, :secret and :seed, once each"
    end
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
