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
        fn -> @million = length(rows_in_elixir(@million, [])) end
      )
    end

    test "beside the list of a million rows" do
      assert_no_gap(
        fn -> filled(@million) end,
        fn counters -> @million = counters |> Counters.to_list() |> length() end,
        fn -> @million = length(rows_in_elixir(@million, [])) end
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
    # On a dirty scheduler, which nobody else waits for; getting there and back is
    # timed as well, hence not as strict as the others.
    test "that shows rows" do
      assert_short_calls(90, fn ->
        {walk, _overflow} = Native.counters_drain(filled(@million))
        rows_times(walk, [], [])
      end)
    end

    test "that looks at items of a long list" do
      counters = filled(1)

      assert_short_calls(99, fn ->
        items = items(@million)

        Enum.flat_map(1..10, fn _ ->
          list_times(counters, items, &Native.counters_check_some/2, [])
        end)
      end)
    end

    test "that adds items of a long list to known keys" do
      counters = filled(@million)
      assert_short_calls(99, fn -> list_times(counters, items(@million), &add_some/2, []) end)
    end

    test "that adds items of a long list to new keys" do
      counters = Counters.new(metrics: [:n])
      assert_short_calls(99, fn -> list_times(counters, items(@million), &add_some/2, []) end)
    end

    test "that adds a list of the most items that one call takes, to new keys" do
      assert_short_calls(99, fn ->
        counters = Counters.new(metrics: [:n])

        for items <- Enum.chunk_every(items(@million), most_items()) do
          # What is left when the time is up comes back.
          {time, added} = timed(fn -> Native.counters_add_many(counters, items) end)
          assert added == :ok or match?({[_ | _], 0}, added)
          time
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

  # The longest of the calls include some that the system put aside in the middle, and
  # so do stretches of plain Elixir as long as a call, which are timed afterwards.
  defp assert_short_calls(percent, times) do
    calls = Enum.sort(in_a_roomy_process(times))
    median = percentile(calls, 50)
    plain = Enum.sort(in_a_roomy_process(fn -> plain_times(length(calls), median) end))

    assert median <= @limit

    assert percentile(calls, percent) <= max(@limit, percentile(plain, percent)),
           "the longest of #{length(calls)} calls, in microseconds: " <>
             "#{inspect(Enum.take(calls, -20))}, of plain Elixir #{inspect(Enum.take(plain, -20))}"
  end

  defp percentile(sorted, percent), do: Enum.at(sorted, div(length(sorted) * percent, 100))

  defp plain_times(count, microseconds) do
    {time, _} = timed(fn -> spin(100_000) end)
    steps = div(100_000 * microseconds, max(time, 1))
    for _ <- 1..count, do: fn -> spin(steps) end |> timed() |> elem(0)
  end

  defp spin(0), do: :done
  defp spin(steps), do: spin(steps - 1)

  defp rows_times(walk, rows, times) do
    case timed(fn -> Native.counters_rows(walk, rows) end) do
      {time, {:more, rows}} -> rows_times(walk, rows, [time | times])
      # It frees the table too, on a dirty scheduler.
      {_time, {:done, _rows}} -> times
    end
  end

  defp list_times(_counters, [], _step, times), do: times

  defp list_times(counters, items, step, times) do
    {time, rest} = timed(fn -> step.(counters, items) end)
    list_times(counters, rest, step, [time | times])
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

  defp rows_in_elixir(0, rows), do: rows
  defp rows_in_elixir(key, rows), do: rows_in_elixir(key - 1, [{key, %{n: key}} | rows])
end
