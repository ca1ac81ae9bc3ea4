defmodule AdTally.Native.ResponsivenessTest do
  # Alone: what is timed here is how long others have to wait.
  use ExUnit.Case, async: false

  alias AdTally.{Counters, Native}
  alias AdTally.Test.Ticker

  @million 1_000_000
  @limit 1_000

  # Words enough for several lists of a million rows. A process that begins with
  # this much collects no garbage on the way: moving a million rows takes tens of
  # milliseconds, with the library or without it, and would hide what it does.
  @roomy [min_heap_size: 40_000_000]

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
        rows_times(timed, walk, [], [])
      end)
    end

    test "that looks at items of a long list" do
      counters = filled(1)

      assert_short_calls(&Native.thread_time/0, fn timed ->
        items = items(@million)

        Enum.flat_map(1..10, fn _ ->
          list_times(timed, counters, items, &Native.counters_check_some/2, [])
        end)
      end)
    end

    test "that adds items of a long list to known keys" do
      counters = filled(@million)

      assert_short_calls(&Native.thread_time/0, fn timed ->
        list_times(timed, counters, items(@million), &add_some/2, [])
      end)
    end

    test "that adds items of a long list to new keys" do
      counters = Counters.new(metrics: [:n])

      assert_short_calls(&Native.thread_time/0, fn timed ->
        list_times(timed, counters, items(@million), &add_some/2, [])
      end)
    end

    test "that adds a list of the most items that one call takes, to new keys" do
      most_items = most_items()

      assert_short_calls(&Native.thread_time/0, fn timed ->
        counters = Counters.new(metrics: [:n])

        for items <- Enum.chunk_every(items(@million), most_items) do
          # What is left when the time is up comes back.
          {times, added} = timed.(fn -> Native.counters_add_many(counters, items) end)
          assert added == :ok or match?({[_ | _], 0}, added)
          times
        end
      end)
    end
  end

  defp add_some(counters, items) do
    {rest, 0} = Native.counters_add_some(counters, items)
    rest
  end

  # The largest power of two that is not handed back as too many.
  defp most_items do
    items = items(10_000)
    take = &Enum.take(items, 2 ** &1)
    2 ** Enum.find(13..0, &(Native.counters_add_many(filled(1), take.(&1)) == :ok))
  end

  # In turn the work, and plain Elixir that builds as much for at least as long. What
  # holds a scheduler does so every time, so the median of the turns tells; a busy
  # machine makes gaps now and then, in both.
  defp assert_no_gap(prepare, work, plain_work) do
    ticker = Ticker.start_link()

    turns =
      for _ <- 1..3 do
        {gap, elapsed} =
          in_a_roomy_process(fn ->
            prepared = prepare.()
            gap_beside(ticker, fn -> work.(prepared) end)
          end)

        {gap, worst_gap_beside_plain(ticker, plain_work, elapsed, 0)}
      end

    {gaps, gaps_without} = Enum.unzip(turns)

    assert percentile(Enum.sort(gaps), 50) <= max(10_000, Enum.max(gaps_without)),
           "worst gaps in microseconds, with the library and without: #{inspect(turns)}"
  end

  defp worst_gap_beside_plain(_ticker, _plain_work, left, worst) when left <= 0, do: worst

  defp worst_gap_beside_plain(ticker, plain_work, left, worst) do
    {gap, elapsed} = in_a_roomy_process(fn -> gap_beside(ticker, plain_work) end)
    worst_gap_beside_plain(ticker, plain_work, left - elapsed, max(worst, gap))
  end

  defp gap_beside(ticker, run) do
    Ticker.worst_gap(ticker)
    {elapsed, _} = timed(run)
    {Ticker.worst_gap(ticker), elapsed}
  end

  # The time that its thread has worked in a call: the clock on the wall goes on while
  # the system has put the thread aside. That of a call during which the process moved
  # to another thread is not known.
  defp assert_short_calls(thread_time, run) do
    timed = fn function ->
      {thread, begin} = thread_time.()
      result = function.()
      {same_or_other, now} = thread_time.()
      {if(thread == same_or_other, do: div(now - begin, 1_000), else: :unknown), result}
    end

    times = in_a_roomy_process(fn -> run.(timed) end)
    known = times |> Enum.reject(&(&1 == :unknown)) |> Enum.sort()
    assert length(known) > div(length(times), 2)

    assert percentile(known, 99) <= @limit,
           "the longest of #{length(known)} calls, in microseconds: #{inspect(Enum.take(known, -20))}"
  end

  defp percentile(sorted, percent), do: Enum.at(sorted, div(length(sorted) * percent, 100))

  defp rows_times(timed, walk, rows, times) do
    case timed.(fn -> Native.counters_rows(walk, rows) end) do
      {time, {:more, rows}} -> rows_times(timed, walk, rows, [time | times])
      # It frees the table too, on a dirty scheduler.
      {_time, {:done, _rows}} -> times
    end
  end

  defp list_times(_timed, _counters, [], _step, times), do: times

  defp list_times(timed, counters, items, step, times) do
    {time, rest} = timed.(fn -> step.(counters, items) end)
    list_times(timed, counters, rest, step, [time | times])
  end

  defp timed(function) do
    begin = System.monotonic_time(:microsecond)
    result = function.()
    {System.monotonic_time(:microsecond) - begin, result}
  end

  defp in_a_roomy_process(function) do
    {pid, monitor} =
      :erlang.spawn_opt(fn -> exit({:result, function.()}) end, [:monitor | @roomy])

    assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 60_000
    assert {:result, result} = reason
    result
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
