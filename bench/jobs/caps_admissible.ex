defmodule AdTally.Bench.Jobs.CapsAdmissible do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{CapVisits, Group}

  @candidates 20
  @sizes %{
    full: [pairs: 10_000, visits: 200_000, repeats: 5, rounds: 9],
    quick: [pairs: 10_000, visits: 200_000, repeats: 1, rounds: 5],
    smoke: [pairs: 1_000, visits: 2_000, repeats: 1, rounds: 2]
  }

  @impl true
  def name, do: "caps_admissible"

  @impl true
  def about, do: "which of #{@candidates} candidates a user may see, beside one decision"

  @impl true
  def groups(size) do
    size = @sizes[size]
    visits = CapVisits.random(size[:pairs], size[:visits])
    one = "AdTally.FrequencyCap.admit"
    all = "AdTally.FrequencyCap.admissible, #{@candidates} scopes"

    [
      %Group{
        title: "Calls for #{size[:pairs]} pairs",
        unit: "call",
        rounds: size[:rounds],
        contenders: [
          CapVisits.admit(one, visits, repeats: size[:repeats]),
          CapVisits.admissible(all, visits, @candidates,
            repeats: size[:repeats],
            yardsticks: [one]
          )
        ]
      }
    ]
  end
end
