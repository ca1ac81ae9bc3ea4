defmodule AdTally.Meter.Late do
  @moduledoc false
  # Hands events that came too late to a function, some at a time, in a process of its own that
  # may do what it likes. Callers leave them here; how many may wait is bounded, because a caller
  # does not wait.

  use GenServer

  require Logger

  alias AdTally.Meter.{Emitter, Flush, Part}

  @batch 1_000
  @pause 100
  @most 100_000

  # Places in the counters that callers see.
  @waiting 1
  @dropped 2
  # Whether the process knows that some were dropped.
  @noticed 3

  # How often it says so.
  @drop_pause 60_000

  @enforce_keys [:meter_pid, :meter, :function, :counters, :emitter]
  defstruct @enforce_keys ++
              [
                events: :queue.new(),
                count: 0,
                timer: nil,
                attempt: nil,
                # The attempt that ran at the last look.
                seen: nil,
                handed: 0,
                failed: 0,
                # Whether the last list has: then the next one waits, or every event would have a line in the log.
                failing: false,
                told_dropped: 0,
                flushing: nil
              ]

  @typedoc "What callers leave events with."
  @type t :: {pid(), :atomics.atomics_ref()}

  # Linked to the meter, whose process calls this.
  def start(meter, function, emitter) do
    counters = :atomics.new(3, signed: true)
    {:ok, pid} = Part.start(__MODULE__, {meter, function, counters, emitter})
    {:ok, {pid, counters}}
  end

  # Leaves events, or the first ones of them where too many are waiting.
  def take(_late, []), do: :ok

  def take({pid, counters}, events) do
    count = length(events)
    over = min(count, max(0, :atomics.add_get(counters, @waiting, count) - @most))

    if over > 0 do
      :atomics.sub(counters, @waiting, over)
      :atomics.add(counters, @dropped, over)
      notice(pid, counters)
    end

    if over < count, do: send(pid, {:late, count - over, Enum.take(events, count - over)})
    :ok
  end

  defp notice(pid, counters),
    do: if(:atomics.exchange(counters, @noticed, 1) == 0, do: send(pid, :dropped))

  # Waits until all that came before is handed over, for as long as the function returns from lists.
  def flush({pid, _counters}, timeout), do: Flush.await(pid, timeout)

  def info({pid, counters}, timeout) do
    info = GenServer.call(pid, :info, timeout)

    Map.merge(info, %{
      waiting: :atomics.get(counters, @waiting),
      dropped: :atomics.get(counters, @dropped)
    })
  end

  @impl true
  def init({pid, {meter, function, counters, emitter}}) do
    Part.join(pid)
    fields = [meter: meter, function: function, counters: counters, emitter: emitter]
    {:ok, struct!(__MODULE__, [meter_pid: pid] ++ fields)}
  end

  @impl true
  def handle_call(:info, _from, state), do: {:reply, Map.take(state, [:handed, :failed]), state}

  @impl true
  def handle_cast({:flush, to, timeout}, state),
    do: {:noreply, go_on(%{state | flushing: Flush.begin(to, timeout, progress(state))})}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{meter_pid: pid} = state), do: {:stop, :normal, state}

  def handle_info({:late, count, events}, state) do
    queue = Enum.reduce(events, state.events, &:queue.in/2)
    state = %{state | events: queue, count: state.count + count}
    go_on? = state.count >= @batch and not state.failing
    {:noreply, if(go_on?, do: go_on(state), else: wait(state))}
  end

  def handle_info(:hand_over, state), do: {:noreply, go_on(%{state | timer: nil})}

  def handle_info(
        {:DOWN, monitor, :process, _pid, reason},
        %{attempt: {_, monitor, _, _}} = state
      ) do
    {_pid, _monitor, count, begin} = state.attempt
    :atomics.sub(state.counters, @waiting, count)
    measured = %{events: count, duration: System.monotonic_time() - begin}
    state = %{state | attempt: nil}

    reason = with {:shutdown, {:failed, reason}} <- reason, do: reason

    state =
      if reason == :normal do
        Emitter.execute(state.emitter, [:late, :handed], measured, %{meter: state.meter})
        # What has come meanwhile has waited long enough.
        go_on(%{state | handed: state.handed + count, failing: false})
      else
        {module, function} = state.function

        Logger.error(
          "AdTally.Meter #{inspect(state.meter)}: #{inspect(module)}.#{function} has not taken " <>
            "#{count} late events: #{if is_binary(reason), do: reason, else: inspect(reason)}"
        )

        metadata = %{meter: state.meter, reason: reason}
        Emitter.execute(state.emitter, [:late, :failed], measured, metadata)
        state = %{state | failed: state.failed + count, failing: true}
        if state.flushing == nil and state.count > 0, do: wait(state), else: go_on(state)
      end

    {:noreply, state}
  end

  def handle_info(:dropped, %{counters: counters} = state) do
    dropped = :atomics.get(counters, @dropped)

    if dropped > state.told_dropped do
      {module, function} = state.function
      events = dropped - state.told_dropped

      Logger.warning(
        "AdTally.Meter #{inspect(state.meter)} has dropped #{events} late events, because " <>
          "#{@most} wait for #{inspect(module)}.#{function}"
      )

      Emitter.execute(state.emitter, [:late, :dropped], %{events: events}, %{meter: state.meter})
      Process.send_after(self(), :dropped, @drop_pause)
    else
      :atomics.put(counters, @noticed, 0)
      # Some may have been dropped just before.
      if :atomics.get(counters, @dropped) > dropped, do: notice(self(), counters)
    end

    {:noreply, %{state | told_dropped: dropped}}
  end

  def handle_info(:check_flush, %{flushing: flushing} = state) when flushing != nil do
    case Flush.check(flushing, progress(state)) do
      {:go_on, flushing} ->
        {:noreply, %{state | flushing: flushing}}

      :over ->
        Flush.answer(flushing, {:left, :atomics.get(state.counters, @waiting)})
        {:noreply, %{state | flushing: nil}}
    end
  end

  def handle_info(:look, state) do
    running = with {pid, _monitor, _count, _begin} <- state.attempt, do: pid
    {module, function} = state.function

    Part.still_runs?(
      running,
      state.seen,
      "AdTally.Meter #{inspect(state.meter)}: #{inspect(module)}.#{function}, the function of :on_late,"
    )

    {:noreply, %{state | seen: running}}
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, %{attempt: nil}), do: :ok
  def terminate(_reason, %{attempt: {pid, _, _, _}}), do: Process.exit(pid, :kill)

  defp wait(%{timer: nil, attempt: nil} = state),
    do: %{state | timer: Process.send_after(self(), :hand_over, @pause)}

  defp wait(state), do: state

  # Each list is given once.
  defp progress(state), do: state.handed + state.failed

  defp go_on(%{attempt: nil, count: 0, flushing: flushing} = state) when flushing != nil do
    Flush.answer(flushing, :ok)
    %{state | flushing: nil}
  end

  defp go_on(%{attempt: nil, count: count} = state) when count > 0 do
    taken = min(count, @batch)
    {some, rest} = :queue.split(taken, state.events)
    events = :queue.to_list(some)
    {module, function} = state.function
    # Linked, so that it ends with this process.
    {pid, monitor} =
      :erlang.spawn_opt(fn -> attempt(module, function, events) end, [:link, :monitor])

    attempt = {pid, monitor, taken, System.monotonic_time()}
    %{state | events: rest, count: count - taken, attempt: attempt}
  end

  defp go_on(state), do: state

  # What it raises is not logged here as well as above.
  defp attempt(module, function, events) do
    apply(module, function, [events])
  catch
    kind, reason ->
      exit({:shutdown, {:failed, Part.format(kind, reason, __STACKTRACE__)}})
  end
end
