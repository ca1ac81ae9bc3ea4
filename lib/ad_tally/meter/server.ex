defmodule AdTally.Meter.Server do
  @moduledoc false
  # The process of a meter: it owns the native meter, closes windows as time passes, and hands them to the
  # processes that deliver them. Whoever records calls native code and not this process.

  use GenServer

  require Logger

  alias AdTally.{Named, Native, Window}
  alias AdTally.Meter.{Delivery, Emitter, Flush, Late, Memory, Retained}

  # How long telemetry handlers may take when the meter stops.
  @telemetry_wait 1_000

  # What `AdTally.Meter` asks the process.
  @spec call(atom(), :report | :closed | :close | :info, timeout()) :: term()
  def call(name, request, timeout),
    do: asking(name, fn -> GenServer.call(name, request, timeout) end)

  # Asks processes of a meter, which may end before they answer.
  @spec asking(atom(), (... -> answer)) :: answer when answer: term()
  def asking(name, ask) do
    ask.()
  catch
    :exit, {reason, {GenServer, :call, _arguments}}
    when reason != :timeout and reason != :calling_self ->
      Named.raise_not_running(AdTally.Meter, name)
  end

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    Named.claim(config.name)

    native =
      Native.meter_new(config.times, config.names, config.sketches, config.ids, config.seed)

    # So that an event of long ago is late from the beginning, and opens no window.
    {[], false} = Native.meter_close(native, System.system_time(:millisecond))

    # Secrets and options of sinks are not kept: they would be in the log of a crash.
    {configured, config} = Map.split(config, [:times, :names, :sketches, :ids, :seed, :sinks])
    config = Map.put(config, :sinks, for({sink, _options} <- configured.sinks, do: sink))

    {:ok, emitter} = Emitter.start(config, native)

    deliveries =
      for {sink, options} <- configured.sinks do
        {:ok, delivery} = Delivery.start(config.name, sink, options, config.max_waiting, emitter)
        delivery
      end

    late = config.on_late && start_late(config, emitter)
    Named.put(config.name, AdTally.Meter, native, {native, late})

    state = %{
      config: config,
      native: native,
      deliveries: deliveries,
      late: late,
      emitter: emitter,
      epoch: Native.meter_epoch(System.system_time(:microsecond)),
      sequence: 0,
      retained: Retained.new(),
      memory_told_at: nil
    }

    {:ok, tick(state)}
  end

  defp start_late(config, emitter) do
    {:ok, late} = Late.start(config.name, config.on_late, emitter)
    late
  end

  @impl true
  def handle_info(:tick, state) do
    before = state.sequence
    state = close_due(state)
    Retained.forget(state.retained, state.config.retain)
    state = state |> tell_memory() |> tick()

    if state.sequence > before,
      do: {:noreply, state, {:continue, :collect}},
      else: {:noreply, state}
  end

  def handle_info({:EXIT, pid, reason}, state) do
    cond do
      # Its windows are lost with it: restart, rather than go on as if nothing had happened.
      pid in state.deliveries ->
        {:stop, {:delivery, reason}, %{state | deliveries: List.delete(state.deliveries, pid)}}

      Late.pid(state.late) == pid ->
        {:stop, {:on_late, reason}, %{state | late: nil}}

      pid == state.emitter ->
        {:stop, {:telemetry, reason}, state}

      true ->
        {:noreply, state}
    end
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def handle_call(:report, _from, state) do
    names = Map.take(state.config, [:dimensions, :metrics, :reach_by])
    {:reply, {names, state.retained, state.sequence}, state}
  end

  # What was closed before this call is retained by now.
  def handle_call(:closed, _from, state), do: {:reply, :ok, state}

  def handle_call(:close, _from, state) do
    before = state.sequence
    state = close_due(state)
    %{events: events, newest: newest} = Native.meter_info(state.native)

    # After the clock was set back there may be windows that are newer than the newest event since.
    through = max(newest, Native.meter_last_open(state.native) || 0)

    state =
      if events.applied + events.overflow > 0,
        do: close(state, true, fn -> Native.meter_close_through(state.native, through) end),
        else: state

    {:reply, {{before, state.sequence}, state.deliveries}, state}
  end

  def handle_call(:info, _from, state),
    do: {:reply, {state.sequence, state.deliveries, state.retained}, state}

  # A message that was sent by mistake must not end the process, and lose its windows.
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_other, state), do: {:noreply, state}

  # A window's memory is freed with the last reference to it, and one may be garbage in this heap.
  @impl true
  def handle_continue(:collect, state) do
    :erlang.garbage_collect()
    {:noreply, state}
  end

  # How long telemetry handlers may take when the meter stops.
  @telemetry_wait 1_000

  # First the name goes, so that nobody finds the meter any more. What a process that has found it before
  # records is counted. Once the windows are closed it is refused, but for the rest of a list of which
  # some was counted, which is late.
  @impl true
  def terminate(_reason, state) do
    Named.erase(state.config.name)
    # Those whose time has passed since the last tick are not partial.
    state = close_due(state)
    state = close(state, true, fn -> Native.meter_stop(state.native) end)

    parts = if state.late, do: [Late.pid(state.late) | state.deliveries], else: state.deliveries

    parts
    |> Enum.map(fn part ->
      Task.async(fn -> {part, Flush.await(part, state.config.flush)} end)
    end)
    |> Task.await_many(:infinity)
    |> Enum.each(fn
      {_part, :ok} ->
        :ok

      {part, {:left, count}} ->
        log_loss(part, count, state)

      {part, hangs_or_gone} when hangs_or_gone in [:hangs, :gone] ->
        Process.exit(part, :kill)
        log_loss(part, "some", state)
    end)

    if Emitter.flush(state.emitter, @telemetry_wait) != :ok do
      Logger.warning("#{shown(state)} stops while a telemetry handler has not returned")
    end
  end

  defp log_loss(part, count, %{config: config} = state) do
    if Late.pid(state.late) == part do
      Logger.error(
        "#{shown(state)} stops with #{count} late events that #{inspect(config.on_late)} was not given"
      )
    else
      sinks = Enum.map_join(config.sinks, ", ", &inspect/1)

      Logger.error(
        "#{shown(state)} stops with #{count} windows that a sink has not taken, one of: #{sinks}"
      )
    end
  end

  defp shown(state), do: "AdTally.Meter #{inspect(state.config.name)}"

  defp tick(state) do
    Process.send_after(self(), :tick, state.config.tick)
    state
  end

  # The windows whose time has passed.
  defp close_due(state) do
    now = System.system_time(:millisecond)
    close(state, false, fn -> Native.meter_close(state.native, now) end)
  end

  # In steps, so that a process that opens a window meanwhile does not wait for long.
  defp close(state, partial, step) do
    begin = System.monotonic_time()
    {periods, more?} = step.()
    state = closed(state, periods, partial, begin)
    if more?, do: close(state, partial, step), else: state
  end

  defp closed(state, [], _partial, _begin), do: state

  defp closed(state, periods, partial, begin) do
    {windows, sequence} =
      Enum.map_reduce(periods, state.sequence, fn period, sequence ->
        {window(period, sequence + 1, partial, state), sequence + 1}
      end)

    Emitter.closed(state.emitter, windows, System.monotonic_time() - begin)
    Enum.each(state.deliveries, &Delivery.deliver(&1, windows))
    Retained.put(state.retained, windows)
    %{state | sequence: sequence}
  end

  defp tell_memory(%{config: config} = state) do
    now = System.monotonic_time(:millisecond)

    if state.memory_told_at == nil or now - state.memory_told_at >= config.telemetry_interval do
      info = Native.meter_info(state.native)
      gone = fn -> Named.raise_not_running(AdTally.Meter, config.name) end
      parts = Memory.parts(info, state.native, state.retained, state.late, gone)

      Emitter.memory(state.emitter, %{
        bytes: Memory.sum(parts),
        open_windows: info.open_windows,
        retained_windows: Retained.size(state.retained)
      })

      %{state | memory_told_at: now}
    else
      state
    end
  end

  defp window({start, end_, _rows, native}, sequence, partial, state) do
    %{config: config, epoch: epoch} = state

    %Window{
      native: native,
      start: start,
      end: end_,
      sequence: sequence,
      partial: partial,
      meter: config.name,
      node: node(),
      epoch: epoch,
      dimensions: config.dimensions,
      metrics: config.metrics,
      reach_by: config.reach_by
    }
  end
end
