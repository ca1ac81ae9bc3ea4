defmodule AdTally.Test.Responsiveness.Reach do
  @moduledoc "What of `AdTally.Reach` and of sketches others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  import AdTally.Test.Responsiveness

  alias AdTally.{Native, Reach, Sketch}

  @kilobyte 1_024
  @million 1_000_000
  @sparse 100_000
  @dense 4_000
  @all @sparse + @dense
  @thousand_pairs for user <- 1..1_000, do: {rem(user, 10), user}

  @impl true
  def beside do
    [
      %{
        name: "the drain of sparse and dense keys",
        setup: &mixed/0,
        operation: fn reach -> @all = reach |> Reach.drain() |> length() end,
        plain: &rows_in_elixir/0
      },
      %{
        name: "the list of sparse and dense keys",
        setup: &mixed/0,
        operation: fn reach -> @all = reach |> Reach.to_list() |> length() end,
        plain: &rows_in_elixir/0
      },
      %{
        name: "a list of a million users of one key",
        setup: fn -> {Reach.new(), Enum.to_list(1..@million)} end,
        operation: fn {reach, users} -> :ok = Reach.add_many(reach, :key, users) end,
        plain: &pairs_in_elixir/0
      },
      %{
        name: "a list of a million pairs of new keys and users",
        setup: fn -> {Reach.new(), pairs(@million)} end,
        operation: fn {reach, pairs} -> :ok = Reach.add_many(reach, pairs) end,
        plain: &pairs_in_elixir/0
      },
      %{
        name: "a list of a million pairs of a thousand keys, from their first user on",
        setup: fn -> {Reach.new(), for(user <- 1..@million, do: {rem(user, 1_000), user})} end,
        operation: fn {reach, pairs} -> :ok = Reach.add_many(reach, pairs) end,
        plain: &pairs_in_elixir/0
      },
      %{
        name: "the union of thousands of dense keys",
        setup: fn -> {dense(12, @dense), Enum.to_list(1..@dense)} end,
        operation: fn {reach, keys} ->
          for _ <- 1..20, do: Reach.estimate_union(reach, keys)
        end,
        plain: &pairs_in_elixir/0
      },
      %{
        name: "the sketch of a million users",
        setup: fn -> Enum.to_list(1..@million) end,
        operation: fn users ->
          18 = users |> Sketch.from_users(precision: 18) |> Sketch.precision()
        end,
        plain: &pairs_in_elixir/0
      },
      on_all_schedulers("estimates at precision 18", &large/0, 1_000, &Reach.estimate(&1, :key)),
      on_all_schedulers("lists of a thousand pairs", &Reach.new/0, 2_000, fn reach ->
        Reach.add_many(reach, @thousand_pairs)
      end)
    ]
  end

  @impl true
  def calls do
    [
      %{
        name: "shows rows of reach",
        clock: &Native.dirty_thread_time/0,
        setup: fn -> Native.reach_drain(mixed()) end,
        operation: fn timed, {walk, _overflow} ->
          rows_times(timed, &Native.walk_rows(walk, &1))
        end
      },
      %{
        name: "checks users and pairs of long lists",
        setup: fn -> {Reach.new(), Enum.to_list(1..@million), pairs(@million)} end,
        operation: fn timed, {reach, users, pairs} ->
          Enum.flat_map(1..5, fn _ ->
            list_times(timed, users, &rest(Native.reach_check_some_users(reach, :key, &1, 0))) ++
              list_times(timed, pairs, &rest(Native.reach_check_some(reach, &1, 0)))
          end)
        end
      },
      %{
        name: "adds users of a long list to a key",
        setup: fn -> {Reach.new(), Enum.to_list(1..@million)} end,
        operation: fn timed, {reach, users} ->
          # Some thirty calls a key.
          Enum.flat_map(1..5, fn key ->
            list_times(timed, users, &rest(Native.reach_add_some_users(reach, key, &1)))
          end)
        end
      },
      %{
        name: "adds pairs of a long list to new keys, and to known ones",
        setup: fn -> {Reach.new(), pairs(@million)} end,
        operation: fn timed, {reach, pairs} ->
          Enum.flat_map(1..2, fn _ ->
            list_times(timed, pairs, &rest(Native.reach_add_some(reach, &1)))
          end)
        end
      },
      %{
        name: "adds a list of the most users or pairs that one call takes",
        setup: &longest_lists/0,
        operation: &longest_lists_times/2
      },
      %{
        name: "unites thousands of keys",
        setup: fn -> {dense(14, @dense), Enum.to_list(1..@dense)} end,
        operation: fn timed, {reach, keys} ->
          Enum.flat_map(1..5, fn _ ->
            union = Native.reach_unite(reach)
            list_times(timed, keys, &rest(Native.reach_unite_some(union, &1, 0)))
          end)
        end
      },
      %{
        name: "unites lists of sketches, and estimates them",
        setup: &lists_of_sketches/0,
        operation: fn timed, lists ->
          for [sketch | _] = list <- lists, _ <- 1..20, reduce: [] do
            times ->
              {union_time, _union} = timed.(fn -> Native.sketch_union(list) end)
              {estimate_time, _users} = timed.(fn -> Native.sketch_estimate(sketch) end)
              [union_time, estimate_time | times]
          end
        end
      },
      %{
        name: "makes a sketch of a million users",
        setup: fn -> Enum.to_list(1..@million) end,
        operation: fn timed, users ->
          # Of less than a hundred calls, the 99th percentile is the longest.
          Enum.flat_map([4, 12, 18, 4, 12, 18], fn precision ->
            builder = Native.sketch_new(precision, nil)
            list_times(timed, users, &rest(Native.sketch_insert_some(builder, &1, 0)))
          end)
        end
      },
      %{
        name: "adds a list of pairs each of which makes registers",
        setup: fn -> nil end,
        operation: fn timed, nil -> for _ <- 1..10, do: registers_time(timed) end
      },
      %{
        name: "drops a table in a garbage collection",
        setup: fn -> nil end,
        # In a process that keeps nothing of it.
        operation: fn timed, nil ->
          for _ <- 1..10, do: Task.await(Task.async(fn -> drop_time(timed) end), :infinity)
        end
      }
    ] ++ for(secret <- [nil, "sixteen bytes..."], do: long_users(secret))
  end

  defp long_users(secret) do
    %{
      name: "adds a list of long users#{if secret, do: ", with a secret"}",
      setup: fn ->
        users = for number <- 1..1_024, do: "#{number}" <> :binary.copy(<<1>>, 60 * @kilobyte)
        {Reach.new(secret: secret), users, for(user <- users, do: {:key, user})}
      end,
      operation: fn timed, {reach, users, pairs} ->
        Enum.flat_map(1..5, fn _ ->
          {users_time, _added} = timed.(fn -> Native.reach_add_users(reach, :key, users) end)
          {pairs_time, _added} = timed.(fn -> Native.reach_add_many(reach, pairs) end)
          [users_time, pairs_time]
        end)
      end
    }
  end

  # Of few users and of many, and sets that become registers on the way.
  defp lists_of_sketches do
    for {precision, users} <- [{12, 1}, {12, 100_000}, {14, 1_500}, {14, 100_000}, {18, 4_000}] do
      for first <- 1..500//5 do
        from = first * 1_000
        Sketch.from_users(Enum.to_list(from..(from + users)), precision: precision)
      end
    end
  end

  defp longest_lists do
    reach = Reach.new()
    :many = Native.reach_add_users(reach, :key, Enum.to_list(1..1_025))
    :many = Native.reach_add_many(reach, pairs(1_025))
    {reach, Enum.chunk_every(pairs(@million), 1_024)}
  end

  defp longest_lists_times(timed, {reach, lists}) do
    Enum.flat_map(lists, fn pairs ->
      # What is left when the time is up comes back.
      {time, {_rest, 0}} = timed.(fn -> Native.reach_add_many(reach, pairs) end)
      users = for {key, _user} <- pairs, do: -key
      {users_time, {[], 0}} = timed.(fn -> Native.reach_add_users(reach, :key, users) end)
      [time, users_time]
    end)
  end

  defp registers_time(timed) do
    reach = Reach.new(precision: 16)
    # Of 6,144 a coupon each is kept.
    for key <- 1..300, do: :ok = Reach.add_many(reach, key, Enum.to_list(1..6_144))
    pairs = for key <- 1..300, do: {key, "one more"}
    {time, _added} = timed.(fn -> Native.reach_add_many(reach, pairs) end)
    true = Reach.info(reach).dense > 0
    time
  end

  # A table of just under 4 MiB, which is freed where it is dropped.
  defp drop_time(timed) do
    :filled = fill_and_forget()

    # The scheduler frees it when it turns to the next process.
    {time, _} =
      timed.(fn ->
        :erlang.garbage_collect()
        for _ <- 1..50, do: :erlang.yield()
      end)

    time
  end

  defp fill_and_forget do
    reach = Reach.new()
    for key <- 1..20_000, do: :ok = Reach.add_many(reach, key, Enum.to_list(key..(key + 11)))
    true = Reach.info(reach).memory_bytes < 4_096 * @kilobyte
    :filled
  end

  defp pairs(count), do: for(number <- 1..count, do: {number, number})
  defp pairs_in_elixir, do: @million = length(pairs(@million))

  defp large do
    reach = Reach.new(precision: 18)
    :ok = Reach.add_many(reach, :key, Enum.to_list(1..100_000))
    reach
  end

  defp mixed do
    reach = dense(12, @dense)
    Enum.each(1..@sparse, &Reach.add(reach, {&1, "creative"}, &1))
    %{sparse: @sparse, dense: @dense} = Reach.info(reach)
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
