defmodule AdTally.Bench.Jobs.ReachHotKey do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{ReachAdds, Scaling, Visits}

  # Few visits and many repeats, as in HotKey.
  @visits 100
  @sizes %{
    full: [repeats: 5_000, rounds: 9],
    quick: [repeats: 3_000, rounds: 5],
    smoke: [repeats: 2, rounds: 2]
  }

  @impl true
  def name, do: "reach_hot_key"

  @impl true
  def about, do: "users of one key that has registers, from 1, 2 and 4 processes"

  @impl true
  def groups(size) do
    subjects = ReachAdds.subjects(Visits.distinct(1, @visits))
    [Scaling.group("Users of one hot key", subjects, [1, 2, 4], @sizes[size])]
  end
end
