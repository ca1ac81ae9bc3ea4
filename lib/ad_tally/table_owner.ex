defmodule AdTally.TableOwner do
  @moduledoc false
  # The process that a table with a name belongs to: it makes the table, has it found by its name,
  # and takes it along when it ends. It is asked nothing: who uses the table calls native code.

  use GenServer

  alias AdTally.{Named, Native, Options}

  @spec child_spec(module(), keyword()) :: Supervisor.child_spec()
  def child_spec(module, options) do
    {name, _others} = Options.pop_name!(options)
    %{id: {module, name}, start: {module, :start_link, [options]}}
  end

  # `config!` checks the options of `module.new`, in the process that calls: it is the one to tell
  # what is wrong with them. `make` makes the table of what it returns.
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

  # What is sent here by mistake must not end it, and the table with it.
  @impl true
  def handle_call(_message, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_message, state), do: {:noreply, state}

  @impl true
  def handle_info(_message, state), do: {:noreply, state}

  # Stopped in order, nobody finds the table any more once it has stopped. Of one that is killed the
  # watcher erases the entry.
  @impl true
  def terminate(_reason, {name, table}) do
    Native.table_end(table)
    Named.erase(name)
  end
end
