defmodule AdTally.Native.ReachLongCallsTest do
  # What takes long for its size, not for its number. Alone: what is timed here is how
  # long others have to wait.
  use ExUnit.Case, async: false

  @moduletag :slow

  import AdTally.Test.Responsiveness

  alias AdTally.{Counters, Native, Reach, Sketch}

  @kilobyte 1_024

  describe "a native call takes less than a millisecond" do
    test "that adds a list of pairs each of which makes registers" do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        for _ <- 1..10 do
          reach = Reach.new(precision: 16)
          # 6,144 have a mark each.
          for key <- 1..300, do: :ok = Reach.add_many(reach, key, Enum.to_list(1..6_144))
          pairs = for key <- 1..300, do: {key, "one more"}
          {time, _added} = timed.(fn -> Native.reach_add_many(reach, pairs) end)
          assert Reach.info(reach).dense > 0
          time
        end
      end)
    end

    test "that adds a list of long users" do
      users = for number <- 1..1_024, do: "#{number}" <> :binary.copy(<<1>>, 60 * @kilobyte)
      pairs = for user <- users, do: {:key, user}

      for secret <- [nil, "sixteen bytes..."] do
        assert_short_calls(&Native.thread_time/0, fn timed ->
          reach = Reach.new(secret: secret)

          for _ <- 1..5 do
            {users_time, _added} = timed.(fn -> Native.reach_add_users(reach, :key, users) end)
            {pairs_time, _added} = timed.(fn -> Native.reach_add_many(reach, pairs) end)
            [users_time, pairs_time]
          end
          |> Enum.concat()
        end)
      end
    end
  end

  test "a garbage collection that drops a table takes less than a millisecond" do
    assert_short_calls(&Native.thread_time/0, fn timed ->
      for _ <- 1..10 do
        # In a process that keeps nothing of it.
        Task.await(Task.async(fn -> drop(timed) end), :infinity)
      end
    end)
  end

  test "a merge of many marks takes no longer for each of them than a union" do
    sketch = Sketch.from_users(Enum.to_list(1..24_000), precision: 18)
    nobody = Sketch.from_users([], precision: 18)
    reach = Reach.new(precision: 18)

    merges = for key <- 1..20, do: dirty_time(fn -> :ok = Reach.merge(reach, key, sketch) end)
    unions = for _ <- 1..20, do: dirty_time(fn -> {:ok, _} = Sketch.union([nobody, sketch]) end)
    # Adds to other keys of the same shard wait meanwhile.
    assert Enum.min(merges) < 3 * Enum.min(unions)
  end

  describe "processes on all schedulers leave one that ticks no gap over 10 ms" do
    test "that estimate over and over at precision 18" do
      assert_no_gap_beside_loops(
        fn ->
          reach = Reach.new(precision: 18)
          :ok = Reach.add_many(reach, :key, Enum.to_list(1..100_000))
          reach
        end,
        1_000,
        &Reach.estimate(&1, :key)
      )
    end

    test "that add lists of a thousand pairs over and over" do
      pairs = for user <- 1..1_000, do: {rem(user, 10), user}
      assert_no_gap_beside_loops(&Reach.new/0, 2_000, &Reach.add_many(&1, pairs))
    end

    test "that add lists of a thousand items over and over" do
      items = for number <- 1..1_000, do: {rem(number, 10), :n, 1}
      new = fn -> Counters.new(metrics: [:n]) end
      assert_no_gap_beside_loops(new, 3_000, &Counters.add_many(&1, items))
    end
  end

  defp assert_no_gap_beside_loops(prepare, times, call) do
    numbers = Enum.to_list(1..1_000)

    assert_no_gap(
      prepare,
      fn table -> on_all_schedulers(times, fn -> call.(table) end) end,
      fn -> on_all_schedulers(10 * times, fn -> Enum.sum(numbers) end) end
    )
  end

  defp on_all_schedulers(times, call) do
    1..System.schedulers_online()
    |> Enum.map(fn _ -> Task.async(fn -> Enum.each(1..times, fn _ -> call.() end) end) end)
    |> Task.await_many(:infinity)
  end

  # A table of just under 4 MiB, which is freed where it is dropped.
  defp drop(timed) do
    filled()

    # The scheduler frees it when it turns to the next process.
    {time, _} =
      timed.(fn ->
        :erlang.garbage_collect()
        for _ <- 1..50, do: :erlang.yield()
      end)

    time
  end

  defp filled do
    reach = Reach.new()
    for key <- 1..20_000, do: :ok = Reach.add_many(reach, key, Enum.to_list(key..(key + 11)))
    assert Reach.info(reach).memory_bytes < 4_096 * @kilobyte
    :filled
  end

  defp dirty_time(call) do
    {thread, begin} = Native.dirty_thread_time()
    call.()
    {same_or_other, now} = Native.dirty_thread_time()
    # An atom is more than any number.
    if thread == same_or_other, do: now - begin, else: :unknown
  end
end
