defmodule AdTally.Meter.Reader do
  @moduledoc false
  # Reads the windows of a meter, retained and open ones, for a report.

  alias AdTally.{Native, Named}
  alias AdTally.Meter.{Report, Retained, Server}

  # No event has a later time.
  @end_of_time 0x7FFF_FFFF_FFFF

  @spec report(atom(), reference(), keyword(), AdTally.Meter.Deadline.t()) :: [map()]
  def report(name, native, options, time_left) do
    {config, retained, sequence} = Server.call(name, :report, time_left.())
    report = Report.new!(config, options)

    in_own_process(fn ->
      windows = windows(name, native, {report.from, report.to}, {retained, sequence}, time_left)
      Report.of(report, windows, time_left)
    end)
  end

  defp windows(name, native, {from, to}, {retained, sequence}, time_left) do
    open = native |> open(from) |> Enum.filter(&(&1.start >= from and &1.start < to))

    # Once the server answers, every window that is closed by now is retained. So none is missed. Those
    # that were open above are left out: they were closed after `sequence`. (An earlier one may have the
    # same start, where the clock was set back.)
    :ok = Server.call(name, :closed, time_left.())
    open_starts = Map.new(open, &{&1.start, true})
    was_open? = &(&1.sequence > sequence and is_map_key(open_starts, &1.start))

    retained
    |> Retained.stream(from, to, fn -> Named.raise_not_running(AdTally.Meter, name) end)
    |> Stream.flat_map(& &1)
    |> Stream.reject(was_open?)
    |> Stream.concat(open)
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

  # So that garbage in the caller's heap does not keep the memory of windows that were read. The process
  # ends with the caller.
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
