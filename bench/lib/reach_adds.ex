defmodule AdTally.Bench.ReachAdds do
  @moduledoc """
  Contenders that show users to keys which have registers already.

  Each has a table of its own, which is looked at in the end: every key must have
  seen its users and no others. ETS counts the same visits.
  """

  alias AdTally.Bench.{Contender, Scaling, Visits}
  alias AdTally.{Reach, Sketch}

  @ets ":ets.update_counter"
  @ets_write_concurrency ":ets.update_counter, write_concurrency"

  @doc "For `AdTally.Bench.Scaling`: our adds beside those of ETS, of the same visits."
  @spec subjects(Visits.t()) :: [Scaling.subject(), ...]
  def subjects(visits) do
    [
      {"AdTally.Reach.add", &ad_tally(&1, visits, &2)},
      {@ets, &ets(&1, visits, &2)},
      {@ets_write_concurrency, &ets_write_concurrency(&1, visits, &2)}
    ]
  end

  @doc "`AdTally.Reach.add/3`, a user a call."
  @spec ad_tally(String.t(), Visits.t(), keyword()) :: Contender.t()
  def ad_tally(label, visits, options) do
    reach = reach(visits)
    add = fn {key, user} -> Reach.add(reach, key, user) end
    showing(label, visits, reach, visits.visited, add, options)
  end

  @doc "`AdTally.Reach.add_many/2`, `size` pairs a call; `size` divides the number of visits."
  @spec ad_tally_pairs(String.t(), Visits.t(), pos_integer(), keyword()) :: Contender.t()
  def ad_tally_pairs(label, visits, size, options) do
    reach = reach(visits)
    lists = Enum.chunk_every(visits.visited, size)
    add = fn pairs -> Reach.add_many(reach, pairs) end
    showing(label, visits, reach, lists, add, [{:operations_per_input, size} | options])
  end

  @doc "`AdTally.Reach.add_many/3`, `size` users of a key a call; `size` divides a key's visits."
  @spec ad_tally_users(String.t(), Visits.t(), pos_integer(), keyword()) :: Contender.t()
  def ad_tally_users(label, visits, size, options) do
    reach = reach(visits)

    lists =
      for {key, users} <- users(visits), list <- Enum.chunk_every(users, size), do: {key, list}

    add = fn {key, users} -> Reach.add_many(reach, key, users) end
    showing(label, visits, reach, lists, add, [{:operations_per_input, size} | options])
  end

  @doc "`:ets.update_counter/3` on a public set, of the keys of the visits."
  @spec ets(String.t(), Visits.t(), keyword()) :: Contender.t()
  def ets(label, visits, options), do: ets(label, visits, [], options)

  @doc "The same with `write_concurrency`."
  @spec ets_write_concurrency(String.t(), Visits.t(), keyword()) :: Contender.t()
  def ets_write_concurrency(label, visits, options),
    do: ets(label, visits, [write_concurrency: true], options)

  defp ets(label, visits, table_options, options) do
    table = :ets.new(:bench, [:set, :public | table_options])
    for key <- visits.keys, do: :ets.insert(table, {key, 0, 0, 0})
    add = fn {key, _user} -> :ets.update_counter(table, key, {2, 1}) end
    contender = Contender.new(label, visits.visited, add, options)
    adds_a_key = div(Contender.operations(contender), length(visits.keys))

    check = fn passes ->
      counts = for {_key, count, 0, 0} <- :ets.tab2list(table), do: count
      {List.duplicate(passes * adds_a_key, length(visits.keys)), counts}
    end

    %{contender | check: check}
  end

  defp reach(visits) do
    reach = Reach.new(max_keys: length(visits.keys))
    seen = Sketch.from_users(visits.seen)
    for key <- visits.keys, do: :ok = Reach.merge(reach, key, seen)
    reach
  end

  defp showing(label, visits, reach, inputs, add, options) do
    check = fn _passes ->
      seen = Sketch.from_users(visits.seen)

      expected =
        for {key, users} <- users(visits) do
          {:ok, sketch} = Sketch.union([seen, Sketch.from_users(users)])
          {key, sketch}
        end

      {Enum.sort(expected), reach |> Reach.to_list() |> Enum.sort()}
    end

    options = [summary: &Function.identity/1, expected_summary: :ok, check: check] ++ options
    Contender.new(label, inputs, add, options)
  end

  defp users(visits), do: Enum.group_by(visits.visited, &elem(&1, 0), &elem(&1, 1))
end
