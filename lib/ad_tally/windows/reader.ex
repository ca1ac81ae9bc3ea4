defmodule AdTally.Windows.Reader do
  @moduledoc false
  # Reads windows, retained and open ones, for a report. Windows are read and rows made by native code, in steps.

  alias AdTally.OwnProcess
  alias AdTally.Windows.{Deadline, Retained, Server, Source}

  # Nothing has a later time.
  @end_of_time 0x7FFF_FFFF_FFFF

  @typedoc "A native report."
  @type made :: reference()

  @doc "What a report is to have. The names of options were checked."
  @callback new!(names :: map(), keyword()) :: %{
              required(:from) => non_neg_integer(),
              required(:to) => non_neg_integer() | :infinity,
              optional(atom()) => term()
            }

  @doc "A report without windows yet, and native."
  @callback begin(report :: map(), Source.native()) :: made()

  @doc "Reads some of the windows, and returns the others."
  @callback read(made(), windows :: [reference()]) :: [reference()]

  @doc "Puts the next rows before those of a list, and whether there may be more."
  @callback rows(made(), rows) :: {:more | :done, rows} when rows: [map()]

  @doc "Frees it."
  @callback free(made()) :: term()

  @doc "The rows of a report. `kind` is the module with the functions above."
  @spec report(Source.t(), module(), Source.native(), keyword(), Deadline.t()) :: [map()]
  def report(owner, kind, native, options, time_left) do
    made = grouped(owner, kind, native, options, time_left)

    try do
      all_rows(kind, made, time_left)
    after
      kind.free(made)
    end
  end

  @doc """
  The same rows as a stream. Windows are read when it is enumerated, in the time that `deadline` gives
  from then on.
  """
  @spec stream(Source.t(), module(), Source.native(), keyword(), (... -> Deadline.t())) ::
          Enumerable.t()
  def stream(owner, kind, native, options, deadline) do
    # What is wrong with the options is said at once.
    begin(owner, kind, options, deadline.().())

    Stream.resource(
      fn -> grouped(owner, kind, native, options, deadline.()) end,
      &some_rows(kind, &1),
      &kind.free/1
    )
  end

  defp begin(owner, kind, options, timeout) do
    {names, retained, sequence} = Server.call(owner, :report, timeout)
    {kind.new!(names, options), retained, sequence}
  end

  @doc """
  A report whose windows are read, which is to be freed. They are read in a process of its own, so that garbage in
  the caller's heap does not keep the memory of those that were read.
  """
  @spec grouped(Source.t(), module(), Source.native(), keyword(), Deadline.t()) :: made()
  def grouped(owner, kind, native, options, time_left) do
    {report, retained, sequence} = begin(owner, kind, options, time_left.())
    made = kind.begin(report, native)

    try do
      OwnProcess.call(fn ->
        owner
        |> windows(report, native, retained, sequence, time_left)
        |> Enum.each(fn some -> read(kind, made, some, time_left) end)
      end)
    catch
      reason_kind, reason ->
        kind.free(made)
        :erlang.raise(reason_kind, reason, __STACKTRACE__)
    end

    made
  end

  # Before each step it exits when there is no time left.
  defp read(_kind, _made, [], _time_left), do: :ok

  defp read(kind, made, windows, time_left) do
    time_left.()
    read(kind, made, kind.read(made, windows), time_left)
  end

  @doc "The rows of a report whose windows are read."
  @spec all_rows(module(), made(), Deadline.t()) :: [map()]
  def all_rows(kind, made, time_left), do: all_rows(kind, made, time_left, [])

  defp all_rows(kind, made, time_left, rows) do
    time_left.()

    case kind.rows(made, rows) do
      {:more, rows} -> all_rows(kind, made, time_left, rows)
      {:done, rows} -> Enum.reverse(rows)
    end
  end

  defp some_rows(kind, made) do
    case kind.rows(made, []) do
      {:done, []} -> {:halt, made}
      {_more_or_done, rows} -> {Enum.reverse(rows), made}
    end
  end

  # Lists of windows.
  defp windows({source, _name} = owner, report, native, retained, sequence, time_left) do
    %{from: from, to: to} = report
    open = source |> open(native, from) |> Enum.filter(&(&1.start >= from and &1.start < to))

    # Once the server answers, every window that is closed by now is retained. So none is missed. Those
    # that were open above are left out: they were closed after `sequence`. (An earlier one may have the
    # same start, where the clock was set back.)
    :ok = Server.call(owner, :closed, time_left.())
    open_starts = Map.new(open, &{&1.start, true})
    was_open? = &(&1.sequence > sequence and is_map_key(open_starts, &1.start))

    retained
    |> Retained.stream(from, to, fn -> Source.raise_not_running(owner) end)
    |> Stream.map(fn some -> Enum.reject(some, was_open?) end)
    |> Stream.concat([open])
    |> Stream.map(fn some -> Enum.map(some, & &1.native) end)
  end

  # In the order in which they are closed: one that is closed before it is read here is retained.
  defp open(source, native, from) do
    Stream.unfold(min(from, @end_of_time), fn from ->
      case source.open(native, from) do
        [] -> nil
        some -> {some, elem(List.last(some), 1)}
      end
    end)
    |> Stream.flat_map(& &1)
    |> Stream.map(fn {start, _end, _rows, native} -> %{start: start, native: native} end)
  end
end
