defmodule AdTally.Bench.Jobs.Pacer do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Budgets, Denials, Group, Keys, Redis, RedisBudgets}

  @ets ":ets.update_counter"
  @ets_job "the job in ETS"
  @redis "the job in Redis, by 100"
  # Few visits and many repeats, as of any hot key.
  @hot_visits 100
  # Times each campaign is visited in a pass: few reservations, which caches hold, and many.
  @sizes %{
    full: [campaigns: 10_000, few: 2, many: 100, hot: 500, rounds: 9],
    quick: [campaigns: 10_000, few: 2, many: 10, hot: 100, rounds: 5],
    smoke: [campaigns: 100, few: 2, many: 3, hot: 2, rounds: 2]
  }

  @impl true
  def name, do: "pacer"

  @impl true
  def about, do: "budgets: reservations that are confirmed, denials, and one hot campaign"

  @impl true
  def groups(size) do
    size = @sizes[size]
    keys = Keys.distinct(size[:campaigns])
    budgets = Budgets.of(keys)
    # In another order: inputs of a group are forgotten with it.
    reversed = %{budgets | visited: Enum.reverse(budgets.visited)}
    [few(budgets, size), many(reversed, size), denials(keys, size), hot(size)]
  end

  defp few(budgets, size) do
    one = "AdTally.Pacer.reserve and confirm, 1 process"
    two = "AdTally.Pacer.reserve and confirm, 2 processes"
    admit = "AdTally.Admission.admit and confirm"
    repeats = [repeats: size[:few]]

    %Group{
      title:
        "Reservations of #{size[:campaigns]} campaigns, each confirmed, up to #{size[:few] * size[:campaigns]} known" <>
          if(Redis.available?(), do: "", else: " (Redis is left out: there is no redis-server)"),
      unit: "reservation",
      rounds: size[:rounds],
      contenders:
        [
          Budgets.reserve_and_confirm(one, budgets, [yardsticks: rivals()] ++ repeats),
          Budgets.reserve_and_confirm(two, budgets, [processes: 2, scaling_of: one] ++ repeats),
          Budgets.admit_and_confirm(admit, budgets, [yardsticks: [one, @ets]] ++ repeats),
          Budgets.ets(@ets, budgets, repeats),
          Budgets.ets_job(@ets_job, budgets, repeats)
        ] ++ redis(budgets)
    }
  end

  defp many(budgets, size) do
    one = "AdTally.Pacer.reserve and confirm"
    repeats = [repeats: size[:many]]

    %Group{
      title:
        "Reservations of #{size[:campaigns]} campaigns, each confirmed, up to #{size[:many] * size[:campaigns]} known",
      unit: "reservation",
      rounds: size[:rounds],
      contenders: [
        Budgets.reserve_and_confirm(one, budgets, [yardsticks: [@ets]] ++ repeats),
        Budgets.ets(@ets, budgets, repeats)
      ]
    }
  end

  defp rivals,
    do: if(Redis.available?(), do: [@ets, @ets_job, @redis], else: [@ets, @ets_job])

  defp redis(budgets) do
    if Redis.available?(),
      do: [RedisBudgets.reserve_and_confirm(@redis, budgets, [])],
      else: []
  end

  defp denials(keys, size) do
    paced = "AdTally.Pacer.reserve that is :paced"
    no_budget = "AdTally.Pacer.reserve that is :no_budget"
    open = "AdTally.Pacer.open of #{Denials.candidates()} campaigns"
    repeats = [repeats: size[:few]]

    %Group{
      title: "Denials of #{size[:campaigns]} campaigns",
      unit: "call",
      rounds: size[:rounds],
      contenders: [
        Denials.paced(paced, keys, [yardsticks: [@ets]] ++ repeats),
        Denials.no_budget(no_budget, keys, [yardsticks: [@ets]] ++ repeats),
        Denials.open(open, keys, [yardsticks: [paced, no_budget]] ++ repeats),
        Denials.ets(@ets, keys, repeats)
      ]
    }
  end

  defp hot(size) do
    one = "AdTally.Pacer.reserve and confirm, 1 process"
    two = "AdTally.Pacer.reserve and confirm, 2 processes"
    ets = @ets <> ", 1 process"
    ets_two = @ets <> ", 2 processes"
    budgets = Budgets.of(Keys.hot(@hot_visits))
    repeats = [repeats: size[:hot]]
    scaled = &([processes: 2, scaling_of: &1] ++ repeats)

    %Group{
      title: "Reservations of one hot campaign, each confirmed",
      unit: "reservation",
      rounds: size[:rounds],
      contenders: [
        Budgets.reserve_and_confirm(one, budgets, [yardsticks: [ets]] ++ repeats),
        Budgets.reserve_and_confirm(two, budgets, [yardsticks: [ets_two]] ++ scaled.(one)),
        Budgets.ets(ets, budgets, repeats),
        Budgets.ets(ets_two, budgets, scaled.(ets))
      ]
    }
  end
end
