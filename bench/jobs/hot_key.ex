defmodule AdTally.Bench.Jobs.HotKey do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Adds, Keys, Scaling}

  # Few visits and many repeats: the copies of the key that are visited have to
  # stay in the nearest cache, or the loop would be measured.
  @visits 100
  @sizes %{
    full: [repeats: 5_000, rounds: 9],
    quick: [repeats: 3_000, rounds: 5],
    smoke: [repeats: 2, rounds: 2]
  }

  @impl true
  def name, do: "hot_key"

  @impl true
  def about, do: "adds to one key from 1, 2 and 4 processes"

  @impl true
  def groups(size) do
    subjects = Adds.subjects(Keys.hot(@visits))
    [Scaling.group("Adds to one hot key", subjects, [1, 2, 4], @sizes[size])]
  end
end
