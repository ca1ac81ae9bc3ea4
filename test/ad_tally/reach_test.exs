defmodule AdTally.ReachTest do
  use ExUnit.Case, async: true

  alias AdTally.{Reach, Sketch}

  doctest AdTally.Reach

  # Native code takes lists up to about a thousand items in one call.
  @long 10_000

  # Around where a row goes from a list to a set to registers, at the precisions below.
  @sizes [1, 2, 7, 8, 9, 24, 25, 100, 384, 385, 1_536, 1_537, 6_000, 20_000]

  describe "new/1" do
    test "takes every precision, 12 unless told otherwise" do
      assert Reach.info(Reach.new()).precision == 12

      for precision <- 4..18 do
        reach = Reach.new(precision: precision)
        assert Reach.info(reach).precision == precision
        assert Reach.add_many(reach, :few, [1, 2, 3]) == :ok
        assert Reach.add_many(reach, :many, Enum.to_list(1..50_000)) == :ok

        for {_key, sketch} <- Reach.to_list(reach) do
          assert Sketch.precision(sketch) == precision
        end
      end
    end
  end

  describe "a key's sketch and estimate are those of Sketch.from_users of its users" do
    for precision <- [4, 7, 8, 12, 14, 18] do
      test "at precision #{precision}, added by one, by list and by key" do
        [by_one, by_list, by_key] = for _ <- 1..3, do: Reach.new(precision: unquote(precision))
        pairs = for size <- @sizes, user <- 1..size, do: {size, user * 1_000 + size}
        for {size, user} <- pairs, do: assert(Reach.add(by_one, size, user) == :ok)
        assert Reach.add_many(by_list, Enum.shuffle(pairs)) == :ok

        for size <- @sizes do
          users = for {^size, user} <- pairs, do: user
          # In two parts that overlap.
          assert Reach.add_many(by_key, size, Enum.drop(users, div(size, 2))) == :ok
          assert Reach.add_many(by_key, size, Enum.take(users, div(2 * size, 3) + 1)) == :ok

          sketch = Sketch.from_users(users, precision: unquote(precision))

          for reach <- [by_one, by_list, by_key] do
            assert Reach.sketch(reach, size) == sketch
            assert Reach.estimate(reach, size) == Sketch.estimate(sketch)
          end
        end
      end
    end

    test "whatever form users have" do
      users = [
        0,
        -1,
        2 ** 63,
        -(2 ** 63),
        2 ** 64 - 1,
        "1",
        <<0>>,
        String.duplicate("x", 65_536)
      ]

      reach = Reach.new()
      for user <- users, do: assert(Reach.add(reach, :one, user) == :ok)
      assert Reach.add_many(reach, :users, users) == :ok
      assert Reach.add_many(reach, for(user <- users, do: {:pairs, user})) == :ok
      for key <- [:one, :users, :pairs], do: assert(Reach.sketch(reach, key) == of(users))
      assert round(Reach.estimate(reach, :one)) == length(users) - 2
    end
  end

  describe "add_many" do
    test "adds every item of a list of any length" do
      for length <- [1, 2, 100, 256, 257, 1_023, 1_024, 1_025, 2_048, @long] do
        reach = Reach.new()
        pairs = for number <- 1..length, do: {rem(number, 50), rem(number * number, 7_919)}
        users = Enum.map(pairs, &elem(&1, 1))
        assert Reach.add_many(reach, pairs) == :ok
        assert Reach.add_many(reach, {:all, "users"}, users) == :ok

        expected = Map.new(Enum.group_by(pairs, &elem(&1, 0), &elem(&1, 1)), &of_row/1)
        expected = Map.put(expected, {:all, "users"}, of(users))
        assert Map.new(Reach.to_list(reach)) == expected
      end
    end

    test "makes no row by an empty list" do
      reach = Reach.new()
      assert Reach.add_many(reach, []) == :ok
      assert Reach.add_many(reach, :key, []) == :ok
      assert Reach.sketch(reach, :key) == nil
      assert Reach.info(reach).keys == 0
    end

    test "adds long lists of long keys and of long users" do
      reach = Reach.new()
      long = String.duplicate("x", 65_536)
      user = fn number -> "#{rem(number, 10)}" <> binary_part(long, 1, 65_535) end
      pairs = for number <- 1..100, do: {{number, long}, user.(number)}
      assert Reach.add_many(reach, pairs) == :ok
      assert Reach.add_many(reach, {:all, long}, Enum.map(pairs, &elem(&1, 1))) == :ok

      expected = Map.new(pairs, fn {key, user} -> {key, of([user])} end)
      all = of(for number <- 0..9, do: user.(number))
      assert Map.new(Reach.drain(reach)) == Map.put(expected, {:all, long}, all)
    end
  end

  describe "reading" do
    test "an unknown key has no sketch, and nobody" do
      reach = Reach.new()
      assert Reach.sketch(reach, :key) == nil
      assert Reach.estimate(reach, :key) === 0.0
      assert Reach.to_list(reach) == []
      assert %{keys: 0, sparse: 0, dense: 0, overflow: 0} = Reach.info(reach)
    end

    test "to_list and info show all keys and take nothing out" do
      reach = Reach.new()
      for key <- 1..@long, do: Reach.add(reach, key, key)
      Reach.add_many(reach, :dense, Enum.to_list(1..@long))
      expected = [{:dense, of(1..@long)} | for(key <- 1..@long, do: {key, of([key])})]

      for _ <- 1..2 do
        assert Enum.sort(Reach.to_list(reach)) == Enum.sort(expected)
        assert %{keys: @long + 1, sparse: @long, dense: 1} |> subset?(Reach.info(reach))
      end
    end

    test "info tells keys with coupons from keys with registers" do
      for {precision, marks} <- [{4, 7}, {8, 24}, {12, 384}] do
        reach = Reach.new(precision: precision)
        for key <- 1..5, do: Reach.add_many(reach, key, Enum.to_list(1..marks))
        assert %{keys: 5, sparse: 5, dense: 0} |> subset?(Reach.info(reach))
        for key <- 1..2, do: Reach.add(reach, key, marks + 1)
        assert %{keys: 5, sparse: 3, dense: 2} |> subset?(Reach.info(reach))
        Reach.drain(reach)
        assert %{keys: 0, sparse: 0, dense: 0} |> subset?(Reach.info(reach))
      end
    end

    test "memory grows with keys and users, and is given back by a drain" do
      reach = Reach.new()
      memory = fn -> Reach.info(reach).memory_bytes end
      empty = memory.()
      for key <- 1..@long, do: Reach.add(reach, key, 1)
      rows = memory.()
      assert rows > empty + @long * 48
      for key <- 1..100, do: Reach.add_many(reach, key, Enum.to_list(1..300))
      sets = memory.()
      assert sets > rows + 100 * 4 * 300
      for key <- 1..100, do: Reach.add_many(reach, key, Enum.to_list(1..1_000))
      registers = memory.()
      # The registers lie where the sets were, and a quarter more may be free.
      assert (registers - rows) in (100 * 4_096)..((100 * 4_096 * 5 / 4) |> trunc())
      Reach.drain(reach)
      assert memory.() == empty
    end
  end

  defp subset?(some, map), do: Map.take(map, Map.keys(some)) == some

  defp of(users), do: users |> Enum.to_list() |> Sketch.from_users()
  defp of_row({key, users}), do: {key, of(users)}
end
