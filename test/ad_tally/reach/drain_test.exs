defmodule AdTally.Reach.DrainTest do
  use ExUnit.Case, async: true

  alias AdTally.{Native, Reach, Sketch, Steps}

  @keys 10_000

  describe "drain/1" do
    test "takes every row out, and the table goes on" do
      reach = Reach.new()
      expected = for key <- 1..100, do: {key, of(key..(10 * key))}

      for _ <- 1..3 do
        for key <- 1..100, do: Reach.add_many(reach, key, Enum.to_list(key..(10 * key)))
        assert Enum.sort(Reach.drain(reach)) == expected
        assert Reach.drain(reach) == []
        assert Reach.to_list(reach) == []
        assert Reach.estimate(reach, 1) == 0.0
        assert Reach.estimate_union(reach, [1, 2]) == 0.0
        assert Reach.info(reach).keys == 0
      end
    end

    test "what is added after it began is in the next one" do
      reach = filled()
      {walk, overflow} = Native.reach_drain(reach)
      assert overflow == of([])
      for key <- [1, :dense], do: Reach.add(reach, key, 7)
      assert Enum.sort(Steps.collect(walk)) == filling()
      assert Enum.sort(Reach.drain(reach)) == [{1, of([7])}, {:dense, of([7])}]
    end

    test "of a table of sparse and dense keys shows each once" do
      assert Enum.sort(Reach.drain(filled())) == filling()
    end
  end

  describe "a table's reference" do
    test "works in other processes" do
      reach = Reach.new()

      1..1_000
      |> Enum.chunk_every(50)
      |> Enum.map(&Task.async(fn -> for user <- &1, do: Reach.add(reach, rem(user, 2), user) end))
      |> Task.await_many(:infinity)

      task = Task.async(fn -> Reach.drain(reach) end)

      assert task |> Task.await(:infinity) |> Enum.sort() ==
               [{0, of(2..1_000//2)}, {1, of(1..999//2)}]

      assert Reach.to_list(reach) == []
    end

    test "works after the process that made the table is gone" do
      reach = in_another_process(&filled/0)
      assert Reach.add(reach, :dense, -7) == :ok
      assert Reach.sketch(reach, :dense) == of([-7 | Enum.to_list(1..1_000)])
    end

    test "is not needed by a walk or a drain that is under way" do
      for begin <- [&Native.reach_walk/1, &elem(Native.reach_drain(&1), 0)] do
        walk = in_another_process(fn -> begin.(filled()) end)
        assert Enum.sort(Steps.collect(walk)) == filling()
      end
    end

    test "is not needed by a union that is under way" do
      union = in_another_process(fn -> Native.reach_unite(filled()) end)
      assert Steps.each([:dense, 1, 2], &Native.reach_unite_some(union, &1, &2)) == :ok
      assert Native.reach_united(union) == Sketch.estimate(of(1..1_000))
    end
  end

  # Many keys of one user each, and one with registers.
  defp filled do
    reach = Reach.new()
    for key <- 1..@keys, do: Reach.add(reach, key, rem(key, 10))
    Reach.add_many(reach, :dense, Enum.to_list(1..1_000))
    reach
  end

  defp filling do
    sketches = for user <- 0..9, into: %{}, do: {user, of([user])}
    rows = for key <- 1..@keys, do: {key, sketches[rem(key, 10)]}
    rows ++ [{:dense, of(1..1_000)}]
  end

  defp of(users), do: users |> Enum.to_list() |> Sketch.from_users()

  # When this returns, nothing of the process is left but its result.
  defp in_another_process(function) do
    caller = self()
    {pid, reference} = spawn_monitor(fn -> send(caller, {self(), function.()}) end)
    assert_receive {:DOWN, ^reference, :process, ^pid, :normal}
    assert_received {^pid, result}
    result
  end
end
