defmodule AdTally.Reach.MergeTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches, only: [dense?: 1, with_registers: 1]

  alias AdTally.{Reach, Sketch}

  # Users of a list, of a set and of registers, at precision 12.
  @sizes [1, 8, 9, 300, 5_000]

  test "shows all users of a sketch to a key, known or new, whatever both are made of" do
    for own <- [0 | @sizes], others <- @sizes do
      reach = Reach.new()
      Reach.add_many(reach, :key, Enum.to_list(1..own//1))
      from = div(own, 2) + 1
      users = Enum.to_list(from..(from + others - 1))
      assert Reach.merge(reach, :key, Sketch.from_users(users)) == :ok
      expected = Sketch.from_users(Enum.to_list(1..own//1) ++ users)
      assert Reach.sketch(reach, :key) == expected
      assert Reach.estimate(reach, :key) == Sketch.estimate(expected)
      # Once more shows nobody new.
      assert Reach.merge(reach, :key, Sketch.from_users(users)) == :ok
      assert Reach.drain(reach) == [{:key, expected}]
    end
  end

  test "goes on with adds as if the users had been added" do
    for size <- @sizes do
      reach = Reach.new()
      Reach.merge(reach, :key, Sketch.from_users(Enum.to_list(1..size)))
      for user <- 1..1_000, do: Reach.add(reach, :key, -user)
      expected = Sketch.from_users(Enum.to_list(1..size) ++ Enum.to_list(-1_000..-1))
      assert Reach.sketch(reach, :key) == expected
    end
  end

  test "folds a finer sketch to the precision of the table" do
    for precision <- [4, 8, 12], finer <- precision..18, size <- @sizes do
      reach = Reach.new(precision: precision)
      Reach.add_many(reach, :key, [1, 2, 3])
      users = Enum.to_list(3..(size + 2))
      assert Reach.merge(reach, :key, Sketch.from_users(users, precision: finer)) == :ok
      all = Sketch.from_users([1, 2 | users], precision: precision)
      assert Reach.sketch(reach, :key) == all
    end
  end

  test "refuses registers of a lower precision and changes nothing" do
    for size <- @sizes, precision <- [5, 12, 18], lower <- Enum.uniq([4, precision - 1]) do
      reach = Reach.new(precision: precision)
      Reach.add_many(reach, :key, Enum.to_list(1..10))
      sketch = Sketch.from_users(Enum.to_list(1..size), precision: lower)

      for key <- [:key, :new] do
        assert Reach.merge(reach, key, with_registers(sketch)) ==
                 {:error, {:coarser_precision, lower}}
      end

      assert_unchanged(reach, precision)
    end
  end

  test "takes coupons of a lower precision without loss, and nobody" do
    for precision <- [5, 12, 18],
        lower <- Enum.uniq([4, precision - 1]),
        own <- [0 | @sizes],
        size <- [0 | @sizes] do
      reach = Reach.new(precision: precision)
      Reach.add_many(reach, :key, Enum.to_list(1..own//1))
      users = Enum.to_list(10_001..(10_000 + size)//1)
      sketch = Sketch.from_users(users, precision: lower)

      unless dense?(sketch) do
        assert Reach.merge(reach, :key, sketch) == :ok
        all = Sketch.from_users(Enum.to_list(1..own//1) ++ users, precision: precision)
        rows = if own + size == 0, do: [], else: [{:key, all}]
        assert Reach.to_list(reach) == rows
      end
    end
  end

  test "refuses a sketch of another secret, or where only one of both has one" do
    [one, other] = for byte <- [1, 2], do: :binary.copy(<<byte>>, 16)

    for {own, others} <- [{one, other}, {one, nil}, {nil, one}],
        size <- [0 | @sizes],
        # A secret is looked at first.
        precision <- [11, 12, 14] do
      reach = Reach.new(secret: own)
      Reach.add_many(reach, :key, Enum.to_list(1..10))
      users = Enum.to_list(1..size//1)
      sketch = Sketch.from_users(users, secret: others, precision: precision)

      for key <- [:key, :new] do
        assert Reach.merge(reach, key, sketch) == {:error, :different_secret}
      end

      assert_unchanged(reach, 12, secret: own)
    end
  end

  test "takes a sketch of its own secret" do
    secret = "sixteen bytes..."
    reach = Reach.new(secret: secret)
    Reach.add(reach, :key, 1)
    sketch = Sketch.from_users(Enum.to_list(2..1_000), secret: secret)
    assert Reach.merge(reach, :key, sketch) == :ok
    all = Sketch.from_users(Enum.to_list(1..1_000), secret: secret)
    assert Reach.sketch(reach, :key) == all
  end

  test "takes drained sketches into another table, or back" do
    [one, other] = for _ <- 1..2, do: Reach.new()
    for key <- 1..50, do: Reach.add_many(one, key, Enum.to_list(1..(key * key)))
    for key <- 1..50, do: Reach.add_many(other, key, Enum.to_list(key..1_000))
    for {key, sketch} <- Reach.drain(one), do: assert(Reach.merge(other, key, sketch) == :ok)

    expected = for key <- 1..50, do: {key, of_range(1..max(key * key, 1_000))}
    assert Enum.sort(Reach.to_list(other)) == expected
    for {key, sketch} <- Reach.drain(other), do: assert(Reach.merge(one, key, sketch) == :ok)
    assert Enum.sort(Reach.to_list(one)) == expected
  end

  test "of registers of few users makes registers" do
    reach = Reach.new()
    few = Sketch.from_users([1, 2])
    Reach.add(reach, :key, 3)
    assert Reach.merge(reach, :key, with_registers(few)) == :ok
    assert Reach.sketch(reach, :key) == with_registers(Sketch.from_users([1, 2, 3]))
    assert %{sparse: 0, dense: 1} = Reach.info(reach)
  end

  test "of nobody makes no row" do
    reach = Reach.new()

    for precision <- [4, 12, 18], nobody = Sketch.from_users([], precision: precision) do
      assert Reach.merge(reach, :key, nobody) == :ok
      assert Reach.merge(reach, :key, with_registers(nobody)) == :ok
    end

    assert Reach.to_list(reach) == []
    assert %{keys: 0, overflow: 0} = Reach.info(reach)
  end

  defp of_range(range), do: range |> Enum.to_list() |> Sketch.from_users()

  defp assert_unchanged(reach, precision, options \\ []) do
    sketch = Sketch.from_users(Enum.to_list(1..10), [precision: precision] ++ options)
    assert Reach.to_list(reach) == [{:key, sketch}]
    assert %{keys: 1, overflow: 0} = Reach.info(reach)
  end
end
