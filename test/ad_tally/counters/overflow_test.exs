defmodule AdTally.Counters.OverflowTest do
  use ExUnit.Case, async: true

  alias AdTally.Counters

  @min -0x8000_0000_0000_0000
  @max 0x7FFF_FFFF_FFFF_FFFF

  describe "beyond the budget of keys" do
    setup do
      counters = Counters.new(metrics: [:n, :m], max_keys: 3)
      for key <- 1..3, do: assert(Counters.add(counters, key, :n, key) == :ok)
      %{counters: counters}
    end

    test "a new key goes to the overflow row of its metric", %{counters: counters} do
      assert Counters.add(counters, 4, :n) == :overflow
      assert Counters.add(counters, 4, :n, 10) == :overflow
      assert Counters.add(counters, 5, :m, -3) == :overflow
      assert Counters.get(counters, 4) == nil
      assert Counters.get(counters, 4, :n) == 0
      assert Enum.sort(Counters.to_list(counters)) == for(k <- 1..3, do: {k, %{n: k, m: 0}})
      assert %{keys: 3, max_keys: 3, overflow: %{n: 11, m: -3}} = Counters.info(counters)
    end

    test "info shows all overflow there ever was, a drain that of its time",
         %{counters: counters} do
      zero = %{n: 0, m: 0}
      Counters.add(counters, 4, :n, 10)
      assert {[_, _, _], %{n: 10, m: 0}} = Counters.drain_with_overflow(counters)
      assert Counters.drain_with_overflow(counters) == {[], zero}
      assert Counters.info(counters).overflow == %{n: 10, m: 0}

      for key <- 1..4, do: Counters.add(counters, key, :m, 5)
      assert Counters.info(counters).overflow == %{n: 10, m: 5}
      assert [_, _, _] = Counters.drain(counters)
      assert Counters.drain_with_overflow(counters) == {[], zero}
      assert Counters.info(counters).overflow == %{n: 10, m: 5}
    end
  end

  describe "beyond 64 bits" do
    test "a total reaches both ends of the range and passes neither" do
      for {edge, step} <- [{@max, 1}, {@min, -1}] do
        counters = Counters.new(metrics: [:n, :m])
        assert Counters.add(counters, :key, :n, edge) == :ok
        assert Counters.add(counters, :key, :n, step) == :overflow
        assert Counters.add_many(counters, [{:key, :n, edge}, {:key, :m, 1}]) == {:overflow, 1}
        assert Counters.get(counters, :key) == %{n: edge, m: 1}
        assert Counters.info(counters).overflow == %{n: edge + step, m: 0}

        assert Counters.add(counters, :key, :n, -step) == :ok
        assert Counters.add(counters, :key, :n, step) == :ok

        assert Counters.drain_with_overflow(counters) ==
                 {[{:key, %{n: edge, m: 1}}], %{n: edge + step, m: 0}}
      end
    end

    test "a total goes from one end of the range to the other" do
      counters = Counters.new(metrics: [:n])
      for amount <- [@min, @max, 1, @max], do: Counters.add(counters, :key, :n, amount)
      assert Counters.add(counters, :key, :n, @min) == :ok
      assert Counters.get(counters, :key, :n) == -1
      assert Counters.info(counters).overflow == %{n: 0}
    end

    test "the overflow row itself has no end" do
      for edge <- [@max, @min] do
        counters = Counters.new(metrics: [:n], max_keys: 1)
        Counters.add(counters, :key, :n)
        for _ <- 1..100, do: assert(Counters.add(counters, :other, :n, edge) == :overflow)
        assert Counters.info(counters).overflow == %{n: 100 * edge}
        assert Counters.drain_with_overflow(counters) == {[{:key, %{n: 1}}], %{n: 100 * edge}}
        Counters.add(counters, :key, :n)
        assert Counters.add(counters, :other, :n, edge) == :overflow
        assert Counters.info(counters).overflow == %{n: 101 * edge}
      end
    end
  end
end
