defmodule AdTally.Bench.Jobs.CapsAdmit do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{CapVisits, Group}

  @ets ":ets.update_counter"
  @sizes %{
    full: [pairs: [10_000, 10_000_000], visits: 500_000, rounds: 9],
    quick: [pairs: [10_000, 1_000_000], visits: 200_000, rounds: 5],
    smoke: [pairs: [1_000], visits: 2_000, rounds: 2]
  }

  @impl true
  def name, do: "caps_admit"

  @impl true
  def about, do: "a frequency cap of two rules, few and many pairs"

  @impl true
  def groups(size) do
    size = @sizes[size]
    for pairs <- size[:pairs], do: group(CapVisits.random(pairs, size[:visits]), size[:rounds])
  end

  defp group(visits, rounds) do
    one = "AdTally.FrequencyCap.admit, 1 process"
    two = "AdTally.FrequencyCap.admit, 2 processes"
    twin = "times in a list in ETS"

    %Group{
      title: "Decisions for #{visits.pairs} pairs, two rules",
      unit: "decision",
      rounds: rounds,
      contenders: [
        CapVisits.admit(one, visits, yardsticks: [@ets, twin]),
        CapVisits.admit(two, visits, processes: 2, scaling_of: one),
        CapVisits.ets(@ets, visits, []),
        CapVisits.list_of_times(twin, visits, yardsticks: [@ets])
      ]
    }
  end
end
