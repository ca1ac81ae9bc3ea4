defmodule AdTally.Counters.RefusalsTest do
  use ExUnit.Case, async: true

  alias AdTally.Counters

  @key_rule "a key is an integer of 64 bits, a binary of at most 65536 bytes, an atom, " <>
              "or a tuple of one to eight of those, got: "

  setup do
    %{counters: Counters.new(metrics: [:impressions, :clicks], max_keys: 10)}
  end

  test "rejects an unknown metric by its name, with those there are", %{counters: counters} do
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

  test "rejects an amount that is no integer of 64 bits", %{counters: counters} do
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

  for length <- [1, 2, 100, 1_024, 1_025, 10_000] do
    test "rejects a list of #{length} with one bad item, and adds none of it",
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
  end

  test "rejects no metrics, too many, twice the same or other than atoms" do
    for metrics <- [nil, [], :clicks, ["clicks"], [1], [:a | :b], [:a, :b, :a], many_metrics(17)] do
      expected =
        "expected :metrics to be a list of one to sixteen distinct atoms, got: #{inspect(metrics)}"

      assert message(fn -> Counters.new(metrics: metrics) end) == expected
    end

    assert message(fn -> Counters.new([]) end) =~ "expected :metrics to be a list"
  end

  defp assert_nothing_counted(counters) do
    assert Counters.to_list(counters) == []
    assert %{keys: 0, overflow: %{impressions: 0, clicks: 0}} = Counters.info(counters)
  end

  defp message(call), do: assert_raise(ArgumentError, call).message

  defp good_items(length), do: for(key <- 1..length, do: {key, :impressions, key})

  defp many_metrics(count), do: for(number <- 1..count, do: :"metric_#{number}")
end
