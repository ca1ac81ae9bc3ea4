defmodule AdTally.Windows.Server do
  @moduledoc false
  # The process of a meter or an attribution: it owns the native table, closes windows as time passes
  # (`AdTally.Windows.Closing`), and ends the processes that deliver them. Whoever records calls native code and
  # not this process.

  use GenServer

  require Logger

  alias AdTally.{Named, Native}
  alias AdTally.Store.Part, as: Stored

  alias AdTally.Windows.{
    Closing,
    Delivery,
    Durable,
    Emitter,
    Found,
    Memory,
    Retained,
    Sinks,
    Source,
    Stop
  }

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
    Named.claim(name, source.module())
    {native, epoch} = open(config)

    # Secrets and options of sinks are not kept: they would be in the log of a crash.
    {sinks, config} = config |> Map.delete(:table) |> Map.pop!(:sinks)
    config = Map.put(config, :sinks, for({sink, _options} <- sinks, do: sink))
    owner = {source, name}

    {:ok, emitter} = Emitter.start(config, native)
    found = Found.new(config, native, epoch)
    newest = Found.delivered(found)

    counted =
      for {name, {sink, options}} <- Sinks.named(sinks),
          do: {name, sink, options, Delivery.counters()}

    deliveries =
      for {_name, sink, options, counters} <- counted do
        {:ok, delivery} =
          Delivery.start({owner, counters}, sink, options, config.max_waiting, emitter, newest)

        delivery
      end

    {value, parts, counters} = source.started(config, native, emitter)

    state = %{
      config: config,
      owner: owner,
      native: native,
      value: value,
      deliveries: deliveries,
      # Other processes of the source: {pid, stop, lost}.
      parts: parts,
      emitter: emitter,
      epoch: epoch,
      sequence: found.sequence,
      retained: Retained.new(),
      durable: durable(config, native),
      memory_told_at: nil
    }

    # So that what is of long ago is late from the beginning, and opens no window.
    state = state |> Closing.found(found) |> Closing.due()
    Named.put(name, source.module(), native, value, about(config, counted, counters))
    {:ok, tick(state)}
  end

  # What metrics tell of it.
  defp about(config, sinks, counters) do
    sink_counters =
      for {name, _sink, _options, ref} <- sinks, do: {[:sinks, name], ref, Delivery.totals()}

    config
    |> Map.take([:store, :names, :clock, :lateness])
    |> Map.put(:counters, sink_counters ++ counters)
  end

  # The native table, and what tells its start, or that of what is stored of it, from all others.
  defp open(%{source: source, table: table, part: nil}),
    do: {source.new(table), Native.epoch(System.system_time(:microsecond))}

  defp open(%{source: source, table: table, part: part}) do
    olds = Enum.map(part.before, &source.old/1)
    Stored.open!(part, &source.new_in(&1, olds, table))
  end

  defp durable(%{part: nil}, _native), do: nil

  defp durable(%{part: part} = config, native) do
    Stored.watch(part)
    sync = fn -> Stored.begin_sync(part) end
    Durable.new(config.source, native, sync, length(config.sinks))
  end

  @impl true
  def handle_info(:tick, state) do
    before = state.sequence
    state = Closing.due(state)
    Retained.forget(state.retained, state.config.retain)
    state = state |> tell_memory() |> tick()

    if state.sequence > before,
      do: {:noreply, state, {:continue, :collect}},
      else: {:noreply, state}
  end

  # A sink has taken a window.
  def handle_info({:taken, _sequence}, %{durable: nil} = state), do: {:noreply, state}

  def handle_info({:taken, sequence}, state) do
    state = %{state | durable: Durable.taken(state.durable, sequence)}
    {:noreply, state, {:continue, :collect}}
  end

  def handle_info({tag, answer}, %{durable: durable} = state)
      when is_reference(tag) and durable != nil do
    case Durable.synced(durable, tag, answer) do
      :unknown ->
        {:noreply, state}

      {windows, durable} ->
        {:noreply, Closing.deliver(%{state | durable: durable}, windows), {:continue, :collect}}
    end
  end

  def handle_info(:sync_again, %{durable: durable} = state) when durable != nil,
    do: {:noreply, %{state | durable: Durable.again(durable)}}

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

  def handle_info(message, state) do
    case Stored.handle_info(message, state.config.part) do
      {:stop, reason} -> {:stop, reason, state}
      :go_on -> {:noreply, state}
    end
  end

  @impl true
  def handle_call(:report, _from, state),
    do: {:reply, {state.config.names, state.retained, state.sequence}, state}

  # For a meter that tells it of touches.
  def handle_call(:names, _from, %{config: config} = state),
    do: {:reply, Map.put(config.names, :store, config.store), state}

  # What was closed before this call is retained by now.
  def handle_call(:closed, _from, state), do: {:reply, :ok, state}

  def handle_call(:close, _from, %{config: %{source: source}} = state) do
    before = state.sequence
    state = Closing.due(state)
    through = source.last_time(state.native)

    state =
      if through,
        do: Closing.early(state, fn -> source.close_through(state.native, through) end),
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
  # records is counted, and on disk when a table is left to its store. Once the windows are closed, or the table
  # is left, it is refused, but for the rest of a list of which some was counted.
  @impl true
  def terminate(reason, %{config: config} = state) do
    Named.erase(config.name)
    state = if keeps_open?(reason, config), do: state, else: close_all(state)
    state = make_durable(state)
    parts = for {pid, _stop, _lost} <- state.parts, do: pid
    left = Stop.flush(parts ++ state.deliveries, config.flush)
    Stop.log(left, state)
    end_emitter(state)
    leave(state)
  end

  # Before the table is left: afterwards it has no counts to be told.
  defp end_emitter(%{emitter: emitter} = state) do
    if Emitter.flush(emitter, @telemetry_wait) != :ok do
      Logger.warning(
        "#{Source.shown(state.owner)} stops while a telemetry handler has not returned"
      )
    end

    Process.exit(emitter, :kill)
  end

  # With a store they go on with the next start, whatever has ended this process.
  defp keeps_open?(_reason, %{part: nil}), do: false

  defp keeps_open?(reason, config),
    do: config.on_stop == :keep_open or not Stored.orderly?(reason)

  defp close_all(state) do
    # Those whose time has passed since the last tick are not partial.
    state = Closing.due(state)
    Closing.early(state, fn -> state.config.source.stop(state.native) end)
  end

  # What sinks get is on disk as closed.
  defp make_durable(%{durable: nil} = state), do: state

  defp make_durable(state) do
    case Stored.sync(state.config.part) do
      :ok ->
        {windows, durable} = Durable.flushed(state.durable)
        Closing.deliver(%{state | durable: durable}, windows)

      {:error, reason} ->
        Logger.error(
          "#{Source.shown(state.owner)} stops, and what was recorded last is not on disk yet: #{reason}"
        )

        state
    end
  end

  defp leave(%{durable: nil}), do: :ok

  defp leave(%{config: config} = state) do
    take(state.durable)
    Stored.leave(config.part, state.native)
  end

  # What sinks have taken meanwhile.
  defp take(durable) do
    receive do
      {:taken, sequence} -> durable |> Durable.taken(sequence) |> take()
    after
      0 -> :ok
    end
  end

  defp tick(state) do
    Process.send_after(self(), :tick, state.config.tick)
    state
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
end
