defmodule AdTally.TableOwner do
  @moduledoc false
  # The process that owns a table with a name. It makes the table, puts it under its name, and the table
  # ends with it. It gets no messages: a process that uses the table calls native code.

  use GenServer

  alias AdTally.{Named, Native, Options}

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
    restart the table is empty.
    """
  end

  @doc "What `start_link/1` does: an example follows."
  @spec start_link_doc() :: String.t()
  def start_link_doc do
    """
    Starts a table with a name, linked to the calling process. Usually a supervisor calls it, see the
    module's documentation.

    Options are `:name` (required), an atom, and those of `new/1`. Where the name is taken, returns
    `{:error, {:already_started, pid}}`. Raises `ArgumentError` as `new/1`.
    """
  end

  @spec child_spec(module(), keyword()) :: Supervisor.child_spec()
  def child_spec(module, options) do
    {name, _others} = Options.pop_name!(options)
    %{id: {module, name}, start: {module, :start_link, [options]}}
  end

  # `config!` checks the options of `module.new`, in the calling process, as that is the one to raise in.
  # `make` makes the table of what it returns.
  @spec start_link(module(), keyword(), (keyword() -> config), (config -> reference())) ::
          GenServer.on_start()
        when config: term()
  def start_link(module, options, config!, make) do
    {name, others} = Options.pop_name!(options)
    config = config!.(others)
    Named.free!(name)
    GenServer.start_link(__MODULE__, {module, name, fn -> make.(config) end}, name: name)
  end

  @impl true
  def init({module, name, make}) do
    Process.flag(:trap_exit, true)
    Named.claim(name)
    table = make.()
    :ok = Named.put(name, module, table, table)
    {:ok, {name, table}, :hibernate}
  end

  # A message that was sent by mistake must not end the process, and the table with it.
  @impl true
  def handle_call(_message, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_message, state), do: {:noreply, state}

  @impl true
  def handle_info(_message, state), do: {:noreply, state}

  # In an orderly stop the name goes with the process. Where it is killed, its watcher erases the entry.
  @impl true
  def terminate(_reason, {name, table}) do
    Native.table_end(table)
    Named.erase(name)
  end
end
