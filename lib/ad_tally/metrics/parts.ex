defmodule AdTally.Metrics.Parts do
  @moduledoc false
  # Which tables with a name there are in the VM, of whatever module, and what earlier processes of the same name
  # have counted, so that no total falls when one is restarted. An entry of :persistent_term for each name that
  # there ever was, written when a process begins and when it ends:
  #
  #     begins    base = base + last, unless it goes on with the same native table
  #     runs      a total is base + what the native table and the processes' counters have now
  #     ends      last = what the native table has, read by the watcher (`AdTally.Named`)
  #
  # A native table outlives a crash of its process where a store keeps it.

  alias AdTally.{Named, Native}

  @typedoc "Totals by name, which may be nested."
  @type totals :: %{term() => integer() | totals()}

  @typedoc "Counters of a process: where in the totals they belong, and the names of the first ones."
  @type counters :: {[term()], :counters.counters_ref(), [atom()]}

  @typedoc """
    * `:module`, `:name` - those of the table
    * `:state` - `:runs`, `:stopped`, or `:crashed`
    * `:value` - what its name's entry has, of one that runs
    * `:watcher` - who reads the last totals, of one that runs
    * `:about` - what its process says of it, with `counters: [counters()]`
    * `:id` - what tells its native table from all others
    * `:base`, `:last` - totals of processes before this one, and those of the native table that ended last
    * `:crashes` - how many of its processes have crashed
  """
  @type t :: %{
          module: module(),
          name: atom(),
          state: :runs | :stopped | :crashed,
          value: term(),
          watcher: pid() | nil,
          about: map(),
          id: term(),
          base: totals(),
          last: totals(),
          crashes: non_neg_integer()
        }

  @doc "Totals of the processes of a name before the next one."
  @spec before(atom(), module()) :: totals()
  def before(name, module), do: module |> new(name) |> totals()

  @doc """
  A process begins to own a table. `about` may have `same?: true`, where its native table counts on from that of
  the process before although it is another reference.
  """
  @spec begin(atom(), module(), reference(), term(), pid(), map()) :: :ok
  def begin(name, module, native, value, watcher, about) do
    {same?, about} = Map.pop(about, :same?, false)
    part = new(module, name)
    id = if same? and part.id != nil, do: part.id, else: :erlang.ref_to_list(native)
    base = if id == part.id, do: part.base, else: add(part.base, part.last)
    begun = %{state: :runs, value: value, watcher: watcher, about: about, id: id}
    put(Map.merge(part, begun) |> Map.merge(%{base: base, last: %{}}))
  end

  @doc """
  That process has ended, for that reason. Called by its watcher. If it was killed before it began to own the table,
  the entry is that of a process before, whose last totals it keeps.
  """
  @spec ended(atom(), module(), reference(), term()) :: :ok
  def ended(name, module, native, reason) do
    stopped? = stopped?(reason)

    case new(module, name) do
      %{watcher: watcher} = part when watcher == self() ->
        put(%{
          part
          | state: if(stopped?, do: :stopped, else: :crashed),
            value: nil,
            watcher: nil,
            about: %{},
            base: add(part.base, counted(part)),
            last: Native.table_totals(native),
            crashes: part.crashes + if(stopped?, do: 0, else: 1)
        })

      _of_a_process_before ->
        :ok
    end
  end

  @doc "Who watches the process of a name, if one does."
  @spec watcher(atom(), module()) :: pid() | nil
  def watcher(name, module), do: new(module, name).watcher

  @doc "All parts that there ever were, whether they run or not, and the names of those that read their state from a store."
  @spec all() :: {[t()], reading :: [atom()]}
  def all do
    terms = :persistent_term.get()

    reading =
      for {{Named, name}, {module, reader}} <- terms,
          is_atom(module) and is_pid(reader) and Process.alive?(reader),
          do: name

    {for({{__MODULE__, _module, _name}, part} <- terms, do: part), reading}
  end

  @doc "How many processes of each name have crashed."
  @spec crashes([t()]) :: %{atom() => non_neg_integer()}
  def crashes(parts) do
    Enum.reduce(parts, %{}, fn %{name: name, crashes: crashes}, all ->
      Map.update(all, name, crashes, &(&1 + crashes))
    end)
  end

  @doc "What a part has counted, together with processes before it. Never less than before."
  @spec totals(t()) :: totals()
  def totals(%{state: :runs} = part) do
    part.base |> add(Native.table_totals(native(part))) |> add(counted(part))
  end

  def totals(part), do: add(part.base, part.last)

  @doc "The native table of one that runs."
  @spec native(t()) :: reference()
  def native(%{value: value}) when is_tuple(value), do: elem(value, 0)
  def native(%{value: native}), do: native

  @doc "The sums of two maps of totals."
  @spec add(totals(), totals()) :: totals()
  def add(one, other) do
    Map.merge(one, other, fn
      _name, one, other when is_map(one) -> add(one, other)
      _name, one, other -> one + other
    end)
  end

  # What its processes count by themselves.
  defp counted(%{about: about}) do
    about
    |> Map.get(:counters, [])
    |> Enum.reduce(%{}, fn {path, counters, names}, totals ->
      put_in(totals, Enum.map(path, &Access.key(&1, %{})), counts(counters, names))
    end)
  end

  @doc "What counters say, by names in their order."
  @spec counts(:counters.counters_ref(), [atom()]) :: %{atom() => integer()}
  def counts(counters, names) do
    for {name, index} <- Enum.with_index(names, 1),
        into: %{},
        do: {name, :counters.get(counters, index)}
  end

  defp new(module, name) do
    :persistent_term.get({__MODULE__, module, name}, %{
      module: module,
      name: name,
      state: :stopped,
      value: nil,
      watcher: nil,
      about: %{},
      id: nil,
      base: %{},
      last: %{},
      crashes: 0
    })
  end

  defp put(part), do: :persistent_term.put({__MODULE__, part.module, part.name}, part)

  # Not where only its store was stopped: whoever wants a part to end stops it before its store.
  defp stopped?({:shutdown, {:store, _reason}}), do: false
  defp stopped?({:shutdown, _reason}), do: true
  defp stopped?(reason), do: reason in [:normal, :shutdown]
end
