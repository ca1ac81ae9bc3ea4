defmodule AdTally.Telemetry.Queue do
  @moduledoc false
  # Telemetry events that wait for their handlers. They are executed one after the other, each in a process
  # of its own: a handler that sleeps, raises or kills its process delays only other events. At most a thousand
  # wait. Events that come again and again have a key: one of each key waits, in addition to the thousand.
  #
  # The queue is in the state of a process that is an `AdTally.Windows.Part`, which calls go_on/2 after each
  # message:
  #
  #     def handle_call(:flush, from, state), do: {:noreply, state |> Queue.flushing(from) |> go_on()}
  #
  #     def handle_info(message, state), do: {:noreply, message |> Queue.handle_info(state) |> go_on()}
  #
  #     def terminate(_reason, state), do: Part.end_attempt(state.queue)
  #
  #     defp go_on(state), do: Queue.go_on(state, &event/2)

  require Logger

  alias AdTally.Telemetry
  alias AdTally.Windows.Part

  @most 1_000
  @log_pause 60_000

  @enforce_keys [:shown]
  defstruct @enforce_keys ++
              [
                # Events, and the keys of `merged`.
                waiting: :queue.new(),
                merged: %{},
                # How many events of no key wait.
                length: 0,
                attempt: nil,
                checked: nil,
                dropped: 0,
                logged_at: nil,
                flushing: nil
              ]

  @type t :: %__MODULE__{}

  @typedoc "Its name without `:ad_tally`, measurements and metadata, or a function that executes several."
  @type event :: {[atom(), ...], measurements :: map(), metadata :: map()} | (() -> term())

  @doc "`shown` is whose events these are, for the log."
  @spec new(shown :: String.t()) :: t()
  def new(shown), do: %__MODULE__{shown: shown}

  @doc "Adds an event, or drops it if a thousand wait."
  @spec push(t(), event()) :: t()
  def push(%{length: @most} = queue, _event) do
    now = System.monotonic_time(:millisecond)
    queue = %{queue | dropped: queue.dropped + 1}

    if queue.logged_at == nil or now - queue.logged_at >= @log_pause do
      Logger.warning(
        "#{queue.shown}: telemetry handlers are too slow, #{@most} events wait for them; dropped so far: " <>
          "#{queue.dropped}"
      )

      %{queue | logged_at: now}
    else
      queue
    end
  end

  def push(queue, event),
    do: %{queue | waiting: :queue.in(event, queue.waiting), length: queue.length + 1}

  @doc "Adds the value of a key, or merges it into the one that waits."
  @spec merge(t(), atom(), value, (waiting :: value, value -> value)) :: t() when value: term()
  def merge(%{merged: merged} = queue, key, value, merge) do
    if is_map_key(merged, key) do
      %{queue | merged: Map.update!(merged, key, &merge.(&1, value))}
    else
      %{queue | merged: Map.put(merged, key, value), waiting: :queue.in(key, queue.waiting)}
    end
  end

  @doc """
  Executes the next event, unless one is being executed. `event` makes an event of `{key, value}`, when it is
  executed.
  """
  @spec go_on(state, ({atom(), term()}, state -> {event(), state})) :: state
        when state: %{required(:queue) => t(), optional(atom()) => term()}
  def go_on(%{queue: %{attempt: nil} = queue} = state, event) do
    case :queue.out(queue.waiting) do
      {:empty, _waiting} ->
        %{state | queue: flushed(queue)}

      {{:value, key}, waiting} when is_atom(key) ->
        {value, merged} = Map.pop!(queue.merged, key)
        queue = %{queue | waiting: waiting, merged: merged}
        {next, state} = event.({key, value}, %{state | queue: queue})
        %{state | queue: execute(state.queue, next)}

      {{:value, next}, waiting} ->
        queue = %{queue | waiting: waiting, length: queue.length - 1}
        %{state | queue: execute(queue, next)}
    end
  end

  def go_on(state, _event), do: state

  defp execute(queue, {event, measurements, metadata}),
    do: execute(queue, fn -> Telemetry.execute(event, measurements, metadata) end)

  defp execute(queue, several), do: %{queue | attempt: Part.attempt(several)}

  @doc "A message that may be about the event that is being executed."
  @spec handle_info(message :: term(), state) :: state
        when state: %{required(:queue) => t(), optional(atom()) => term()}
  def handle_info(
        {:DOWN, monitor, :process, pid, _},
        %{queue: %{attempt: {pid, monitor}}} = state
      ),
      do: put_in(state.queue.attempt, nil)

  # All other handlers wait for one that hangs.
  def handle_info(:check_attempt, %{queue: queue} = state) do
    if Part.hangs?(queue), do: Part.end_attempt(queue)
    what = "#{queue.shown}: a telemetry handler, which is ended now,"
    %{state | queue: Part.check_attempt(queue, what)}
  end

  def handle_info(_other, state), do: state

  @doc "Asks a process to execute what waits: whether all handlers have returned in time."
  @spec flush(pid(), timeout()) :: :ok | :error
  def flush(process, timeout) do
    GenServer.call(process, :flush, timeout)
  catch
    :exit, _reason -> :error
  end

  @doc "The process was asked: the caller is answered once nothing waits."
  @spec flushing(state, GenServer.from()) :: state
        when state: %{required(:queue) => t(), optional(atom()) => term()}
  def flushing(state, from), do: put_in(state.queue.flushing, from)

  defp flushed(%{flushing: nil} = queue), do: queue

  defp flushed(queue) do
    GenServer.reply(queue.flushing, :ok)
    %{queue | flushing: nil}
  end
end
