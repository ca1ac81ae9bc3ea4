defmodule AdTally.Bench.Jobs.ReachAddMany do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Group, ReachAdds, Visits}

  @list_length 100
  @sizes %{
    full: [keys: 1_000, visits: 100, repeats: 10, rounds: 15],
    quick: [keys: 1_000, visits: 100, repeats: 3, rounds: 5],
    smoke: [keys: 3, visits: 100, repeats: 1, rounds: 2]
  }
  @ets ":ets.update_counter, one by one"
  @ets_write_concurrency ":ets.update_counter, one by one, write_concurrency"

  @impl true
  def name, do: "reach_add_many"

  @impl true
  def about, do: "users of 1,000 keys that have registers, by lists of 100"

  @impl true
  def groups(size) do
    size = @sizes[size]
    visits = Visits.distinct(size[:keys], size[:visits])
    options = [repeats: size[:repeats]]
    compared = [yardsticks: [@ets, @ets_write_concurrency]] ++ options
    users = "AdTally.Reach.add_many/3, a key and #{@list_length} users"
    pairs = "AdTally.Reach.add_many/2, #{@list_length} pairs"

    [
      %Group{
        title: "Users of #{size[:keys]} tuple keys by lists, one process, figures a user",
        unit: "user",
        rounds: size[:rounds],
        contenders: [
          ReachAdds.ad_tally_users(users, visits, @list_length, compared),
          ReachAdds.ad_tally_pairs(pairs, visits, @list_length, compared),
          ReachAdds.ets(@ets, visits, options),
          ReachAdds.ets_write_concurrency(@ets_write_concurrency, visits, options)
        ]
      }
    ]
  end
end
