defmodule AdTally.TableOwner do
  @moduledoc false
  # The process that owns a table with a name. It makes the table, puts it under its name, and the table
  # ends with it. It gets no messages of those that use the table: they call native code. Where a store keeps
  # the table, it is as it was when its process ended.

  use GenServer

  alias AdTally.{Named, Native, Options}
  alias AdTally.Store.{Part, Shape}

  @typedoc """
  What a module of tables does, with its options as `config!` returns them, which checks them in the calling
  process, as that is the one to raise in:

    * `make` - makes a table
    * `make_in` - makes one at a place in a store
    * `shape` - on what the meaning of its stored state depends, and how that may change
  """
  @type kind :: %{
          config!: (keyword() -> config :: term()),
          make: (config :: term() -> reference()),
          make_in: (Part.place(), config :: term() -> term()),
          shape: (config :: term() -> {Shape.t(), [Shape.rule()]})
        }

  # More than any of them has.
  @most_options 20

  # What the documentation of every module of tables says.

  @doc "About names, in the section about supervision trees: an example follows."
  @spec named_doc() :: String.t()
  def named_doc do
    """
    A table with a name is a child of a supervisor, which may have several. Any process uses it by its
    name, and sends no message to another one. Looking the name up takes some 20 ns of a call.
    """
  end

  @doc "About the process that owns a named table, in the same section."
  @spec owner_doc() :: String.t()
  def owner_doc do
    """
    The table belongs to a process of that name and ends with it. A process that only uses the table may
    crash: nothing is lost. Every function raises `ArgumentError` while no process of the name runs: before
    it is started, after it was stopped, and between a crash and the restart by its supervisor. After a
    restart the table is empty, unless an `AdTally.Store` keeps it: the option `store: MyApp.Store`.
    """
  end

  @doc "What `start_link/1` does: an example follows."
  @spec start_link_doc() :: String.t()
  def start_link_doc do
    """
    Starts a table with a name, linked to the calling process. Usually a supervisor calls it, see the
    module's documentation.

    Options are `:name` (required), an atom, those of `new/1`, and `:store`, the name of an `AdTally.Store`
    that keeps the table. Where the name is taken, returns `{:error, {:already_started, pid}}`. Raises
    `ArgumentError` as `new/1`, if the store does not run, and if the table cannot go on with what is stored of
    it, which the message says.
    """
  end

  @doc "The options of `new/1`. Raises `ArgumentError` if they have a `:store`."
  @spec no_store!(keyword()) :: keyword()
  def no_store!(options) do
    if store?(options, @most_options) do
      raise ArgumentError,
            "expected no :store for a table without a name: a store keeps tables that are started with a :name, as " <>
              "children of a supervisor"
    end

    options
  end

  # A longer list is refused without reading it.
  defp store?([{:store, _store} | _options], left) when left > 0, do: true
  defp store?([_option | options], left) when left > 0, do: store?(options, left - 1)
  defp store?(_other, _left), do: false

  # With a store, to stop is to write to the disk.
  @spec child_spec(module(), keyword()) :: Supervisor.child_spec()
  def child_spec(module, options) do
    {name, _others} = Options.pop_name!(options)
    child = %{id: {module, name}, start: {module, :start_link, [options]}}
    if Keyword.get(options, :store), do: Map.put(child, :shutdown, :infinity), else: child
  end

  @spec start_link(module(), keyword(), kind()) :: GenServer.on_start()
  def start_link(module, options, kind) do
    {name, others} = Options.pop_name!(options)
    {store, others} = Part.pop_store!(others)
    config = kind.config!.(others)
    Named.free!(name)
    {shape, rules} = kind.shape.(config)
    part = Part.new!(store, {module, name}, shape, rules, config)
    make = if part, do: &kind.make_in.(&1, config), else: fn -> kind.make.(config) end
    GenServer.start_link(__MODULE__, {module, name, part, make}, name: name)
  end

  @impl true
  def init({module, name, part, make}) do
    Process.flag(:trap_exit, true)
    Named.claim(name, module)
    table = make(part, make)
    :ok = Named.put(name, module, table, table, %{store: Part.store(part)})
    Part.watch(part)
    {:ok, {name, table, part}, :hibernate}
  end

  defp make(nil, make), do: make.()

  defp make(part, make) do
    {table, _epoch} = Part.open!(part, make)
    table
  end

  # A message that was sent by mistake must not end the process, and the table with it.
  @impl true
  def handle_call(_message, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_message, state), do: {:noreply, state}

  @impl true
  def handle_info(message, {_name, _table, part} = state) do
    case Part.handle_info(message, part) do
      {:stop, reason} -> {:stop, reason, state}
      :go_on -> {:noreply, state}
    end
  end

  # First the name goes, so that nobody finds the table any more. Where the process is killed, its watcher erases
  # the entry.
  @impl true
  def terminate(_reason, {name, table, part}) do
    Named.erase(name)
    if part, do: Part.leave(part, table), else: Native.table_end(table)
  end
end
