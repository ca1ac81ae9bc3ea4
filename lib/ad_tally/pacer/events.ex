defmodule AdTally.Pacer.Events do
  @moduledoc false
  # Executes the telemetry events of one pacer, see `AdTally.Telemetry.Queue`. Counts are differences since the last
  # event. Campaigns are read some at a time, while their events are executed, so that no list of all of them is
  # made, and only if a handler may want them.

  use GenServer

  alias AdTally.{Native, Telemetry}
  alias AdTally.Telemetry.Queue
  alias AdTally.Windows.Part

  # Linked to the pacer's process, which calls this.
  @spec start(map(), reference()) :: {:ok, pid()}
  def start(config, native), do: Part.start(__MODULE__, {config, native})

  @doc "A tick is over, and took so long. So many other nodes do not answer."
  @spec ticked(pid(), integer(), non_neg_integer()) :: :ok
  def ticked(events, duration, lost) do
    if Telemetry.available?(),
      do: GenServer.cast(events, {:ticked, %{duration: duration, lost_nodes: lost}}),
      else: :ok
  end

  @doc "Executes what waits: whether all handlers have returned in time."
  @spec flush(pid(), timeout()) :: :ok | :error
  defdelegate flush(events, timeout), to: Queue

  @impl true
  def init({pid, {config, native}}) do
    Part.join(pid)

    state = %{
      server: pid,
      name: config.name,
      native: native,
      queue: Queue.new("AdTally.Pacer #{inspect(config.name)}"),
      told: counts(native)
    }

    {:ok, state}
  end

  # Of ticks that wait only the last one is told. Its counts are those since the last that was.
  @impl true
  def handle_cast({:ticked, measured}, state) do
    queue = Queue.merge(state.queue, :tick, measured, fn _waiting, newest -> newest end)
    {:noreply, go_on(%{state | queue: queue})}
  end

  @impl true
  def handle_call(:flush, from, state),
    do: {:noreply, state |> Queue.flushing(from) |> go_on()}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}
  def handle_info(message, state), do: {:noreply, message |> Queue.handle_info(state) |> go_on()}

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state.queue)

  defp go_on(state), do: Queue.go_on(state, &event/2)

  defp event({:tick, measured}, %{native: native, name: name, told: told} = state) do
    counts = counts(native)
    since = Map.new(counts, fn {what, count} -> {what, count - Map.fetch!(told, what)} end)
    measured = since |> Map.merge(measured) |> Map.merge(Native.pacer_sums(native))
    {fn -> tell(native, name, measured) end, %{state | told: counts}}
  end

  # The sums of all campaigns, and then each. This is another process, which ends then.
  defp tell(native, name, measured) do
    Telemetry.execute([:pacer, :tick], measured, %{pacer: name})
    campaigns(native, name, 0, measured.campaigns)
  end

  @measured [
    :budget_micros,
    :spent_micros,
    :reserved_micros,
    :leased_micros,
    :target_micros,
    :overspent_micros,
    :presumed_micros,
    :pass
  ]

  # They come in the order in which they were put, and one that is put again meanwhile comes again at the end. So no more
  # are told than there were at the tick: a handler that puts each of them again would never be done.
  defp campaigns(native, name, from, left) do
    {next, page} = Native.pacer_campaigns(native, from)

    for {campaign, status} <- Enum.take(page, left) do
      {measured, others} = Map.split(status, @measured)
      metadata = others |> Map.delete(:nodes) |> Map.merge(%{pacer: name, campaign: campaign})
      Telemetry.execute([:pacer, :campaign], measured, metadata)
    end

    left = left - length(page)
    if next != :done and left > 0, do: campaigns(native, name, next, left)
  end

  defp counts(native), do: Native.pacer_info(native).outcomes
end
