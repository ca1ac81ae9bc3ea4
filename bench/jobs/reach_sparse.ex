defmodule AdTally.Bench.Jobs.ReachSparse do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Group, SparseUsers}

  # Users of a key: what a row keeps itself, a small set, and one that has grown often.
  @sizes %{
    full: [keys: 10_000, users: [5, 20, 100], rounds: 7],
    quick: [keys: 10_000, users: [5, 20, 100], rounds: 3],
    smoke: [keys: 20, users: [5, 20], rounds: 2]
  }

  @impl true
  def name, do: "reach_sparse"

  @impl true
  def about, do: "new users of keys that have seen few or none, in a table that begins empty"

  @impl true
  def groups(size) do
    size = @sizes[size]

    for users <- size[:users] do
      ets = ":ets.update_counter"
      set = ":ets.insert_new of key and user"
      again = "AdTally.Reach.add, users that are there"
      one = "AdTally.Reach.add, 1 process"
      sparse = %SparseUsers{keys: size[:keys], users: users}

      %Group{
        title: "#{users} users of each of #{size[:keys]} keys",
        unit: "add",
        rounds: size[:rounds],
        contenders: [
          SparseUsers.add(one, sparse, yardsticks: [ets, set]),
          SparseUsers.add("AdTally.Reach.add, 2 processes", sparse,
            processes: 2,
            scaling_of: one
          ),
          SparseUsers.add_again(again, sparse, yardsticks: [ets]),
          SparseUsers.ets(ets, sparse, []),
          SparseUsers.ets_set(set, sparse, [])
        ]
      }
    end
  end
end
