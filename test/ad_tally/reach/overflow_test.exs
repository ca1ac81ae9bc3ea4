defmodule AdTally.Reach.OverflowTest do
  use ExUnit.Case, async: true

  alias AdTally.{Reach, Sketch}

  describe "beyond the budget of keys" do
    setup do
      reach = Reach.new(max_keys: 3)
      for key <- 1..3, do: assert(Reach.add(reach, key, key) == :ok)
      %{reach: reach}
    end

    test "users of new keys go to one sketch", %{reach: reach} do
      assert Reach.add(reach, 4, 1) == :overflow
      assert Reach.add(reach, 4, 2) == :overflow
      assert Reach.add(reach, 5, 2) == :overflow
      assert Reach.sketch(reach, 4) == nil
      assert Reach.estimate(reach, 4) == 0.0
      assert Reach.estimate_union(reach, [4, 5]) == 0.0
      assert Enum.sort(Reach.to_list(reach)) == rows()
      assert %{keys: 3, max_keys: 3, overflow: 3} = Reach.info(reach)

      assert {drained, overflow} = Reach.drain_with_overflow(reach)
      assert Enum.sort(drained) == rows()
      assert overflow == of([1, 2])
    end

    test "known keys still see users", %{reach: reach} do
      assert Reach.add(reach, 4, 9) == :overflow
      assert Reach.add(reach, 1, 10) == :ok
      assert Reach.add_many(reach, [{2, 11}, {4, 12}, {3, 13}]) == {:overflow, 1}
      assert Reach.add_many(reach, 3, [14, 15]) == :ok
      assert Reach.merge(reach, 1, of([16])) == :ok
      expected = [{1, of([1, 10, 16])}, {2, of([2, 11])}, {3, of([3, 13, 14, 15])}]
      assert {drained, overflow} = Reach.drain_with_overflow(reach)
      assert Enum.sort(drained) == expected
      assert overflow == of([9, 12])
    end

    test "lists of any length tell how many had no row", %{reach: reach} do
      lengths = [1, 2, 100, 1_023, 1_024, 1_025, 2_048, 10_000]

      for length <- lengths do
        users = Enum.to_list(1..length)
        assert Reach.add_many(reach, 4, users) == {:overflow, length}
        assert Reach.add_many(reach, Enum.map(users, &{&1, &1})) == overflowed(length - 3)
      end

      expected = lengths |> Enum.map(&(&1 + max(&1 - 3, 0))) |> Enum.sum()
      assert Reach.info(reach).overflow == expected
      {_rows, overflow} = Reach.drain_with_overflow(reach)
      assert overflow == of(1..10_000)
    end

    test "a sketch goes to that of the overflow, and nobody goes nowhere", %{reach: reach} do
      assert Reach.merge(reach, 4, of([5, 6])) == :overflow
      assert Reach.merge(reach, 5, of(1..1_000)) == :overflow
      assert Reach.merge(reach, 6, of([])) == :ok
      assert Reach.add_many(reach, 6, []) == :ok
      assert Enum.sort(Reach.to_list(reach)) == rows()
      assert {_rows, overflow} = Reach.drain_with_overflow(reach)
      assert overflow == of(1..1_000)
      assert Reach.info(reach).overflow == 2
    end

    test "info counts all overflow there ever was, a drain has that of its time",
         %{reach: reach} do
      assert Reach.add_many(reach, 4, [7, 7, 8]) == {:overflow, 3}
      assert {[_, _, _], overflow} = Reach.drain_with_overflow(reach)
      assert overflow == of([7, 8])
      assert Reach.drain_with_overflow(reach) == {[], of([])}
      assert Reach.info(reach).overflow == 3

      for key <- 1..4, do: Reach.add(reach, key, 9)
      assert Reach.info(reach).overflow == 4
      assert [_, _, _] = Reach.drain(reach)
      assert Reach.drain_with_overflow(reach) == {[], of([])}
      assert Reach.info(reach).overflow == 4
    end
  end

  test "memory has the overflow's coupons, or registers, while there are users in it" do
    reach = Reach.new(max_keys: 1, precision: 14)
    Reach.add(reach, 1, 1)
    before = Reach.info(reach).memory_bytes
    Reach.add(reach, 2, 1)
    assert Reach.info(reach).memory_bytes == before + 16 * 4
    Reach.add_many(reach, 2, Enum.to_list(1..2_000))
    assert Reach.info(reach).memory_bytes == before + 2 ** 14
    Reach.drain(reach)
    Reach.add(reach, 1, 1)
    assert Reach.info(reach).memory_bytes == before
  end

  test "the sketch has the precision of the table" do
    for precision <- [4, 8, 18] do
      reach = Reach.new(max_keys: 1, precision: precision)
      {[], nobody} = Reach.drain_with_overflow(reach)
      assert nobody == Sketch.from_users([], precision: precision)

      Reach.add(reach, 1, 1)
      Reach.add_many(reach, 2, Enum.to_list(1..30_000))
      {[_], overflow} = Reach.drain_with_overflow(reach)
      assert overflow == Sketch.from_users(Enum.to_list(1..30_000), precision: precision)
    end
  end

  defp rows, do: for(key <- 1..3, do: {key, of([key])})

  defp of(users), do: users |> Enum.to_list() |> Sketch.from_users()

  defp overflowed(count) when count > 0, do: {:overflow, count}
  defp overflowed(_none), do: :ok
end
