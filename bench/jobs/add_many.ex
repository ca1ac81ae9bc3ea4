defmodule AdTally.Bench.Jobs.AddMany do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Adds, Group, Keys}

  @sizes %{
    full: [keys: 10_000, repeats: 100, rounds: 15],
    quick: [keys: 10_000, repeats: 30, rounds: 5],
    smoke: [keys: 1_000, repeats: 1, rounds: 2]
  }
  @list_lengths [10, 100, 1_000]
  @ets ":ets.update_counter, one by one"
  @ets_write_concurrency ":ets.update_counter, one by one, write_concurrency"

  @impl true
  def name, do: "add_many"

  @impl true
  def about, do: "adds to 10,000 tuple keys by lists of 10, 100 and 1,000"

  @impl true
  def groups(size) do
    size = @sizes[size]
    keys = Keys.distinct(size[:keys])
    options = [repeats: size[:repeats]]
    compared = [yardsticks: [@ets, @ets_write_concurrency]] ++ options

    many =
      for length <- @list_lengths do
        Adds.ad_tally_many("AdTally.Counters.add_many by #{length}", keys, length, compared)
      end

    [
      %Group{
        title: "Adds to #{size[:keys]} tuple keys by lists, one process, figures an item",
        unit: "item",
        rounds: size[:rounds],
        contenders:
          many ++
            [
              Adds.ets(@ets, keys, options),
              Adds.ets_write_concurrency(@ets_write_concurrency, keys, options)
            ]
      }
    ]
  end
end
