defmodule AdTally.Store.Events do
  @moduledoc false
  # Executes the telemetry events of one store, one after the other, each in a process of its own: a handler
  # that sleeps or raises delays neither the store nor what it keeps. At most so many wait. Commits that wait
  # are one event, and of the state of the store only the newest waits.

  use GenServer

  require Logger

  alias AdTally.Telemetry
  alias AdTally.Windows.Part

  @most 1_000
  @log_pause 60_000

  @enforce_keys [:server, :store]
  defstruct @enforce_keys ++
              [
                queue: :queue.new(),
                length: 0,
                committed: nil,
                state: nil,
                attempt: nil,
                checked: nil,
                dropped: 0,
                logged_at: nil,
                flushing: nil
              ]

  @typedoc "What has happened, its measurements, and metadata beside the name of the store."
  @type event :: {what :: atom(), measurements :: map(), metadata :: map()}

  # Linked to the store's process, which calls this.
  @spec start(atom()) :: {:ok, pid()}
  def start(store), do: Part.start(__MODULE__, store)

  @spec execute(pid(), event()) :: :ok
  def execute(events, event),
    do: if(Telemetry.available?(), do: GenServer.cast(events, {:execute, event}), else: :ok)

  @doc "Executes what waits: whether all handlers have returned in time."
  @spec flush(pid(), timeout()) :: :ok | :error
  def flush(events, timeout) do
    GenServer.call(events, :flush, timeout)
  catch
    :exit, _reason -> :error
  end

  @impl true
  def init({pid, store}) do
    Part.join(pid)
    {:ok, %__MODULE__{server: pid, store: store}}
  end

  @impl true
  def handle_cast({:execute, event}, state), do: {:noreply, state |> push(event) |> go_on()}

  @impl true
  def handle_call(:flush, from, state), do: {:noreply, go_on(%{state | flushing: from})}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}

  def handle_info({:DOWN, monitor, :process, _pid, _reason}, %{attempt: {_, monitor}} = state),
    do: {:noreply, go_on(%{state | attempt: nil})}

  # All other handlers wait for it.
  def handle_info(:check_attempt, state) do
    if Part.hangs?(state), do: Part.end_attempt(state)
    what = "#{shown(state)}: a telemetry handler, which is ended now,"
    {:noreply, Part.check_attempt(state, what)}
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state)

  defp push(%{committed: nil} = state, {:committed, measured, _metadata}),
    do: %{state | committed: measured, queue: :queue.in(:committed, state.queue)}

  # Sums, but for what was the longest.
  defp push(state, {:committed, measured, _metadata}) do
    committed =
      Map.merge(state.committed, measured, fn
        :longest, one, other -> max(one, other)
        _sum, one, other -> one + other
      end)

    %{state | committed: committed}
  end

  defp push(%{state: nil} = state, {:state, measured, _metadata}),
    do: %{state | state: measured, queue: :queue.in(:state, state.queue)}

  defp push(state, {:state, measured, _metadata}), do: %{state | state: measured}

  defp push(%{length: @most} = state, _event) do
    now = System.monotonic_time(:millisecond)
    state = %{state | dropped: state.dropped + 1}

    if state.logged_at == nil or now - state.logged_at >= @log_pause do
      Logger.warning(
        "#{shown(state)}: telemetry handlers are too slow, #{@most} events wait for them; dropped so far: " <>
          "#{state.dropped}"
      )

      %{state | logged_at: now}
    else
      state
    end
  end

  defp push(state, event),
    do: %{state | queue: :queue.in(event, state.queue), length: state.length + 1}

  defp go_on(%{attempt: nil} = state) do
    case :queue.out(state.queue) do
      {{:value, next}, queue} -> attempt(next, %{state | queue: queue})
      {:empty, _queue} -> flushed(state)
    end
  end

  defp go_on(state), do: state

  defp attempt(:committed, state),
    do: attempt({:committed, state.committed, %{}}, %{state | committed: nil}, 0)

  defp attempt(:state, state), do: attempt({:state, state.state, %{}}, %{state | state: nil}, 0)
  defp attempt(event, state), do: attempt(event, state, 1)

  defp attempt({what, measured, metadata}, state, counted) do
    metadata = Map.put(metadata, :store, state.store)
    attempt = Part.attempt(fn -> Telemetry.execute([:store, what], measured, metadata) end)
    %{state | attempt: attempt, length: state.length - counted}
  end

  defp flushed(%{flushing: nil} = state), do: state

  defp flushed(%{flushing: from} = state) do
    GenServer.reply(from, :ok)
    %{state | flushing: nil}
  end

  defp shown(state), do: "AdTally.Store #{inspect(state.store)}"
end
