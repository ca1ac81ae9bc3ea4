defmodule AdTally.Test.DrainableTable do
  @moduledoc """
  One face over the tables that are drained while others add to them, so that a suite can run over
  each: `for table <- DrainableTable.all()`.

  What is added to a key is an integer: an amount to counters, a user to reach.
  """

  alias __MODULE__.{Counters, Reach}

  @type table :: term()
  @type walk :: reference()

  @doc "The module under test."
  @callback module() :: module()
  @callback new(keyword()) :: table()
  @callback add(table(), term(), integer()) :: :ok | :overflow
  @doc "Adds `{key, integer}` pairs."
  @callback add_many(table(), [{term(), integer()}]) :: :ok | {:overflow, pos_integer()}
  @doc "The value of a key, or nil."
  @callback read(table(), term()) :: term()
  @doc "The value of a key to which these were added."
  @callback value([integer()]) :: term()
  @doc "What `info/1` tells of the overflow when these had no row."
  @callback overflowed([integer()]) :: term()
  @callback begin_walk(table()) :: walk()
  @callback begin_drain(table()) :: {walk(), term()}
  @doc "Calls of every function that takes a key."
  @callback calls_with_key(table(), term()) :: [(... -> term())]
  @doc "Calls of every function of a table."
  @callback calls(table()) :: [(... -> term())]
  @doc "Calls of every function that takes a list, with what it is a list of."
  @callback calls_with_list(table(), term()) :: [{String.t(), (... -> term())}]
  @doc "Items of a list for `calls_with_list/2`, by what it is a list of."
  @callback items(String.t(), pos_integer()) :: list()

  @spec all() :: [module()]
  def all, do: [Counters, Reach]
end

defmodule AdTally.Test.DrainableTable.Counters do
  @moduledoc false
  @behaviour AdTally.Test.DrainableTable

  alias AdTally.{Counters, Native}

  @impl true
  def module, do: Counters

  @impl true
  def new(options), do: Counters.new([metrics: [:n]] ++ options)

  @impl true
  def add(counters, key, amount), do: Counters.add(counters, key, :n, amount)

  @impl true
  def add_many(counters, pairs) do
    Counters.add_many(counters, for({key, amount} <- pairs, do: {key, :n, amount}))
  end

  @impl true
  def read(counters, key), do: Counters.get(counters, key)

  @impl true
  def value(amounts), do: %{n: Enum.sum(amounts)}

  @impl true
  def overflowed(amounts), do: value(amounts)

  @impl true
  def begin_walk(counters), do: Native.counters_walk(counters)

  @impl true
  def begin_drain(counters), do: Native.counters_drain(counters)

  @impl true
  def calls_with_key(counters, key) do
    [
      fn -> Counters.add(counters, key, :n) end,
      fn -> Counters.add(counters, key, :n, 2) end,
      fn -> Counters.get(counters, key) end,
      fn -> Counters.get(counters, key, :n) end,
      fn -> Counters.add_many(counters, [{1, :n, 2}, {key, :n, 2}]) end
    ]
  end

  @impl true
  def calls(counters) do
    calls_with_key(counters, 1) ++
      [
        fn -> Counters.add_many(counters, []) end,
        fn -> Counters.to_list(counters) end,
        fn -> Counters.drain(counters) end,
        fn -> Counters.drain_with_overflow(counters) end,
        fn -> Counters.info(counters) end
      ]
  end

  @impl true
  def calls_with_list(counters, list) do
    [{"{key, metric, amount} tuples", fn -> Counters.add_many(counters, list) end}]
  end

  @impl true
  def items(_triples, length), do: for(key <- 1..length, do: {key, :n, key})
end

defmodule AdTally.Test.DrainableTable.Reach do
  @moduledoc false
  @behaviour AdTally.Test.DrainableTable

  alias AdTally.{Native, Reach, Sketch}

  @impl true
  def module, do: Reach

  @impl true
  def new(options), do: Reach.new(options)

  @impl true
  def add(reach, key, user), do: Reach.add(reach, key, user)

  @impl true
  def add_many(reach, pairs), do: Reach.add_many(reach, pairs)

  @impl true
  def read(reach, key), do: Reach.sketch(reach, key)

  @impl true
  def value(users), do: Sketch.from_users(users)

  @impl true
  def overflowed(users), do: length(users)

  @impl true
  def begin_walk(reach), do: Native.reach_walk(reach)

  @impl true
  def begin_drain(reach), do: Native.reach_drain(reach)

  @impl true
  def calls_with_key(reach, key) do
    [
      fn -> Reach.add(reach, key, 1) end,
      fn -> Reach.add_many(reach, [{1, 1}, {key, 1}]) end,
      fn -> Reach.add_many(reach, key, [1]) end,
      fn -> Reach.add_many(reach, key, []) end,
      fn -> Reach.add_many(reach, key, Enum.to_list(1..2_000)) end,
      fn -> Reach.estimate(reach, key) end,
      fn -> Reach.estimate_union(reach, [1, key]) end,
      fn -> Reach.sketch(reach, key) end,
      fn -> Reach.merge(reach, key, Sketch.from_users([1])) end
    ]
  end

  @impl true
  def calls(reach) do
    calls_with_key(reach, 1) ++
      [
        fn -> Reach.add_many(reach, []) end,
        fn -> Reach.estimate_union(reach, []) end,
        fn -> Reach.to_list(reach) end,
        fn -> Reach.drain(reach) end,
        fn -> Reach.drain_with_overflow(reach) end,
        fn -> Reach.info(reach) end
      ]
  end

  @impl true
  def calls_with_list(reach, list) do
    [
      {"{key, user} tuples", fn -> Reach.add_many(reach, list) end},
      {"users", fn -> Reach.add_many(reach, 1, list) end},
      {"keys", fn -> Reach.estimate_union(reach, list) end}
    ]
  end

  @impl true
  def items("{key, user} tuples", length), do: for(user <- 1..length, do: {user, user})
  def items(_users_or_keys, length), do: Enum.to_list(1..length)
end
