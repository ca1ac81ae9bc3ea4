defmodule AdTally.Store.Events do
  @moduledoc false
  # Executes the telemetry events of one store, see `AdTally.Telemetry.Queue`. Commits that wait are one event, and
  # of the state of the store only the newest waits.

  use GenServer

  alias AdTally.Telemetry
  alias AdTally.Telemetry.Queue
  alias AdTally.Windows.Part

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
  defdelegate flush(events, timeout), to: Queue

  @impl true
  def init({pid, store}) do
    Part.join(pid)
    {:ok, %{server: pid, store: store, queue: Queue.new("AdTally.Store #{inspect(store)}")}}
  end

  @impl true
  def handle_cast({:execute, event}, state),
    do: {:noreply, %{state | queue: add(event, state)} |> go_on()}

  @impl true
  def handle_call(:flush, from, state), do: {:noreply, state |> Queue.flushing(from) |> go_on()}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}
  def handle_info(message, state), do: {:noreply, message |> Queue.handle_info(state) |> go_on()}

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state.queue)

  defp add({:committed, measured, _metadata}, %{queue: queue}),
    do: Queue.merge(queue, :committed, measured, &sums/2)

  defp add({:state, measured, _metadata}, %{queue: queue}),
    do: Queue.merge(queue, :state, measured, fn _waiting, newest -> newest end)

  defp add(event, %{queue: queue} = state), do: Queue.push(queue, named(event, state))

  # But for what was the longest.
  defp sums(waiting, measured) do
    Map.merge(waiting, measured, fn
      :longest, one, other -> max(one, other)
      _sum, one, other -> one + other
    end)
  end

  defp go_on(state) do
    Queue.go_on(state, fn {what, measured}, state ->
      {named({what, measured, %{}}, state), state}
    end)
  end

  defp named({what, measured, metadata}, %{store: store}),
    do: {[:store, what], measured, Map.put(metadata, :store, store)}
end
