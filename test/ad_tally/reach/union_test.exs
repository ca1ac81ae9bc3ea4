defmodule AdTally.Reach.UnionTest do
  use ExUnit.Case, async: true

  alias AdTally.{Native, Reach, Sketch}

  describe "estimate_union/2" do
    test "counts a user of several keys once, with coupons, registers and both" do
      for precision <- [4, 8, 12, 14, 18] do
        reach = Reach.new(precision: precision)
        ranges = %{few: 1..5, some: 3..200, many: 100..5_000, most: 4_000..40_000}
        for {key, range} <- ranges, do: Reach.add_many(reach, key, Enum.to_list(range))

        for keys <- lists_of(Map.keys(ranges)) do
          users = keys |> Enum.flat_map(&Enum.to_list(ranges[&1])) |> Enum.uniq()
          sketch = Sketch.from_users(users, precision: precision)
          assert Reach.estimate_union(reach, keys) == Sketch.estimate(sketch)
        end
      end
    end

    test "of one key is its estimate, and of a key twice as well" do
      reach = Reach.new()
      for key <- [1, 10, 500, 5_000], do: Reach.add_many(reach, key, Enum.to_list(1..key))

      for key <- [1, 10, 500, 5_000] do
        assert Reach.estimate_union(reach, [key]) == Reach.estimate(reach, key)
        assert Reach.estimate_union(reach, List.duplicate(key, 3)) == Reach.estimate(reach, key)
      end
    end

    test "of no keys, or of keys that nobody saw, is nobody" do
      reach = Reach.new()
      Reach.add(reach, 1, 1)
      assert Reach.estimate_union(reach, []) === 0.0
      assert Reach.estimate_union(reach, [2, "1", :"1", {1}]) === 0.0
      assert Reach.estimate_union(reach, [2, 1, 3]) == Reach.estimate(reach, 1)
    end

    test "of thousands of keys" do
      reach = Reach.new(precision: 10)
      pairs = for key <- 1..10_000, user <- key..(key + 2), do: {{key, "creative"}, user}
      :ok = Reach.add_many(reach, pairs)
      dense = for key <- 1..2_000, do: {:dense, key}

      for {:dense, key} = dense <- dense,
          do: Reach.add_many(reach, dense, Enum.to_list(key..(key + 200)))

      sparse = for key <- 1..10_000, do: {key, "creative"}
      estimate = &Sketch.estimate(Sketch.from_users(Enum.to_list(&1), precision: 10))
      assert Reach.estimate_union(reach, sparse) == estimate.(1..10_002)
      assert Reach.estimate_union(reach, dense) == estimate.(1..2_200)

      assert Reach.estimate_union(reach, Enum.shuffle(sparse ++ dense ++ dense)) ==
               estimate.(1..10_002)
    end

    test "is of the users of one table, whatever is drained meanwhile" do
      reach = Reach.new()
      Reach.add_many(reach, 1, [1, 2])
      Reach.add_many(reach, 2, Enum.to_list(2..1_000))
      union = Native.reach_unite(reach)
      assert Native.reach_unite_some(union, [1], 0) == {[], 1}
      Reach.drain(reach)
      Reach.add(reach, 2, 5_000)
      assert Native.reach_unite_some(union, [2], 0) == {[], 1}

      assert Native.reach_united(union) ==
               1..1_000 |> Enum.to_list() |> Sketch.from_users() |> Sketch.estimate()

      assert Reach.estimate_union(reach, [1, 2]) == 1.0
    end
  end

  describe "with a secret" do
    setup do
      %{secret: "sixteen bytes..."}
    end

    test "sketches, estimates and unions are those of users under it", %{secret: secret} do
      reach = Reach.new(secret: secret)
      ranges = [{1, 1..3}, {2, 3..100}, {3, 50..5_000}]
      for {key, range} <- ranges, do: Reach.add_many(reach, key, Enum.to_list(range))
      Reach.add(reach, 1, "ann")
      Reach.add_many(reach, [{1, "ben"}, {1, -1}])

      of = &Sketch.from_users(&1, secret: secret)
      assert Reach.sketch(reach, 1) == of.([1, 2, 3, "ann", "ben", -1])

      for {key, range} <- tl(ranges),
          do: assert(Reach.sketch(reach, key) == of.(Enum.to_list(range)))

      assert Reach.estimate_union(reach, [2, 3]) == Sketch.estimate(of.(Enum.to_list(3..5_000)))
    end

    test "sketches that leave the table have it, whichever way they leave", %{secret: secret} do
      reach = Reach.new(secret: secret, max_keys: 2)
      Reach.add(reach, :few, 1)
      Reach.add_many(reach, :many, Enum.to_list(1..1_000))
      Reach.add_many(reach, :overflow, Enum.to_list(1..1_000))

      listed = for {_key, sketch} <- Reach.to_list(reach), do: sketch
      read = for key <- [:few, :many], do: Reach.sketch(reach, key)
      {rows, overflow} = Reach.drain_with_overflow(reach)
      drained = for {_key, sketch} <- rows, do: sketch
      {[], nobody} = Reach.drain_with_overflow(reach)

      all = Sketch.from_users(Enum.to_list(1..1_000), secret: secret)
      sketches = Enum.concat([listed, read, drained, [overflow, nobody]])
      assert length(sketches) == 8
      assert Sketch.union(sketches) == {:ok, all}

      for sketch <- sketches do
        assert Sketch.union([sketch, Sketch.from_users([])]) == {:error, :different_secret}
        refute :erlang.term_to_binary(sketch) =~ secret
      end
    end
  end

  defp lists_of([]), do: [[]]

  defp lists_of([key | keys]) do
    lists = lists_of(keys)
    lists ++ Enum.map(lists, &[key | &1])
  end
end
