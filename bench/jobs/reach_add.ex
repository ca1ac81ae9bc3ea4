defmodule AdTally.Bench.Jobs.ReachAdd do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{ReachAdds, Scaling, Visits}

  # How many users visit a key decides where its registers lie: with 20 a quarter of
  # their cache lines are looked at, with 100 four in five, which no near cache holds. How
  # many it has seen decides how many of them have to be looked at at all: with a million
  # nineteen users in twenty are too likely to raise a register. ETS has one row a key,
  # whoever the user is.
  @cases [{20, 1_000}, {100, 1_000}, {20, 100_000}, {100, 100_000}, {100, 1_000_000}]
  @sizes %{
    full: [keys: 1_000, cases: @cases, visits_in_all: 1_000, rounds: 15],
    quick: [keys: 1_000, cases: @cases, visits_in_all: 300, rounds: 5],
    smoke: [keys: 20, cases: [{2, 1_000}, {5, 40_000}], visits_in_all: 10, rounds: 2]
  }

  @impl true
  def name, do: "reach_add"

  @impl true
  def about, do: "users of 1,000 keys that have registers, from 1 and 2 processes"

  @impl true
  def groups(size) do
    size = @sizes[size]

    for {visits, seen} <- size[:cases] do
      subjects = ReachAdds.subjects(Visits.distinct(size[:keys], visits, seen))
      title = "#{visits} users of each of #{size[:keys]} tuple keys that have seen #{seen}"
      options = [repeats: div(size[:visits_in_all], visits), rounds: size[:rounds]]
      Scaling.group(title, subjects, [1, 2], options)
    end
  end
end
