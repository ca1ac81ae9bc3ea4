defmodule AdTally.Bench.Jobs.ReachAdd do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{ReachAdds, Scaling, Visits}

  @sizes %{
    full: [keys: 1_000, visits: 20, repeats: 50, rounds: 15],
    quick: [keys: 1_000, visits: 20, repeats: 15, rounds: 5],
    smoke: [keys: 20, visits: 2, repeats: 2, rounds: 2]
  }

  @impl true
  def name, do: "reach_add"

  @impl true
  def about, do: "users of 1,000 keys that have registers, from 1 and 2 processes"

  @impl true
  def groups(size) do
    size = @sizes[size]
    subjects = ReachAdds.subjects(Visits.distinct(size[:keys], size[:visits]))
    [Scaling.group("Users of #{size[:keys]} tuple keys", subjects, [1, 2], size)]
  end
end
