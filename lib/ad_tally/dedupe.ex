defmodule AdTally.Dedupe do
  @moduledoc """
  Deduplicates events by their ids: an id is new, or its event was delivered again.

  Queues deliver at least once. Ask `first?/3` with the event's id before you count the
  event, and it is counted once.

      iex> dedupe = AdTally.Dedupe.new(window: :timer.minutes(10), capacity: 100_000)
      iex> at = 1_780_272_000_000
      iex> AdTally.Dedupe.first?(dedupe, "01JEX5M3Z7", at)
      true
      iex> AdTally.Dedupe.first?(dedupe, "01JEX5M3Z7", at)
      false

  A table is a reference that belongs to no process, and any process calls it directly. Ids are
  keys as in `AdTally.Counters`: `1` and `"1"` are different. Only the id is compared: where
  an impression and a click may have the same id, ask for `{:click, id}`. An id that
  is `nil` or `""`, or has one of them in a tuple, is refused: all events of an empty column
  would be copies of the first. Times are Unix milliseconds.

  ## In a supervision tree

  #{AdTally.TableOwner.named_doc()}
      iex> children = [{AdTally.Dedupe, name: MyApp.Ids, window: :timer.minutes(10), capacity: 100_000}]
      iex> {:ok, _supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      iex> for id <- [7, 8, 7], do: AdTally.Dedupe.first?(MyApp.Ids, id)
      [true, true, false]

  #{AdTally.TableOwner.owner_doc()}
  A table without a store has no ids then: copies of events from before the restart pass.

  ## What is promised

    * **No copy passes** within the window after the id last came, as long as there is room.
      Of several copies at the same time exactly one is first.
    * **Hardly any new id is taken for a copy.** Ids are told apart by their bucket and a
      fingerprint of 28 bits, under a random seed. In a full table one new id in eleven million
      has the bits of another one (4 to 9 of 100 million in the test that measures it). With
      `fingerprint_bits: 61` practically none does.
    * **Never full.** When more ids come in a window than there is room for, some of the oldest
      are evicted early: then a copy may pass, and no new id is dropped. `info/1` counts them as
      `:forgotten`.

  ## Time

  Time is the newest `at` that was seen, so that old logs can be replayed; it does not pass
  by itself. Choose the window longer than the longest time between an event and its last
  redelivery. An `at` more than a window ahead of the system's time does not move time, so
  that one wrong time does not evict all ids: `info/1` counts those as `:future`.

  An id may be remembered for a quarter longer than the window.
  """

  alias AdTally.{Counters, Frame, FrameError, Frames, Named, Native, Options, TableOwner}

  require Named

  @typedoc "A table."
  @opaque t :: reference()

  @typedoc "The name of a table that a supervisor has started."
  @type name :: atom()

  @typedoc "A table, or the name of one."
  @type table :: t() | name()

  @typedoc ~S(What identifies an event: a key that is not `nil` or `""` and has neither in it.)
  @type id :: Counters.key()

  @typedoc "Unix milliseconds, from 0."
  @type at :: non_neg_integer()

  @typedoc "An option of `new/1`."
  @type option ::
          {:window, pos_integer()}
          | {:capacity, pos_integer()}
          | {:fingerprint_bits, 28 | 61}
          | {:seed, Options.seed()}

  @default_capacity 1_000_000
  @default_window 600_000

  @doc """
  Makes a table.

  ## Options

    * `:window` - for how many milliseconds an id is remembered at least, after it last came.
      Default: 10 minutes.

    * `:capacity` - how many different ids come in a window, new ones and copies of older ones,
      from 1 to 1,000,000,000. Default: #{@default_capacity}. It takes 6.4 bytes each when the
      table is made, 7.3 when so many have come, and never more than 8.5 (for 100,000 ids and
      more). The memory is touched when the table is made, on a dirty scheduler, so that
      later calls do not wait for it: ten million ids in 10 to 200 ms, a billion in some
      seconds. A system that overcommits memory, as Linux does, may kill the VM when it runs out.

    * `:fingerprint_bits` - how many bits of its hash are kept of an id, 28 or 61. 61 takes 15 to
      18 bytes an id: for what is billed. Default: 28.

    * #{Options.seed_doc("ids")}

  Raises `ArgumentError` for an option that is unknown or out of range, and if the system has
  no room.

      iex> dedupe = AdTally.Dedupe.new(capacity: 1_000, fingerprint_bits: 61)
      iex> AdTally.Dedupe.info(dedupe).ids
      0
  """
  @spec new([option()]) :: t()
  def new(options \\ []), do: options |> TableOwner.no_store!() |> config!() |> make()

  @doc "A table with a name as a child of a supervisor, which may have several."
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: TableOwner.child_spec(__MODULE__, options)

  @doc """
  #{TableOwner.start_link_doc()}
      iex> {:ok, _owner} = AdTally.Dedupe.start_link(name: Clicks.Ids, capacity: 1_000)
      iex> AdTally.Dedupe.first?(Clicks.Ids, 7)
      true
  """
  @spec start_link([option() | {:name, name()} | {:store, AdTally.Store.name()}]) ::
          GenServer.on_start()
  def start_link(options), do: TableOwner.start_link(__MODULE__, options, kind())

  defp kind,
    do: %{config!: &config!/1, make: &make/1, make_in: &make_in/2, shape: &shape/1}

  defp config!(options) do
    options = Options.known!(options, [:window, :capacity, :fingerprint_bits, :seed])
    capacity = Options.count!(options, :capacity, @default_capacity)
    window = Options.milliseconds!(options, :window, @default_window)
    wide = Options.one_of!(options, :fingerprint_bits, [28, 61]) == 61
    {window, capacity, wide, Options.seed!(options)}
  end

  defp table(dedupe) when is_atom(dedupe), do: Named.fetch!(__MODULE__, dedupe)
  defp table(dedupe), do: dedupe

  defp make({window, capacity, wide, seed}),
    do: Native.dedupe_new(window, capacity, wide, seed)

  defp make_in(place, {window, capacity, wide, seed}),
    do: Native.dedupe_new_in(place, window, capacity, wide, seed)

  defp shape({window, _capacity, wide, _seed}) do
    {[window: window, fingerprint_bits: if(wide, do: 61, else: 28)],
     [{:window, :same, ":window"}, {:fingerprint_bits, :same, ":fingerprint_bits"}]}
  end

  @doc """
  Whether an id is seen for the first time. It is remembered from now on.

  It is `true` or `false`, and nothing else. Where the table's store has no room, see `AdTally.Store`, it raises
  `AdTally.StoreError` with the kind `:busy`: nobody knows then whether the event is a copy, and nothing is
  remembered. Do not count the event, and take it again later, as a queue does that delivers it again. An
  `AdTally.Store.sync/1` that returns `:ok` has made room. With larger `:buffer_bytes` of the store this comes later.

  Raises `ArgumentError` for a bad id, such as `nil` or `""`, and for a negative time.

      iex> dedupe = AdTally.Dedupe.new(capacity: 1_000)
      iex> for id <- [1, "1", 1, {:click, 1}], do: AdTally.Dedupe.first?(dedupe, id, 1_780_272_000_000)
      [true, true, false, true]
      iex> AdTally.Dedupe.first?(dedupe, {:click, nil}, 1_780_272_000_000)
      ** (ArgumentError) expected an id that is of one event only: with nil or "", alone or in a tuple, all events of an empty column would be copies of the first (for an event without an id, set id: nil in AdTally.Event, and do not ask AdTally.Dedupe), got: {:click, nil}
  """
  @spec first?(table(), id(), at()) :: boolean()
  def first?(name, id, at) when is_atom(name),
    do: Native.dedupe_first(Named.fetch!(__MODULE__, name), id, at)

  def first?(dedupe, id, at), do: Native.dedupe_first(dedupe, id, at)

  @doc "`first?/3` at the system's time."
  @spec first?(table(), id()) :: boolean()
  def first?(name, id) when is_atom(name),
    do: Native.dedupe_first(Named.fetch!(__MODULE__, name), id)

  def first?(dedupe, id), do: Native.dedupe_first(dedupe, id)

  @doc """
  Everything in the table, as a stream of frames: binaries of at most 1 MiB, see `AdTally.Frame`.

  These are the ids that are remembered, as the bits that they are told apart by. Nothing is taken out.

  The export begins anew each time the stream is enumerated. Others may ask for ids meanwhile: what was there
  when it began is in it, and of what comes later some is and some is not. It is made a frame at a time, as
  the stream is read, in calls that hold no scheduler. If the table's process ends meanwhile, it raises `ArgumentError`.

      iex> dedupe = AdTally.Dedupe.new(capacity: 1_000)
      iex> AdTally.Dedupe.first?(dedupe, "01JEX5M3Z7", 1_780_272_000_000)
      true
      iex> frames = dedupe |> AdTally.Dedupe.export() |> Enum.to_list()
      iex> {:ok, frame} = AdTally.Frame.describe(hd(frames))
      iex> other = AdTally.Dedupe.new(frame.options)
      iex> AdTally.Dedupe.import!(other, frames).rows
      1
      iex> AdTally.Dedupe.first?(other, "01JEX5M3Z7", 1_780_272_000_000)
      false
  """
  @spec export(table()) :: Enumerable.t()
  def export(dedupe) do
    table = table(dedupe)
    Frames.export(fn -> Native.dedupe_export(table) end)
  end

  @doc """
  Adds what was exported to the table.

  `frames` is an enumerable of binaries: what `export/1` made, from one or several tables, in any order, or
  the bytes of a file of it in pieces of any size (`AdTally.Frame.stream!/1`). The table may be in use meanwhile
  and have other ids. An id is known from now on if it was known to one of the tables. Time moves to the newest of both.

  Returns how many `:frames` were taken, how many `:rows` they had, how many frames were
  `:already_taken` by this table before, which are not taken again, and how many ids were
  evicted early for them (`:overflow`).
  `:complete?` tells whether all frames of every stream that was met are in the table now.

  `{:error, %AdTally.FrameError{}}` names the frame and the byte that is wrong, or the option in which
  the tables differ: `:seed`, `:window` and `:fingerprint_bits` must be the same. `:capacity` may differ: a table of
  another size puts an id of 28 bits wherever it may belong, so until the window has passed more ids than usual look alike
  and are dropped. No copy passes. A table of less than a 256th of the size is refused. Nothing of that frame is in the table then. The frames before it are, and
  stay: repeat the import once the cause is gone. Raises `ArgumentError` as other functions, and if
  `frames` is not an enumerable of binaries.

      iex> [one, other] = for _ <- 1..2, do: AdTally.Dedupe.new(capacity: 1_000, seed: 7)
      iex> AdTally.Dedupe.first?(one, 42)
      iex> AdTally.Dedupe.import(other, AdTally.Dedupe.export(one))
      {:ok, %{frames: 1, rows: 1, already_taken: 0, overflow: 0, complete?: true}}
      iex> AdTally.Dedupe.first?(other, 42)
      false
  """
  @spec import(table(), Enumerable.t()) :: {:ok, Frame.imported()} | {:error, FrameError.t()}
  def import(dedupe, frames) do
    table = table(dedupe)
    Frames.import(frames, &Native.dedupe_import(table, &1))
  end

  @doc "As `import/2`, but returns what was taken or raises `AdTally.FrameError`."
  @spec import!(table(), Enumerable.t()) :: Frame.imported()
  def import!(dedupe, frames) do
    table = table(dedupe)
    Frames.import!(frames, &Native.dedupe_import(table, &1))
  end

  @doc """
  The table's numbers. It reads the whole table, on a dirty scheduler: 30 ms for ten million
  ids.

    * `:ids` - ids that are remembered
    * `:load` - the share of its entries that these ids take
    * `:stash` - overflow buckets in use
    * `:duplicates` - ids that were not the first, since the table was made
    * `:forgotten` - ids that were evicted early because there was no room
    * `:future` - times that were more than a window ahead of the system's
    * `:memory_bytes` - memory: all but the overflow buckets is allocated when the table is
      made
    * `:huge_bytes` - how much of it is in huge pages, `nil` where the system does not tell

      iex> dedupe = AdTally.Dedupe.new(capacity: 1_000)
      iex> AdTally.Dedupe.first?(dedupe, 7)
      iex> AdTally.Dedupe.first?(dedupe, 7)
      iex> Map.take(AdTally.Dedupe.info(dedupe), [:ids, :duplicates])
      %{ids: 1, duplicates: 1}
  """
  @spec info(table()) :: %{
          ids: non_neg_integer(),
          load: float(),
          stash: non_neg_integer(),
          duplicates: non_neg_integer(),
          forgotten: non_neg_integer(),
          future: non_neg_integer(),
          memory_bytes: pos_integer(),
          huge_bytes: non_neg_integer() | nil
        }
  def info(name) when is_atom(name), do: info(Named.fetch!(__MODULE__, name))
  def info(dedupe), do: Native.dedupe_info(dedupe)
end
