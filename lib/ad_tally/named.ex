defmodule AdTally.Named do
  @moduledoc false
  # Tables and meters by their names: an entry of :persistent_term, for as long as the process that put it
  # there, its owner, lives.
  #
  # When the owner ends, in whatever way, the native library refuses every call with the table from that
  # moment on (native/ad_tally_nif/src/owner.rs). The entry, which keeps the table's memory, must be erased
  # then. A process that was killed cannot do that, so a watcher does: a process without links.
  #
  #     owner ends -> calls are refused -> the watcher erases the entry -> the next owner puts its own
  #
  # An entry is {module, value, watcher}. Its key is the name alone, as that of a process is: a pair of
  # module and name takes 17 ns more to find.

  alias AdTally.Metrics.Parts
  alias AdTally.{Native, Options}

  # Refuses a name that is a key of somebody else's in :persistent_term. An entry of this library is of an
  # owner that has ended, or of one that runs, whose process has the name.
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

  # A process's name is free as soon as the process begins to end, and its watcher erases its entry later:
  # waits for that, so that it does not erase the next entry. To be called before the next table is made,
  # so that the memory of two is never taken at once.
  @spec claim(atom(), module()) :: :ok
  def claim(name, module) do
    with {_module, _value, watcher} when is_pid(watcher) <- :persistent_term.get(name, nil),
         do: await_end(watcher)

    # One that has erased its entry by itself has a watcher too, which reads its totals.
    with watcher when is_pid(watcher) <- Parts.watcher(name, module), do: await_end(watcher)
    :ok
  end

  defp await_end(watcher) do
    monitor = Process.monitor(watcher)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
    end
  end

  # Puts the value of a table there, which belongs to the calling process from now on. `about` is for metrics
  # (`AdTally.Metrics.Parts`).
  @spec put(atom(), module(), reference(), term(), about :: map()) :: :ok
  def put(name, module, table, value, about) do
    :ok = Native.table_own(table, name)
    # Not a function: code that is loaded again would end a process that holds one.
    watcher = spawn(__MODULE__, :watch, [self(), module, name, table])
    Parts.begin(name, module, table, value, watcher, about)
    :persistent_term.put(name, {module, value, watcher})
  end

  # Called by the owner.
  @spec erase(atom()) :: boolean()
  def erase(name), do: :persistent_term.erase(name)

  # While the calling process reads the state of a table from a store, which may take seconds: what its callers
  # are told. To be taken back by read/1. A process that is killed meanwhile does not, so the entry counts for
  # as long as the process lives.
  @spec reading(atom(), module()) :: :ok
  def reading(name, module), do: :persistent_term.put({__MODULE__, name}, {module, self()})

  @spec read(atom()) :: boolean()
  def read(name), do: :persistent_term.erase({__MODULE__, name})

  # The value of a module by its name, an atom. Raises where there is none. A macro, because a call of
  # another module's function is 1.5 ns, and this is in every call by a name.
  defmacro fetch!(module, name) do
    quote do
      name = unquote(name)

      case :persistent_term.get(name, nil) do
        {module, value, _watcher} when module == unquote(module) -> value
        _other -> AdTally.Named.raise_not_running(unquote(module), name)
      end
    end
  end

  # The same, or nil.
  @spec find(module(), term()) :: term()
  def find(module, name) do
    case :persistent_term.get(name, nil) do
      {^module, value, _watcher} -> value
      _other -> nil
    end
  end

  @spec raise_not_running(module(), term()) :: no_return()
  def raise_not_running(module, name) when is_atom(name) do
    with {^module, reader} <- :persistent_term.get({__MODULE__, name}, nil),
         true <- Process.alive?(reader) do
      raise ArgumentError,
            "#{inspect(module)} #{inspect(name)} is starting and still reads its state from its store: try again " <>
              "once it has, see AdTally.Store.ready?/1"
    else
      _none -> raise ArgumentError, not_running(module, name)
    end
  end

  def raise_not_running(module, other) do
    raise ArgumentError,
          "expected the name of an #{inspect(module)}, an atom, got: #{Options.shown(other)}"
  end

  # The native library says the same of a table whose owner has ended.
  @spec not_running(module(), atom()) :: String.t()
  def not_running(module, name) do
    "there is no #{inspect(module)} named #{inspect(name)} that runs: start it under a " <>
      "supervisor, before what uses it; if it has crashed or was stopped, try again once it runs again"
  end

  @doc false
  def watch(owner, module, name, table) do
    monitor = Process.monitor(owner)
    hibernate(monitor, module, name, table)
  end

  # Small, and in no version of this module's code, for as long as the owner lives.
  defp hibernate(monitor, module, name, table),
    do: :erlang.hibernate(__MODULE__, :watching, [monitor, module, name, table])

  @doc false
  def watching(monitor, module, name, table) do
    receive do
      {:DOWN, ^monitor, :process, _owner, reason} ->
        clear(name, table)
        Parts.ended(name, module, table, reason)

      _other ->
        hibernate(monitor, module, name, table)
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
