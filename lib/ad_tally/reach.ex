defmodule AdTally.Reach do
  @moduledoc """
  Unique reach by key: how many different users have seen each campaign, creative or
  country. A key takes a few kilobytes at most. Any number of processes add users at the
  same time.

      iex> reach = AdTally.Reach.new(precision: 12)
      iex> AdTally.Reach.add(reach, {42, :us}, 80_351_110_224_678_912)
      :ok
      iex> AdTally.Reach.add(reach, {42, :us}, 80_351_110_224_678_912)
      :ok
      iex> AdTally.Reach.add_many(reach, {42, :ca}, [1, 2, 80_351_110_224_678_912])
      :ok
      iex> AdTally.Reach.estimate(reach, {42, :us})
      1.0
      iex> [{42, :us}, {42, :ca}] |> then(&AdTally.Reach.estimate_union(reach, &1)) |> round()
      3

  A table of `new/1` is a reference that belongs to no process: pass it around. It is freed with the
  last reference to it. A table that a supervisor starts has a name. Keys are those of
  `AdTally.Counters`.

  ## In a supervision tree

  #{AdTally.TableOwner.named_doc()}
      iex> {:ok, _supervisor} = Supervisor.start_link([{AdTally.Reach, name: MyApp.Reach}], strategy: :one_for_one)
      iex> AdTally.Reach.add(MyApp.Reach, {42, :us}, "ann")
      :ok
      iex> AdTally.Reach.estimate(MyApp.Reach, {42, :us})
      1.0

  #{AdTally.TableOwner.owner_doc()}

  ## Users

  A user is an integer from -2^63 to 2^64 - 1 or a binary of 1 to 65,536 bytes. Both are
  hashed as Apache DataSketches hashes them: an integer as its 8 little-endian bytes, a
  binary as its bytes. So a sketch made here and one made in Spark or Python can be merged, and
  a user of both is counted once.

  **An integer and a string are different users**, here and there: `1` and `"1"` are two
  users. Choose one form for each kind of id, and use it in every system whose sketches are
  merged; where ids come in both, convert them before `add/3`, for example with
  `Integer.to_string/1`. Text has to be UTF-8 everywhere. The same bytes are the same
  user: `-1` and `2^64 - 1`, or an integer and the binary of its 8 little-endian bytes.

  ## Estimates

  A key with few users, up to 384 at the default precision of 12, keeps a coupon for each
  of them: 32 bits of its hash. Its estimate is nearly exact. A key with more users keeps
  2^precision registers of one byte each:

  | precision | registers | standard error | coupons up to |
  | --- | --- | --- | --- |
  | 4 | 16 bytes | 26 % | 7 users |
  | 10 | 1 KiB | 3.25 % | 96 users |
  | 12 | 4 KiB | 1.62 % | 384 users |
  | 14 | 16 KiB | 0.81 % | 1,536 users |
  | 18 | 256 KiB | 0.20 % | 24,576 users |

  The error is relative, `1.04 / sqrt(2^precision)` for many users and less for fewer: two
  estimates in three are off by less, 19 in 20 by less than twice that.
  `AdTally.Sketch.bounds/2` gives the interval. See [Accuracy](accuracy.html).

  A key's sketch depends only on its users, not on their order or on which process added
  them.

  ## Secrets

  Without a secret the hash is public. An attacker who chooses the user ids can choose ids that
  inflate an estimate to any number (Reviriego, Adell and Ting, arXiv 2011.10355) or hold it
  down (Paterson and Raynal, ePrint 2021/1139). With `secret: <<_::128>>` users are hashed
  by SipHash-2-4-128 under it first, and ids chosen without knowing it are like any others. It
  does not help against an attacker who can add users and read the estimate after each.

  Sketches can then be merged only with those of the same secret: others return
  `{:error, :different_secret}`. Other systems can merge such sketches with each other,
  but not with sketches that they made themselves.

  ## Overflow

  `max_keys` is a budget. Once that many keys have a row, an add for a new key returns
  `:overflow` and inserts its user into one sketch for all such keys; `info/1` counts these adds
  since the table was made, and `drain_with_overflow/1` returns that sketch.

  ## What is guaranteed

  An add is one call into native code that sends no message. For a key that has registers
  it takes no lock, and usually writes nothing: it reads one byte. No user is lost: each add
  is in exactly one drain. A process reads its own adds.

  No call holds a scheduler for longer than a millisecond, however long the list or large
  the table: long ones work in steps, or on dirty schedulers.
  """

  alias AdTally.{
    Counters,
    Frame,
    FrameError,
    Frames,
    Named,
    Native,
    Options,
    Sketch,
    Steps,
    TableOwner
  }

  alias AdTally.Store.Shape

  require Named

  @typedoc "A table of sketches."
  @opaque t :: reference()

  @typedoc "The name of a table that a supervisor has started."
  @type name :: atom()

  @typedoc "A table, or the name of one."
  @type table :: t() | name()

  @typedoc "What users are counted for."
  @type key :: Counters.key()

  @typedoc "Who is counted: an integer from -2^63 to 2^64 - 1, or a binary of 1 to 65,536 bytes."
  @type user :: integer() | binary()

  @typedoc "An option of `new/1`."
  @type option ::
          {:precision, 4..18}
          | {:max_keys, pos_integer()}
          | {:secret, <<_::128>> | nil}
          | {:seed, Options.seed()}

  @default_precision 12
  @default_max_keys 1_000_000

  @doc """
  Makes a table.

  ## Options

    * `:precision` - from 4 to 18: a key with many users has 2^precision registers of a
      byte. Default: #{@default_precision}.

    * `:max_keys` - how many keys may have a row at the same time, from 1 to
      1,000,000,000. Default: #{@default_max_keys}. Memory is taken as keys and users
      come, beside 90 KB for the table: about 80 bytes for a key with up to eight users,
      see `info/1`.

    * `:secret` - 16 random bytes that users are hashed under, see the module's
      documentation. Default: `nil`, for none. Not shown anywhere, and not to be read out
      of the table or its sketches.

    * #{Options.seed_doc("keys")}

  Raises `ArgumentError` for an option that is unknown or out of range.

      iex> reach = AdTally.Reach.new(precision: 14, max_keys: 10_000, secret: :crypto.strong_rand_bytes(16))
      iex> AdTally.Reach.info(reach).precision
      14
  """
  @spec new([option()]) :: t()
  def new(options \\ []), do: options |> TableOwner.no_store!() |> config!() |> make()

  @doc "A table with a name as a child of a supervisor, which may have several."
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: TableOwner.child_spec(__MODULE__, options)

  @doc """
  #{TableOwner.start_link_doc()}
      iex> {:ok, _owner} = AdTally.Reach.start_link(name: Viewers, precision: 14)
      iex> AdTally.Reach.info(Viewers).precision
      14
  """
  @spec start_link([option() | {:name, name()} | {:store, AdTally.Store.name()}]) ::
          GenServer.on_start()
  def start_link(options), do: TableOwner.start_link(__MODULE__, options, kind())

  defp kind,
    do: %{config!: &config!/1, make: &make/1, make_in: &make_in/2, shape: &shape/1}

  defp config!(options) do
    options = Options.known!(options, [:precision, :max_keys, :secret, :seed])

    {Options.precision!(options, @default_precision),
     Options.max_keys!(options, @default_max_keys), Options.secret!(options),
     Options.seed!(options)}
  end

  defp make({precision, max_keys, secret, seed}),
    do: Native.reach_new(precision, max_keys, secret, seed)

  defp make_in(place, {precision, max_keys, secret, seed}),
    do: Native.reach_new_in(place, precision, max_keys, secret, seed)

  defp shape({precision, _max_keys, secret, _seed}) do
    {[precision: precision, secret: Shape.secret(secret)],
     [{:precision, :same, ":precision"}, {:secret, :same, "the digest of :secret"}]}
  end

  defp table(reach) when is_atom(reach), do: Named.fetch!(__MODULE__, reach)
  defp table(reach), do: reach

  @doc """
  Inserts a user into a key's sketch.

  Returns `:overflow` if the key is new and the budget of keys is used up, see the
  module's documentation, and `:busy` if the user was not inserted, because the table's store has no room, see
  `AdTally.Store`. Raises `ArgumentError` for a bad key, a bad user, or something
  that is not a table; nothing is counted then.

      iex> reach = AdTally.Reach.new(max_keys: 1)
      iex> AdTally.Reach.add(reach, "spring-sale", "user-1")
      :ok
      iex> AdTally.Reach.add(reach, "summer-sale", "user-1")
      :overflow
  """
  @spec add(table(), key(), user()) :: :ok | :overflow | :busy
  # A tail call, as in AdTally.Counters.add/3.
  def add(name, key, user) when is_atom(name),
    do: Native.reach_add(Named.fetch!(__MODULE__, name), key, user)

  def add(reach, key, user), do: Native.reach_add(reach, key, user)

  @doc """
  Inserts a list of `{key, user}`, faster than one by one.

  Returns `{:overflow, count}` if `count` of them were for keys without a row, and `{:busy, count}` if the last
  `count` of them were not inserted, because the table's store has no room. All items
  are checked before the first is inserted: one bad item raises `ArgumentError` and nothing
  is counted. A reader or a drain in between may see some of the items inserted and others
  not yet.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add_many(reach, [{42, "a"}, {43, "a"}, {42, "b"}])
      :ok
      iex> reach |> AdTally.Reach.estimate(42) |> round()
      2
  """
  @spec add_many(table(), [{key(), user()}]) ::
          :ok | {:overflow, pos_integer()} | {:busy, pos_integer()}
  def add_many(name, items) when is_atom(name),
    do: add_many(Named.fetch!(__MODULE__, name), items)

  def add_many(reach, items) do
    reach
    |> Native.reach_add_many(items)
    |> Steps.add_many(
      items,
      &Native.reach_check_some(reach, &1, &2),
      &Native.reach_add_some(reach, &1)
    )
  end

  @doc """
  Inserts a list of users into one key's sketch, which is faster still. Otherwise like `add_many/2`.

  An empty list makes no row for the key.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add_many(reach, {42, :us}, [1, 2, 3, 2, 1])
      :ok
      iex> reach |> AdTally.Reach.estimate({42, :us}) |> round()
      3
  """
  @spec add_many(table(), key(), [user()]) ::
          :ok | {:overflow, pos_integer()} | {:busy, pos_integer()}
  def add_many(name, key, users) when is_atom(name),
    do: add_many(Named.fetch!(__MODULE__, name), key, users)

  def add_many(reach, key, users) do
    reach
    |> Native.reach_add_users(key, users)
    |> Steps.add_many(
      users,
      &Native.reach_check_some_users(reach, key, &1, &2),
      &Native.reach_add_some_users(reach, key, &1)
    )
  end

  @doc """
  The number of different users of a key, 0.0 for a key that was not seen since the last
  drain.

  An estimate: for its bounds see `sketch/2` and `AdTally.Sketch.bounds/2`.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.estimate(reach, 42)
      0.0
  """
  @spec estimate(table(), key()) :: float()
  def estimate(reach, key), do: Native.reach_estimate(table(reach), key)

  @doc """
  The number of different users of several keys together: a user of two keys is counted
  once.

  Keys that were not seen add no users. All keys are read from the table of one moment,
  before or after a drain.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add_many(reach, [{:us, 1}, {:us, 2}, {:ca, 2}])
      iex> reach |> AdTally.Reach.estimate_union([:us, :ca, :mx]) |> round()
      2
  """
  @spec estimate_union(table(), [key()]) :: float()
  def estimate_union(reach, keys) do
    union = Native.reach_unite(table(reach))
    :ok = Steps.each(keys, &Native.reach_unite_some(union, &1, &2))
    Native.reach_united(union)
  end

  @doc """
  The sketch of a key's users, or `nil` if it was not seen since the last drain.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add_many(reach, 42, ["a", "b"])
      iex> AdTally.Reach.sketch(reach, 42) == AdTally.Sketch.from_users(["b", "a"])
      true
      iex> AdTally.Reach.sketch(reach, 43)
      nil
  """
  @spec sketch(table(), key()) :: Sketch.t() | nil
  def sketch(reach, key), do: Native.reach_sketch(table(reach), key)

  @doc """
  Merges a sketch into a key's sketch: afterwards it has the users of both.

  The table keeps its precision. A sketch of a higher one is folded down to it. A sketch of
  a lower one is merged as long as it keeps coupons, or is empty; once it has registers it
  is refused with `{:error, {:coarser_precision, precision}}`, because it would lower the
  precision of the key. A sketch of another secret, or with one where the table has none, is
  refused with `{:error, :different_secret}`. Nothing is changed then.

  Returns `:overflow` if the table has no row for the key, and its users went to the overflow sketch, and
  `:busy` if nothing was merged, because the table's store has no room, see `AdTally.Store`.

      iex> reach = AdTally.Reach.new(precision: 12)
      iex> AdTally.Reach.merge(reach, 42, AdTally.Sketch.from_users([1, 2, 3], precision: 14))
      :ok
      iex> AdTally.Reach.merge(reach, 42, AdTally.Sketch.from_users([3, 4], precision: 4))
      :ok
      iex> reach |> AdTally.Reach.estimate(42) |> round()
      4
      iex> many = AdTally.Sketch.from_users(Enum.to_list(1..10_000), precision: 11)
      iex> AdTally.Reach.merge(reach, 42, many)
      {:error, {:coarser_precision, 11}}
  """
  @spec merge(table(), key(), Sketch.t()) ::
          :ok | :overflow | :busy | {:error, :different_secret | {:coarser_precision, 4..18}}
  def merge(reach, key, sketch), do: Native.reach_merge(table(reach), key, sketch)

  @doc """
  All keys with their sketches, in no particular order.

  Other processes may add meanwhile. A row has its users at the time when it is read, and a
  key that is new since the call may be missing.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add(reach, 42, "a")
      iex> for {key, sketch} <- AdTally.Reach.to_list(reach), do: {key, AdTally.Sketch.estimate(sketch)}
      [{42, 1.0}]
  """
  @spec to_list(table()) :: [{key(), Sketch.t()}]
  def to_list(reach), do: reach |> table() |> Native.reach_walk() |> rows()

  @doc """
  Takes all keys with their sketches out of the table, in no particular order.

  The table is empty afterwards and counts on. Each add is in exactly one drain,
  whatever runs at the same time. If the calling process is killed during the call, what
  it has taken out is lost.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add(reach, 42, "a")
      iex> [{42, sketch}] = AdTally.Reach.drain(reach)
      iex> AdTally.Sketch.estimate(sketch)
      1.0
      iex> AdTally.Reach.drain(reach)
      []
  """
  @spec drain(table()) :: [{key(), Sketch.t()}]
  def drain(reach), do: reach |> drain_with_overflow() |> elem(0)

  @doc """
  As `drain/1`, with the sketch of the users whose keys had no row since the last drain.

      iex> reach = AdTally.Reach.new(max_keys: 1)
      iex> AdTally.Reach.add_many(reach, [{1, "a"}, {2, "b"}, {3, "b"}])
      {:overflow, 2}
      iex> {[{1, _}], overflow} = AdTally.Reach.drain_with_overflow(reach)
      iex> overflow |> AdTally.Sketch.estimate() |> round()
      1
  """
  @spec drain_with_overflow(table()) :: {[{key(), Sketch.t()}], Sketch.t()}
  def drain_with_overflow(reach) do
    {walk, overflow} = Native.reach_drain(table(reach))
    {rows(walk), overflow}
  end

  @doc """
  Everything in the table, as a stream of frames: binaries of at most 1 MiB, see `AdTally.Frame`.

  These are the sketches of all keys and of the overflow since the last drain. Nothing is taken out.

  The export begins anew each time the stream is enumerated. Others may add users meanwhile: what was there
  when it began is in it, and of what comes later some is and some is not. It is made a frame at a time, as
  the stream is read, in calls that hold no scheduler. If the table's process ends meanwhile, it raises `ArgumentError`.

      iex> reach = AdTally.Reach.new()
      iex> AdTally.Reach.add(reach, 42, "ann")
      iex> other = AdTally.Reach.new()
      iex> AdTally.Reach.import!(other, AdTally.Reach.export(reach)).rows
      1
      iex> AdTally.Reach.sketch(other, 42) == AdTally.Reach.sketch(reach, 42)
      true
  """
  @spec export(table()) :: Enumerable.t()
  def export(reach) do
    table = table(reach)
    Frames.export(fn -> Native.reach_export(table) end)
  end

  @doc """
  Adds what was exported to the table.

  `frames` is an enumerable of binaries: what `export/1` made, from one or several tables, in any order, or
  the bytes of a file of it in pieces of any size (`AdTally.Frame.stream!/1`). The table may be in use meanwhile
  and have other sketches. Sketches are united.

  Returns how many `:frames` were taken, how many `:rows` they had, how many frames were
  `:already_taken` by this table before, which are not taken again, and how many rows went to the
  `:overflow`, because `:max_keys` is reached. `:complete?` tells whether all frames of every stream that was met are in the table now.

  `{:error, %AdTally.FrameError{}}` names the frame and the byte that is wrong, or the option in which
  the tables differ: `:precision` and `:secret` must be the same. Nothing of that frame is in the table then. The frames before it are, and stay:
  repeat the import once the cause is gone. Raises `ArgumentError` as other functions, and if
  `frames` is not an enumerable of binaries.

      iex> [one, other] = for _ <- 1..2, do: AdTally.Reach.new()
      iex> AdTally.Reach.add_many(one, [{42, "ann"}, {42, "ben"}])
      iex> AdTally.Reach.add_many(other, [{42, "ben"}, {42, "cem"}])
      iex> {:ok, %{complete?: true}} = AdTally.Reach.import(other, AdTally.Reach.export(one))
      iex> other |> AdTally.Reach.estimate(42) |> round()
      3
  """
  @spec import(table(), Enumerable.t()) :: {:ok, Frame.imported()} | {:error, FrameError.t()}
  def import(reach, frames) do
    table = table(reach)
    Frames.import(frames, &Native.reach_import(table, &1))
  end

  @doc "As `import/2`, but returns what was taken or raises `AdTally.FrameError`."
  @spec import!(table(), Enumerable.t()) :: Frame.imported()
  def import!(reach, frames) do
    table = table(reach)
    Frames.import!(frames, &Native.reach_import(table, &1))
  end

  @doc """
  The table's numbers.

    * `:keys` - keys that have a row
    * `:max_keys` - the budget of keys
    * `:precision` - that of its sketches
    * `:sparse` - keys that keep a coupon for each user
    * `:dense` - keys that have registers
    * `:memory_bytes` - native memory of the table, without what a drain that is under
      way still holds
    * `:overflow` - adds and merges for keys that had no row, since the table was made; a
      merge counts once, and drains do not reset it

  ## Example

      iex> reach = AdTally.Reach.new(max_keys: 10)
      iex> AdTally.Reach.add_many(reach, 1, Enum.to_list(1..10_000))
      iex> AdTally.Reach.add(reach, 2, 1)
      iex> info = AdTally.Reach.info(reach)
      iex> {info.keys, info.sparse, info.dense, info.overflow}
      {2, 1, 1, 0}
  """
  @spec info(table()) :: %{
          keys: non_neg_integer(),
          max_keys: pos_integer(),
          precision: 4..18,
          sparse: non_neg_integer(),
          dense: non_neg_integer(),
          memory_bytes: non_neg_integer(),
          overflow: non_neg_integer()
        }
  def info(reach), do: Native.reach_info(table(reach))

  defp rows(walk), do: Steps.collect(walk)
end
