defmodule AdTally.Windows.Emitter do
  @moduledoc false
  # Executes the telemetry events of one meter or attribution, see `AdTally.Telemetry.Queue`. Counts are
  # differences since the last event and memory is a gauge, so one of each waits at most. Once in
  # `:warning_interval` it logs what the source warns of.

  use GenServer

  require Logger

  alias AdTally.Telemetry
  alias AdTally.Telemetry.Queue
  alias AdTally.Windows.{Part, Source}

  @enforce_keys [:server, :owner, :config, :native, :queue, :told, :told_at, :diagnosed]
  defstruct @enforce_keys

  # Linked to the server, which calls this.
  def start(config, native), do: Part.start(__MODULE__, {config, native})

  # Windows that were closed together, and how long that took.
  def closed(emitter, windows, duration), do: cast(emitter, {:closed, windows, duration})

  def memory(emitter, measurements), do: cast(emitter, {:memory, measurements})

  # Any other event.
  def execute(emitter, event, measurements, metadata),
    do: cast(emitter, {:execute, {event, measurements, metadata}})

  # Executes what waits, and a last event of counts: whether all handlers have returned in time.
  defdelegate flush(emitter, timeout), to: Queue

  defp cast(emitter, message),
    do: if(Telemetry.available?(), do: GenServer.cast(emitter, message), else: :ok)

  @impl true
  def init({pid, {config, native}}) do
    Part.join(pid)
    counts = counts(config.source, native)
    owner = {config.source, config.name}

    state = %__MODULE__{
      server: pid,
      owner: owner,
      config: config,
      native: native,
      queue: Queue.new(Source.shown(owner)),
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
    events = windows |> Stream.zip(durations) |> Stream.map(&closed_event(&1, state))
    state = %{state | queue: Enum.reduce(events, state.queue, &Queue.push(&2, &1))}
    {:noreply, go_on(state), {:continue, :collect}}
  end

  def handle_cast({:memory, measurements}, state),
    do: {:noreply, state |> put(:memory, measurements) |> go_on()}

  def handle_cast({:execute, event}, state),
    do: {:noreply, %{state | queue: Queue.push(state.queue, event)} |> go_on()}

  @impl true
  def handle_call(:flush, from, state),
    do: {:noreply, state |> events_due() |> Queue.flushing(from) |> go_on()}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}

  def handle_info(:interval, state), do: {:noreply, state |> wait() |> events_due() |> go_on()}

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

  def handle_info(message, state), do: {:noreply, message |> Queue.handle_info(state) |> go_on()}

  # As in Delivery: it had references to windows.
  @impl true
  def handle_continue(:collect, state) do
    :erlang.garbage_collect()
    {:noreply, state}
  end

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state.queue)

  defp wait(state) do
    Process.send_after(self(), :interval, state.config.telemetry_interval)
    state
  end

  # Reads the window's numbers now, so that the queue keeps no window in memory.
  defp closed_event({window, duration}, state) do
    measured = state.config.source.window_measurements(window.native)
    metadata = Map.take(window, [:start, :end, :sequence, :partial])

    {[:window, :closed], Map.put(measured, :duration, duration),
     Map.merge(metadata, Source.metadata(state.owner))}
  end

  # Counts are read when the event is executed.
  defp events_due(state),
    do: if(Telemetry.available?(), do: put(state, :events, :due), else: state)

  # Only the newest waits.
  defp put(state, key, value) do
    queue = Queue.merge(state.queue, key, value, fn _waiting, newest -> newest end)
    %{state | queue: queue}
  end

  defp go_on(state), do: Queue.go_on(state, &event/2)

  defp event({:memory, measurements}, state), do: {own(:memory, measurements, state), state}

  defp event({:events, :due}, %{config: %{source: source}} = state) do
    counts = counts(source, state.native)
    now = System.monotonic_time()
    measured = counts |> since(state.told) |> source.measurements()
    measurements = Map.put(measured, :duration, now - state.told_at)
    {own(:events, measurements, state), %{state | told: counts, told_at: now}}
  end

  # An event that begins as the source's do.
  defp own(what, measurements, %{owner: {source, _name} = owner}),
    do: {[source.key(), what], measurements, Source.metadata(owner)}

  defp counts(source, native), do: native |> source.info() |> source.counts()

  defp since(counts, before),
    do: Map.new(counts, fn {what, count} -> {what, count - Map.fetch!(before, what)} end)
end
