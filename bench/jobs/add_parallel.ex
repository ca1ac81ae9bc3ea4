defmodule AdTally.Bench.Jobs.AddParallel do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Adds, Keys, Scaling}

  @sizes %{
    full: [keys: 10_000, repeats: 50, rounds: 9],
    quick: [keys: 10_000, repeats: 30, rounds: 5],
    smoke: [keys: 100, repeats: 2, rounds: 2]
  }

  @impl true
  def name, do: "add_parallel"

  @impl true
  def about, do: "adds to 10,000 tuple keys from 1 and 2 processes"

  @impl true
  def groups(size) do
    size = @sizes[size]
    keys = Keys.distinct(size[:keys])
    [Scaling.group("Adds to #{size[:keys]} tuple keys", Adds.subjects(keys), [1, 2], size)]
  end
end
