defmodule AdTally.Test.TableChurn do
  @moduledoc """
  Tables and walks that are made and dropped, for `AdTally.Test.FreshVM`: by how many
  bytes the operating system process grew meanwhile. Tables are those of
  `AdTally.Counters` or of `AdTally.Reach`; meters are stopped.
  """

  alias AdTally.{Counters, Event, Meter, Native, Reach}
  alias AdTally.Test.ResidentMemory

  # A process's references are dropped when it ends; so many tables live at once.
  @tables_a_process 100

  @doc "Makes `count` tables of a few keys and drops them."
  def dropped_tables(module, count),
    do: growth(count, @tables_a_process, fn -> some_tables(module) end)

  @doc "Makes `count` tables as `dropped_tables/2` does, and keeps them."
  def kept_tables(module, count) do
    before = ResidentMemory.bytes()
    tables = for _ <- 1..div(count, @tables_a_process), do: some_tables(module)
    grown = ResidentMemory.bytes() - before
    # Used after the look, so alive until then.
    ^count = tables |> Enum.concat() |> length()
    grown
  end

  @doc """
  Starts `count` meters, each of its own name and with room for two million ids, records 20,000 events
  in each, and stops it.
  """
  def stopped_meters(count) do
    growth(count, 1, fn ->
      name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"
      options = [name: name, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      ids = [dedupe: [window: 600_000, capacity: 2_000_000]]
      {:ok, meter} = Meter.start_link(ids ++ options)

      for id <- 1..20_000,
          do: :ok = Meter.record(name, %Event{id: id, at: 1, dimensions: {id}})

      GenServer.stop(meter)
    end)
  end

  @doc "Begins a drain of `keys` keys `count` times and drops it and the table in the middle."
  def dropped_drains(module, count, keys) do
    growth(count, 1, fn -> {:more, [_ | _]} = first_rows(module, filled(module, keys)) end)
  end

  @doc "Drains a table of `keys` keys `count` times to the end."
  def whole_drains(module, count, keys) do
    growth(count, 1, fn -> ^keys = module |> filled(keys) |> module.drain() |> length() end)
  end

  defp growth(count, at_once, make) do
    threads = ResidentMemory.threads()
    # The first ones grow the VM's heaps and the allocators' arenas.
    run(div(count, 4), at_once, make, threads)
    before = ResidentMemory.bytes()
    run(count, at_once, make, threads)
    ResidentMemory.bytes() - before
  end

  # What is large is freed by a thread of its own. On a busy machine a dozen of those may wait for a core, and what they
  # have still to free would be taken for what stays.
  defp run(count, at_once, make, threads) do
    for _ <- 1..div(count, at_once) do
      ResidentMemory.in_passing(fn ->
        make.()
        :made
      end)

      ResidentMemory.await_threads(threads)
    end
  end

  defp some_tables(module), do: for(number <- 1..@tables_a_process, do: table(module, number))

  defp table(Counters, number) do
    counters = Counters.new(metrics: [:n, :m], max_keys: 1_000)
    for key <- 1..rem(number, 20)//1, do: Counters.add(counters, {key, "creative"}, :n)
    if rem(number, 3) == 0, do: Counters.drain(counters)
    if rem(number, 5) == 0, do: Native.counters_walk(counters)
    counters
  end

  # Keys with lists, with a set and with registers, and an overflow.
  defp table(Reach, number) do
    reach = Reach.new(max_keys: 30, precision: 10)
    for key <- 1..rem(number, 20)//1, do: Reach.add(reach, {key, "creative"}, number)
    for key <- 1..3, do: Reach.add_many(reach, key, Enum.to_list(1..50))
    Reach.add_many(reach, :dense, Enum.to_list(1..200))
    if rem(number, 3) == 0, do: Reach.drain(reach)
    if rem(number, 5) == 0, do: Native.reach_walk(reach)
    if rem(number, 7) == 0, do: for(key <- 1..40, do: Reach.add(reach, key, number))

    if rem(number, 11) == 0,
      do: Native.reach_unite_some(Native.reach_unite(reach), [1, :dense], 0)

    reach
  end

  defp filled(Counters, keys) do
    counters = Counters.new(metrics: [:n])
    for key <- 1..keys, do: Counters.add(counters, key, :n)
    counters
  end

  # One key in ten has registers, one has a set.
  defp filled(Reach, keys) do
    reach = Reach.new(precision: 10)
    users = Enum.to_list(1..200)
    sizes = {200, 20, 1, 1, 1, 1, 1, 1, 1, 1}

    for key <- 1..keys,
        do: Reach.add_many(reach, key, Enum.take(users, elem(sizes, rem(key, 10))))

    reach
  end

  defp first_rows(Counters, counters) do
    {walk, _overflow} = Native.counters_drain(counters)
    Native.walk_rows(walk, [])
  end

  defp first_rows(Reach, reach) do
    {walk, _overflow} = Native.reach_drain(reach)
    Native.walk_rows(walk, [])
  end
end
