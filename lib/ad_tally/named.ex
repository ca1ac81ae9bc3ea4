defmodule AdTally.Named do
  @moduledoc false
  # What any process finds by a name: a table of the native library, and what belongs to it. It is
  # there for as long as the process that put it there, its owner, lives.
  #
  # When the owner ends, however it does, the native library refuses every call with the table
  # from that moment on (native/ad_tally_nif/src/owner.rs). The entry in :persistent_term, which
  # keeps the table's memory, is still to be erased then, and a process that was killed cannot do
  # that: so a watcher does, a process with no link to anybody.
  #
  #     owner ends -> calls are refused -> the watcher erases the entry -> the next owner puts its own
  #
  # An entry is {module, value, watcher}. Its key is the name alone, as that of a process is: a pair of
  # module and name takes 17 ns more to find.

  alias AdTally.{Native, Options}

  # A name whose key somebody else has put there cannot be given. What is there of this library is that
  # of an owner that is dead, or of one that lives: then the process' name is taken.
  @spec free!(atom()) :: atom()
  def free!(name) do
    case :persistent_term.get(name, nil) do
      nil ->
        name

      {_module, _value, watcher} when is_pid(watcher) ->
        name

      other ->
        raise ArgumentError,
              "expected :name to be no key of :persistent_term, where there is #{Options.shown(other)}"
    end
  end

  # The name of a process is free as soon as the one that had it is ending. What that one has left
  # is erased by its watcher, and must not be taken for what is put there next. To be called before
  # the next table is made, so that there is not the memory of two.
  @spec claim(atom()) :: :ok
  def claim(name) do
    with {_module, _value, watcher} when is_pid(watcher) <- :persistent_term.get(name, nil) do
      monitor = Process.monitor(watcher)

      receive do
        {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
      end
    end

    :ok
  end

  # Puts the value of a table there, which belongs to the calling process from now on.
  @spec put(atom(), module(), reference(), term()) :: :ok
  def put(name, module, table, value) do
    :ok = Native.table_own(table, name)
    # Not a function: code that is loaded again would end a process that holds one.
    watcher = spawn(__MODULE__, :watch, [self(), name, table])
    :persistent_term.put(name, {module, value, watcher})
  end

  # Called by the owner.
  @spec erase(atom()) :: boolean()
  def erase(name), do: :persistent_term.erase(name)

  @spec get(module(), term()) :: term() | nil
  def get(module, name) when is_atom(name) do
    case :persistent_term.get(name, nil) do
      {^module, value, _watcher} -> value
      _other -> nil
    end
  end

  # To look it up, all of a large term would be hashed.
  def get(_module, _no_name), do: nil

  # The table of a module by its name. Raises where there is none.
  @spec table!(module(), atom()) :: reference()
  def table!(module, name) do
    case :persistent_term.get(name, nil) do
      {^module, table, _watcher} -> table
      _other -> raise ArgumentError, not_running(module, name)
    end
  end

  # The native library says the same of a table whose owner has ended.
  @spec not_running(module(), atom()) :: String.t()
  def not_running(module, name) do
    "there is no #{inspect(module)} named #{inspect(name)} that runs: start it under a " <>
      "supervisor, before what uses it; if it has crashed or was stopped, try again once it runs again"
  end

  @doc false
  def watch(owner, name, table) do
    monitor = Process.monitor(owner)
    hibernate(monitor, name, table)
  end

  # Small, and in no version of this module's code, for as long as the owner lives.
  defp hibernate(monitor, name, table),
    do: :erlang.hibernate(__MODULE__, :watching, [monitor, name, table])

  @doc false
  def watching(monitor, name, table) do
    receive do
      {:DOWN, ^monitor, :process, _owner, _reason} -> clear(name, table)
      _other -> hibernate(monitor, name, table)
    end
  end

  # An owner that has stopped in order has erased its entry, and the next one's is not this one's.
  defp clear(name, table) do
    with {_module, _value, watcher} when watcher == self() <- :persistent_term.get(name, nil) do
      :ok = Native.table_end(table)
      :persistent_term.erase(name)
    end
  end
end
