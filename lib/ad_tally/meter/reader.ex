defmodule AdTally.Meter.Reader do
  @moduledoc false
  # Reads the windows of a meter, retained and open ones, for a report.

  alias AdTally.{Native, Named}
  alias AdTally.Meter.{Report, Retained, Server}

  # No event has a later time.
  @end_of_time 0x7FFF_FFFF_FFFF

  @doc "The rows of a report."
  @spec report(atom(), reference(), keyword(), AdTally.Meter.Deadline.t()) :: [map()]
  def report(name, native, options, time_left) do
    {report, meter} = begin(name, options, time_left.())
    made = Report.begin(report, native)

    try do
      read(made, report, meter, native, time_left)
      Report.rows(made, time_left)
    after
      Native.meter_report_end(made)
    end
  end

  @doc """
  The same rows as a stream. Windows are read when it is enumerated, in the time that `deadline` gives
  from then on.
  """
  @spec stream(atom(), reference(), keyword(), (... -> AdTally.Meter.Deadline.t())) ::
          Enumerable.t()
  def stream(name, native, options, deadline) do
    # What is wrong with the options is said at once.
    begin(name, options, deadline.().())

    Stream.resource(
      fn ->
        time_left = deadline.()
        {report, meter} = begin(name, options, time_left.())
        made = Report.begin(report, native)
        read(made, report, meter, native, time_left)
        made
      end,
      &Report.some_rows/1,
      &Native.meter_report_end/1
    )
  end

  defp begin(name, options, timeout) do
    {config, retained, sequence} = Server.call(name, :report, timeout)
    {Report.new!(config, options), {name, retained, sequence}}
  end

  # Windows are read in a process of its own, so that garbage in the caller's heap does not keep the memory
  # of those that were read.
  defp read(made, report, meter, native, time_left) do
    in_own_process(fn ->
      Report.read(made, windows(report, meter, native, time_left), time_left)
    end)
  end

  # Lists of windows.
  defp windows(%{from: from, to: to}, {name, retained, sequence}, native, time_left) do
    open = native |> open(from) |> Enum.filter(&(&1.start >= from and &1.start < to))

    # Once the server answers, every window that is closed by now is retained. So none is missed. Those
    # that were open above are left out: they were closed after `sequence`. (An earlier one may have the
    # same start, where the clock was set back.)
    :ok = Server.call(name, :closed, time_left.())
    open_starts = Map.new(open, &{&1.start, true})
    was_open? = &(&1.sequence > sequence and is_map_key(open_starts, &1.start))

    retained
    |> Retained.stream(from, to, fn -> Named.raise_not_running(AdTally.Meter, name) end)
    |> Stream.map(fn some -> Enum.reject(some, was_open?) end)
    |> Stream.concat([open])
    |> Stream.map(fn some -> Enum.map(some, & &1.native) end)
  end

  # In the order in which they are closed: one that is closed before it is read here is retained.
  defp open(native, from) do
    Stream.unfold(min(from, @end_of_time), fn from ->
      case Native.meter_open(native, from) do
        [] -> nil
        some -> {some, elem(List.last(some), 1)}
      end
    end)
    |> Stream.flat_map(& &1)
    |> Stream.map(fn {start, _end, _rows, native} -> %{start: start, native: native} end)
  end

  # The process ends with the caller.
  defp in_own_process(fun) do
    {caller, tag} = {self(), make_ref()}

    run = fn ->
      answer =
        try do
          {:ok, fun.()}
        catch
          kind, reason -> {kind, reason, __STACKTRACE__}
        end

      # A caller that traps exits gets no message of its end.
      Process.unlink(caller)
      send(caller, {tag, answer})
    end

    {_pid, monitor} = :erlang.spawn_opt(run, [:link, :monitor])

    receive do
      {^tag, {:ok, rows}} ->
        Process.demonitor(monitor, [:flush])
        rows

      {^tag, {kind, reason, stacktrace}} ->
        Process.demonitor(monitor, [:flush])
        :erlang.raise(kind, reason, stacktrace)

      {:DOWN, ^monitor, :process, _pid, reason} ->
        exit(reason)
    end
  end
end
