defmodule AdTally.Windows.Emitter do
  @moduledoc false
  # Executes the telemetry events of one meter or attribution. Handlers run in a process of their own, one event after
  # the other: one that raises, sleeps, kills its process or calls the source delays neither the source nor
  # its sinks. The queue is bounded: counts are differences since the last event and memory is a gauge, so
  # one of each waits at most, and of all others a thousand. Once in `:warning_interval` it logs
  # what the source warns of.

  use GenServer

  require Logger

  alias AdTally.Telemetry
  alias AdTally.Windows.{Part, Source}

  @most 1_000
  @log_pause 60_000

  @enforce_keys [:server, :owner, :config, :native, :told, :told_at, :diagnosed]
  defstruct @enforce_keys ++
              [
                # Telemetry events, and :events and :memory for one with the numbers of the moment when it is
                # executed.
                queue: :queue.new(),
                length: 0,
                events_due: false,
                memory: nil,
                attempt: nil,
                checked: nil,
                dropped: 0,
                logged_at: nil,
                flushing: nil
              ]

  # Linked to the server, which calls this.
  def start(config, native), do: Part.start(__MODULE__, {config, native})

  # Windows that were closed together, and how long that took.
  def closed(emitter, windows, duration), do: cast(emitter, {:closed, windows, duration})

  def memory(emitter, measurements), do: cast(emitter, {:memory, measurements})

  # Any other event.
  def execute(emitter, event, measurements, metadata),
    do: cast(emitter, {:execute, {event, measurements, metadata}})

  # Executes what waits, and a last event of counts: whether all handlers have returned in time.
  def flush(emitter, timeout) do
    GenServer.call(emitter, :flush, timeout)
  catch
    :exit, _reason -> :error
  end

  defp cast(emitter, message),
    do: if(Telemetry.available?(), do: GenServer.cast(emitter, message), else: :ok)

  @impl true
  def init({pid, {config, native}}) do
    Part.join(pid)
    counts = counts(config.source, native)

    state = %__MODULE__{
      server: pid,
      owner: {config.source, config.name},
      config: config,
      native: native,
      told: counts,
      told_at: System.monotonic_time(),
      diagnosed: counts
    }

    Process.send_after(self(), :diagnose, config.warning_interval)
    {:ok, wait(state)}
  end

  @impl true
  def handle_cast({:closed, windows, duration}, state) do
    # One duration for all that were closed together.
    durations = Stream.concat([duration], Stream.repeatedly(fn -> 0 end))
    state = windows |> Enum.zip(durations) |> Enum.reduce(state, &push(&2, {:closed, &1}))
    {:noreply, go_on(state), {:continue, :collect}}
  end

  def handle_cast({:memory, measurements}, %{memory: nil} = state) do
    state = %{state | memory: measurements, queue: :queue.in(:memory, state.queue)}
    {:noreply, go_on(state)}
  end

  def handle_cast({:memory, measurements}, state),
    do: {:noreply, %{state | memory: measurements}}

  def handle_cast({:execute, event}, state), do: {:noreply, state |> push(event) |> go_on()}

  @impl true
  def handle_call(:flush, from, state),
    do: {:noreply, go_on(%{events_due(state) | flushing: from})}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}

  def handle_info(:interval, state) do
    {:noreply, state |> wait() |> events_due() |> go_on()}
  end

  def handle_info(:diagnose, %{config: %{source: source} = config} = state) do
    Process.send_after(self(), :diagnose, config.warning_interval)
    info = source.info(state.native)
    counts = source.counts(info)
    since = since(counts, state.diagnosed)
    newest = if config.clock == :events, do: info.newest

    for warning <- source.warnings(state.native, since, config.warning_interval, newest),
        do: Logger.warning("#{Source.shown(state.owner)}: #{warning}")

    {:noreply, %{state | diagnosed: counts}}
  end

  def handle_info({:DOWN, monitor, :process, _pid, _reason}, %{attempt: {_, monitor}} = state),
    do: {:noreply, go_on(%{state | attempt: nil})}

  # All other handlers wait for it.
  def handle_info(:check_attempt, state) do
    if Part.hangs?(state), do: Part.end_attempt(state)
    what = "#{Source.shown(state.owner)}: a telemetry handler, which is ended now,"
    {:noreply, Part.check_attempt(state, what)}
  end

  def handle_info(_other, state), do: {:noreply, state}

  # As in Delivery: it had references to windows.
  @impl true
  def handle_continue(:collect, state) do
    :erlang.garbage_collect()
    {:noreply, state}
  end

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state)

  defp wait(state) do
    Process.send_after(self(), :interval, state.config.telemetry_interval)
    state
  end

  defp push(%{length: @most} = state, _event) do
    now = System.monotonic_time(:millisecond)
    state = %{state | dropped: state.dropped + 1}

    if state.logged_at == nil or now - state.logged_at >= @log_pause do
      Logger.warning(
        "#{Source.shown(state.owner)}: telemetry handlers are too slow, #{@most} events " <>
          "wait for them; dropped so far: #{state.dropped}"
      )

      %{state | logged_at: now}
    else
      state
    end
  end

  # Reads the window's numbers now, so that the queue keeps no window in memory.
  defp push(state, {:closed, {window, duration}}) do
    measured = state.config.source.window_measurements(window.native)
    measurements = Map.put(measured, :duration, duration)
    metadata = Map.take(window, [:start, :end, :sequence, :partial])
    metadata = Map.merge(metadata, Source.metadata(state.owner))
    push(state, {[:window, :closed], measurements, metadata})
  end

  defp push(state, event),
    do: %{state | queue: :queue.in(event, state.queue), length: state.length + 1}

  defp events_due(%{events_due: false} = state) do
    if Telemetry.available?(),
      do: %{state | events_due: true, queue: :queue.in(:events, state.queue)},
      else: state
  end

  defp events_due(state), do: state

  defp go_on(%{attempt: nil} = state) do
    case :queue.out(state.queue) do
      {{:value, next}, queue} -> attempt(next, %{state | queue: queue})
      {:empty, _queue} -> flushed(state)
    end
  end

  defp go_on(state), do: state

  defp attempt(:memory, %{memory: measurements} = state),
    do: execute(own(:memory, measurements, state), %{state | memory: nil})

  defp attempt(:events, %{config: %{source: source}} = state) do
    counts = counts(source, state.native)
    now = System.monotonic_time()
    measured = counts |> since(state.told) |> source.measurements()
    measurements = Map.put(measured, :duration, now - state.told_at)
    state = %{state | told: counts, told_at: now, events_due: false}
    execute(own(:events, measurements, state), state)
  end

  defp attempt(event, state), do: execute(event, %{state | length: state.length - 1})

  # An event that begins as the source's do.
  defp own(what, measurements, %{owner: {source, _name} = owner}),
    do: {[source.key(), what], measurements, Source.metadata(owner)}

  defp execute({event, measurements, metadata}, state) do
    %{state | attempt: Part.attempt(fn -> Telemetry.execute(event, measurements, metadata) end)}
  end

  defp flushed(%{flushing: nil} = state), do: state

  defp flushed(%{flushing: from} = state) do
    GenServer.reply(from, :ok)
    %{state | flushing: nil}
  end

  defp counts(source, native), do: native |> source.info() |> source.counts()

  defp since(counts, before),
    do: Map.new(counts, fn {what, count} -> {what, count - Map.fetch!(before, what)} end)
end
