defmodule AdTally.Bench.Load do
  @moduledoc """
  Events at a rate, for some seconds, into a meter with a store: each has the time of now, an id of its own and one of
  100,000 users, and goes to one of 1,000 rows. Ids are remembered for ten seconds.

  What it came to are figures of the store, and the meter has to have counted all that was not busy.
  """

  alias AdTally.Bench.{Stores, WrongResultError}
  alias AdTally.{Event, Meter, Store}

  @batch 100
  @rows 1_000
  @campaigns 100
  @users 100_000
  @ids_window 10_000
  @metrics [impressions: 1, spend_micros: 1_250]
  @enforce_keys [:store, :meter]
  defstruct @enforce_keys

  @type t :: %__MODULE__{store: Store.name(), meter: Meter.name()}

  @type figures :: %{
          rate: float(),
          events: non_neg_integer(),
          busy: non_neg_integer(),
          info: map()
        }

  @doc "A meter with room for the ids of so many events a second, and its store, which has these options."
  @spec start(pos_integer(), keyword()) :: t()
  def start(rate, options \\ []) do
    store = Stores.start(options)
    meter = :"#{__MODULE__}.#{System.unique_integer([:positive])}"

    {:ok, _meter} =
      Meter.start_link(
        name: meter,
        store: store,
        dimensions: [:campaign, :creative],
        metrics: [:impressions, :spend_micros],
        reach: [by: [:campaign]],
        dedupe: [window: @ids_window, capacity: rate * div(@ids_window, 1_000)]
      )

    %__MODULE__{store: store, meter: meter}
  end

  @doc """
  Records from so many processes, `AdTally.Meter.record_many/2` with a hundred events at a time, and returns what it
  came to, together, once that is on disk. `during` is called meanwhile, and returns how many events it has recorded
  itself, and something.
  """
  @spec run(t(), pos_integer(), pos_integer(), pos_integer(), (() -> result)) ::
          {figures(), result}
        when result: term()
  def run(load, processes, rate, ms, during \\ fn -> {0, nil} end) do
    {known, before} = {Meter.info(load.meter).events, Store.info(load.store)}
    begin = System.monotonic_time(:microsecond)

    tasks =
      for _process <- 1..processes do
        Task.async(fn -> feed(load.meter, number(), begin, rate / processes, ms * 1_000) end)
      end

    {others, result} = during.()
    outcomes = Task.await_many(tasks, :infinity)
    took = System.monotonic_time(:microsecond) - begin
    :ok = Store.sync(load.store)
    {sent, busy} = Enum.reduce(outcomes, fn {a, b}, {c, d} -> {a + c, b + d} end)
    check!(Meter.info(load.meter).events, known, sent - busy + others)
    info = since(Store.info(load.store), before)
    {%{rate: (sent - busy) * 1.0e6 / took, events: sent - busy, busy: busy, info: info}, result}
  end

  @doc "The figures of the store once nothing was merged for so many milliseconds."
  @spec rest(t(), pos_integer(), map() | nil) :: map()
  def rest(load, ms, before \\ nil) do
    now = Store.info(load.store)

    if before && now.compactions == before.compactions do
      now
    else
      Process.sleep(ms)
      rest(load, ms, now)
    end
  end

  @doc "One event after the other is recorded: the nanoseconds that each call took."
  @spec calls(t(), pos_integer(), pos_integer()) :: [non_neg_integer()]
  def calls(load, rate, ms),
    do: call({load.meter, number()}, 1, System.monotonic_time(:microsecond), rate, ms * 1_000, [])

  @doc "A process that records and syncs in turn: the nanoseconds that each sync took."
  @spec syncs(t(), pos_integer()) :: [non_neg_integer()]
  def syncs(load, ms) do
    sync(load, number(), 1, System.monotonic_time(:millisecond) + ms, [])
  end

  defp sync(load, process, number, until, took) do
    :ok = Meter.record(load.meter, event(process, number, now()))
    begin = System.monotonic_time()
    :ok = Store.sync(load.store)
    took = [nanoseconds(System.monotonic_time() - begin) | took]

    if System.monotonic_time(:millisecond) < until,
      do: sync(load, process, number + 1, until, took),
      else: took
  end

  defp call({meter, process} = caller, number, begin, rate, us, took) do
    elapsed = System.monotonic_time(:microsecond) - begin

    cond do
      elapsed >= us ->
        took

      number > elapsed * rate / 1.0e6 ->
        Process.sleep(1)
        call(caller, number, begin, rate, us, took)

      true ->
        event = event(process, number, now())
        from = System.monotonic_time()
        outcome = Meter.record(meter, event)
        to = System.monotonic_time()
        # An id in some millions looks like another one.
        true = outcome in [:ok, :duplicate]
        call(caller, number + 1, begin, rate, us, [nanoseconds(to - from) | took])
    end
  end

  defp feed(meter, process, begin, rate, us), do: feed(meter, process, begin, rate, us, 0, 0)

  # Whoever is behind does not sleep.
  defp feed(meter, process, begin, rate, us, sent, busy) do
    elapsed = System.monotonic_time(:microsecond) - begin

    cond do
      elapsed >= us ->
        {sent, busy}

      sent > elapsed * rate / 1.0e6 ->
        Process.sleep(1)
        feed(meter, process, begin, rate, us, sent, busy)

      true ->
        at = now()
        events = for n <- sent..(sent + @batch - 1), do: event(process, n, at)
        %{busy: refused} = Meter.record_many(meter, events)
        feed(meter, process, begin, rate, us, sent + @batch, busy + refused)
    end
  end

  defp event(process, n, at) do
    row = :erlang.phash2(n, @rows)

    %Event{
      id: <<"01JEX5M3Z7QK8R", process::32, n::64>>,
      at: at,
      dimensions: {rem(row, @campaigns), row},
      user: :erlang.phash2({n}, @users),
      metrics: @metrics
    }
  end

  # Of a process, so that its ids are its own.
  defp number, do: System.unique_integer([:positive])

  defp now, do: System.system_time(:millisecond)
  defp nanoseconds(native), do: System.convert_time_unit(native, :native, :nanosecond)

  # One id in some millions looks like another one.
  defp check!(events, known, recorded) do
    applied = events.applied - known.applied
    most = 10 + div(recorded, 1_000_000)

    unless (recorded - applied) in 0..most do
      raise WrongResultError,
        label: "events that are counted",
        expected: recorded,
        counted: applied
    end
  end

  defp since(info, before) do
    for {key, number} when is_integer(number) <- info, into: %{}, do: {key, number - before[key]}
  end
end
