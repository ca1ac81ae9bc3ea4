defmodule AdTally.Store do
  @moduledoc """
  Keeps the state of meters, attributions, pacers and tables on disk, so that a restart goes on where the service was,
  after a crash too.

      children = [
        {AdTally.Store, name: MyApp.Store, dir: "/var/lib/my_app/ads"},
        {AdTally.FrequencyCap, name: MyApp.Caps, store: MyApp.Store, capacity: 10_000_000},
        {AdTally.Attribution, name: MyApp.Attribution, store: MyApp.Store, ...},
        {AdTally.Meter, name: MyApp.Ads, store: MyApp.Store, ...},
        MyApp.AdEvents
      ]

      Supervisor.start_link(children, strategy: :one_for_one)

  Start the store first, then what it keeps, and then the processes that record. A child that has a `:store` has started
  once everything that is stored of it has been read.

  Use one store for all parts of a service. Then they agree after a crash: an event is in its meter's counters,
  sketch and ids, and in the attribution that it is a touch for, or in none of them.

  ## What is promised

  What was recorded is on disk after at most `:interval` milliseconds, a second by default. `sync/1` waits until it is.
  So after a `kill -9`, a crash of the VM, or a loss of power, at most what was recorded in the last interval is
  missing, and nothing that was recorded before a `sync/1` that returned `:ok`. What is missing is missing in all parts.

  A queue that delivers at least once brings the missing events again, if they are acknowledged only after `sync/1`. With
  ids, every event is then counted once:

      %{busy: 0} = AdTally.Meter.record_many(MyApp.Ads, events)
      :ok = AdTally.Store.sync(MyApp.Store)
      # Acknowledge now.

  The guide [Durability](durability.html) has a pipeline that does this, what is promised against which
  failure, and what it costs.

  ## What it does

  Each call that counts something writes what it did into a buffer of its own thread. A thread of the store takes
  the buffers every `:interval`, after 8 MiB, or for a `sync/1`, and appends them to a file. Another thread merges
  files, so that the directory takes at most about twice the size of what is kept. Only `sync/1`, the start, the stop and
  `AdTally.Attribution.forget/2` wait for the disk.

  If the disk is full or fails, what was recorded stays in memory, up to `:buffer_bytes`, and the store tries again with
  another file. Meanwhile `sync/1` returns errors, and `info/1`, the log and telemetry report them. Once there is no more
  room, calls return `:busy` and count nothing; `AdTally.Dedupe.first?/3`, which returns `true` or `false`, raises
  `AdTally.StoreError`.

  ## Stopping and crashing

  An orderly stop leaves windows open. They go on with the next start, so a deploy loses and repeats nothing.
  If there will be no next start, use `on_stop: :close` in the options of a meter or attribution.

  If the process of a meter, a table or the store crashes, the state is still there. The process that the supervisor
  starts next goes on with it.

  Only one process can have a directory at a time. A second one, in the same VM or another one, is refused.
  """

  alias AdTally.{Named, Native, Options, StoreError}
  alias AdTally.Store.{Config, Server}

  require Named

  @typedoc "A store's name."
  @type name :: atom()

  @doc """
  The child specification of a store. A supervisor may have several stores, each with its own directory.

  The supervisor waits until the store has stopped (`shutdown: :infinity`), which takes one write to the disk.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    {name, _others} = Options.pop_name!(options)

    %{
      id: {__MODULE__, name},
      start: {__MODULE__, :start_link, [options]},
      shutdown: :infinity
    }
  end

  @doc """
  Opens a store, linked to the calling process. As a child of a supervisor it is `{AdTally.Store, options}`.

  ## Options

    * `:name` - an atom by which it is called: the name of its process, and its key in
      `:persistent_term`. Required.
    * `:dir` - its directory, which is created if it does not exist. Nothing else may be in it. A relative path is
      relative to the working directory at the time of the start. Required.
    * `:interval` - after how many milliseconds what was recorded is written to the disk, from 1 to 60,000.
      Default: 1,000.
    * `:buffer_bytes` - how much memory what waits to be written may take. Once it is full, calls return `:busy`.
      Default: 64 MiB.
    * `:segment_bytes` - after how many bytes the store begins another file, and merges the one before. Default:
      64 MiB.
    * `:max_age` - for how many milliseconds at most files may keep what was erased by
      `AdTally.Attribution.forget/2`, as long as the store runs. Default: an hour.
    * `:repair` - `false`: a damaged file is an error. Or `:truncate`: the store opens without what was recorded after
      the damage, and logs how much that is. Use it for one start, by hand, see
      [Durability](durability.html#restoring-a-backup). Default: `false`.
    * `:telemetry_interval` - milliseconds between two telemetry events of its state, see `AdTally.Telemetry`.
      Default: 10,000.

  Raises `ArgumentError` for an option that is missing, unknown or out of range. Returns
  `{:error, {%AdTally.StoreError{}, []}}` if the directory is in use or cannot be read: the error's `:reason`
  names the file and says what can be done.

      iex> dir = Path.join(System.tmp_dir!(), "ad_tally_keeping_#{System.pid()}")
      iex> {:ok, store} = AdTally.Store.start_link(name: Keeping, dir: dir)
      iex> {:ok, owner} = AdTally.Counters.start_link(name: Kept, store: Keeping, metrics: [:clicks])
      iex> AdTally.Counters.add(Kept, {42, "us"}, :clicks)
      :ok
      iex> for process <- [owner, store], do: GenServer.stop(process)
      iex> {:ok, store} = AdTally.Store.start_link(name: Keeping, dir: dir)
      iex> {:ok, owner} = AdTally.Counters.start_link(name: Kept, store: Keeping, metrics: [:clicks])
      iex> AdTally.Counters.get(Kept, {42, "us"})
      %{clicks: 1}
      iex> for process <- [owner, store], do: GenServer.stop(process)
      iex> {:ok, _removed} = File.rm_rf(dir)
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    config = Config.new!(options)
    GenServer.start_link(Server, config, name: config.name)
  end

  @doc """
  Waits until everything that any process has recorded before this call is on disk.

    * `:ok` - it is on disk, for all parts of the store
    * `{:error, reason}` - the disk has refused it, and the reason says why. The store keeps it in memory and tries
      again. Do not acknowledge what was recorded
    * `{:error, :timeout}` - it was not on disk after `timeout` milliseconds (default: `:infinity`)

  The write begins at once. All callers that wait at the same time share one `fdatasync`, which takes 1 to 20 ms on most
  disks. If nothing was recorded, the call returns at once. Call it once a batch, not once an event.

  Raises `ArgumentError` if no store of that name runs.

      iex> dir = Path.join(System.tmp_dir!(), "ad_tally_syncing_#{System.pid()}")
      iex> {:ok, store} = AdTally.Store.start_link(name: Syncing, dir: dir)
      iex> {:ok, owner} = AdTally.Dedupe.start_link(name: Synced, store: Syncing, capacity: 1_000)
      iex> AdTally.Dedupe.first?(Synced, "01JEX5M3Z7")
      true
      iex> AdTally.Store.sync(Syncing)
      :ok
      iex> for process <- [owner, store], do: GenServer.stop(process)
      iex> {:ok, _removed} = File.rm_rf(dir)
  """
  @spec sync(name(), timeout()) :: :ok | {:error, String.t() | :timeout}
  def sync(store, timeout \\ :infinity) do
    timeout = Options.timeout!([timeout: timeout], :infinity)
    native = running!(store)
    tag = make_ref()
    waiting = Native.store_sync(native, tag)

    receive do
      {^tag, answer} -> answer
    after
      timeout -> cancel(waiting, tag)
    end
  end

  # No message comes later, which the caller would not expect.
  defp cancel(waiting, tag) do
    if Native.store_sync_cancel(waiting) do
      {:error, :timeout}
    else
      receive do
        {^tag, answer} -> answer
      end
    end
  end

  @doc """
  Whether everything that is stored has been read: for a probe that tells a load balancer when to send traffic.

  It is `true` once the process of each part that the directory has state of has started. A part that was stored but has
  no child any more is never read, see `:parts` in `info/1`. If there is such a part, name those that must be
  ready: `ready?(MyApp.Store, [MyApp.Caps, MyApp.Ads])`.

  It is `false` while the store does not run.

      iex> dir = Path.join(System.tmp_dir!(), "ad_tally_probing_#{System.pid()}")
      iex> {:ok, store} = AdTally.Store.start_link(name: Probing, dir: dir)
      iex> {AdTally.Store.ready?(Probing), AdTally.Store.ready?(Probing, [Probed])}
      {true, false}
      iex> {:ok, owner} = AdTally.Counters.start_link(name: Probed, store: Probing, metrics: [:clicks])
      iex> AdTally.Store.ready?(Probing, [Probed])
      true
      iex> for process <- [owner, store], do: GenServer.stop(process)
      iex> AdTally.Store.ready?(Probing)
      false
      iex> {:ok, _removed} = File.rm_rf(dir)
  """
  @spec ready?(name(), [atom()] | :all) :: boolean()
  def ready?(store, parts \\ :all)

  def ready?(store, parts) when is_atom(store) and (is_list(parts) or parts == :all) do
    case :persistent_term.get(store, nil) do
      {__MODULE__, native, _watcher} -> read?(native, parts)
      _none -> false
    end
  rescue
    # It has just ended.
    ArgumentError -> false
  end

  defp read?(native, :all),
    do: Enum.all?(Native.store_parts(native), fn {_name, _kind, read?} -> read? end)

  defp read?(native, parts) do
    read = for {name, _kind, true} <- Native.store_parts(native), do: name
    Enum.all?(parts, &(Atom.to_string(&1) in read))
  end

  @doc """
  The store's numbers.

    * `:lag_ms`, `:lag_bytes` - for how long the oldest record that is not on disk has waited, 0 if everything is
      there, and how many bytes wait. A crash now would lose this much
    * `:busy` - how often a call returned `:busy`
    * `:error` - the disk's error while it refuses something, otherwise `nil`
    * `:errors` - how often it has refused
    * `:records`, `:intervals`, `:written_bytes` - how much was written
    * `:syncs`, `:last_sync_us`, `:max_sync_us` - how many calls of `sync/2` were answered, and how long the last
      and the slowest write with `fdatasync` took, in microseconds
    * `:segment_bytes`, `:run_bytes`, `:base_bytes` - the size of the directory: files that are appended to, files that
      were merged from them once, and files in which everything of a part is merged
    * `:files` - how many files there are
    * `:compactions`, `:compaction_errors`, `:compacted_bytes` - how often files were merged, how often that
      failed, and how much it has written
    * `:torn_bytes` - how much was cut at the start from the end of the last file, because it was being written when
      the VM died
    * `:dropped_bytes` - how much the store was opened without, see `:repair`
    * `:parts` - for each part its `:name` and `:kind`, `:attached?`, whether it was started since the store was
      opened, and its `:entries` and `:bytes`
    * `:opened` - how often the directory was opened

  Raises `ArgumentError` if no store of that name runs.

      iex> dir = Path.join(System.tmp_dir!(), "ad_tally_informing_#{System.pid()}")
      iex> {:ok, store} = AdTally.Store.start_link(name: Informing, dir: dir)
      iex> {:ok, owner} = AdTally.Counters.start_link(name: Informed, store: Informing, metrics: [:clicks])
      iex> AdTally.Counters.add(Informed, 42, :clicks)
      iex> AdTally.Store.sync(Informing)
      iex> %{lag_ms: 0, error: nil, opened: 1, parts: [part]} = AdTally.Store.info(Informing)
      iex> {part.name, part.kind, part.attached?}
      {"Elixir.Informed", "counters", true}
      iex> for process <- [owner, store], do: GenServer.stop(process)
      iex> {:ok, _removed} = File.rm_rf(dir)
  """
  @spec info(name()) :: %{atom() => term()}
  def info(store), do: Native.store_info(running!(store))

  @doc """
  Reads the directory of a store, checks every byte of it, and describes it. Nothing is changed, and the store may be in
  use. `mix ad_tally.store DIR` prints the same.

    * `:opened` - how often the directory was opened
    * `:parts` - for each part its `:name`, `:kind` and `:bytes`, and how many `:entries` of which kind its files have
    * `:files` - for each file its `:name`, `:bytes`, `:frames` and `:entries`, and which intervals and part it has
    * `:torn_bytes` - how much at the end of the last file is incomplete: a running store is writing it, or its VM
      died. The next start cuts it
    * `:damages` - what is wrong with files of parts, as text. Empty if all is well
    * `:start_ms` - about how long a start takes to read it

  `{:error, %AdTally.StoreError{}}` says why it cannot be read: it is not the directory of a store, or the file that
  names the others is damaged.

      iex> dir = Path.join(System.tmp_dir!(), "ad_tally_describing_#{System.pid()}")
      iex> {:ok, store} = AdTally.Store.start_link(name: Describing, dir: dir)
      iex> {:ok, owner} = AdTally.Counters.start_link(name: Described, store: Describing, metrics: [:clicks])
      iex> AdTally.Counters.add(Described, 42, :clicks)
      iex> for process <- [owner, store], do: GenServer.stop(process)
      iex> {:ok, %{opened: 1, damages: [], parts: parts}} = AdTally.Store.describe(dir)
      iex> for part <- parts, part.kind == "counters", do: {part.name, part.entries}
      [{"Elixir.Described", [{"rows", 1}]}]
      iex> {:ok, _removed} = File.rm_rf(dir)
      iex> {:error, error} = AdTally.Store.describe(dir)
      iex> error.kind
      :io
  """
  @spec describe(Path.t()) :: {:ok, map()} | {:error, StoreError.t()}
  def describe(dir), do: dir |> Path.expand() |> Native.store_inspect() |> answer()

  @doc """
  Copies the directory of a store, which may be in use, into another directory, which must be empty or not exist, and
  checks the copy. The copy has everything that was on disk when it began. `mix ad_tally.store DIR --backup TO` does
  the same.

  The guide [Durability](durability.html#restoring-a-backup) says how to restore it.
  """
  @spec backup(Path.t(), Path.t()) :: {:ok, map()} | {:error, StoreError.t()}
  def backup(from, to),
    do: from |> Path.expand() |> Native.store_backup(Path.expand(to)) |> answer()

  defp answer({:error, {kind, reason}}), do: {:error, %StoreError{kind: kind, reason: reason}}
  defp answer({:ok, told}), do: {:ok, told}

  defp running!(store) when is_atom(store), do: Named.fetch!(__MODULE__, store)
  defp running!(other), do: Named.raise_not_running(__MODULE__, other)
end
