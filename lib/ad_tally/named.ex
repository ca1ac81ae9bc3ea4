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
  # An entry is {value, watcher}.

  alias AdTally.Native

  @typedoc "What is called, with the table already refused, before the entry of a dead owner is erased."
  @type forget :: {module(), atom(), [term()]}

  # The name of a process is free as soon as the one that had it is ending. What that one has left
  # is erased by its watcher, and must not be taken for what is put there next. To be called before
  # the next table is made, so that there is not the memory of two.
  @spec claim(term()) :: :ok
  def claim(key) do
    with {_value, watcher} when is_pid(watcher) <- :persistent_term.get(key, nil) do
      monitor = Process.monitor(watcher)

      receive do
        {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
      end
    end

    :ok
  end

  # Puts the value of a table there, which belongs to the calling process from now on.
  @spec put(term(), atom(), reference(), term(), forget() | nil) :: :ok
  def put(key, name, table, value, forget \\ nil) do
    :ok = Native.table_own(table, name)
    # Not a function: code that is loaded again would end a process that holds one.
    watcher = spawn(__MODULE__, :watch, [self(), key, table, forget])
    :persistent_term.put(key, {value, watcher})
  end

  # Puts another value in the place of the owner's own.
  @spec replace(term(), term()) :: :ok
  def replace(key, value) do
    {_value, watcher} = :persistent_term.get(key)
    :persistent_term.put(key, {value, watcher})
  end

  # Called by the owner.
  @spec erase(term()) :: boolean()
  def erase(key), do: :persistent_term.erase(key)

  @spec get(term()) :: term() | nil
  def get(key) do
    case :persistent_term.get(key, nil) do
      {value, _watcher} -> value
      _other -> nil
    end
  end

  # The table of a module by its name. Raises where there is none.
  @spec table!(module(), atom()) :: reference()
  def table!(module, name) do
    case :persistent_term.get({module, name}, nil) do
      {table, _watcher} -> table
      nil -> raise ArgumentError, not_running(module, name)
    end
  end

  # The native library says the same of a table whose owner has ended.
  @spec not_running(module(), atom()) :: String.t()
  def not_running(module, name) do
    "there is no #{inspect(module)} named #{inspect(name)} that runs: start it under a " <>
      "supervisor, before what uses it; if it has crashed or was stopped, try again once it runs again"
  end

  @doc false
  def watch(owner, key, table, forget) do
    monitor = Process.monitor(owner)
    hibernate(monitor, key, table, forget)
  end

  # Small, and in no version of this module's code, for as long as the owner lives.
  defp hibernate(monitor, key, table, forget),
    do: :erlang.hibernate(__MODULE__, :watching, [monitor, key, table, forget])

  @doc false
  def watching(monitor, key, table, forget) do
    receive do
      {:DOWN, ^monitor, :process, _owner, _reason} -> clear(key, table, forget)
      _other -> hibernate(monitor, key, table, forget)
    end
  end

  # An owner that has stopped in order has erased its entry, and the next one's is not this one's.
  defp clear(key, table, forget) do
    with {_value, watcher} when watcher == self() <- :persistent_term.get(key, nil) do
      :ok = Native.table_end(table)
      with {module, function, arguments} <- forget, do: apply(module, function, arguments)
      :persistent_term.erase(key)
    end
  end
end
