defmodule AdTally.Native.ResponsivenessTest do
  # Alone: what is timed here is how long others have to wait.
  use ExUnit.Case, async: false

  @moduletag :slow

  import AdTally.Test.Responsiveness

  alias AdTally.{Counters, Native}

  @million 1_000_000

  describe "a process that ticks every millisecond sees no gap over 10 ms" do
    test "beside the drain of a million rows" do
      assert_no_gap(
        fn -> filled(@million) end,
        fn counters -> @million = counters |> Counters.drain() |> length() end,
        &rows_in_elixir/0
      )
    end

    test "beside the list of a million rows" do
      assert_no_gap(
        fn -> filled(@million) end,
        fn counters -> @million = counters |> Counters.to_list() |> length() end,
        &rows_in_elixir/0
      )
    end

    test "beside a list of a million items for new keys" do
      assert_no_gap(
        fn -> {Counters.new(metrics: [:n]), items(@million)} end,
        fn {counters, items} -> :ok = Counters.add_many(counters, items) end,
        fn -> @million = length(items(@million)) end
      )
    end

    test "beside a list of a million items for known keys" do
      assert_no_gap(
        fn -> {filled(1_000), for({_, n, amount} <- items(@million), do: {1, n, amount})} end,
        fn {counters, items} -> :ok = Counters.add_many(counters, items) end,
        fn -> @million = length(items(@million)) end
      )
    end
  end

  describe "a native call takes less than a millisecond" do
    test "that shows rows" do
      assert_short_calls(&Native.dirty_thread_time/0, fn timed ->
        {walk, _overflow} = Native.counters_drain(filled(@million))
        rows_times(timed, &Native.counters_rows(walk, &1))
      end)
    end

    test "that looks at items of a long list" do
      counters = filled(1)

      assert_short_calls(&Native.thread_time/0, fn timed ->
        items = items(@million)

        Enum.flat_map(1..10, fn _ ->
          list_times(timed, items, &rest(Native.counters_check_some(counters, &1, 0)))
        end)
      end)
    end

    test "that adds items of a long list to known keys" do
      counters = filled(@million)

      assert_short_calls(&Native.thread_time/0, fn timed ->
        list_times(timed, items(@million), &add_some(counters, &1))
      end)
    end

    test "that adds items of a long list to new keys" do
      counters = Counters.new(metrics: [:n])

      assert_short_calls(&Native.thread_time/0, fn timed ->
        list_times(timed, items(@million), &add_some(counters, &1))
      end)
    end

    test "that adds a list of the most items that one call takes, to new keys" do
      most_items = most_items()

      assert_short_calls(&Native.thread_time/0, fn timed ->
        counters = Counters.new(metrics: [:n])

        for items <- Enum.chunk_every(items(@million), most_items) do
          # What is left when the time is up comes back.
          {times, added} = timed.(fn -> Native.counters_add_many(counters, items) end)
          assert {_rest, 0} = added
          times
        end
      end)
    end
  end

  defp rest({rest, _next}), do: rest

  defp add_some(counters, items) do
    {rest, 0} = Native.counters_add_some(counters, items)
    rest
  end

  # The largest power of two that is not handed back as too many.
  defp most_items do
    items = items(10_000)
    take = &Enum.take(items, 2 ** &1)
    2 ** Enum.find(13..0//-1, &(Native.counters_add_many(filled(1), take.(&1)) == {[], 0}))
  end

  defp filled(keys) do
    counters = Counters.new(metrics: [:n])
    Enum.each(1..keys, &Counters.add(counters, &1, :n))
    counters
  end

  defp items(count), do: for(key <- 1..count, do: {key, :n, 1})

  # On a dirty scheduler and on the process' own in turn, as rows are shown.
  defp rows_in_elixir do
    rows =
      Enum.reduce(1..@million, [], fn key, rows ->
        if rem(key, 1_000) == 0, do: Native.busy_dirty_scheduler(250)
        [{key, %{n: key}} | rows]
      end)

    @million = length(rows)
  end
end
