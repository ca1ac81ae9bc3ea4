defmodule AdTally.Test.Responsiveness.Counters do
  @moduledoc "What of `AdTally.Counters` others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  import AdTally.Test.Responsiveness

  alias AdTally.{Counters, Native}

  @million 1_000_000
  @thousand_items for number <- 1..1_000, do: {rem(number, 10), :n, 1}

  @impl true
  def beside do
    [
      %{
        name: "the drain of a million rows of counters",
        setup: fn -> filled(@million) end,
        operation: fn counters -> @million = counters |> Counters.drain() |> length() end,
        plain: &rows_in_elixir/0
      },
      %{
        name: "the list of a million rows of counters",
        setup: fn -> filled(@million) end,
        operation: fn counters -> @million = counters |> Counters.to_list() |> length() end,
        plain: &rows_in_elixir/0
      },
      %{
        name: "a list of a million items for new keys",
        setup: fn -> {empty(), items(@million)} end,
        operation: fn {counters, items} -> :ok = Counters.add_many(counters, items) end,
        plain: fn -> @million = length(items(@million)) end
      },
      %{
        name: "a list of a million items for known keys",
        setup: fn -> {filled(1_000), for({_, n, one} <- items(@million), do: {1, n, one})} end,
        operation: fn {counters, items} -> :ok = Counters.add_many(counters, items) end,
        plain: fn -> @million = length(items(@million)) end
      },
      on_all_schedulers("lists of a thousand items", &empty/0, 3_000, fn counters ->
        Counters.add_many(counters, @thousand_items)
      end)
    ]
  end

  @impl true
  def calls do
    [
      %{
        name: "shows rows of counters",
        clock: &Native.dirty_thread_time/0,
        setup: fn -> Native.counters_drain(filled(@million)) end,
        operation: fn timed, {walk, _overflow} ->
          rows_times(timed, &Native.walk_rows(walk, &1))
        end
      },
      %{
        name: "checks items of a long list",
        setup: fn -> {filled(1), items(@million)} end,
        operation: fn timed, {counters, items} ->
          Enum.flat_map(1..10, fn _ ->
            list_times(timed, items, &rest(Native.counters_check_some(counters, &1, 0)))
          end)
        end
      },
      %{
        name: "adds items of a long list to known keys",
        setup: fn -> filled(@million) end,
        operation: fn timed, counters ->
          list_times(timed, items(@million), &add_some(counters, &1))
        end
      },
      %{
        name: "adds items of a long list to new keys",
        setup: &empty/0,
        operation: fn timed, counters ->
          list_times(timed, items(@million), &add_some(counters, &1))
        end
      },
      %{
        name: "adds a list of the most items that one call takes, to new keys",
        setup: fn -> {empty(), Enum.chunk_every(items(@million), most_items())} end,
        operation: fn timed, {counters, lists} ->
          for items <- lists do
            # What is left when the time is up comes back.
            {time, {_rest, 0}} = timed.(fn -> Native.counters_add_many(counters, items) end)
            time
          end
        end
      }
    ]
  end

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

  defp empty, do: Counters.new(metrics: [:n])

  defp filled(keys) do
    counters = empty()
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
