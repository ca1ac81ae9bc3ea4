defmodule AdTally.Counters do
  @moduledoc """
  Keyed 64-bit counters with several metrics per key. Any number of processes add to
  them at the same time.

      iex> counters = AdTally.Counters.new(metrics: [:impressions, :clicks, :spend_micros])
      iex> AdTally.Counters.add(counters, {42, "creative-7"}, :impressions)
      :ok
      iex> AdTally.Counters.add(counters, {42, "creative-7"}, :spend_micros, 1_250)
      :ok
      iex> AdTally.Counters.get(counters, {42, "creative-7"})
      %{clicks: 0, impressions: 1, spend_micros: 1_250}
      iex> AdTally.Counters.drain(counters)
      [{{42, "creative-7"}, %{clicks: 0, impressions: 1, spend_micros: 1_250}}]
      iex> AdTally.Counters.get(counters, {42, "creative-7"})
      nil

  A table of `new/1` is a reference that belongs to no process: pass it around. It is freed with the
  last reference to it. A table that a supervisor starts has a name.

  ## In a supervision tree

  #{AdTally.TableOwner.named_doc()}
      iex> children = [{AdTally.Counters, name: MyApp.Counters, metrics: [:impressions, :clicks]}]
      iex> {:ok, _supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      iex> AdTally.Counters.add(MyApp.Counters, 42, :clicks)
      :ok
      iex> AdTally.Counters.get(MyApp.Counters, 42)
      %{clicks: 1, impressions: 0}

  #{AdTally.TableOwner.owner_doc()}

  ## Keys

  A key is a signed 64-bit integer, a binary of at most 65,536 bytes, an atom, or
  a flat tuple of one to eight of those. `1`, `"1"`, `:"1"` and `{1}` are four
  keys. Rows have the keys as they were given.

  ## Totals

  Amounts are signed 64-bit integers, so a correction can be negative. Totals are
  exact and never wrap: an add that would take the cell it goes to out of the
  signed 64-bit range returns `:overflow` and is added to the overflow row of its metric
  instead. A key has one such cell per metric. When schedulers collide on it, it gets
  one for each scheduler; its total is their exact sum, which may exceed 64 bits.

  ## Overflow

  `max_keys` is a budget. Once that many keys have a row, an add to a new key
  returns `:overflow` and its amount is added to the overflow row of its metric;
  keys with a row are counted as before. `info/1` has the overflow since the
  table was made, and `drain_with_overflow/1` since the last drain: rows and
  overflow together are always all that was added.

  ## What is guaranteed

  An add is one call into native code that takes no lock and sends no message. No
  add is lost or counted twice: each is in exactly one drain. A process reads its own
  adds. A row that is read while others add has each metric's total of some moment
  during the call, not all of the same moment.

  No call holds a scheduler for longer than a millisecond, however long the list
  or large the table: `add_many/2`, `to_list/1` and `drain/1` work in steps.
  """

  alias AdTally.{Frame, FrameError, Frames, Named, Native, Options, Steps, TableOwner}

  require Named

  @typedoc "A table of counters."
  @opaque t :: reference()

  @typedoc "The name of a table that a supervisor has started."
  @type name :: atom()

  @typedoc "A table, or the name of one."
  @type table :: t() | name()

  @typedoc "What is counted."
  @type key :: key_element() | tuple()

  @typedoc "A bare key, or an element of a tuple of one to eight."
  @type key_element :: integer() | binary() | atom()

  @typedoc "The name of a metric, one of those the table was made with."
  @type metric :: atom()

  @typedoc "An amount to add, from -2^63 to 2^63 - 1."
  @type amount :: integer()

  @typedoc "The totals of a key by metric."
  @type totals :: %{metric() => integer()}

  @typedoc "An option of `new/1`."
  @type option ::
          {:metrics, [metric(), ...]}
          | {:max_keys, pos_integer()}
          | {:seed, Options.seed()}

  @default_max_keys 1_000_000

  @doc """
  Makes a table.

  ## Options

    * `:metrics` (required) - the names of the metrics: one to sixteen distinct
      atoms.

    * `:max_keys` - how many keys may have a row at the same time, from 1 to
      1,000,000,000. Default: #{@default_max_keys}. Memory is taken as keys
      come, about 100 bytes for a key of an integer and a short binary with three
      metrics, see `info/1`.

    * #{Options.seed_doc("keys")}

  Raises `ArgumentError` for an option that is missing, unknown or out of range.

      iex> counters = AdTally.Counters.new(metrics: [:impressions], max_keys: 10_000)
      iex> AdTally.Counters.info(counters).max_keys
      10_000
  """
  @spec new([option()]) :: t()
  def new(options), do: options |> TableOwner.no_store!() |> config!() |> make()

  @doc "A table with a name as a child of a supervisor, which may have several."
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: TableOwner.child_spec(__MODULE__, options)

  @doc """
  #{TableOwner.start_link_doc()}
      iex> {:ok, _owner} = AdTally.Counters.start_link(name: Clicks, metrics: [:clicks])
      iex> AdTally.Counters.add(Clicks, 42, :clicks)
      :ok
  """
  @spec start_link([option() | {:name, name()} | {:store, AdTally.Store.name()}]) ::
          GenServer.on_start()
  def start_link(options), do: TableOwner.start_link(__MODULE__, options, kind())

  defp kind,
    do: %{config!: &config!/1, make: &make/1, make_in: &make_in/2, shape: &shape/1}

  defp config!(options) do
    options = Options.known!(options, [:metrics, :max_keys, :seed])
    metrics = validate_metrics!(options[:metrics])
    {metrics, Options.max_keys!(options, @default_max_keys), Options.seed!(options)}
  end

  defp make({metrics, max_keys, seed}), do: Native.counters_new(metrics, max_keys, seed)

  defp make_in(place, {metrics, max_keys, seed}),
    do: Native.counters_new_in(place, metrics, max_keys, seed)

  defp shape({metrics, _max_keys, _seed}),
    do: {[metrics: metrics], [{:metrics, :same, ":metrics"}]}

  defp table(counters) when is_atom(counters), do: Named.fetch!(__MODULE__, counters)
  defp table(counters), do: counters

  @doc """
  Adds 1 to a metric of a key.

  Returns `:overflow` if the amount was added to the overflow row of the metric, see
  the module's documentation, and `:busy` if nothing was added, because the table's store has no room, see
  `AdTally.Store`. Raises `ArgumentError` for a bad key, an unknown
  metric, or something that is not a table; nothing is counted then.

      iex> counters = AdTally.Counters.new(metrics: [:impressions], max_keys: 1)
      iex> AdTally.Counters.add(counters, "spring-sale", :impressions)
      :ok
      iex> AdTally.Counters.add(counters, "summer-sale", :impressions)
      :overflow
  """
  @spec add(table(), key(), metric()) :: :ok | :overflow | :busy
  # A tail call: a match on the result waits for it, which takes 5 ns. So native code raises for bad
  # arguments.
  def add(name, key, metric) when is_atom(name),
    do: Native.counters_add(Named.fetch!(__MODULE__, name), key, metric)

  def add(counters, key, metric), do: Native.counters_add(counters, key, metric)

  @doc """
  Adds an amount to a metric of a key. Otherwise like `add/3`.

      iex> counters = AdTally.Counters.new(metrics: [:spend_micros])
      iex> AdTally.Counters.add(counters, {42, :us}, :spend_micros, 1_250)
      :ok
      iex> AdTally.Counters.add(counters, {42, :us}, :spend_micros, -250)
      :ok
      iex> AdTally.Counters.get(counters, {42, :us}, :spend_micros)
      1_000
  """
  @spec add(table(), key(), metric(), amount()) :: :ok | :overflow | :busy
  def add(name, key, metric, amount) when is_atom(name),
    do: Native.counters_add(Named.fetch!(__MODULE__, name), key, metric, amount)

  def add(counters, key, metric, amount),
    do: Native.counters_add(counters, key, metric, amount)

  @doc """
  Adds a list of `{key, metric, amount}`, faster than one by one.

  Returns `{:overflow, count}` if `count` of them were added to overflow rows, and `{:busy, count}` if the
  last `count` of them were not added, because the table's store has no room. All items
  are checked before the first is added: one bad item raises `ArgumentError` and
  nothing is counted. A reader or a drain in between may see some of the items
  added and others not yet.

      iex> counters = AdTally.Counters.new(metrics: [:impressions, :clicks])
      iex> AdTally.Counters.add_many(counters, [{42, :impressions, 3}, {42, :clicks, 1}])
      :ok
      iex> AdTally.Counters.get(counters, 42)
      %{clicks: 1, impressions: 3}
  """
  @spec add_many(table(), [{key(), metric(), amount()}]) ::
          :ok | {:overflow, pos_integer()} | {:busy, pos_integer()}
  def add_many(name, items) when is_atom(name),
    do: add_many(Named.fetch!(__MODULE__, name), items)

  def add_many(counters, items) do
    counters
    |> Native.counters_add_many(items)
    |> Steps.add_many(
      items,
      &Native.counters_check_some(counters, &1, &2),
      &Native.counters_add_some(counters, &1)
    )
  end

  @doc """
  The totals of a key, or `nil` if it was not seen since the last drain.

      iex> counters = AdTally.Counters.new(metrics: [:impressions])
      iex> AdTally.Counters.get(counters, 42)
      nil
  """
  @spec get(table(), key()) :: totals() | nil
  def get(counters, key), do: Native.counters_get(table(counters), key)

  @doc """
  The total of one metric of a key, 0 if the key was not seen since the last
  drain.

      iex> counters = AdTally.Counters.new(metrics: [:impressions])
      iex> AdTally.Counters.get(counters, 42, :impressions)
      0
  """
  @spec get(table(), key(), metric()) :: integer()
  def get(counters, key, metric), do: Native.counters_get(table(counters), key, metric)

  @doc """
  All keys with their totals, in no particular order.

  Other processes may add meanwhile. A row has its totals at the time when it is
  read, and a key that is new since the call may be missing.

      iex> counters = AdTally.Counters.new(metrics: [:clicks])
      iex> AdTally.Counters.add_many(counters, [{1, :clicks, 1}, {2, :clicks, 2}])
      iex> counters |> AdTally.Counters.to_list() |> Enum.sort()
      [{1, %{clicks: 1}}, {2, %{clicks: 2}}]
  """
  @spec to_list(table()) :: [{key(), totals()}]
  def to_list(counters), do: counters |> table() |> Native.counters_walk() |> rows()

  @doc """
  Takes all keys with their totals out of the table, in no particular order.

  The table is empty afterwards and counts on. Each add is in exactly one
  drain, whatever runs at the same time. If the calling process is killed during
  the call, what it has taken out is lost.

      iex> counters = AdTally.Counters.new(metrics: [:clicks])
      iex> AdTally.Counters.add(counters, 1, :clicks)
      iex> AdTally.Counters.drain(counters)
      [{1, %{clicks: 1}}]
      iex> AdTally.Counters.drain(counters)
      []
  """
  @spec drain(table()) :: [{key(), totals()}]
  def drain(counters), do: counters |> drain_with_overflow() |> elem(0)

  @doc """
  Like `drain/1`, with the totals of the overflow rows since the last drain.

  The rows and the overflow together are all that was added between two drains.

      iex> counters = AdTally.Counters.new(metrics: [:clicks], max_keys: 1)
      iex> AdTally.Counters.add_many(counters, [{1, :clicks, 1}, {2, :clicks, 2}])
      {:overflow, 1}
      iex> AdTally.Counters.drain_with_overflow(counters)
      {[{1, %{clicks: 1}}], %{clicks: 2}}
  """
  @spec drain_with_overflow(table()) :: {[{key(), totals()}], totals()}
  def drain_with_overflow(counters) do
    {walk, overflow} = Native.counters_drain(table(counters))
    {rows(walk), overflow}
  end

  @doc """
  Everything in the table, as a stream of frames: binaries of at most 1 MiB, see `AdTally.Frame`.

  These are the rows and the overflow since the last drain, as keys and totals. Nothing is taken out.

  The export begins anew each time the stream is enumerated. Others may add meanwhile: what was there
  when it began is in it, and of what comes later some is and some is not. It is made a frame at a time, as
  the stream is read, in calls that hold no scheduler. If the table's process ends meanwhile, it raises `ArgumentError`.

      iex> counters = AdTally.Counters.new(metrics: [:clicks])
      iex> AdTally.Counters.add(counters, {42, :us}, :clicks, 5)
      iex> frames = counters |> AdTally.Counters.export() |> Enum.to_list()
      iex> other = AdTally.Counters.new(metrics: [:clicks])
      iex> AdTally.Counters.import!(other, frames).rows
      1
      iex> AdTally.Counters.get(other, {42, :us})
      %{clicks: 5}
  """
  @spec export(table()) :: Enumerable.t()
  def export(counters) do
    table = table(counters)
    Frames.export(fn -> Native.counters_export(table) end)
  end

  @doc """
  Adds what was exported to the table.

  `frames` is an enumerable of binaries: what `export/1` made, from one or several tables, in any order, or
  the bytes of a file of it in pieces of any size (`AdTally.Frame.stream!/1`). The table may be in use meanwhile
  and have other rows. Totals are summed.

  Returns how many `:frames` were taken, how many `:rows` they had, how many frames were
  `:already_taken` by this table before, which are not taken again, and how many rows went to the
  `:overflow`, because `:max_keys` is reached or a total would leave the 64-bit range. `:complete?` tells whether all frames of every stream that was met are in the table now.

  `{:error, %AdTally.FrameError{}}` names the frame and the byte that is wrong, or the option in which
  the tables differ: `:metrics` must be the same, in the same order. Nothing of that frame is in the table then. The frames before it are, and stay:
  repeat the import once the cause is gone. Raises `ArgumentError` as other functions, and if
  `frames` is not an enumerable of binaries.

      iex> [one, other] = for _ <- 1..2, do: AdTally.Counters.new(metrics: [:clicks])
      iex> AdTally.Counters.add(one, 42, :clicks, 5)
      iex> AdTally.Counters.add(other, 42, :clicks, 1)
      iex> frames = Enum.to_list(AdTally.Counters.export(one))
      iex> AdTally.Counters.import(other, frames)
      {:ok, %{frames: 1, rows: 1, already_taken: 0, overflow: 0, complete?: true}}
      iex> AdTally.Counters.import(other, frames)
      {:ok, %{frames: 0, rows: 0, already_taken: 1, overflow: 0, complete?: true}}
      iex> AdTally.Counters.get(other, 42)
      %{clicks: 6}
  """
  @spec import(table(), Enumerable.t()) :: {:ok, Frame.imported()} | {:error, FrameError.t()}
  def import(counters, frames) do
    table = table(counters)
    Frames.import(frames, &Native.counters_import(table, &1))
  end

  @doc "As `import/2`, but returns what was taken or raises `AdTally.FrameError`."
  @spec import!(table(), Enumerable.t()) :: Frame.imported()
  def import!(counters, frames) do
    table = table(counters)
    Frames.import!(frames, &Native.counters_import(table, &1))
  end

  @doc """
  The table's numbers.

    * `:keys` - keys that have a row
    * `:max_keys` - the budget of keys
    * `:striped_keys` - keys so hot that they have a cell for every scheduler, at
      most 1,024
    * `:memory_bytes` - native memory of the table, without what a drain that is
      under way still holds
    * `:overflow` - what was added to the overflow rows since the table was made;
      drains do not reset it

  ## Example

      iex> counters = AdTally.Counters.new(metrics: [:clicks], max_keys: 10)
      iex> AdTally.Counters.add(counters, 1, :clicks)
      iex> info = AdTally.Counters.info(counters)
      iex> {info.keys, info.max_keys, info.overflow}
      {1, 10, %{clicks: 0}}
  """
  @spec info(table()) :: %{
          keys: non_neg_integer(),
          max_keys: pos_integer(),
          striped_keys: non_neg_integer(),
          memory_bytes: non_neg_integer(),
          overflow: totals()
        }
  def info(counters), do: Native.counters_info(table(counters))

  defp rows(walk), do: Steps.collect(walk)

  defp validate_metrics!(metrics) do
    if Options.distinct_atoms?(metrics, 16) do
      metrics
    else
      raise ArgumentError,
            "expected :metrics to be a list of one to sixteen distinct atoms, " <>
              "got: #{Options.shown(metrics)}"
    end
  end
end
