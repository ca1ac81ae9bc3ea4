defmodule AdTally.Windows.Delivery do
  @moduledoc false
  # Hands the closed windows of a meter or an attribution to one sink, in their order. Every attempt runs in a
  # process of its own: whatever the sink does there, the windows stay here until it answers :ok.

  use GenServer

  require Logger

  alias AdTally.Metrics.Parts
  alias AdTally.Windows.{Emitter, Flush, Part, Source}

  @first_pause 100
  @longest_pause 30_000

  defstruct [
    :server,
    :owner,
    :sink,
    :options,
    :most,
    :emitter,
    :counters,
    queue: :queue.new(),
    length: 0,
    attempt: nil,
    checked: nil,
    begin: nil,
    failures: 0,
    pausing: nil,
    delivered: 0,
    failed: 0,
    dropped: 0,
    # How many rows of the first window the attempt has read, and the most that any attempt has.
    rows_read: nil,
    most_read: 0,
    flushing: nil,
    # Sequences of the newest window and of the last one that was dropped.
    newest: 0,
    newest_dropped: 0,
    # Callers of await/3: {sequence of the last window that one waits for, caller, until when it does}.
    awaiting: []
  ]

  # What metrics read, without asking the process. The first ones never fall.
  @counted [:delivered, :failed, :dropped, :waiting, :failures]

  @spec counters() :: :counters.counters_ref()
  def counters, do: :counters.new(length(@counted), [])

  @doc "The names of those that are totals, which come first."
  @spec totals() :: [atom()]
  def totals, do: Enum.take(@counted, 3)

  @doc "All numbers."
  @spec counted(:counters.counters_ref()) :: %{atom() => non_neg_integer()}
  def counted(counters), do: Parts.counts(counters, @counted)

  # Linked to the server, which calls this.
  # `newest` is the sequence before that of the first window that it will get.
  @spec start(
          {Source.t(), :counters.counters_ref()},
          module(),
          keyword(),
          pos_integer(),
          pid(),
          non_neg_integer()
        ) :: {:ok, pid()}
  def start(owner, sink, options, most, emitter, newest),
    do: Part.start(__MODULE__, {owner, sink, options, most, emitter, newest})

  # Adds windows to the queue.
  def deliver(delivery, windows), do: GenServer.cast(delivery, {:deliver, windows})

  # Returns once all windows up to a sequence are delivered, or {:error, :dropped} once one of them after an
  # earlier sequence is dropped.
  def await(delivery, sequences, timeout),
    do: GenServer.call(delivery, {:await, sequences, until(timeout)}, timeout)

  # Any integer is before :infinity.
  defp until(:infinity), do: :infinity
  defp until(timeout), do: milliseconds() + timeout

  defp milliseconds, do: System.monotonic_time(:millisecond)

  def info(delivery, timeout), do: GenServer.call(delivery, :info, timeout)

  @impl true
  def init({pid, {{owner, counters}, sink, options, most, emitter, newest}}) do
    Part.join(pid)

    fields = [
      owner: owner,
      counters: counters,
      sink: sink,
      options: options,
      most: most,
      emitter: emitter
    ]

    {:ok, struct!(__MODULE__, [server: pid, newest: newest] ++ fields)}
  end

  @impl true
  def handle_cast({:deliver, windows}, state) do
    queue = Enum.reduce(windows, state.queue, &:queue.in/2)

    newest = List.last(windows).sequence
    state = %{state | queue: queue, length: state.length + length(windows), newest: newest}
    dropped = state.dropped
    state = state |> bound() |> note() |> go_on()

    if state.dropped > dropped,
      do: {:noreply, state, {:continue, :collect}},
      else: {:noreply, state}
  end

  def handle_cast({:flush, to, timeout}, state) do
    flushing = Flush.begin(to, timeout, progress(state))
    # A flush does not wait for the rest of a long pause.
    {:noreply, %{resume(state) | flushing: flushing} |> go_on()}
  end

  @impl true
  def handle_call(:info, _from, state) do
    info = Map.take(state, [:sink, :delivered, :failed, :dropped])
    {:reply, Map.put(info, :waiting, state.length), state}
  end

  def handle_call({:await, {before, _last}, _until}, _from, %{newest_dropped: dropped} = state)
      when dropped > before,
      do: {:reply, {:error, :dropped}, state}

  def handle_call({:await, {_before, last}, until}, from, state) do
    now = milliseconds()
    # While a sink fails, who has given up on it makes room for who comes.
    awaiting = for {_last, _from, until} = caller <- state.awaiting, until > now, do: caller
    # Nor does this wait for the rest of a long pause.
    state = %{resume(state) | awaiting: [{last, from, until} | awaiting]}
    {:noreply, state |> answer_awaiting() |> go_on()}
  end

  @impl true
  def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}

  def handle_info({:DOWN, monitor, :process, pid, reason}, %{attempt: {pid, monitor}} = state) do
    state = %{state | attempt: nil}

    case reason do
      {:shutdown, :delivered} ->
        {:noreply, state |> delivered() |> answer_awaiting() |> go_on(), {:continue, :collect}}

      {:shutdown, {:refused, reason}} ->
        {:noreply, failed(state, reason)}

      reason ->
        {:noreply, failed(state, reason)}
    end
  end

  def handle_info(:again, state), do: {:noreply, %{state | pausing: nil} |> go_on()}

  def handle_info(:check_flush, %{flushing: flushing} = state) when flushing != nil do
    case Flush.check(flushing, progress(state)) do
      {:go_on, flushing} ->
        {:noreply, %{state | flushing: flushing}}

      :over ->
        Flush.answer(flushing, {:left, state.length})
        {:noreply, %{state | flushing: nil}}
    end
  end

  def handle_info(:check_attempt, state) do
    what = "#{Source.shown(state.owner)}: the attempt of #{inspect(state.sink)} to take a window"
    {:noreply, Part.check_attempt(state, what)}
  end

  def handle_info(_other, state), do: {:noreply, state}

  # A window's memory is native and freed with the last reference to it. A process that seldom collects its
  # garbage would keep that of windows which were delivered long ago.
  @impl true
  def handle_continue(:collect, state) do
    :erlang.garbage_collect()
    {:noreply, state}
  end

  @impl true
  def terminate(_reason, state), do: Part.end_attempt(state)

  # Of too many the oldest are dropped, but not the one that is being delivered.
  defp bound(%{length: length, most: most} = state) when length > most do
    {{:value, first}, queue} = :queue.out(state.queue)

    {kept, dropped, queue} =
      if state.attempt,
        do: with({{:value, second}, rest} <- :queue.out(queue), do: {[first], second, rest}),
        else: {[], first, queue}

    Logger.warning(
      "#{Source.shown(state.owner)} drops window #{dropped.sequence} of #{dropped.start} for #{inspect(state.sink)}: " <>
        "more than #{most} are waiting"
    )

    tell(:dropped, %{waiting: length - 1}, dropped, state)
    taken(dropped, state)

    queue = Enum.reduce(kept, queue, &:queue.in_r/2)
    state = %{state | queue: queue, length: length - 1, dropped: state.dropped + 1}

    bound(%{
      answer(state, {:error, :dropped}, &(&1 >= dropped.sequence))
      | newest_dropped: dropped.sequence
    })
  end

  defp bound(state), do: state

  # Windows are delivered in their order.
  defp answer_awaiting(state) do
    first = if state.length == 0, do: state.newest + 1, else: :queue.get(state.queue).sequence
    answer(state, :ok, &(&1 < first))
  end

  defp answer(state, answer, whom) do
    {answered, awaiting} =
      Enum.split_with(state.awaiting, fn {last, _from, _until} -> whom.(last) end)

    Enum.each(answered, fn {_last, from, _until} -> GenServer.reply(from, answer) end)
    %{state | awaiting: awaiting}
  end

  defp go_on(%{length: 0, flushing: flushing} = state) when flushing != nil do
    Flush.answer(flushing, :ok)
    %{state | flushing: nil}
  end

  defp go_on(%{length: length, attempt: nil, pausing: nil} = state) when length > 0 do
    rows_read = :counters.new(2, [])
    window = %{:queue.get(state.queue) | rows_read: rows_read}
    {sink, options} = {state.sink, state.options}
    attempt = Part.attempt(fn -> attempt(sink, window, options) end)
    %{state | attempt: attempt, rows_read: rows_read, begin: System.monotonic_time()}
  end

  defp go_on(state), do: state

  # The exit reason is the result. What a sink raises is caught, as it is logged by failed/2.
  defp attempt(sink, window, options) do
    answer =
      try do
        sink.deliver(window, options)
      catch
        kind, reason -> {:error, Part.format(kind, reason, __STACKTRACE__)}
      end

    case answer do
      :ok -> exit({:shutdown, :delivered})
      {:error, reason} -> exit({:shutdown, {:refused, reason}})
      other -> exit({:shutdown, {:refused, {:answered, other}}})
    end
  end

  defp delivered(state) do
    {{:value, window}, queue} = :queue.out(state.queue)
    tell(:delivered, %{duration: duration(state), waiting: state.length - 1}, window, state)
    taken(window, state)
    state = %{state | queue: queue, length: state.length - 1, delivered: state.delivered + 1}
    note(%{state | failures: 0, rows_read: nil, most_read: 0})
  end

  defp note(state) do
    waiting = %{waiting: state.length}
    numbers = state |> Map.take(@counted) |> Map.merge(waiting)

    for {name, index} <- Enum.with_index(@counted, 1),
        do: :counters.put(state.counters, index, Map.fetch!(numbers, name))

    state
  end

  # The server needs to know when every sink has a window, where a store keeps it until then.
  defp taken(window, state), do: send(state.server, {:taken, window.sequence})

  defp failed(state, reason) do
    window = :queue.get(state.queue)
    failures = state.failures + 1
    pause = min(@first_pause * Bitwise.bsl(1, min(failures - 1, 20)), @longest_pause)
    pause = if state.flushing, do: min(pause, @first_pause), else: pause

    Logger.warning(
      "#{Source.shown(state.owner)}: #{inspect(state.sink)} has not taken window #{window.sequence} of #{window.start}, " <>
        "again in #{pause} ms: #{if is_binary(reason), do: reason, else: inspect(reason)}"
    )

    measured = %{
      duration: duration(state),
      waiting: state.length,
      failures: failures,
      pause: pause
    }

    tell(:failed, measured, window, state, %{reason: reason})

    timer = Process.send_after(self(), :again, pause)
    state = %{state | failures: failures, failed: state.failed + 1, pausing: timer}
    note(%{state | most_read: most_read(state), rows_read: nil})
  end

  # A sink makes progress when it takes a window, and when it reads rows that no attempt has read before: one
  # that fails at the same row again and again makes none.
  defp progress(state), do: {state.delivered, state.dropped, most_read(state)}

  defp most_read(%{rows_read: nil, most_read: most}), do: most

  defp most_read(%{rows_read: rows, most_read: most}),
    do: max(most, :counters.get(rows, 1) + :counters.get(rows, 2))

  defp duration(state), do: System.monotonic_time() - state.begin

  defp tell(what, measured, window, state, more \\ %{}) do
    metadata =
      window
      |> Map.take([:start, :end, :sequence])
      |> Map.merge(more)
      |> Map.merge(Source.metadata(state.owner))
      |> Map.put(:sink, state.sink)

    Emitter.execute(state.emitter, [:sink, what], measured, metadata)
  end

  defp resume(%{pausing: nil} = state), do: state

  defp resume(%{pausing: timer} = state) do
    Process.cancel_timer(timer)
    %{state | pausing: nil}
  end
end
