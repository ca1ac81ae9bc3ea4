defmodule AdTally.Windows.Server do
  @moduledoc false
  # The process of a meter or an attribution: it owns the native table, closes windows as time passes, and
  # hands them to the processes that deliver them. Whoever records calls native code and not this process.

  use GenServer

  require Logger

  alias AdTally.{Named, Native}
  alias AdTally.Windows.{Delivery, Emitter, Flush, Memory, Retained, Source}

  # What is asked of the process.
  @spec call(Source.t(), :report | :names | :closed | :close | :info, timeout()) :: term()
  def call({_source, name} = owner, request, timeout),
    do: asking(owner, fn -> GenServer.call(name, request, timeout) end)

  # Asks it and its processes, which may end before they answer.
  @spec asking(Source.t(), (... -> answer)) :: answer when answer: term()
  def asking(owner, ask) do
    ask.()
  catch
    :exit, {reason, {GenServer, :call, _arguments}}
    when reason != :timeout and reason != :calling_self ->
      Source.raise_not_running(owner)
  end

  @impl true
  def init(%{source: source, name: name} = config) do
    Process.flag(:trap_exit, true)
    Named.claim(name)
    native = source.new(config.table)

    # So that what is of long ago is late from the beginning, and opens no window.
    {[], false} = source.close(native, System.system_time(:millisecond))

    # Secrets and options of sinks are not kept: they would be in the log of a crash.
    {sinks, config} = config |> Map.delete(:table) |> Map.pop!(:sinks)
    config = Map.put(config, :sinks, for({sink, _options} <- sinks, do: sink))
    owner = {source, name}

    {:ok, emitter} = Emitter.start(config, native)

    deliveries =
      for {sink, options} <- sinks do
        {:ok, delivery} = Delivery.start(owner, sink, options, config.max_waiting, emitter)
        delivery
      end

    {value, parts} = source.started(config, native, emitter)
    Named.put(name, source.module(), native, value)

    state = %{
      config: config,
      owner: owner,
      native: native,
      value: value,
      deliveries: deliveries,
      # Other processes of the source: {pid, stop, lost}.
      parts: parts,
      emitter: emitter,
      epoch: Native.epoch(System.system_time(:microsecond)),
      sequence: 0,
      retained: Retained.new(),
      memory_told_at: nil
    }

    {:ok, tick(state)}
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
    part = List.keyfind(state.parts, pid, 0)

    cond do
      # Its windows are lost with it: restart, rather than go on as if nothing had happened.
      pid in state.deliveries ->
        {:stop, {:delivery, reason}, %{state | deliveries: List.delete(state.deliveries, pid)}}

      part ->
        {:stop, {elem(part, 1), reason}, %{state | parts: List.delete(state.parts, part)}}

      pid == state.emitter ->
        {:stop, {:telemetry, reason}, state}

      true ->
        {:noreply, state}
    end
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def handle_call(:report, _from, state),
    do: {:reply, {state.config.names, state.retained, state.sequence}, state}

  def handle_call(:names, _from, state), do: {:reply, state.config.names, state}

  # What was closed before this call is retained by now.
  def handle_call(:closed, _from, state), do: {:reply, :ok, state}

  def handle_call(:close, _from, %{config: %{source: source}} = state) do
    before = state.sequence
    state = close_due(state)
    through = source.last_time(state.native)

    state =
      if through,
        do: close(state, true, fn -> source.close_through(state.native, through) end),
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

  # How long telemetry handlers may take at the end.
  @telemetry_wait 1_000

  # First the name goes, so that nobody finds the table any more. What a process that has found it before
  # records is counted. Once the windows are closed it is refused, but for the rest of a list of which
  # some was counted, which is late.
  @impl true
  def terminate(_reason, %{config: config} = state) do
    Named.erase(config.name)
    # Those whose time has passed since the last tick are not partial.
    state = close_due(state)
    state = close(state, true, fn -> config.source.stop(state.native) end)

    parts = for {pid, _stop, _lost} <- state.parts, do: pid

    (parts ++ state.deliveries)
    |> Enum.map(fn part ->
      Task.async(fn -> {part, Flush.await(part, config.flush)} end)
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
      Logger.warning(
        "#{Source.shown(state.owner)} stops while a telemetry handler has not returned"
      )
    end
  end

  defp log_loss(pid, count, state) do
    lost =
      with nil <- List.keyfind(state.parts, pid, 0) do
        sinks = Enum.map_join(state.config.sinks, ", ", &inspect/1)
        {pid, :delivery, "windows that a sink has not taken, one of: #{sinks}"}
      end

    Logger.error("#{Source.shown(state.owner)} stops with #{count} #{elem(lost, 2)}")
  end

  defp tick(state) do
    Process.send_after(self(), :tick, state.config.tick)
    state
  end

  # The windows whose time has passed.
  defp close_due(state) do
    now = System.system_time(:millisecond)
    close(state, false, fn -> state.config.source.close(state.native, now) end)
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
    Retained.put(state.retained, windows, &state.config.source.window_bytes(&1.native))
    %{state | sequence: sequence}
  end

  defp tell_memory(%{config: config} = state) do
    now = System.monotonic_time(:millisecond)

    if state.memory_told_at == nil or now - state.memory_told_at >= config.telemetry_interval do
      info = config.source.info(state.native)
      gone = fn -> Source.raise_not_running(state.owner) end
      parts = Memory.parts(config.source, state.value, info, state.retained, gone)

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
    fields = %{
      native: native,
      start: start,
      end: end_,
      sequence: sequence,
      partial: partial,
      node: node(),
      epoch: state.epoch
    }

    state.config.source.window(state.config.name, fields, state.config.names)
  end
end
