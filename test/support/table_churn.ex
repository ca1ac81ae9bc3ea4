defmodule AdTally.Test.TableChurn do
  @moduledoc """
  Tables and walks that are made and dropped, for `AdTally.Test.FreshVM`: by how many
  bytes the operating system process grew meanwhile.
  """

  alias AdTally.{Counters, Native}
  alias AdTally.Test.ResidentMemory

  # A process's references are dropped when it ends; so many tables live at once.
  @tables_a_process 100

  @doc "Makes `count` tables of a few keys and drops them."
  def dropped_tables(count), do: growth(count, @tables_a_process, fn -> some_tables() end)

  @doc "Makes `count` tables as `dropped_tables/1` does, and keeps them."
  def kept_tables(count) do
    before = ResidentMemory.bytes()
    tables = for _ <- 1..div(count, @tables_a_process), do: some_tables()
    grown = ResidentMemory.bytes() - before
    # Used after the look, so alive until then.
    ^count = tables |> Enum.concat() |> length()
    grown
  end

  @doc "Begins a drain of `keys` keys `count` times and drops it and the table in the middle."
  def dropped_drains(count, keys) do
    growth(count, 1, fn ->
      {walk, _overflow} = Native.counters_drain(filled(keys))
      {:more, [_ | _]} = Native.counters_rows(walk, [])
    end)
  end

  @doc "Drains a table of `keys` keys `count` times to the end."
  def whole_drains(count, keys) do
    growth(count, 1, fn -> ^keys = keys |> filled() |> Counters.drain() |> length() end)
  end

  defp growth(count, at_once, make) do
    # The first ones grow the VM's heaps and the allocators' arenas.
    run(div(count, 4), at_once, make)
    before = ResidentMemory.bytes()
    run(count, at_once, make)
    ResidentMemory.bytes() - before
  end

  defp run(count, at_once, make) do
    for _ <- 1..div(count, at_once) do
      ResidentMemory.in_passing(fn ->
        make.()
        :made
      end)
    end
  end

  defp some_tables do
    for number <- 1..@tables_a_process do
      counters = Counters.new(metrics: [:n, :m], max_keys: 1_000)
      for key <- 1..rem(number, 20)//1, do: Counters.add(counters, {key, "creative"}, :n)
      if rem(number, 3) == 0, do: Counters.drain(counters)
      if rem(number, 5) == 0, do: Native.counters_walk(counters)
      counters
    end
  end

  defp filled(keys) do
    counters = Counters.new(metrics: [:n])
    for key <- 1..keys, do: Counters.add(counters, key, :n)
    counters
  end
end
