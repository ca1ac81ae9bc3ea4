defmodule AdTally.Reach.ConcurrencyTest do
  # Alone: its load would show in what other tests time.
  use ExUnit.Case, async: false

  alias AdTally.{Reach, Sketch}
  alias AdTally.Test.ParallelShows

  describe "with drains all the while, the union over all drains is the sketch of all users" do
    # At a precision of 18 there is a mark of each of up to 24,576 users, so that none
    # hides behind another.
    test "on hot keys and many others, with a coupon of each user" do
      assert_exact_by_key(users: 50_000, keys: 5_000, options: [precision: 18])
    end

    test "on hot keys alone, with a coupon of each user" do
      assert_exact_by_key(users: 30_000, keys: 4, options: [precision: 18])
    end

    test "on hot keys and many others, with registers soon" do
      assert_exact_by_key(users: 100_000, keys: 1_000, options: [precision: 8])
    end

    test "under a secret" do
      options = [precision: 12, secret: "sixteen bytes..."]
      assert_exact_by_key(users: 50_000, keys: 100, options: options)
    end

    test "on more keys than the budget" do
      options = [precision: 18, max_keys: 100]
      assert assert_exact(users: 50_000, keys: 5_000, options: options).overflowed > 0
    end

    @tag :exhaustive
    @tag timeout: :infinity
    test "of two million shows" do
      assert_exact_by_key(users: 500_000, keys: 100_000, options: [precision: 12])
    end
  end

  for precision <- [4, 8, 12] do
    test "a key goes from list to set to registers under four processes, at #{precision}" do
      expected = Sketch.from_users(Enum.to_list(1..1_000), precision: unquote(precision))
      alone = Reach.new(precision: unquote(precision))
      for user <- 1..1_000, do: Reach.add(alone, :key, user)

      for _ <- 1..100 do
        reach = Reach.new(precision: unquote(precision))

        in_four_processes(fn number ->
          users = Enum.shuffle(1..1_000)

          if rem(number, 2) == 0 do
            for user <- users, do: :ok = Reach.add(reach, :key, user)
          else
            for part <- Enum.chunk_every(users, 7), do: :ok = Reach.add_many(reach, :key, part)
          end
        end)

        assert Reach.sketch(reach, :key) == expected
        # What it was on the way is no more.
        assert Reach.info(reach) == Reach.info(alone)
        assert Reach.drain(reach) == [{:key, expected}]
      end
    end
  end

  test "sketches and users go to a key at once" do
    for size <- [5, 50, 1_000], _ <- 1..50 do
      reach = Reach.new()

      in_four_processes(fn number ->
        users = Enum.to_list((number * size)..((number + 2) * size))

        if rem(number, 2) == 0 do
          for user <- users, do: :ok = Reach.add(reach, :key, user)
        else
          parts = users |> Enum.chunk_every(div(size, 2)) |> Enum.map(&of/1)
          for part <- parts, do: :ok = Reach.merge(reach, :key, part)
        end
      end)

      assert Reach.drain(reach) == [{:key, of(size..(6 * size))}]
    end
  end

  test "a process that has added sees its users in what it reads next" do
    for _ <- 1..20 do
      reach = Reach.new()

      in_four_processes(fn number ->
        # 360 users together, so that there are marks to the end.
        for count <- 1..90 do
          :ok = Reach.add(reach, :key, inspect({number, count}))
          own = of(for user <- 1..count, do: inspect({number, user}))
          sketch = Reach.sketch(reach, :key)
          assert Sketch.union([sketch, own]) == {:ok, sketch}
          assert Reach.estimate(reach, :key) >= count
          assert Reach.estimate_union(reach, [:key, :other]) >= count
        end
      end)
    end
  end

  test "several drains at once share the rows between them" do
    reach = Reach.new()
    for key <- 1..20_000, do: Reach.add(reach, key, key)
    for key <- 1..200, do: Reach.add_many(reach, {key}, Enum.to_list(key..(key + 500)))

    drained = in_four_processes(fn _ -> Reach.drain(reach) end) |> Enum.concat()
    sparse = for key <- 1..20_000, do: {key, of([key])}
    dense = for key <- 1..200, do: {{key}, of(key..(key + 500))}
    assert Enum.sort(drained) == sparse ++ dense
  end

  defp assert_exact_by_key(options) do
    result = assert_exact(options)
    assert result.overflowed == 0
    assert result.drained == result.shown
  end

  defp assert_exact(options) do
    result = ParallelShows.run(options)
    assert result.drained_of_all == result.shown_to_all
    assert result.lifetime_overflow == result.overflowed
    result
  end

  defp in_four_processes(function) do
    1..4 |> Enum.map(&Task.async(fn -> function.(&1) end)) |> Task.await_many(:infinity)
  end

  defp of(users), do: users |> Enum.to_list() |> Sketch.from_users()
end
