defmodule AdTally.Native.ReachPrecisionTest do
  # At a precision of 18, the finest: 256 KiB of registers a key. Alone: what is timed
  # here is how long others have to wait.
  use ExUnit.Case, async: false

  import AdTally.Test.Responsiveness
  import AdTally.Test.Sketches, only: [dense?: 1]

  alias AdTally.{Native, Reach, Sketch}

  describe "a native call takes less than a millisecond" do
    test "that estimates" do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        reach = dense(100)

        for n <- 1..1_000,
            do: time(timed, fn -> Native.reach_estimate(reach, rem(n, 100) + 1) end)
      end)
    end

    test "that merges keys, from the first on, and estimates that" do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        reach = dense(100)

        Enum.flat_map(1..20, fn n ->
          union = Native.reach_unite(reach)
          first = time(timed, fn -> {[], 1} = Native.reach_unite_some(union, [n], 0) end)

          others =
            list_times(
              timed,
              Enum.to_list(1..100),
              &elem(Native.reach_unite_some(union, &1, 0), 0)
            )

          [first, time(timed, fn -> Native.reach_united(union) end) | others]
        end)
      end)
    end

    test "that makes registers of the coupons of 24,576 users" do
      users = most_users_with_marks()

      assert_short_calls(&Native.thread_time/0, fn timed ->
        reach = Reach.new(precision: 18)
        for key <- 1..200, do: :ok = Reach.add_many(reach, key, users)
        assert %{sparse: 200, dense: 0} = Reach.info(reach)

        times =
          for key <- 1..200, do: time(timed, fn -> Native.reach_add(reach, key, "one more") end)

        assert %{sparse: 0, dense: 200} = Reach.info(reach)
        times
      end)
    end
  end

  test "a native call that shows rows, on a dirty scheduler, takes a few milliseconds at most" do
    run = fn timed ->
      walk = Native.reach_walk(dense(200))
      rows_times(timed, &Native.reach_rows(walk, &1))
    end

    # One row, and most of that is fresh memory: for a sketch, its bytes and the binary.
    assert_short_calls(&Native.dirty_thread_time/0, run, 5_000)
  end

  defp time(timed, call), do: call |> timed.() |> elem(0)

  defp dense(count) do
    reach = Reach.new(precision: 18)
    sketch = Sketch.from_users(Enum.to_list(1..100_000), precision: 18)
    for key <- 1..count, do: :ok = Reach.merge(reach, key, sketch)
    reach
  end

  # One more makes registers. A few of them share a mark.
  defp most_users_with_marks do
    dense? = &dense?(Sketch.from_users(Enum.to_list(1..&1), precision: 18))
    Enum.to_list(1..Enum.find(24_576..24_676, &dense?.(&1 + 1)))
  end
end
