defmodule AdTally.Meter do
  @moduledoc """
  The one call for each event: deduplicated, counted and shown to sketches of reach, in windows
  of event time that are closed exactly and handed to sinks.

      children = [
        {AdTally.Meter,
         name: MyApp.Ads,
         dimensions: [:campaign, :creative, :country],
         metrics: [:impressions, :clicks, :conversions, :spend_micros],
         window: :timer.minutes(1),
         lateness: :timer.minutes(5),
         reach: [by: [:campaign]],
         dedupe: [window: :timer.minutes(10), capacity: 10_000_000],
         sinks: [{AdTally.Sink.Files, dir: "rollups"}]}
      ]

  Then any process records, directly and without a message to another one:

      AdTally.Meter.record(MyApp.Ads, %AdTally.Event{
        id: "01JEX5M3Z7",
        at: 1_780_272_000_004,
        dimensions: {42, 7, "us"},
        user: 80_351_110_224_678_912,
        metrics: [impressions: 1, spend_micros: 1_250]
      })
      #=> :ok

  ## Windows

  A window is `:window` milliseconds of event time. It is closed once the newest event, or with
  `clock: :system` the system's time, is `:lateness` past its end. What was recorded in it by
  then is in its rows, once; an event that comes for it later is `:late` and in no window.

  With `clock: :system`, the default, an event more than `:max_ahead` past the system's time is
  refused as `:future`, so that one bad time cannot close everything. With `clock: :events`, for
  replays of old logs, time moves only with the events: nothing is closed by itself but when the
  meter stops.

  Closed windows go to every sink, see `AdTally.Sink`. When the meter is stopped in order (by its
  supervisor, say), all open windows are closed and delivered, marked as partial. What a crash
  loses are the open windows, and those that a sink has not taken yet.

  ## Dedupe

  The `:id` alone says whether an event was there before, see `AdTally.Dedupe`: where ids are
  those of a kind, put the kind into it, and choose `dedupe: [window: ...]` longer than the
  longest redelivery. An event that was late or refused is not remembered.
  """

  use GenServer

  require Logger

  alias AdTally.{Event, Native, Options, Sketch, Steps, Window}
  alias AdTally.Meter.Delivery

  @typedoc "A meter's name."
  @type name :: atom()

  @typedoc "What became of an event."
  @type outcome :: :ok | :duplicate | :late | :future | :overflow

  @options [
    :name,
    :dimensions,
    :metrics,
    :window,
    :lateness,
    :clock,
    :max_ahead,
    :reach,
    :dedupe,
    :max_keys,
    :sinks,
    :max_waiting,
    :keep,
    :flush
  ]

  @most_dimensions 8

  @flush 4_000

  @doc """
  A meter as a child of a supervisor, which may have several, and gives it a second more than
  `:flush` to stop.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, Keyword.get(options, :name)},
      start: {__MODULE__, :start_link, [options]},
      shutdown: Keyword.get(options, :flush, @flush) + 1_000
    }
  end

  @doc """
  Starts a meter. As a child of a supervisor it is `{AdTally.Meter, options}`.

  ## Options

    * `:name` - an atom by which it is called: the name of its process, and its key in
      `:persistent_term`. Required.
    * `:dimensions` - names of one to eight dimensions. Required.
    * `:metrics` - names of one to sixteen metrics. Required.
    * `:window` - milliseconds of a window. Default: a minute.
    * `:lateness` - milliseconds that a window stays open past its end. Default: 5 minutes.
    * `:clock` - `:system` or `:events`. Default: `:system`.
    * `:max_ahead` - with `clock: :system`, how many milliseconds past the system's time an
      event may be. Default: a window.
    * `:reach` - `false`, or `by:` the dimensions that sketches are kept by (required),
      `precision:` 4 to 18 (default 12), `max_keys:` (default that of the meter) and `secret:` as
      in `AdTally.Reach.new/1`. Default: `false`.
    * `:dedupe` - `false`, or the options of `AdTally.Dedupe.new/1`. Default: `false`.
    * `:max_keys` - the most rows of a window. Events of other keys are counted in the window's
      overflow. Default: 1,000,000.
    * `:sinks` - a list of `{module, options}`, see `AdTally.Sink`. Default: none.
    * `:max_waiting` - the most closed windows that wait for a sink: beyond that the oldest are
      given up, which is logged and counted in `info/1`. Default: 10,000.
    * `:keep` - for how many milliseconds closed windows are kept for `report/2`. Default: an hour.
    * `:flush` - for how many milliseconds a meter that is stopped waits for sinks. Default: 4,000.

  Raises `ArgumentError` for an option that is missing, unknown or out of range.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    config = config!(options)
    GenServer.start_link(__MODULE__, config, name: config.name)
  end

  @doc """
  Counts an event.

    * `:ok` - it is counted
    * `:duplicate` - its id was there before
    * `:late` - its window is closed
    * `:future` - its time is too far ahead
    * `:overflow` - its row, or that of its sketch, is new and there is no room: it is counted in
      the window's overflow instead

  Raises `ArgumentError` for what is no such event (with nothing counted), and for a meter that
  does not run.
  """
  @spec record(name(), Event.t()) :: outcome()
  def record(name, event), do: Native.meter_record(native(name), event)

  @doc """
  Counts a list of events: how many had each outcome of `record/2`.

      AdTally.Meter.record_many(MyApp.Ads, events)
      #=> %{ok: 98, duplicate: 1, late: 1, future: 0, overflow: 0}

  Raises `ArgumentError` if any of them is no event that `record/2` would take; nothing is counted
  then. A list of any length holds no scheduler: it is worked through in steps, and another process
  may see some of its events counted and others not yet.
  """
  @spec record_many(name(), [Event.t()]) :: %{
          ok: non_neg_integer(),
          duplicate: non_neg_integer(),
          late: non_neg_integer(),
          future: non_neg_integer(),
          overflow: non_neg_integer()
        }
  def record_many(name, events) do
    native = native(name)

    {rest, outcomes} =
      try do
        record_first(native, events)
      rescue
        error in ArgumentError ->
          Native.meter_refuse(native, how_many(events))
          reraise error, __STACKTRACE__
      end

    {ok, duplicate, late, future, overflow} = record_rest(native, rest, outcomes)
    %{ok: ok, duplicate: duplicate, late: late, future: future, overflow: overflow}
  end

  # All of them, if that is not too much for a call. Otherwise they are looked at, and none is
  # counted yet.
  defp record_first(native, events) do
    with :many <- Native.meter_record_many(native, events) do
      Steps.each(events, &Native.meter_check_some(native, &1))
      {events, {0, 0, 0, 0, 0}}
    end
  end

  # What is no list is one thing that is no event, and so is what a list ends with instead of [].
  defp how_many([_event | events]), do: 1 + how_many(events)
  defp how_many([]), do: 0
  defp how_many(_other), do: 1

  defp record_rest(_native, [], outcomes), do: outcomes

  defp record_rest(native, events, {ok, duplicate, late, future, overflow}) do
    {rest, {a, b, c, d, e}} = Native.meter_record_some(native, events)
    record_rest(native, rest, {ok + a, duplicate + b, late + c, future + d, overflow + e})
  end

  @doc """
  What was counted, by dimensions: a map for each group of rows in open windows and in those
  closed less than `:keep` ago.

    * `:by` - the dimensions that rows are grouped by, any of the meter's. Default: all.
    * `:from`, `:to` - only windows that begin at `:from` or later and before `:to`, in Unix
      milliseconds. Default: all.

  Where `:by` are all among those of `reach: [by: ...]`, a map has `:reach` as well, the estimate
  of different users, and `:reach_low` and `:reach_high`, its bounds at two standard errors.

  Rows are read in steps that hold no scheduler, in the process that asks.
  """
  @spec report(name(), by: [atom()], from: non_neg_integer(), to: non_neg_integer()) :: [map()]
  def report(name, options \\ []) do
    options = Options.known!(options, [:by, :from, :to])
    {windows, config} = GenServer.call(name, :windows, :infinity)
    by = options |> Keyword.get(:by, config.dimensions) |> subset!(:by, config.dimensions)
    from = Keyword.get(options, :from, 0)
    to = Keyword.get(options, :to, :infinity)
    # Any integer is less than an atom.
    windows = Enum.filter(windows, &(&1.start >= from and &1.start < to))

    rows = Enum.reduce(windows, %{}, &add_counters(&1, by, &2))
    has_reach? = config.reach_by != [] and by -- config.reach_by == []
    sketches = if has_reach?, do: Enum.reduce(windows, %{}, &add_sketches(&1, by, &2)), else: %{}

    for {values, totals} <- Enum.sort(rows) do
      by
      |> Enum.zip(values)
      |> Map.new()
      |> Map.merge(totals)
      |> with_reach(has_reach?, sketches[values])
    end
  end

  @doc """
  The meter's numbers.

    * `:events` - events `received`, and of those `applied`, `duplicate`, `late`, `future`,
      `overflow` and `refused`, which add up to it. Refused are those that raised, with all of
      the list they were in
    * `:left_out` - what was not added to any window, by `:duplicate`, `:late` and `:future`, and
      by metric
    * `:open_windows`, `:closed_windows` - how many there are, and were
    * `:newest` - the newest time of an event that was counted, 0 if none was
    * `:memory_bytes` - of open windows and ids
    * `:sinks` - of each sink how many windows it took (`:delivered`), how many attempts
      `:failed`, how many windows are `:waiting`, and how many were `:dropped`
  """
  @spec info(name()) :: map()
  def info(name) do
    info = Native.meter_info(native(name))
    received = info.events |> Map.values() |> Enum.sum()
    info = put_in(info.events[:received], received)
    Map.merge(info, GenServer.call(name, :info, :infinity))
  end

  # Under the name itself: what is kept under a tuple takes 50 ns longer to be found.
  defp native(name) do
    case :persistent_term.get(name, nil) do
      {__MODULE__, native} -> native
      _other -> raise ArgumentError, "there is no AdTally.Meter named #{inspect(name)} that runs"
    end
  end

  ## The process that closes windows

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    native = Native.meter_new(config.times, config.names, config.sketches, config.ids)
    # What is long past is late from the beginning, and opens no windows.
    [] = Native.meter_close(native, now(config))

    deliveries =
      for {sink, options} <- config.sinks do
        {:ok, delivery} = Delivery.start_link({sink, options, config.max_waiting})
        delivery
      end

    :persistent_term.put(config.name, {__MODULE__, native})

    state = %{
      config: config,
      native: native,
      deliveries: deliveries,
      epoch: System.system_time(:microsecond),
      sequence: 0,
      kept: :queue.new()
    }

    {:ok, tick(state)}
  end

  @impl true
  def handle_info(:tick, state) do
    periods = Native.meter_close(state.native, now(state.config))
    state = state |> closed(periods, false) |> forget()
    {:noreply, tick(state)}
  end

  def handle_info({:EXIT, pid, reason}, state) do
    # Its windows are gone with it, so this is no time to go on as if nothing had happened.
    if pid in state.deliveries,
      do: {:stop, {:delivery, reason}, %{state | deliveries: List.delete(state.deliveries, pid)}},
      else: {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def handle_call(:windows, _from, state) do
    kept = Enum.map(:queue.to_list(state.kept), fn {_closed_at, window} -> window end)
    open = Enum.map(Native.meter_open(state.native), &window(&1, 0, true, state))
    {:reply, {kept ++ open, state.config}, state}
  end

  def handle_call(:info, _from, state) do
    sinks = Enum.map(state.deliveries, &Delivery.info/1)
    {:reply, %{closed_windows: state.sequence, sinks: sinks}, state}
  end

  # In order: nobody finds the meter any more, and who has found it before is late.
  @impl true
  def terminate(_reason, state) do
    :persistent_term.erase(state.config.name)
    state = closed(state, Native.meter_stop(state.native), true)
    wait = state.config.flush

    state.deliveries
    |> Enum.map(&Task.async(fn -> {&1, Delivery.flush(&1, wait)} end))
    |> Task.await_many(:infinity)
    |> Enum.each(fn
      {_delivery, :ok} ->
        :ok

      {delivery, {:left, count}} ->
        Logger.error(
          "AdTally.Meter #{inspect(state.config.name)} stops with #{count} windows that " <>
            "#{inspect(Delivery.info(delivery).sink)} has not taken"
        )
    end)
  end

  defp now(%{clock: :system}), do: System.system_time(:millisecond)
  defp now(%{clock: :events}), do: nil

  defp tick(state) do
    Process.send_after(self(), :tick, state.config.tick)
    state
  end

  defp closed(state, [], _partial), do: state

  defp closed(state, periods, partial) do
    {windows, sequence} =
      Enum.map_reduce(periods, state.sequence, fn period, sequence ->
        {window(period, sequence + 1, partial, state), sequence + 1}
      end)

    Enum.each(state.deliveries, &Delivery.deliver(&1, windows))
    now = System.monotonic_time(:millisecond)
    kept = Enum.reduce(windows, state.kept, &:queue.in({now, &1}, &2))
    %{state | sequence: sequence, kept: kept}
  end

  defp window({start, end_, native}, sequence, partial, state) do
    %{config: config, epoch: epoch} = state

    %Window{
      native: native,
      start: start,
      end: end_,
      sequence: sequence,
      partial: partial,
      meter: config.name,
      node: node(),
      epoch: epoch,
      dimensions: config.dimensions,
      metrics: config.metrics,
      reach_by: config.reach_by
    }
  end

  defp forget(state) do
    oldest = System.monotonic_time(:millisecond) - state.config.keep

    case :queue.peek(state.kept) do
      {:value, {closed_at, _window}} when closed_at < oldest ->
        forget(%{state | kept: :queue.drop(state.kept)})

      _ ->
        state
    end
  end

  ## Reports

  defp add_counters(window, by, rows) do
    places = places(by, window.dimensions)
    {walk, _overflow} = Native.meter_counters(window.native)

    each_row(&Native.counters_rows/2, walk, rows, fn {values, totals}, rows ->
      group = Enum.map(places, &elem(values, &1))
      Map.update(rows, group, totals, &Map.merge(&1, totals, fn _metric, a, b -> a + b end))
    end)
  end

  defp add_sketches(window, by, sketches) do
    places = places(by, window.reach_by)
    {walk, _overflow} = Native.meter_reach(window.native)

    each_row(&Native.reach_rows/2, walk, sketches, fn {values, sketch}, sketches ->
      Map.update(sketches, Enum.map(places, &elem(values, &1)), [sketch], &[sketch | &1])
    end)
  end

  defp places(names, all), do: Enum.map(names, fn name -> Enum.find_index(all, &(&1 == name)) end)

  # Rows as they come, so that those of a large window are not all there at once.
  defp each_row(rows, walk, result, fun) do
    {more, some} = rows.(walk, [])
    result = Enum.reduce(some, result, fun)
    if more == :more, do: each_row(rows, walk, result, fun), else: result
  end

  defp with_reach(row, false, _sketches), do: row

  defp with_reach(row, true, nil),
    do: Map.merge(row, %{reach: 0.0, reach_low: 0.0, reach_high: 0.0})

  defp with_reach(row, true, sketches) do
    sketch = union(sketches)
    {low, high} = Sketch.bounds(sketch, 2)
    Map.merge(row, %{reach: Sketch.estimate(sketch), reach_low: low, reach_high: high})
  end

  defp union([sketch]), do: sketch

  defp union(sketches) do
    {:ok, sketch} = Sketch.union(sketches)
    sketch
  end

  ## Options

  defp config!(options) do
    options = Options.known!(options, @options)
    name = name!(options)
    dimensions = names!(options, :dimensions, @most_dimensions)
    metrics = names!(options, :metrics, 16)
    taken = for name <- metrics ++ [:reach, :reach_low, :reach_high], name in dimensions, do: name

    if taken != [] do
      raise ArgumentError,
            "expected :dimensions to have other names than the metrics and :reach, :reach_low and " <>
              ":reach_high, got: #{inspect(taken)}"
    end

    window = Options.milliseconds!(options, :window, 60_000)
    clock = clock!(options)
    max_ahead = Options.milliseconds!(options, :max_ahead, window)
    max_keys = Options.max_keys!(options, 1_000_000)
    {reach_by, sketches} = reach!(Keyword.get(options, :reach, false), dimensions, max_keys)

    %{
      name: name,
      dimensions: dimensions,
      metrics: metrics,
      clock: clock,
      times: {window, lateness!(options), if(clock == :system, do: max_ahead)},
      names: {metrics, length(dimensions), max_keys},
      reach_by: reach_by,
      sketches: sketches,
      ids: ids!(Keyword.get(options, :dedupe, false)),
      sinks: sinks!(Keyword.get(options, :sinks, [])),
      max_waiting: Options.count!(options, :max_waiting, 10_000),
      keep: Options.milliseconds!(options, :keep, 3_600_000),
      flush: Options.milliseconds!(options, :flush, @flush),
      tick: window |> div(10) |> max(10) |> min(1_000)
    }
  end

  defp name!(options) do
    case Keyword.get(options, :name) do
      name when is_atom(name) and name not in [nil, true, false] -> free!(name)
      other -> raise ArgumentError, "expected :name to be an atom, got: #{inspect(other)}"
    end
  end

  # What is there of a meter is that of one that was killed, or of one that runs: then the
  # process' name is taken.
  defp free!(name) do
    case :persistent_term.get(name, nil) do
      {__MODULE__, _native} ->
        name

      nil ->
        name

      other ->
        raise ArgumentError,
              "expected :name to be no key of :persistent_term, where there is #{inspect(other)}"
    end
  end

  defp names!(options, option, most) do
    names = Keyword.get(options, option)

    if is_list(names) and length(names) in 1..most and Enum.all?(names, &is_atom/1) and
         Enum.uniq(names) == names do
      names
    else
      raise ArgumentError,
            "expected #{inspect(option)} to be a list of one to #{most} different atoms, got: #{inspect(names)}"
    end
  end

  defp clock!(options) do
    case Keyword.get(options, :clock, :system) do
      clock when clock in [:system, :events] ->
        clock

      other ->
        raise ArgumentError, "expected :clock to be :system or :events, got: #{inspect(other)}"
    end
  end

  defp lateness!(options) do
    if Keyword.get(options, :lateness) == 0,
      do: 0,
      else: Options.milliseconds!(options, :lateness, 300_000)
  end

  defp reach!(false, _dimensions, _max_keys), do: {[], nil}

  defp reach!(options, dimensions, max_keys) do
    options = Options.known!(options, [:by, :precision, :max_keys, :secret])
    by = options |> Keyword.get(:by) |> subset!(:by, dimensions)
    places = by |> places(dimensions) |> Enum.sort()
    precision = Options.precision!(options, 12)
    max_keys = Options.max_keys!(options, max_keys)

    {Enum.map(places, &Enum.at(dimensions, &1)),
     {places, precision, max_keys, Options.secret!(options)}}
  end

  defp subset!(names, option, all) do
    if is_list(names) and Enum.uniq(names) == names and names -- all == [] do
      names
    else
      raise ArgumentError,
            "expected #{inspect(option)} to be a list of dimensions, of #{inspect(all)}, got: #{inspect(names)}"
    end
  end

  defp ids!(false), do: nil

  defp ids!(options) do
    options = Options.known!(options, [:window, :capacity, :wide])
    window = Options.milliseconds!(options, :window, 600_000)
    capacity = Options.count!(options, :capacity, 1_000_000)
    {window, capacity, Options.boolean!(options, :wide, false)}
  end

  defp sinks!(sinks) do
    if is_list(sinks) and Enum.all?(sinks, &sink?/1) do
      sinks
    else
      raise ArgumentError,
            "expected :sinks to be a list of {module, options} whose module has deliver/2, got: #{inspect(sinks)}"
    end
  end

  defp sink?({module, options}) when is_atom(module) and is_list(options),
    do: Code.ensure_loaded?(module) and function_exported?(module, :deliver, 2)

  defp sink?(_other), do: false
end
