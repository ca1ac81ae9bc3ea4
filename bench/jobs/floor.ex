defmodule AdTally.Bench.Jobs.Floor do
  @moduledoc false
  # What a call costs before any work of ours: no per-event function can be
  # faster than the first line.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Adds, Contender, Group, Keys}
  alias AdTally.Native

  @sizes %{
    full: [keys: 10_000, repeats: 100, rounds: 15],
    quick: [keys: 10_000, repeats: 30, rounds: 5],
    smoke: [keys: 100, repeats: 2, rounds: 2]
  }
  @ets ":ets.update_counter"

  @impl true
  def name, do: "floor"

  @impl true
  def about, do: "an empty NIF, :counters.add and :ets.update_counter"

  @impl true
  def groups(size) do
    size = @sizes[size]
    keys = Keys.distinct(size[:keys])

    [
      %Group{
        title: "The floor, one process (ETS: #{size[:keys]} tuple keys)",
        unit: "call",
        rounds: size[:rounds],
        contenders: [
          empty_nif(keys, size),
          counters_add(keys, size),
          Adds.ets(@ets, keys, repeats: size[:repeats])
        ]
      }
    ]
  end

  defp empty_nif(keys, size) do
    Contender.new("an empty NIF", keys.visited, fn _key -> Native.floor() end,
      repeats: size[:repeats],
      summary: &Function.identity/1,
      expected_summary: :ok,
      yardsticks: [@ets]
    )
  end

  defp counters_add(keys, size) do
    counters = :counters.new(1, [])
    add = fn _key -> :counters.add(counters, 1, 1) end
    adds = size[:keys] * size[:repeats]

    Contender.new(":counters.add", keys.visited, add,
      repeats: size[:repeats],
      check: fn passes -> {passes * adds, :counters.get(counters, 1)} end,
      yardsticks: [@ets]
    )
  end
end
