defmodule AdTally.CountersTest do
  use ExUnit.Case, async: true

  alias AdTally.Counters

  doctest AdTally.Counters

  # Native code takes lists up to about a thousand items in one call.
  @short 100
  @long 10_000

  describe "new/1" do
    test "takes one to sixteen metrics, each with a total of its own" do
      for count <- 1..16 do
        metrics = for number <- 1..count, do: :"metric_#{number}"
        counters = Counters.new(metrics: metrics)

        for {metric, number} <- Enum.with_index(metrics, 1) do
          assert Counters.add(counters, :key, metric, number) == :ok
        end

        assert Counters.get(counters, :key) == metrics |> Enum.zip(1..count) |> Map.new()
      end
    end

    test "takes any atom for a metric" do
      metrics = [nil, true, :"", :żółć, AdTally.Counters]
      counters = Counters.new(metrics: metrics)
      for metric <- metrics, do: assert(Counters.add(counters, 1, metric) == :ok)
      assert Counters.drain(counters) == [{1, Map.new(metrics, &{&1, 1})}]
    end
  end

  describe "add" do
    test "adds 1 or the amount, which may be negative or nothing" do
      counters = Counters.new(metrics: [:n])

      for {amount, total} <- [{5, 5}, {-7, -2}, {0, -2}, {-9, -11}, {11, 0}] do
        assert Counters.add(counters, :key, :n, amount) == :ok
        assert Counters.get(counters, :key, :n) == total
      end

      assert Counters.add(counters, :key, :n) == :ok
      assert Counters.get(counters, :key, :n) == 1
    end

    test "makes a row even for an amount of nothing" do
      counters = Counters.new(metrics: [:n, :m])
      Counters.add(counters, :key, :n, 0)
      assert Counters.get(counters, :key) == %{n: 0, m: 0}
      assert Counters.info(counters).keys == 1
    end
  end

  describe "add_many/2" do
    test "adds every item of a list of any length, the same key again as well" do
      for length <- [0, 1, 2, @short, 256, 257, 1_023, 1_024, 1_025, 2_048, @long] do
        counters = Counters.new(metrics: [:n, :m])
        items = for number <- 1..length//1, do: {rem(number, 300), :m, number}
        assert Counters.add_many(counters, items) == :ok

        expected =
          for {key, items} <- Enum.group_by(items, &elem(&1, 0)), into: %{} do
            {key, %{n: 0, m: items |> Enum.map(&elem(&1, 2)) |> Enum.sum()}}
          end

        assert Map.new(Counters.to_list(counters)) == expected
      end
    end

    test "adds long lists of long keys" do
      counters = Counters.new(metrics: [:n])
      items = for number <- 1..100, do: {{number, String.duplicate("x", 65_536)}, :n, number}
      assert Counters.add_many(counters, items) == :ok
      expected = Map.new(items, fn {key, :n, amount} -> {key, %{n: amount}} end)
      assert Map.new(Counters.drain(counters)) == expected
    end
  end

  describe "reading" do
    test "an unknown key has no totals, and 0 of each metric" do
      counters = Counters.new(metrics: [:n])
      assert Counters.get(counters, :key) == nil
      assert Counters.get(counters, :key, :n) == 0
      assert Counters.to_list(counters) == []
      assert %{keys: 0, striped_keys: 0, overflow: %{n: 0}} = Counters.info(counters)
    end

    test "a known key has 0 of the metrics that were not added to" do
      counters = Counters.new(metrics: [:n, :m])
      Counters.add(counters, :key, :m, 3)
      assert Counters.get(counters, :key) == %{n: 0, m: 3}
      assert Counters.get(counters, :key, :n) == 0
      assert Counters.get(counters, :key, :m) == 3
    end
  end
end
