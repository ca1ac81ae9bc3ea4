defmodule AdTally.Sketch.UnionTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches, only: [dense?: 1, with_registers: 1]

  alias AdTally.Sketch

  @rounds 100

  test "is the sketch of all users in any order, and only registers lower its precision" do
    # ExUnit has seeded this process, from the seed that it prints.
    for _ <- 1..@rounds do
      parts = for _ <- 1..3, do: {random_users(), Enum.random(4..18)}

      [a, b, c] =
        sketches =
        for {users, precision} <- parts, do: Sketch.from_users(users, precision: precision)

      all = parts |> Enum.flat_map(&elem(&1, 0)) |> Sketch.from_users(precision: lowest(sketches))

      # Registers of few users, where a part has registers and the whole would not.
      all = if Enum.any?(sketches, &dense?/1), do: with_registers(all), else: all

      for order <- [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] do
        assert Sketch.union(order) == {:ok, all}
      end

      # Whoever is there already adds nothing.
      assert union([a, b, a, c, c, b]) == all
      assert union([all, a]) == all
      assert union([a, a]) == a
    end
  end

  test "is the same in any grouping at one precision" do
    for _ <- 1..@rounds do
      precision = Enum.random(4..18)
      [a, b, c] = for _ <- 1..3, do: Sketch.from_users(random_users(), precision: precision)
      all = union([a, b, c])
      assert union([union([a, b]), c]) == all
      assert union([a, union([b, c])]) == all
      assert union([union([a, c]), b]) == all
    end
  end

  test "of two sketches of any size and precision" do
    sizes = [0, 5, 7, 8, 24, 25, 400, 30_000]
    precisions = [4, 7, 8, 11, 12, 18]

    sketches =
      for precision <- precisions, size <- sizes, into: %{} do
        {{precision, size}, Sketch.from_users(Enum.to_list(1..size//1), precision: precision)}
      end

    for {{_, few}, a} <- sketches, {{_, many}, b} <- sketches do
      # Of nested sets, so that their users are those of one of them.
      union = sketches[{lowest([a, b]), max(few, many)}]
      dense = if dense?(a) or dense?(b), do: with_registers(union), else: union
      assert Sketch.union([a, b]) == {:ok, dense}
    end
  end

  test "with nobody leaves the other sketch as it is" do
    # DataSketches has 100,562 at precision 14.
    many = Sketch.from_users(Enum.to_list(0..99_999), precision: 14)
    assert_in_delta Sketch.estimate(many), 100_000, 1_000

    for sketch <- [many, Sketch.from_users([1]), Sketch.from_users(Enum.to_list(1..100))],
        precision <- [4, 12, 18],
        nobody = Sketch.from_users([], precision: precision),
        nobody <- [nobody, with_registers(nobody)] do
      assert union([sketch, nobody]) == sketch
      assert union([nobody, sketch]) == sketch
      assert union([nobody, sketch, nobody]) == sketch
    end
  end

  test "with few users at a low precision keeps the registers of many at a high one" do
    users = Enum.to_list(1..100_000)
    few = Sketch.from_users([1, 2, -1], precision: 4)
    expected = Sketch.from_users([-1 | users], precision: 14)
    assert union([few, Sketch.from_users(users, precision: 14)]) == expected
    assert union([Sketch.from_users(users, precision: 14), few]) == expected
  end

  test "of registers of few users is one of registers" do
    few = Sketch.from_users([1, 2, 3])
    assert union([few, with_registers(few)]) == with_registers(few)
    assert union([with_registers(few), few]) == with_registers(few)
    assert_in_delta few |> with_registers() |> Sketch.estimate(), 3, 0.1
  end

  test "of one sketch is that sketch, and of ten thousand that of all their users" do
    for users <- [[], [1], Enum.to_list(1..5_000)], precision <- [4, 12] do
      sketch = Sketch.from_users(users, precision: precision)
      assert Sketch.union([sketch]) == {:ok, sketch}
    end

    days = for day <- 1..10_000, do: Sketch.from_users(Enum.to_list(day..(day + 9)))
    assert Sketch.union(days) == {:ok, Sketch.from_users(Enum.to_list(1..10_009))}
  end

  test "of many is what comes of one after the other" do
    for precision <- [4, 10, 12, 14, 15] do
      many = for _ <- 1..20, do: Sketch.from_users(random_users(), precision: precision)

      assert Sketch.union(many) == {:ok, Enum.reduce(many, &union([&2, &1]))}
    end
  end

  test "of more sketches than one call unites, small ones and large ones in any order" do
    # Precision 14 is small, 16 is not.
    few = for users <- [[], [1], Enum.to_list(1..100)], do: Sketch.from_users(users)
    many = for from <- [1, 2_001], do: Sketch.from_users(Enum.to_list(from..(from + 9_999)))

    large =
      for precision <- [14, 16, 18], from <- [5_001, 10_001] do
        Sketch.from_users(Enum.to_list(from..(from + 49_999)), precision: precision)
      end

    all = Sketch.from_users(Enum.to_list(1..60_000))

    for sketches <- [few ++ many ++ large, large ++ few ++ many, few ++ large ++ many ++ few],
        times <- [1, 100] do
      assert Sketch.union(List.flatten(List.duplicate(sketches, times))) == {:ok, all}
    end

    # All of it is small but what comes out.
    parts = for at <- 0..59, do: Enum.to_list((at * 1_000 + 1)..(at * 1_000 + 1_000))

    assert union(for users <- parts, do: Sketch.from_users(users, precision: 18)) ==
             Sketch.from_users(Enum.to_list(1..60_000), precision: 18)
  end

  test "leaves what it is made of as it was" do
    [a, b] = both = for from <- [1, 1_000], do: Sketch.from_users(Enum.to_list(from..5_000))
    {:ok, _union} = Sketch.union(both)
    assert a == Sketch.from_users(Enum.to_list(1..5_000))
    assert b == Sketch.from_users(Enum.to_list(1_000..5_000))
  end

  describe "with secrets" do
    setup do
      [one, other] = for byte <- [1, 2], do: :binary.copy(<<byte>>, 16)
      %{one: one, other: other}
    end

    test "the same users are others under another secret", %{one: one, other: other} do
      users = Enum.to_list(1..100)
      sketches = for secret <- [nil, one, other], do: Sketch.from_users(users, secret: secret)
      assert length(Enum.uniq(sketches)) == 3
      assert sketches |> Enum.map(&Sketch.to_binary/1) |> Enum.uniq() |> length() == 3
      for sketch <- sketches, do: assert_in_delta(Sketch.estimate(sketch), 100, 0.01)
    end

    test "sketches of one secret merge and overlap", %{one: one} do
      [a, b, all] =
        for range <- [1..1_000, 501..1_500, 1..1_500],
            do: Sketch.from_users(Enum.to_list(range), secret: one, precision: 14)

      assert Sketch.union([a, b]) == {:ok, all}
      assert Sketch.union([b, a]) == {:ok, all}
      assert Sketch.overlap(a, b).estimate == 500.0
    end

    test "sketches of different ones, or with one and without, refuse", context do
      # Whether there are few users, many, or none.
      for users <- [[], [1], Enum.to_list(1..5_000)],
          others <- [[], [1], Enum.to_list(1..5_000)],
          {secret, other_secret} <- [
            {context.one, context.other},
            {context.one, nil},
            {nil, context.one}
          ] do
        a = Sketch.from_users(users, secret: secret)
        b = Sketch.from_users(others, secret: other_secret)
        assert Sketch.union([a, b]) == {:error, :different_secret}
        assert Sketch.union([a, a, a, b, a]) == {:error, :different_secret}
        assert Sketch.overlap(a, b) == {:error, :different_secret}
        assert Sketch.overlap(a, b, 3) == {:error, :different_secret}
      end
    end

    test "one that differs is found anywhere in a long list", %{one: one} do
      many = List.duplicate(Sketch.from_users(Enum.to_list(1..2_000)), 5_000)
      other = Sketch.from_users([1], secret: one)

      for at <- [0, 1, 2_500, 4_999] do
        assert many |> List.replace_at(at, other) |> Sketch.union() == {:error, :different_secret}
      end
    end
  end

  # From nobody to enough for registers at every precision that is looked at often.
  defp random_users do
    from = :rand.uniform(3_000)
    Enum.to_list(from..(from + Enum.random([0, 3, 30, 300, 3_000]) - 1)//1)
  end

  # The lowest precision of those with registers, or else the highest of those that hold users.
  defp lowest(sketches) do
    {dense, sparse} = Enum.split_with(sketches, &dense?/1)
    holders = Enum.reject(sparse, &(Sketch.estimate(&1) == 0.0))

    case {dense, holders} do
      {[], []} -> sketches |> Enum.map(&Sketch.precision/1) |> Enum.max()
      {[], _} -> holders |> Enum.map(&Sketch.precision/1) |> Enum.max()
      _ -> dense |> Enum.map(&Sketch.precision/1) |> Enum.min()
    end
  end

  defp union(sketches) do
    {:ok, union} = Sketch.union(sketches)
    union
  end
end
