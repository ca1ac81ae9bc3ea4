defmodule AdTally.Bench.Jobs.ReachRivals do
  @moduledoc false
  # The HyperLogLog libraries of Erlang and Elixir, where they are on the code path.
  # Theirs are values that one process has. So they are kept in its dictionary, and
  # what that costs is shown beside them.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Contender, Group}
  alias AdTally.{Reach, Sketch}

  # Absent unless somebody put them there.
  @compile {:no_warn_undefined, [:hyper, Hypex]}

  @precision 12
  @sizes %{
    full: [users: 10_000, repeats: 50, rounds: 9],
    quick: [users: 10_000, repeats: 10, rounds: 5],
    smoke: [users: 500, repeats: 1, rounds: 2]
  }

  @impl true
  def name, do: "reach_rivals"

  @impl true
  def about, do: "binary users of one key, beside the libraries hyper and hypex if they are there"

  @impl true
  def groups(size) do
    size = @sizes[size]
    users = for number <- 1..size[:users], do: "user-#{number}"
    rivals = rivals()

    [
      %Group{
        title: "#{size[:users]} users of one key, one process",
        unit: "add",
        rounds: size[:rounds],
        contenders:
          [ad_tally(users, size, Enum.map(rivals, &elem(&1, 0))), dictionary(users, size)] ++
            for(
              {label, new, add, count} <- rivals,
              do: rival(label, new, add, count, users, size)
            )
      }
    ]
  end

  defp rivals do
    hyper = {"hyper", fn -> :hyper.new(@precision) end, &:hyper.insert(&2, &1), &:hyper.card/1}

    hypex =
      {"hypex (array)", fn -> Hypex.new(@precision, Hypex.Array) end, &Hypex.update/2,
       &Hypex.cardinality/1}

    for {module, rival} <- [{:hyper, hyper}, {Hypex, hypex}],
        Code.ensure_loaded?(module),
        do: rival
  end

  defp ad_tally(users, size, yardsticks) do
    reach = Reach.new(precision: @precision, max_keys: 1)
    expected = Sketch.from_users(users, precision: @precision)

    Contender.new("AdTally.Reach.add", users, fn user -> Reach.add(reach, :key, user) end,
      repeats: size[:repeats],
      check: fn _passes -> {expected, Reach.sketch(reach, :key)} end,
      yardsticks: yardsticks
    )
  end

  defp dictionary(users, size) do
    touch = fn user -> Process.put(:sketch, Process.get(:sketch) || user) end

    Contender.new("a get and a put of the dictionary", users, touch,
      repeats: size[:repeats],
      summary: &is_binary/1,
      expected_summary: true
    )
  end

  defp rival(label, new, add, count, users, size) do
    insert = fn user -> Process.put(:sketch, add.(Process.get(:sketch) || new.(), user)) end

    # What put returned is the sketch before the last user. Four standard errors.
    near? = fn sketch ->
      abs(count.(sketch) / length(users) - 1) < 4 * 1.04 / 2 ** (@precision / 2)
    end

    Contender.new(label, users, insert,
      repeats: size[:repeats],
      summary: near?,
      expected_summary: true
    )
  end
end
