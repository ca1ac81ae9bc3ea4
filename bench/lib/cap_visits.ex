defmodule AdTally.Bench.CapVisits do
  @moduledoc """
  Contenders that decide a frequency cap for pairs of scope and user, drawn at random
  from those that have events already: 1.8 on average, all of one moment.

  Every table is looked at in the end: all who were visited often enough must have reached
  the cap and not passed it, but for pairs that look alike.
  """

  alias AdTally.Bench.{Contender, Stores}
  alias AdTally.FrequencyCap

  @begin 1_780_272_000_000
  @at @begin + 60_000
  @day 86_400_000
  @cap 3
  @rules [{@cap, @day}, {10, 7 * @day}]
  @scopes 1_000
  @seed 20_191_124

  @type pair :: {non_neg_integer(), pos_integer()}
  @type t :: %__MODULE__{pairs: pos_integer(), visited: [pair(), ...]}

  @enforce_keys [:pairs, :visited]
  defstruct @enforce_keys

  @doc "So many visits of so many pairs."
  @spec random(pos_integer(), pos_integer()) :: t()
  def random(pairs, visits) do
    :rand.seed(:exsss, @seed)
    %__MODULE__{pairs: pairs, visited: for(_ <- 1..visits, do: pair(:rand.uniform(pairs)))}
  end

  defp pair(user), do: {rem(user, @scopes), user}

  defp events(user), do: if(rem(user, 5) == 0, do: 1, else: 2)

  @doc "`AdTally.FrequencyCap.admit/5` with two rules."
  @spec admit(String.t(), t(), keyword()) :: Contender.t()
  def admit(label, visits, options) do
    {caps, rules} = caps(visits)
    admit = fn {scope, user} -> FrequencyCap.admit(caps, scope, user, rules, @at) end
    count = fn {scope, user} -> FrequencyCap.count(caps, scope, user, @day, @at) end
    Contender.new(label, visits.visited, admit, [{:check, check(visits, count)} | options])
  end

  @doc """
  `AdTally.FrequencyCap.admit/5` of visits that no rule denies, since each pass is more than a week after the
  one before; `:store` is whether the table has one.
  """
  @spec admit_anew(String.t(), t(), keyword()) :: Contender.t()
  def admit_anew(label, visits, options) do
    {store, options} = Stores.pop(options)
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"

    {:ok, _caps} =
      FrequencyCap.start_link([name: name, capacity: visits.pairs] ++ Stores.option(store))

    rules = FrequencyCap.rules!(@rules)
    passes = :counters.new(1, [])
    at = fn -> @begin + 8 * @day * :counters.get(passes, 1) end

    prepare = fn ->
      :counters.add(passes, 1, 1)
      # The time of a pass, which all its processes have in common.
      :persistent_term.put({name, :at}, at.())
      Stores.empty(store)
    end

    admit = fn {scope, user} ->
      FrequencyCap.admit(name, scope, user, rules, :persistent_term.get({name, :at}))
    end

    check = fn passes ->
      visited = Enum.frequencies(visits.visited)
      count = fn {scope, user} -> FrequencyCap.count(name, scope, user, @day, at.()) end
      strange = Enum.count(visited, fn {pair, visits} -> count.(pair) != min(visits, @cap) end)
      {true, passes < 1 or strange <= 4 + map_size(visited) / 1_000}
    end

    Contender.new(label, visits.visited, admit, [prepare: prepare, check: check] ++ options)
  end

  @doc "`AdTally.FrequencyCap.admissible/4` of `size` scopes for a user, figures a call."
  @spec admissible(String.t(), t(), pos_integer(), keyword()) :: Contender.t()
  def admissible(label, visits, size, options) do
    {caps, rules} = caps(visits)

    inputs =
      for [{_, user} | _] = some <- Enum.chunk_every(visits.visited, size, size, :discard),
          do: {Enum.map(Enum.uniq(some), fn {scope, _} -> {scope, rules} end), user}

    ask = fn {scopes, user} -> FrequencyCap.admissible(caps, scopes, user, @at) end
    # The last user's scopes: the own one may be seen once more, others were never seen.
    {scopes, _user} = List.last(inputs)
    expected = Enum.map(scopes, &elem(&1, 0))
    summary = [summary: &Function.identity/1, expected_summary: expected]
    Contender.new(label, inputs, ask, summary ++ options)
  end

  defp caps(visits) do
    caps = FrequencyCap.new(capacity: visits.pairs)

    for user <- 1..visits.pairs, _ <- 1..events(user) do
      {scope, user} = pair(user)
      :ok = FrequencyCap.record(caps, scope, user, @begin)
    end

    {caps, FrequencyCap.rules!(@rules)}
  end

  @doc "`:ets.update_counter/3` on as many rows."
  @spec ets(String.t(), t(), keyword()) :: Contender.t()
  def ets(label, visits, options) do
    table = :ets.new(:bench, [:set, :public])
    for user <- 1..visits.pairs, do: :ets.insert(table, {pair(user), 0})
    count = fn pair -> :ets.update_counter(table, pair, {2, 1}) end
    contender = Contender.new(label, visits.visited, count, options)
    operations = Contender.operations(contender)
    counted = fn -> :ets.foldl(fn {_pair, count}, sum -> sum + count end, 0, table) end
    %{contender | check: fn passes -> {passes * operations, counted.()} end}
  end

  @doc """
  As anybody would write it: the times of a pair in a list in ETS. Right for one process
  only.
  """
  @spec list_of_times(String.t(), t(), keyword()) :: Contender.t()
  def list_of_times(label, visits, options) do
    table = :ets.new(:bench, [:set, :public])

    for user <- 1..visits.pairs,
        do: :ets.insert(table, {pair(user), List.duplicate(@begin, events(user))})

    admit = fn pair ->
      [{_, times}] = :ets.lookup(table, pair)
      times = Enum.filter(times, &(&1 > @at - 7 * @day))

      blocks? = fn {max, window} -> Enum.count(times, &(&1 > @at - window)) >= max end

      case Enum.find(@rules, blocks?) do
        nil -> :ets.insert(table, {pair, [@at | times]}) && :ok
        rule -> {:capped, rule}
      end
    end

    count = fn pair -> table |> :ets.lookup_element(pair, 2) |> length() end
    Contender.new(label, visits.visited, admit, [{:check, check(visits, count)} | options])
  end

  # Two visits fill every pair up. One in 15,000 shares its slot with another, whose events
  # count as its own: two such couples are nothing strange, and neither is one in a thousand.
  defp check(visits, count) do
    fn passes ->
      counts = visits.visited |> Enum.uniq() |> Enum.map(count)
      strange = Enum.count(counts, &(&1 != @cap))
      {true, passes < 2 or strange <= 4 + length(counts) / 1_000}
    end
  end
end
