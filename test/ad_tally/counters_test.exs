defmodule AdTally.CountersTest do
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Native}

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

    test "takes budgets from one to a billion keys, a million unless told otherwise" do
      assert Counters.info(Counters.new(metrics: [:n])).max_keys == 1_000_000

      for max_keys <- [1, 2, 1_000_000_000] do
        counters = Counters.new(max_keys: max_keys, metrics: [:n])
        assert Counters.info(counters).max_keys == max_keys
        assert Counters.add(counters, :key, :n) == :ok
      end
    end

    test "makes tables that know nothing of each other" do
      [one, other] = for _ <- 1..2, do: Counters.new(metrics: [:n])
      Counters.add(one, :key, :n)
      assert Counters.get(one, :key, :n) == 1
      assert Counters.get(other, :key) == nil
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

    test "tells how many items of a short and of a long list went to overflow rows" do
      for length <- [@short, @long] do
        counters = Counters.new(metrics: [:n], max_keys: 10)
        items = for key <- 1..length, do: {key, :n, 2}
        assert Counters.add_many(counters, items) == {:overflow, length - 10}
        assert Counters.add_many(counters, Enum.take(items, 10)) == :ok
        assert Enum.sort(Counters.to_list(counters)) == for(key <- 1..10, do: {key, %{n: 4}})
        assert Counters.info(counters).overflow == %{n: 2 * (length - 10)}
      end
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

    test "to_list and info show all keys and take nothing out" do
      counters = Counters.new(metrics: [:n])
      for key <- 1..@long, do: Counters.add(counters, key, :n, key)

      for _ <- 1..2 do
        assert Enum.sort(Counters.to_list(counters)) == for(key <- 1..@long, do: {key, %{n: key}})
        assert Counters.info(counters).keys == @long
      end
    end

    test "memory grows with the keys and is given back by a drain" do
      counters = Counters.new(metrics: [:n])
      empty = Counters.info(counters).memory_bytes
      for key <- 1..@long, do: Counters.add(counters, key, :n)
      assert Counters.info(counters).memory_bytes > empty + @long * 24
      Counters.drain(counters)
      assert Counters.info(counters).memory_bytes == empty
    end
  end

  describe "drain/1" do
    test "takes every row out, and the table goes on" do
      counters = Counters.new(metrics: [:n])

      for round <- 1..3 do
        for key <- 1..@long, do: Counters.add(counters, key, :n, round)
        expected = for key <- 1..@long, do: {key, %{n: round}}
        assert Enum.sort(Counters.drain(counters)) == expected
        assert Counters.drain(counters) == []
        assert Counters.to_list(counters) == []
        assert Counters.get(counters, 1) == nil
        assert Counters.info(counters).keys == 0
      end
    end

    test "what is added after it began is in the next one" do
      counters = Counters.new(metrics: [:n])
      for key <- 1..@long, do: Counters.add(counters, key, :n)
      {walk, %{n: 0}} = Native.counters_drain(counters)
      Counters.add(counters, 1, :n, 7)
      assert Enum.sort(rows(walk)) == for(key <- 1..@long, do: {key, %{n: 1}})
      assert Counters.drain(counters) == [{1, %{n: 7}}]
    end
  end

  describe "a table's reference" do
    test "works in other processes" do
      counters = Counters.new(metrics: [:n])

      1..20
      |> Enum.map(&Task.async(fn -> Counters.add(counters, rem(&1, 2), :n, &1) end))
      |> Task.await_many()

      task = Task.async(fn -> Counters.drain(counters) end)
      assert task |> Task.await() |> Enum.sort() == [{0, %{n: 110}}, {1, %{n: 100}}]
      assert Counters.to_list(counters) == []
    end

    test "works after the process that made the table is gone" do
      task = Task.async(fn -> Counters.new(metrics: [:n]) end)
      reference = Process.monitor(task.pid)
      counters = Task.await(task)
      assert_receive {:DOWN, ^reference, :process, _, _}
      assert Counters.add(counters, 1, :n) == :ok
      assert Counters.get(counters, 1, :n) == 1
    end

    test "is not needed by a drain that is under way" do
      for begin <- [&Native.counters_walk/1, &elem(Native.counters_drain(&1), 0)] do
        walk = in_another_process(fn -> @long |> filled() |> begin.() end)
        assert Enum.sort(rows(walk)) == for(key <- 1..@long, do: {key, %{n: key}})
      end
    end
  end

  defp filled(keys) do
    counters = Counters.new(metrics: [:n])
    for key <- 1..keys, do: Counters.add(counters, key, :n, key)
    counters
  end

  # When this returns, nothing of the process is left but its result.
  defp in_another_process(function) do
    caller = self()
    {pid, reference} = spawn_monitor(fn -> send(caller, {self(), function.()}) end)
    assert_receive {:DOWN, ^reference, :process, ^pid, :normal}, 5_000
    assert_received {^pid, result}
    result
  end

  defp rows(walk, list \\ []) do
    case Native.counters_rows(walk, list) do
      {:more, list} -> rows(walk, list)
      {:done, list} -> list
    end
  end
end
