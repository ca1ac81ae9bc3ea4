defmodule AdTally.Native.ReachResponsivenessTest do
  # Alone: what is timed here is how long others have to wait.
  use ExUnit.Case, async: false

  @moduletag :slow

  import AdTally.Test.Responsiveness

  alias AdTally.{Native, Reach, Sketch}

  @million 1_000_000
  @sparse 100_000
  @dense 4_000
  @all @sparse + @dense

  describe "a process that ticks every millisecond sees no gap over 10 ms" do
    test "beside the drain of sparse and dense keys" do
      assert_no_gap(
        &mixed/0,
        fn reach -> @all = reach |> Reach.drain() |> length() end,
        &rows_in_elixir/0
      )
    end

    test "beside the list of sparse and dense keys" do
      assert_no_gap(
        &mixed/0,
        fn reach -> @all = reach |> Reach.to_list() |> length() end,
        &rows_in_elixir/0
      )
    end

    test "beside a list of a million users of one key" do
      assert_no_gap(
        fn -> {Reach.new(), Enum.to_list(1..@million)} end,
        fn {reach, users} -> :ok = Reach.add_many(reach, :key, users) end,
        fn -> @million = length(pairs(@million)) end
      )
    end

    test "beside a list of a million pairs of new keys and users" do
      assert_no_gap(
        fn -> {Reach.new(), pairs(@million)} end,
        fn {reach, pairs} -> :ok = Reach.add_many(reach, pairs) end,
        fn -> @million = length(pairs(@million)) end
      )
    end

    test "beside a list of a million pairs of a thousand keys, from their first user on" do
      assert_no_gap(
        fn -> {Reach.new(), for({user, _} <- pairs(@million), do: {rem(user, 1_000), user})} end,
        fn {reach, pairs} -> :ok = Reach.add_many(reach, pairs) end,
        fn -> @million = length(pairs(@million)) end
      )
    end

    test "beside the union of thousands of dense keys" do
      assert_no_gap(
        fn -> {dense(12, @dense), Enum.to_list(1..@dense)} end,
        fn {reach, keys} -> for _ <- 1..20, do: Reach.estimate_union(reach, keys) end,
        fn -> @million = length(pairs(@million)) end
      )
    end

    test "beside the sketch of a million users" do
      assert_no_gap(
        fn -> Enum.to_list(1..@million) end,
        fn users -> 18 = users |> Sketch.from_users(precision: 18) |> Sketch.precision() end,
        fn -> @million = length(pairs(@million)) end
      )
    end
  end

  describe "a native call takes less than a millisecond" do
    test "that shows rows" do
      assert_short_calls(&Native.dirty_thread_time/0, fn timed ->
        {walk, _overflow} = Native.reach_drain(mixed())
        rows_times(timed, &Native.reach_rows(walk, &1))
      end)
    end

    test "that looks at items of a long list" do
      reach = Reach.new()

      assert_short_calls(&Native.thread_time/0, fn timed ->
        {users, pairs} = {Enum.to_list(1..@million), pairs(@million)}

        Enum.flat_map(1..5, fn _ ->
          list_times(timed, users, &rest(Native.reach_check_some_users(reach, :key, &1, 0))) ++
            list_times(timed, pairs, &rest(Native.reach_check_some(reach, &1, 0)))
        end)
      end)
    end

    test "that adds users of a long list to a key" do
      reach = Reach.new()

      assert_short_calls(&Native.thread_time/0, fn timed ->
        users = Enum.to_list(1..@million)

        # Some thirty calls a key.
        Enum.flat_map(1..5, fn key ->
          list_times(timed, users, &rest(Native.reach_add_some_users(reach, key, &1)))
        end)
      end)
    end

    test "that adds items of a long list to new keys, and to known ones" do
      reach = Reach.new()

      assert_short_calls(&Native.thread_time/0, fn timed ->
        pairs = pairs(@million)

        Enum.flat_map(1..2, fn _ ->
          list_times(timed, pairs, &rest(Native.reach_add_some(reach, &1)))
        end)
      end)
    end

    test "that adds a list of the most items that one call takes" do
      reach = Reach.new()
      assert Native.reach_add_users(reach, :key, Enum.to_list(1..1_025)) == :many
      assert Native.reach_add_many(reach, pairs(1_025)) == :many

      assert_short_calls(&Native.thread_time/0, fn timed ->
        for pairs <- Enum.chunk_every(pairs(@million), 1_024) do
          # What is left when the time is up comes back.
          {time, added} = timed.(fn -> Native.reach_add_many(reach, pairs) end)
          assert {_rest, 0} = added

          users = for {key, _user} <- pairs, do: -key
          {users_time, {[], 0}} = timed.(fn -> Native.reach_add_users(reach, :key, users) end)
          [time, users_time]
        end
        |> Enum.concat()
      end)
    end

    test "that unites thousands of keys" do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        reach = dense(14, @dense)
        keys = Enum.to_list(1..@dense)

        Enum.flat_map(1..5, fn _ ->
          union = Native.reach_unite(reach)
          list_times(timed, keys, &rest(Native.reach_unite_some(union, &1, 0)))
        end)
      end)
    end

    test "that makes a sketch of a million users" do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        # Of less than a hundred calls, the 99th percentile is the longest.
        Enum.flat_map([4, 12, 18, 4, 12, 18], fn precision ->
          builder = Native.sketch_new(precision, nil)

          list_times(
            timed,
            Enum.to_list(1..@million),
            &rest(Native.sketch_insert_some(builder, &1, 0))
          )
        end)
      end)
    end
  end

  defp rest({rest, _next_or_overflowed}), do: rest

  defp pairs(count), do: for(number <- 1..count, do: {number, number})

  defp mixed do
    reach = dense(12, @dense)
    Enum.each(1..@sparse, &Reach.add(reach, {&1, "creative"}, &1))
    assert %{sparse: @sparse, dense: @dense} = Reach.info(reach)
    reach
  end

  defp dense(precision, count) do
    reach = Reach.new(precision: precision)
    sketch = Sketch.from_users(Enum.to_list(1..100_000), precision: precision)
    for key <- 1..count, do: :ok = Reach.merge(reach, key, sketch)
    reach
  end

  # On a dirty scheduler and on the process' own in turn, as rows are shown.
  defp rows_in_elixir do
    sparse = :binary.copy(<<1>>, 12)
    dense = :binary.copy(<<1>>, 4_136)

    rows =
      Enum.reduce(1..@all, [], fn key, rows ->
        if rem(key, 200) == 0, do: Native.busy_dirty_scheduler(250)
        bytes = if key <= @dense, do: dense, else: sparse
        [{key, %{bytes: :binary.copy(bytes), secret_check: nil}} | rows]
      end)

    @all = length(rows)
  end
end
