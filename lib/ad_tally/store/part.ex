defmodule AdTally.Store.Part do
  @moduledoc false
  # A named table or meter that a store keeps, as its process needs it: to find what is stored of it, to read
  # that in, and to leave it in order.

  require Logger

  alias AdTally.{Named, Native, Options, Store, StoreError}
  alias AdTally.Store.{Server, Shape}

  require Named

  @enforce_keys [:store, :module, :name, :text, :options, :before]
  defstruct @enforce_keys

  @typedoc """
    * `:store` - the store's name
    * `:module`, `:name` - those of the table
    * `:text` - its shape
    * `:options` - what tells all of its options from others: a table whose process has crashed goes on as it
      is where these are the same
    * `:before` - shapes of earlier starts that differ from this one, the oldest first
  """
  @type t :: %__MODULE__{
          store: atom(),
          module: module(),
          name: atom(),
          text: String.t(),
          options: String.t(),
          before: [String.t()]
        }

  @typedoc "The native store, the name, the shape, and what tells all options from others."
  @type place :: {reference(), String.t(), String.t(), String.t()}

  @kinds %{
    AdTally.Meter => "meter",
    AdTally.Attribution => "attribution",
    AdTally.FrequencyCap => "frequency_cap",
    AdTally.Counters => "counters",
    AdTally.Reach => "reach",
    AdTally.Dedupe => "dedupe",
    AdTally.Pacer => "pacer"
  }

  # How long a sync of an orderly stop may take.
  @sync_wait 30_000

  # Between two looks for a store whose process has crashed.
  @look 100

  @doc "The name of a store among options, or `nil`."
  @spec store!(keyword()) :: atom()
  def store!(options) do
    case Keyword.get(options, :store) do
      store when is_atom(store) and store not in [true, false] ->
        store

      other ->
        raise ArgumentError,
              "expected :store to be the name of an AdTally.Store, an atom, or nil for none, got: " <>
                Options.shown(other)
    end
  end

  @doc "The same, and the other options."
  @spec pop_store!(keyword()) :: {atom(), keyword()}
  def pop_store!(options) do
    store = store!(options)
    # One that is there twice is refused with the others.
    {store, List.keydelete(options, :store, 0)}
  end

  @doc "The name of the store that keeps a part, or `nil`."
  @spec store(t() | nil) :: atom()
  def store(nil), do: nil
  def store(part), do: part.store

  @doc """
  A table in a store, which has to run. Raises `ArgumentError` if the table cannot go on with what is stored of
  it. `options` are all of its options that native code gets.
  """
  @spec new!(atom(), {module(), atom()}, Shape.t(), [Shape.rule()], options :: term()) ::
          t() | nil
  def new!(nil, _table, _shape, _rules, _options), do: nil

  def new!(store, {module, name}, shape, rules, options) do
    text = Shape.text(shape)
    stored = Native.store_part(Named.fetch!(Store, store), Atom.to_string(name), @kinds[module])
    texts = with {_seed, _epoch, texts} <- stored, do: texts
    Shape.check!(shape, rules, List.wrap(texts), "#{inspect(module)} #{inspect(name)}")

    %__MODULE__{
      store: store,
      module: module,
      name: name,
      text: text,
      options: digest(options),
      before: texts |> List.wrap() |> Enum.uniq() |> List.delete(text)
    }
  end

  # They may have a secret, so the text has none of it.
  defp digest(options),
    do: options |> :erlang.term_to_binary() |> :erlang.md5() |> Base.encode16(case: :lower)

  @doc """
  The table with all that is stored of it, and its epoch, in the process that owns it. `make` makes the native
  table at the place that it has in the store. Raises `AdTally.StoreError`.
  """
  @spec open!(t(), (place() -> term())) :: {table :: reference(), epoch :: integer()}
  def open!(part, make) do
    native = Named.fetch!(Store, part.store)
    place = {native, Atom.to_string(part.name), part.text, part.options}

    case make.(place) do
      {:ok, table, %{state: state, epoch: epoch}} ->
        # One of a process that has crashed belongs to nobody.
        :ok = Native.table_own(table, part.name)
        if state == :stored, do: read!(part, table)
        {table, epoch}

      {:error, {kind, reason}} ->
        raise StoreError, kind: kind, reason: reason
    end
  end

  # Calls by its name raise meanwhile, and say that it is being read.
  defp read!(part, table) do
    Named.reading(part.name, part.module)

    with {:error, {kind, reason}} <- Native.table_load(table),
         do: raise(StoreError, kind: kind, reason: reason)
  after
    Named.read(part.name)
  end

  @doc "Begins a sync: the calling process gets `{tag, answer}`. `:error` while the store's process does not run."
  @spec begin_sync(t()) :: reference() | :error
  def begin_sync(part) do
    tag = make_ref()
    part.store |> running!() |> Native.store_sync(tag)
    tag
  rescue
    ArgumentError -> :error
  end

  @doc "Waits until all that was recorded is on disk."
  @spec sync(t()) :: :ok | {:error, String.t() | :timeout}
  def sync(part) do
    Store.sync(part.store, @sync_wait)
  rescue
    error in ArgumentError -> {:error, error.message}
  end

  @doc "Leaves the table in order, for its next start, and logs what is not on disk then."
  @spec leave(t(), reference()) :: :ok | :error
  def leave(part, table) do
    with {:error, {_kind, reason}} <- Native.table_leave(table) do
      Logger.error(
        "#{inspect(part.module)} #{inspect(part.name)} stops, and what was recorded last is not on disk: #{reason}"
      )

      :error
    end
  end

  @doc "Whether a process with that reason was stopped, and did not crash."
  @spec orderly?(term()) :: boolean()
  defdelegate orderly?(reason), to: Server

  @doc "Has the calling process get messages about its store, for `handle_info/2`."
  @spec watch(t() | nil) :: :ok
  def watch(nil), do: :ok

  def watch(part) do
    Process.monitor(part.store)
    :ok
  end

  @doc """
  What to do about a message that may be about the store. A store that was stopped takes nothing any more, so its
  tables stop too, for that reason. If its process has crashed, the tables go on and wait for the next one.
  """
  @spec handle_info(message :: term(), t() | nil) :: :go_on | {:stop, reason :: term()}
  def handle_info(
        {:DOWN, _monitor, :process, {store, _node}, reason},
        %__MODULE__{store: store} = part
      ) do
    cond do
      Server.orderly?(reason) ->
        {:stop, {:shutdown, {:store, reason}}}

      reason == :noproc ->
        Process.send_after(self(), :watch_store, @look)
        :go_on

      true ->
        log_crash(part, reason)
        watch(part)
        :go_on
    end
  end

  def handle_info(:watch_store, part) do
    watch(part)
    :go_on
  end

  def handle_info(_other, _part), do: :go_on

  defp log_crash(part, reason) do
    Logger.warning(
      "#{inspect(part.module)} #{inspect(part.name)}: the process of its store, #{inspect(part.store)}, has ended " <>
        "with #{inspect(reason)}; it goes on, and the next one takes over"
    )
  end

  defp running!(store), do: Named.fetch!(Store, store)
end
