defmodule AdTally.Test.ParallelAdds do
  @moduledoc """
  Many processes add the same items over and over, by one and by list, while
  another one drains without a pause.
  """

  alias AdTally.Counters

  @metrics [:n, :m, :spend]

  @doc """
  Adds each of `:items` items `:passes` times in each of `:writers` processes. Half
  of the items are for four hot keys, the others for `:keys` keys; the table has
  room for `:max_keys`.

  Returns what has been drained and what has been added, by key and by metric (the
  latter with the overflow), and how many drains had rows while adds went on.
  """
  def run(options) do
    counters = Counters.new(metrics: @metrics, max_keys: options[:max_keys])
    items = items(options[:items], options[:keys])
    lists = Enum.chunk_every(items, 100)

    writers =
      for writer <- 1..options[:writers] do
        Task.async(fn ->
          for pass <- 1..options[:passes], do: pass(counters, items, lists, writer + pass)
          :added
        end)
      end

    drainer = Task.async(fn -> drain_until_told(counters, %{}, zero(), 0) end)
    Task.await_many(writers, :infinity)
    send(drainer.pid, :adds_are_done)
    {drained, overflow, drains} = Task.await(drainer, :infinity)

    added = expected(items, options[:writers] * options[:passes])

    %{
      drained: drained,
      drained_by_metric: drained |> by_metric() |> sum(overflow),
      lifetime_overflow: Counters.info(counters).overflow,
      overflow: overflow,
      added: added,
      added_by_metric: by_metric(added),
      drains: drains
    }
  end

  defp items(count, keys) do
    for number <- 1..count do
      metric = Enum.at(@metrics, rem(number, 3))
      {key(number, keys), metric, rem(number, 7) - 2}
    end
  end

  defp key(number, _keys) when rem(number, 2) == 0, do: {:hot, rem(div(number, 2), 4)}
  defp key(number, keys), do: {rem(number * 7_919, keys), "creative"}

  defp pass(counters, items, _lists, pass) when rem(pass, 2) == 0,
    do: for({key, metric, amount} <- items, do: Counters.add(counters, key, metric, amount))

  defp pass(counters, _items, lists, _pass),
    do: for(list <- lists, do: Counters.add_many(counters, list))

  defp drain_until_told(counters, rows, overflow, drains) do
    receive do
      :adds_are_done ->
        {rows, overflow, _drained} = drain(counters, rows, overflow)
        {rows, overflow, drains}
    after
      0 ->
        {rows, overflow, drained} = drain(counters, rows, overflow)
        drain_until_told(counters, rows, overflow, drains + min(drained, 1))
    end
  end

  defp drain(counters, rows, overflow) do
    {drained, more_overflow} = Counters.drain_with_overflow(counters)

    rows =
      Enum.reduce(drained, rows, fn {key, totals}, rows ->
        Map.update(rows, key, totals, &sum(&1, totals))
      end)

    {rows, sum(overflow, more_overflow), length(drained)}
  end

  defp expected(items, times) do
    Enum.reduce(items, %{}, fn {key, metric, amount}, rows ->
      totals = Map.put(zero(), metric, amount * times)
      Map.update(rows, key, totals, &sum(&1, totals))
    end)
  end

  defp by_metric(rows), do: rows |> Map.values() |> Enum.reduce(zero(), &sum/2)

  defp sum(totals, others), do: Map.merge(totals, others, fn _metric, a, b -> a + b end)

  defp zero, do: Map.new(@metrics, &{&1, 0})
end
