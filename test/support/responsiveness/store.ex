defmodule AdTally.Test.Responsiveness.Store do
  @moduledoc "What of `AdTally.Store` others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  alias AdTally.Native
  alias AdTally.Test.NativeStores

  @rows 300_000

  @impl true
  def beside do
    [
      %{
        name: "the load of a store's rows",
        setup: fn ->
          {directory, store} = new()
          fill(counters(store), 1..@rows)
          :ok = Native.store_stop(store)
          directory
        end,
        operation: fn directory ->
          {:opened, store} = Native.store_open(directory, [])
          counters = counters(store)
          @rows = Native.counters_info(counters).keys
          delete({directory, store})
        end,
        plain: fn -> Enum.reduce(1..(5 * @rows), 0, &(&1 + &2)) end
      },
      %{
        name: "commits of a store that is written to",
        setup: fn -> new(interval: 5) end,
        operation: fn {_directory, store} = new ->
          counters = counters(store)
          # As many keys as are there already, so that nothing grows.
          for round <- 1..10, do: fill(counters, 1..div(@rows, 10), round)
          delete(new)
        end,
        plain: fn -> Enum.reduce(1..(5 * @rows), 0, &(&1 + &2)) end
      }
    ]
  end

  @impl true
  def calls do
    [
      %{
        name: "asks a store for a sync, and waits no more",
        setup: &recording/0,
        operation: fn timed, {_directory, store, counters} = made ->
          times =
            for number <- 1..1_000 do
              :ok = Native.counters_add(counters, number, :impressions)
              {time, waiting} = timed.(fn -> Native.store_sync(store, number) end)
              {cancelled, _was} = timed.(fn -> Native.store_sync_cancel(waiting) end)
              [time, cancelled]
            end

          delete(made)
          List.flatten(times)
        end
      },
      %{
        name: "asks a store for its figures and its parts",
        setup: fn ->
          {directory, store} = new()
          for number <- 1..100, do: NativeStores.counters(store, "counters #{number}")
          {directory, store}
        end,
        operation: fn timed, {_directory, store} = made ->
          times =
            for _ <- 1..200 do
              {info, _info} = timed.(fn -> Native.store_info(store) end)
              {parts, _parts} = timed.(fn -> Native.store_parts(store) end)
              {part, _part} = timed.(fn -> Native.store_part(store, "counters 9", "counters") end)
              [info, parts, part]
            end

          delete(made)
          List.flatten(times)
        end
      },
      %{
        name: "counts while a store commits",
        setup: &recording/0,
        operation: fn timed, {_directory, store, counters} = made ->
          times =
            for number <- 1..20_000 do
              if rem(number, 100) == 0, do: Native.store_sync(store, number)
              {time, :ok} = timed.(fn -> Native.counters_add(counters, number, :impressions) end)
              time
            end

          delete(made)
          times
        end
      }
    ]
  end

  defp recording do
    {directory, store} = new(interval: 5)
    {directory, store, counters(store)}
  end

  defp new(options \\ []) do
    number = System.unique_integer([:positive])
    directory = Path.join(System.tmp_dir!(), "ad_tally_store_#{System.pid()}_#{number}")
    {:opened, store} = Native.store_open(directory, options)
    {directory, store}
  end

  defp counters(store), do: NativeStores.counters(store, "counters", @rows)

  defp delete({directory, store, _counters}), do: delete({directory, store})

  defp delete({directory, store}) do
    :ok = Native.store_stop(store)
    File.rm_rf!(directory)
  end

  defp fill(counters, keys, amount \\ 1) do
    for keys <- Enum.chunk_every(keys, 1_000) do
      items = for key <- keys, do: {key, :impressions, amount}
      :ok = AdTally.Counters.add_many(counters, items)
    end
  end
end
