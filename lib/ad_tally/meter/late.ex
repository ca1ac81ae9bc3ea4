defmodule AdTally.Meter.Late do
  @moduledoc false
  # Hands late events to the function of `:on_late`, in lists. Callers of `record/2` send them here and do
  # not wait, so how many may wait here is bounded.

  use GenServer

  require Logger

  alias AdTally.Metrics.Parts
  alias AdTally.Windows.{Emitter, Flush, Part}

  @batch 1_000
  @pause 100
  @most 100_000

  # Indexes of the counters that callers share.
  @waiting 1
  @dropped 2
  # 1 once the process was told that some were dropped.
  @noticed 3

  # Between two warnings of that.
  @drop_pause 60_000

  @enforce_keys [:server, :meter, :function, :counters, :totals, :emitter]
  defstruct @enforce_keys ++
              [
                events: :queue.new(),
                count: 0,
                timer: nil,
                attempt: nil,
                checked: nil,
                # How many events the attempt has, and since when.
                attempted: 0,
                begin: nil,
                handed: 0,
                failed: 0,
                # Whether the last list has. Then the next one waits, as a line of the log for each event is too
                # many.
                failing: false,
                told_dropped: 0,
                flushing: nil
              ]

  @typedoc "What callers send events with, and what metrics read."
  @type t :: {pid(), :atomics.atomics_ref(), :counters.counters_ref()}

  # What metrics read: these never fall.
  @counted [handed: 1, failed: 2, dropped: 3]

  # Linked to the meter, whose process calls this.
  def start(meter, function, emitter) do
    counters = :atomics.new(3, signed: true)
    totals = :counters.new(length(@counted), [])
    {:ok, pid} = Part.start(__MODULE__, {meter, function, {counters, totals}, emitter})
    {:ok, {pid, counters, totals}}
  end

  @spec pid(t() | nil) :: pid() | nil
  def pid(nil), do: nil
  def pid({pid, _counters, _totals}), do: pid

  @doc "How many events were handed over, had failed, and were dropped, as metrics read it."
  @spec metric_counters(t()) :: Parts.counters()
  def metric_counters({_pid, _counters, totals}), do: {[:on_late], totals, Keyword.keys(@counted)}

  @doc "How many wait."
  @spec waiting(t()) :: non_neg_integer()
  def waiting({_pid, counters, _totals}), do: :atomics.get(counters, @waiting)

  # Sends events, or the first ones of them where too many are waiting.
  def take(_late, []), do: :ok

  def take({pid, counters, totals}, events) do
    count = length(events)
    over = min(count, max(0, :atomics.add_get(counters, @waiting, count) - @most))

    if over > 0 do
      :atomics.sub(counters, @waiting, over)
      :atomics.add(counters, @dropped, over)
      :counters.add(totals, @counted[:dropped], over)
      notice(pid, counters)
    end

    if over < count, do: send(pid, {:late, count - over, Enum.take(events, count - over)})
    :ok
  end

  defp notice(pid, counters),
    do: if(:atomics.exchange(counters, @noticed, 1) == 0, do: send(pid, :dropped))

  # Bytes of the process that events wait in, but for binaries of more than 64 bytes.
  @spec memory(t() | nil) :: non_neg_integer()
  def memory(nil), do: 0

  def memory({pid, _counters, _totals}) do
    case Process.info(pid, :memory) do
      {:memory, bytes} -> bytes
      nil -> 0
    end
  end

  def info({pid, counters, _totals}, timeout) do
    info = GenServer.call(pid, :info, timeout)

    Map.merge(info, %{
      waiting: :atomics.get(counters, @waiting),
      dropped: :atomics.get(counters, @dropped)
    })
  end

  @impl true
  def init({pid, {meter, function, {counters, totals}, emitter}}) do
    Part.join(pid)
    shared = [counters: counters, totals: totals]
    fields = [meter: meter, function: function, emitter: emitter] ++ shared
    {:ok, struct!(__MODULE__, [server: pid] ++ fields)}
  end

  @impl true
  def handle_call(:info, _from, state), do: {:reply, Map.take(state, [:handed, :failed]), state}

  @impl true
  def handle_cast({:flush, to, timeout}, state),
    do: {:noreply, go_on(%{state | flushing: Flush.begin(to, timeout, progress(state))})}

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}

  def handle_info({:late, count, events}, state) do
    queue = Enum.reduce(events, state.events, &:queue.in/2)
    state = %{state | events: queue, count: state.count + count}
    go_on? = state.count >= @batch and not state.failing
    {:noreply, if(go_on?, do: go_on(state), else: wait(state))}
  end

  def handle_info(:hand_over, state), do: {:noreply, go_on(%{state | timer: nil})}

  def handle_info({:DOWN, monitor, :process, _pid, reason}, %{attempt: {_, monitor}} = state) do
    count = state.attempted
    :atomics.sub(state.counters, @waiting, count)
    measured = %{events: count, duration: System.monotonic_time() - state.begin}
    state = %{state | attempt: nil}

    reason = with {:shutdown, {:failed, reason}} <- reason, do: reason

    state =
      if reason == :normal do
        Emitter.execute(state.emitter, [:late, :handed], measured, %{meter: state.meter})
        :counters.add(state.totals, @counted[:handed], count)
        # Events that came meanwhile have waited long enough.
        go_on(%{state | handed: state.handed + count, failing: false})
      else
        {module, function} = state.function

        Logger.error(
          "AdTally.Meter #{inspect(state.meter)}: #{inspect(module)}.#{function} has not taken " <>
            "#{count} late events: #{if is_binary(reason), do: reason, else: inspect(reason)}"
        )

        :counters.add(state.totals, @counted[:failed], count)
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

  def handle_info(:check_attempt, state) do
    {module, function} = state.function
    meter = "AdTally.Meter #{inspect(state.meter)}"
    what = "#{meter}: #{inspect(module)}.#{function}, the function of :on_late,"
    {:noreply, Part.check_attempt(state, what)}
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state)

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
    attempt = Part.attempt(fn -> attempt(module, function, events) end)
    state = %{state | events: rest, count: count - taken, attempt: attempt}
    %{state | attempted: taken, begin: System.monotonic_time()}
  end

  defp go_on(state), do: state

  # What it raises is caught, as it is logged when the attempt has ended.
  defp attempt(module, function, events) do
    apply(module, function, [events])
  catch
    kind, reason ->
      exit({:shutdown, {:failed, Part.format(kind, reason, __STACKTRACE__)}})
  end
end
