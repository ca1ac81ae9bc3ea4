defmodule AdTally.Bench.Jobs.Add do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Adds, Group, Keys}

  @sizes %{
    full: [keys: 10_000, repeats: 100, rounds: 15],
    quick: [keys: 10_000, repeats: 30, rounds: 5],
    smoke: [keys: 100, repeats: 2, rounds: 2]
  }
  @ets ":ets.update_counter"
  @ets_write_concurrency ":ets.update_counter, write_concurrency"

  @impl true
  def name, do: "add"

  @impl true
  def about, do: "adds to 10,000 tuple keys from one process"

  @impl true
  def groups(size) do
    size = @sizes[size]
    keys = Keys.distinct(size[:keys])
    options = [repeats: size[:repeats]]
    compared = [yardsticks: [@ets, @ets_write_concurrency]] ++ options

    [
      %Group{
        title: "Adds to #{size[:keys]} tuple keys, one process",
        unit: "add",
        rounds: size[:rounds],
        contenders: [
          Adds.ad_tally("AdTally.Counters.add", keys, compared),
          Adds.ets(@ets, keys, options),
          Adds.ets_write_concurrency(@ets_write_concurrency, keys, options)
        ]
      }
    ]
  end
end
