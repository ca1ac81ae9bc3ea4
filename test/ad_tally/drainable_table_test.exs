defmodule AdTally.DrainableTableTest do
  use ExUnit.Case, async: true

  alias AdTally.{Native, Steps}
  alias AdTally.Test.DrainableTable

  # Native code takes lists up to about a thousand items in one call.
  @short 100
  @long 10_000

  for table <- DrainableTable.all() do
    describe "#{inspect(table.module())} new/1" do
      @describetag table: table

      test "takes budgets from one to a billion keys, a million unless told otherwise", %{
        table: t
      } do
        assert t.module().info(t.new([])).max_keys == 1_000_000

        for max_keys <- [1, 2, 1_000_000_000] do
          table = t.new(max_keys: max_keys)
          assert t.module().info(table).max_keys == max_keys
          assert t.add(table, :key, 1) == :ok
        end
      end

      test "makes tables that know nothing of each other", %{table: t} do
        [one, other] = for _ <- 1..2, do: t.new([])
        t.add(one, :key, 1)
        assert t.read(one, :key) == t.value([1])
        assert t.read(other, :key) == nil
      end
    end

    describe "#{inspect(table.module())} reading" do
      @describetag table: table

      test "shows no value of an unknown key", %{table: t} do
        table = t.new([])
        assert t.read(table, :key) == nil
        assert t.module().to_list(table) == []
        assert %{keys: 0} = info = t.module().info(table)
        assert info.overflow == t.overflowed([])
      end

      test "shows all keys and takes nothing out", %{table: t} do
        table = filled(t)

        for _ <- 1..2 do
          assert Enum.sort(t.module().to_list(table)) == filling(t)
          assert t.module().info(table).keys == @long
        end
      end

      test "tells more memory with more keys, and that of an empty table after a drain", %{
        table: t
      } do
        table = t.new([])
        empty = t.module().info(table).memory_bytes
        for key <- 1..@long, do: t.add(table, key, 1)
        assert t.module().info(table).memory_bytes > empty + @long * 24
        t.module().drain(table)
        assert t.module().info(table).memory_bytes == empty
      end
    end

    describe "#{inspect(table.module())} drain/1" do
      @describetag table: table

      test "takes every row out, and the table goes on", %{table: t} do
        table = t.new([])

        for round <- 1..3 do
          for key <- 1..@long, do: t.add(table, key, round)
          value = t.value([round])
          assert Enum.sort(t.module().drain(table)) == for(key <- 1..@long, do: {key, value})
          assert t.module().drain(table) == []
          assert t.module().to_list(table) == []
          assert t.read(table, 1) == nil
          assert t.module().info(table).keys == 0
        end
      end

      test "leaves what is added after it began to the next one", %{table: t} do
        table = filled(t)
        {walk, overflow} = t.begin_drain(table)
        assert overflow == t.value([])
        assert t.add(table, 1, 7) == :ok
        assert Enum.sort(Steps.collect(walk)) == filling(t)
        assert t.module().drain(table) == [{1, t.value([7])}]
      end

      test "shows nothing more after the last row", %{table: t} do
        walk = t.begin_walk(filled(t))
        assert length(Steps.collect(walk)) == @long
        assert Native.walk_rows(walk, []) == {:done, []}
        assert Native.walk_rows(walk, [:before]) == {:done, [:before]}
      end

      test "shares the rows with others at the same time", %{table: t} do
        table = filled(t)
        drained = in_four_processes(fn _ -> t.module().drain(table) end)
        assert drained |> Enum.concat() |> Enum.sort() == filling(t)
      end
    end

    describe "#{inspect(table.module())} reference" do
      @describetag table: table

      test "works in other processes", %{table: t} do
        table = t.new([])

        1..20
        |> Enum.map(&Task.async(fn -> t.add(table, rem(&1, 2), &1) end))
        |> Task.await_many(:infinity)

        task = Task.async(fn -> t.module().drain(table) end)

        assert task |> Task.await(:infinity) |> Enum.sort() ==
                 [{0, t.value(Enum.to_list(2..20//2))}, {1, t.value(Enum.to_list(1..19//2))}]

        assert t.module().to_list(table) == []
      end

      test "works after the process that made the table is gone", %{table: t} do
        table = in_another_process(fn -> filled(t) end)
        assert t.add(table, 1, 17) == :ok
        assert t.read(table, 1) == t.value([1, 17])
      end

      test "is not needed by a walk or a drain that is under way", %{table: t} do
        for begin <- [&t.begin_walk/1, &elem(t.begin_drain(&1), 0)] do
          walk = in_another_process(fn -> begin.(filled(t)) end)
          assert Enum.sort(Steps.collect(walk)) == filling(t)
        end
      end

      test "is not needed by rows that were taken out", %{table: t} do
        rows = in_another_process(fn -> t.module().drain(filled(t)) end)
        assert Enum.sort(rows) == filling(t)
      end
    end

    describe "#{inspect(table.module())} beyond the budget of keys" do
      @describetag table: table

      setup %{table: t} do
        full = t.new(max_keys: 3)
        for key <- 1..3, do: assert(t.add(full, key, key) == :ok)
        %{full: full}
      end

      test "adds to the overflow for a new key", %{table: t, full: full} do
        for {key, item} <- [{4, 1}, {4, 2}, {5, 2}],
            do: assert(t.add(full, key, item) == :overflow)

        assert t.read(full, 4) == nil
        rows = for key <- 1..3, do: {key, t.value([key])}
        assert Enum.sort(t.module().to_list(full)) == rows
        assert %{keys: 3, max_keys: 3, overflow: overflow} = t.module().info(full)
        assert overflow == t.overflowed([1, 2, 2])
        assert {drained, overflow} = t.module().drain_with_overflow(full)
        assert Enum.sort(drained) == rows
        assert overflow == t.value([1, 2, 2])
      end

      test "adds to the rows of known keys", %{table: t, full: full} do
        assert t.add(full, 4, 9) == :overflow
        assert t.add(full, 1, 10) == :ok
        assert t.add_many(full, [{2, 11}, {4, 12}, {3, 13}]) == {:overflow, 1}
        assert {drained, overflow} = t.module().drain_with_overflow(full)
        rows = for {key, item} <- [{1, 10}, {2, 11}, {3, 13}], do: {key, t.value([key, item])}
        assert Enum.sort(drained) == rows
        assert overflow == t.value([9, 12])
      end

      test "has the budget free again after a drain", %{table: t, full: full} do
        assert t.add(full, 4, 1) == :overflow
        t.module().drain(full)
        for key <- 4..6, do: assert(t.add(full, key, 1) == :ok)
        assert t.add(full, 1, 1) == :overflow
      end

      test "tells all overflow there ever was, and a drain that of its time",
           %{table: t, full: full} do
        t.add(full, 4, 10)
        assert {[_, _, _], overflow} = t.module().drain_with_overflow(full)
        assert overflow == t.value([10])
        assert t.module().drain_with_overflow(full) == {[], t.value([])}
        assert t.module().info(full).overflow == t.overflowed([10])

        for key <- 1..4, do: t.add(full, key, 5)
        assert t.module().info(full).overflow == t.overflowed([10, 5])
        assert [_, _, _] = t.module().drain(full)
        assert t.module().drain_with_overflow(full) == {[], t.value([])}
        assert t.module().info(full).overflow == t.overflowed([10, 5])
      end

      test "tells how many items of a short and of a long list had no row", %{table: t} do
        for length <- [@short, @long] do
          table = t.new(max_keys: 10)
          pairs = for key <- 1..length, do: {key, 2}
          assert t.add_many(table, pairs) == {:overflow, length - 10}
          assert t.add_many(table, Enum.take(pairs, 10)) == :ok
          rows = for key <- 1..10, do: {key, t.value([2, 2])}
          assert Enum.sort(t.module().to_list(table)) == rows
          overflowed = t.overflowed(List.duplicate(2, length - 10))
          assert t.module().info(table).overflow == overflowed
        end
      end
    end

    describe "#{inspect(table.module())} with processes at once" do
      @describetag table: table

      test "makes one row of a key that all of them add", %{table: t} do
        value = t.value([1, 2, 3, 4])

        for _ <- 1..200 do
          table = t.new([])
          in_four_processes(fn n -> for key <- 1..100, do: :ok = t.add(table, key, n) end)
          assert Enum.sort(t.module().drain(table)) == for(key <- 1..100, do: {key, value})
        end
      end

      test "keeps to the budget, to the key", %{table: t} do
        for max_keys <- [1, 10, 999] do
          table = t.new(max_keys: max_keys)

          overflowed =
            in_four_processes(fn n ->
              for number <- 1..1_000, t.add(table, {n, number}, number) == :overflow, do: number
            end)
            |> Enum.concat()

          assert length(overflowed) == 4 * 1_000 - max_keys
          info = t.module().info(table)
          assert {info.keys, info.overflow} == {max_keys, t.overflowed(overflowed)}
          {rows, overflow} = t.module().drain_with_overflow(table)
          assert length(rows) == max_keys
          for {{_n, number}, value} <- rows, do: assert(value == t.value([number]))
          assert overflow == t.value(overflowed)
        end
      end
    end
  end

  defp filled(t) do
    table = t.new([])
    for key <- 1..@long, do: t.add(table, key, rem(key, 10))
    table
  end

  defp filling(t) do
    values = for item <- 0..9, into: %{}, do: {item, t.value([item])}
    for key <- 1..@long, do: {key, values[rem(key, 10)]}
  end

  # When this returns, nothing of the process is left but its result.
  defp in_another_process(function) do
    caller = self()
    {pid, reference} = spawn_monitor(fn -> send(caller, {self(), function.()}) end)
    assert_receive {:DOWN, ^reference, :process, ^pid, :normal}
    assert_received {^pid, result}
    result
  end

  defp in_four_processes(function) do
    1..4 |> Enum.map(&Task.async(fn -> function.(&1) end)) |> Task.await_many(:infinity)
  end
end
