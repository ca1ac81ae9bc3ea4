defmodule AdTally.Bench.SparseUsers do
  @moduledoc """
  Contenders that add a few users to each of many keys, one user a call: the first users of all
  keys, then the second ones, each time in another order of the keys.

  A key and a user are made of their number in the loop, a hundred at a time, as in
  `AdTally.Bench.MeterEvents`. In the end every key must have seen its users and no others.
  """

  import Bitwise

  alias AdTally.Bench.Contender
  alias AdTally.{Reach, Sketch}

  @enforce_keys [:keys, :users]
  defstruct @enforce_keys

  @type t :: %__MODULE__{keys: pos_integer(), users: pos_integer()}

  @batch 20
  # Steps through the keys, which none of their numbers divides.
  @steps {7_919, 6_101, 104_729, 15_485_863}

  @doc "`AdTally.Reach.add/3` of users who are new, in a table that was drained before."
  @spec add(String.t(), t(), keyword()) :: Contender.t()
  def add(label, sparse, options) do
    reach = Reach.new(max_keys: sparse.keys)
    reaching(label, sparse, reach, [{:prepare, fn -> Reach.drain(reach) end} | options])
  end

  @doc "`AdTally.Reach.add/3` of users whom their keys have seen."
  @spec add_again(String.t(), t(), keyword()) :: Contender.t()
  def add_again(label, sparse, options),
    do: reaching(label, sparse, Reach.new(max_keys: sparse.keys), options)

  defp reaching(label, sparse, reach, options) do
    add = fn visits -> Enum.each(visits, fn {key, user} -> Reach.add(reach, key, user) end) end

    check = fn _passes ->
      all = for n <- 0..(operations(sparse) - 1), do: visit(n, sparse)
      users = Enum.group_by(all, &elem(&1, 0), &elem(&1, 1))
      expected = for {key, users} <- users, do: {key, Sketch.from_users(users)}
      {Enum.sort(expected), reach |> Reach.to_list() |> Enum.sort()}
    end

    contender(label, sparse, add, [{:check, check} | options])
  end

  @doc "`:ets.update_counter/4` of the key."
  @spec ets(String.t(), t(), keyword()) :: Contender.t()
  def ets(label, sparse, options) do
    table = :ets.new(:bench, [:set, :public])

    add = fn visits ->
      for {key, _user} <- visits, do: :ets.update_counter(table, key, {2, 1}, {key, 0})
    end

    check = fn _passes ->
      {List.duplicate(sparse.users, sparse.keys), for({_key, n} <- :ets.tab2list(table), do: n)}
    end

    prepare = fn -> :ets.delete_all_objects(table) end
    contender(label, sparse, add, [{:prepare, prepare}, {:check, check} | options])
  end

  @doc "`:ets.insert_new/2` of key and user: the exact set."
  @spec ets_set(String.t(), t(), keyword()) :: Contender.t()
  def ets_set(label, sparse, options) do
    table = :ets.new(:bench, [:set, :public])
    add = fn visits -> for visit <- visits, do: :ets.insert_new(table, {visit}) end
    check = fn _passes -> {operations(sparse), :ets.info(table, :size)} end
    prepare = fn -> :ets.delete_all_objects(table) end
    contender(label, sparse, add, [{:prepare, prepare}, {:check, check} | options])
  end

  defp operations(sparse), do: sparse.keys * sparse.users

  defp visit(n, %{keys: keys}) do
    turn = div(n, keys)
    number = rem(rem(n, keys) * elem(@steps, rem(turn, 4)) + turn, keys)
    {{div(number, 20), "creative-7", number}, 80_351_110_224_678_912 + (turn <<< 32 ||| number)}
  end

  # The size of a batch divides the number of keys.
  defp contender(label, sparse, act, options) do
    firsts = Enum.to_list(0..(operations(sparse) - 1)//@batch)
    make = fn first -> for n <- first..(first + @batch - 1), do: visit(n, sparse) end
    options = Keyword.merge([operations_per_input: @batch, make: make], options)
    Contender.new(label, firsts, act, options)
  end
end
