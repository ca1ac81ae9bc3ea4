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
    measured = Map.merge(since, measured)
    {fn -> tell(native, name, measured) end, %{state | told: counts}}
  end

  @sums [
    :budget_micros,
    :spent_micros,
    :reserved_micros,
    :leased_micros,
    :target_micros,
    :overspent_micros,
    :presumed_micros
  ]

  # Each campaign, and then the sums of all. This is another process, which ends then.
  defp tell(native, name, measured) do
    none = @sums |> Map.new(&{&1, 0}) |> Map.put(:campaigns, 0)
    sums = campaigns(native, name, Native.pacer_campaigns(native, 0), none)
    Telemetry.execute([:pacer, :tick], Map.merge(measured, sums), %{pacer: name})
  end

  defp campaigns(native, name, {next, page}, sums) do
    sums =
      Enum.reduce(page, sums, fn {campaign, status}, sums ->
        {measured, others} = Map.split(status, [:pass | @sums])
        metadata = others |> Map.delete(:nodes) |> Map.merge(%{pacer: name, campaign: campaign})
        Telemetry.execute([:pacer, :campaign], measured, metadata)
        add(sums, measured)
      end)

    if next == :done,
      do: sums,
      else: campaigns(native, name, Native.pacer_campaigns(native, next), sums)
  end

  defp add(sums, measured) do
    Map.new(sums, fn
      {:campaigns, count} -> {:campaigns, count + 1}
      {name, sum} -> {name, sum + Map.fetch!(measured, name)}
    end)
  end

  defp counts(native), do: Native.pacer_info(native).outcomes
end
