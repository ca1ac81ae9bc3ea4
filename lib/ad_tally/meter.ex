defmodule AdTally.Meter do
  @moduledoc """
  Deduplicates each event, increments its metrics and adds its user to a sketch of reach, in one
  call, in windows of event time. Closed windows go to sinks.

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

  Then any process records. No message is sent to another one:

      AdTally.Meter.record(MyApp.Ads, %AdTally.Event{
        id: "01JEX5M3Z7",
        at: 1_780_272_000_004,
        dimensions: {42, 7, "us"},
        user: 80_351_110_224_678_912,
        metrics: [impressions: 1, spend_micros: 1_250]
      })
      #=> :ok

  ## Windows

  A window is `:window` milliseconds of event time. It is closed once the clock is `:lateness`
  past its end: within a tenth of a window, at least 10 ms and at most a second. What was
  recorded in it by then is in its rows, once. An event that comes for it later is `:late` and in
  no window. So is one whose window has not begun and would be closed at once.

  With `clock: :system`, the default, the clock is the system's time. What events claim closes
  nothing: no event is late before its window's end plus `:lateness`. An event more than
  `:max_ahead` past the system's time is refused as `:future`, which bounds the windows that are
  open. With `clock: :events`, for replays of old logs, the clock is the time of the newest
  event: where none come, nothing is closed until the meter stops.

  The system's time is the VM's, `System.system_time/1`, everywhere in AdTally. A VM started with
  `+C multi_time_warp` follows a clock that is set by hours within a minute; the default,
  `+C no_time_warp`, keeps its own time and drifts towards the clock by one percent. After a step
  forward, windows whose time has passed are closed. After a step back, events of windows that were
  closed are not late: such a window opens again, and what comes now is closed and delivered as
  another window of the same start.

  Events that are in no window are counted as well, by outcome and with their metrics: see
  `info/2`, the option `:on_late`, and `AdTally.Telemetry`.

  Closed windows go to every sink, see `AdTally.Sink`. When the meter is stopped in order, by its
  supervisor for example, all open windows are closed, marked as partial and delivered. A crash loses
  the open windows, and the closed ones that a sink has not taken yet.

  ## When the meter is down

  Every function raises `ArgumentError` while no meter of that name runs: before it is started, after
  it was stopped, and between a crash and the restart by its supervisor. This holds at the latest
  50 ms after the meter's process was killed. So do not acknowledge an event for which `record/2` or
  `record_many/3` raised: a queue that delivers at least once brings it again. A list that is being
  recorded while the meter is stopped in order raises too, unless some of it was counted: then the
  rest is `:late`. Events that were recorded before a crash are lost with the open windows, and the
  next meter remembers no ids.

  ## Dedupe

  Only the `:id` is compared, see `AdTally.Dedupe`. Where an impression and a click may have the same
  id, put the kind into it: `{:click, id}`. Choose `dedupe: [window: ...]` longer than the longest
  redelivery. An event whose id is remembered is a `:duplicate`, also when its window is closed by now
  or its time is too far ahead. The id of an event that was late, too far ahead or refused is not
  remembered.
  """

  use GenServer

  require Logger

  alias AdTally.{Event, Named, Native, Options, Steps, Window}
  alias AdTally.Meter.{Config, Delivery, Emitter, Kept, Late, Report}

  @typedoc "A meter's name."
  @type name :: atom()

  @typedoc "What became of an event."
  @type outcome :: :ok | :duplicate | :late | :future | :no_window | :overflow

  @doc """
  A meter as a child of a supervisor, which may have several.

  Its supervisor waits for as long as the meter takes to stop (`shutdown: :infinity`): it stops by
  itself once its sinks have all windows, or have made no progress for `:flush` milliseconds.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, Keyword.get(options, :name)},
      start: {__MODULE__, :start_link, [options]},
      shutdown: :infinity
    }
  end

  @doc """
  Starts a meter. As a child of a supervisor it is `{AdTally.Meter, options}`.

  ## Options

    * `:name` - an atom by which it is called: the name of its process, and its key in
      `:persistent_term`. Required.
    * `:dimensions` - names of one to eight dimensions. Required.
    * `:metrics` - names of one to sixteen metrics. Required. All names are different atoms, in more
      than case. These are reserved, because lines of sinks and rows of reports have fields of those
      names: `kind`, `meter`, `node`, `epoch`, `sequence`, `partial`, `window_start`, `window_end`,
      `starts_at`, `ends_at`, `date`, `reach`, `reach_low`, `reach_high`, `reach_sketch` and
      `overflow`. A sink may reserve more, see `c:AdTally.Sink.reserved_names/1`.
    * `:window` - milliseconds of a window. Default: a minute.
    * `:lateness` - milliseconds that a window stays open past its end. Default: 5 minutes.
    * `:clock` - `:system` or `:events`. Default: `:system`.
    * `:max_ahead` - with `clock: :system`, how many milliseconds past the system's time an
      event may be. Default: a window.
    * `:reach` - `false`, or `by:` the dimensions that sketches are kept by (required),
      `precision:` 4 to 18 (default 12), `max_keys:` (default that of the meter) and `secret:` as
      in `AdTally.Reach.new/1`. Default: `false`.
    * `:dedupe` - `false`, or `:window`, `:capacity` and `:fingerprint_bits` of
      `AdTally.Dedupe.new/1`. Default: `false`.
    * `:max_keys` - the most rows of a window. Events of other keys are counted in the window's
      overflow. Default: 1,000,000.
    * `:seed` - the number under which keys and ids are hashed, as in `AdTally.Counters.new/1`.
      Default: `nil`, for a random one.
    * `:max_open_windows` - the most windows that are open at a time: an event that would begin one
      more is `:no_window`. An open window takes a few kilobytes, and what its rows take. At least as
      many as `:lateness`, and with `clock: :system` `:max_ahead`, need. With `clock: :events` those
      do not count whose time has passed and that are closed with the next tick. Default: 10,000, or
      as many as are needed if those are more.
    * `:sinks` - a list of `{module, options}`, see `AdTally.Sink`. The options are checked by
      `c:AdTally.Sink.validate/1`, if the module has it. Default: none.
    * `:max_waiting` - the most closed windows that wait for a sink: beyond that the oldest are
      dropped, which is logged and counted in `info/2`. Default: 10,000.
    * `:retain` - for how many milliseconds closed windows are kept for `report/2`. Default: an hour.
    * `:flush` - for how many milliseconds without progress a meter that is stopped waits for a sink
      and for `:on_late`. A sink makes progress when it takes a window, and when it reads rows of one
      that none of its attempts has read before; `:on_late` when it returns. However much there is to
      deliver, a meter waits while they do. Then what is left is lost, which is logged. A sink that
      needs longer than that after the last row, for an upload say, needs a longer `:flush`.
      Default: 4,000.
    * `:on_late` - `{module, function}` of a function that gets late events, in lists of 1 to 1,000, in
      a process of its own. It may take long, raise, or call the meter. It gets a list a tenth of a
      second after the first of its events, or once it has returned from the list before. Each event
      is given at most once: a list at which the function raises is not given again. While 100,000
      events wait, further ones are dropped, which is logged and counted in `info/2`. Their metrics are
      in `:excluded` in any case. Default: none.
    * `:telemetry_interval` - milliseconds between two telemetry events of the meter's outcomes and
      memory, see `AdTally.Telemetry`. Default: 10,000.
    * `:warning_interval` - every so many milliseconds, a warning with the likeliest cause is logged if
      more than half of the events since then were refused, late, future or without a window. Default:
      60,000.

  Raises `ArgumentError` for an option that is missing, unknown or out of range.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    config = Config.new!(options)
    GenServer.start_link(__MODULE__, config, name: config.name)
  end

  @doc """
  Counts an event.

    * `:ok` - it is counted
    * `:duplicate` - its id was recorded before, in whatever window
    * `:late` - its window is closed, or would be if it had begun
    * `:future` - its time is too far ahead
    * `:no_window` - its window has not begun, and `:max_open_windows` are open: it is counted nowhere
    * `:overflow` - its row, or that of its sketch, is new and there is no room: it is counted in
      the window's overflow instead

  Raises `ArgumentError` for a bad event, with nothing counted, and for a meter that does not run.

      iex> options = [name: Recording, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, _meter} = AdTally.Meter.start_link([{:dedupe, [window: 600_000]} | options])
      iex> click = %AdTally.Event{id: 7, at: 1_780_272_000_004, dimensions: {42}, metrics: [clicks: 1]}
      iex> AdTally.Meter.record(Recording, click)
      :ok
      iex> AdTally.Meter.record(Recording, click)
      :duplicate
      iex> AdTally.Meter.record(Recording, %{click | dimensions: {42, "us"}})
      ** (ArgumentError) expected a tuple of 1 dimensions, one for each the meter has, got: {42, "us"}
  """
  @spec record(name(), Event.t()) :: outcome()
  def record(name, event) do
    case Named.get(__MODULE__, name) do
      {native, nil} -> Native.meter_record(native, event)
      {native, late} -> record(native, late, event)
      nil -> raise_not_running(name)
    end
  end

  defp record(native, late, event) do
    with :late <- Native.meter_record(native, event) do
      Late.take(late, [event])
      :late
    end
  end

  @doc """
  Counts a list of events: how many had each outcome of `record/2`.

      iex> options = [name: Lists, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, _meter} = AdTally.Meter.start_link([{:dedupe, [window: 600_000]} | options])
      iex> events = for id <- [1, 2, 2], do: %AdTally.Event{id: id, at: 1_780_272_000_004, dimensions: {42}}
      iex> AdTally.Meter.record_many(Lists, events)
      %{ok: 2, duplicate: 1, late: 0, future: 0, no_window: 0, overflow: 0}

  With `on_refused: :raise`, the default, raises `ArgumentError` if any of them is no event that
  `record/2` would take; nothing is counted then. With `on_refused: :skip` those are left out, all
  others are counted, and the map has one more key: `:refused`, a list of `{index, error}` with the
  position of each refused event in the list, from 0, and the `ArgumentError` that says why. An
  improper list raises in any case.

      iex> options = [name: Skipping, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, _meter} = AdTally.Meter.start_link(options)
      iex> good = %AdTally.Event{at: 1_780_272_000_004, dimensions: {42}, metrics: [clicks: 1]}
      iex> events = [good, %{good | dimensions: {42, 7}}, good]
      iex> %{ok: 2, refused: [{1, error}]} = AdTally.Meter.record_many(Skipping, events, on_refused: :skip)
      iex> Exception.message(error)
      "expected a tuple of 1 dimensions, one for each the meter has, got: {42, 7}"

  A long list holds no scheduler: it is recorded in steps. Meanwhile another process may see some of
  its events counted and others not yet.
  """
  @spec record_many(name(), [Event.t()], on_refused: :raise | :skip) :: %{
          required(:ok) => non_neg_integer(),
          required(:duplicate) => non_neg_integer(),
          required(:late) => non_neg_integer(),
          required(:future) => non_neg_integer(),
          required(:no_window) => non_neg_integer(),
          required(:overflow) => non_neg_integer(),
          optional(:refused) => [{index :: non_neg_integer(), %ArgumentError{}}]
        }
  def record_many(name, events, options \\ []) do
    case on_refused!(options) do
      :raise -> record_all(running(name), events)
      :skip -> record_good(running(name), events)
    end
  end

  defp on_refused!([]), do: :raise

  defp on_refused!(options),
    do: options |> Options.known!([:on_refused]) |> Options.one_of!(:on_refused, [:raise, :skip])

  defp record_all({native, _late} = meter, events) do
    first =
      try do
        record_first(native, events)
      rescue
        error in ArgumentError ->
          refuse(native, events)
          reraise error, __STACKTRACE__
      end

    record_after(meter, events, first)
  end

  # Mostly none is refused. Where one is, nothing was counted yet: those are looked for, and the others
  # are a list of their own.
  defp record_good({native, _late} = meter, events) do
    first =
      try do
        record_first(native, events)
      rescue
        ArgumentError -> :refused
      end

    if first == :refused do
      refused = refused(native, events)
      Native.meter_refuse(native, length(refused), nil)
      meter |> record_all(others(events, refused, 0)) |> Map.put(:refused, refused)
    else
      meter |> record_after(events, first) |> Map.put(:refused, [])
    end
  end

  # `{index, error}` of each event that is refused.
  defp refused(native, events) do
    refused(native, events, 0, [])
  rescue
    error in ArgumentError ->
      refuse(native, events)
      reraise error, __STACKTRACE__
  end

  defp refused(_native, [], _index, refused), do: Enum.reverse(refused)

  defp refused(native, events, index, refused) do
    {rest, next, some} = Native.meter_refused_some(native, events, index)
    refused(native, rest, next, Enum.reverse(some, refused))
  end

  defp others(events, [], _index), do: events

  defp others([_event | events], [{index, _error} | refused], index),
    do: others(events, refused, index + 1)

  defp others([event | events], refused, index), do: [event | others(events, refused, index + 1)]

  defp record_after(meter, events, first) do
    counted = %{ok: 0, duplicate: 0, late: 0, future: 0, no_window: 0, overflow: 0}
    record_rest(meter, events, first, counted)
  end

  # All of them, if that is not too much for a call. Otherwise they are checked, and only then the
  # first ones are counted.
  defp record_first(native, events) do
    with :many <- Native.meter_record_many(native, events) do
      Steps.each(events, &Native.meter_check_some(native, &1, &2))
      record_begin(native, events)
    end
  end

  # Until some are recorded: a call that was interrupted may have had no time for any.
  defp record_begin(native, events) do
    with {_all, {{0, 0, 0, 0, 0, 0}, []}} <- Native.meter_record_first(native, events),
         do: record_begin(native, events)
  end

  # What is no list is one thing that is no event, and so is what a list ends with instead of [].
  defp refuse(native, events) do
    case how_many(events, 0) do
      {:proper, count} -> Native.meter_refuse(native, count, nil)
      {:improper, count} -> Native.meter_refuse(native, count, "record_many/3 takes proper lists")
    end
  end

  defp how_many([_event | events], count), do: how_many(events, count + 1)
  defp how_many([], count), do: {:proper, count}
  defp how_many(_other, count), do: {:improper, count + 1}

  # Of `events` those before `rest` were recorded, with these outcomes, and late at these places.
  defp record_rest({native, late} = meter, events, {rest, {counts, places}}, counted) do
    if late != nil, do: Late.take(late, at_places(events, places, 0))
    counted = add(counted, counts)

    if rest == [],
      do: counted,
      else: record_rest(meter, rest, Native.meter_record_some(native, rest), counted)
  end

  defp add(counted, {ok, duplicate, late, future, no_window, overflow}) do
    %{
      ok: counted.ok + ok,
      duplicate: counted.duplicate + duplicate,
      late: counted.late + late,
      future: counted.future + future,
      no_window: counted.no_window + no_window,
      overflow: counted.overflow + overflow
    }
  end

  defp at_places(_events, [], _place), do: []

  defp at_places([event | events], [place | places], place),
    do: [event | at_places(events, places, place + 1)]

  defp at_places([_event | events], places, place), do: at_places(events, places, place + 1)

  @typedoc "A time: Unix milliseconds, or a `DateTime`."
  @type time :: non_neg_integer() | DateTime.t()

  @typedoc "An option of `report/2`."
  @type report_option ::
          {:by, [atom()]}
          | {:where, [{dimension :: atom(), value | [value]}]}
          | {:from, time()}
          | {:to, time()}
          | {:timeout, timeout()}

  @typedoc "A value of a dimension."
  @type value :: integer() | binary() | atom()

  @doc """
  What was counted, by dimensions: a map for each group of rows, of open windows and of those
  closed less than `:retain` ago. Rows are read in steps that hold no scheduler, in a process that ends with the one that
  asks.

    * `:by` - the dimensions that rows are grouped by, any of the meter's. Default: all.
    * `:where` - only rows with these values of dimensions, which need not be among `:by`:
      `where: [campaign: 42]`, or a list of values of which a row has any,
      `where: [campaign: 42, country: ["us", "ca"]]`. Default: all.
    * `:from`, `:to` - only windows that begin at `:from` or later and before `:to`, in Unix
      milliseconds or as a `DateTime`. Default: all.
    * `:timeout` - for how many milliseconds it may read, or `:infinity`. Then it exits, as
      `GenServer.call/3` does. Default: 60,000.

  Raises `ArgumentError` for an option that is unknown or wrong, and if there is no such meter.

  ## What had no room

  What was counted in overflows, because `:max_keys` were taken, is in a last map if there was any:
  `%{overflow: true, clicks: 3}`. It has every metric and no dimension. So the sums of a metric over
  all maps are what was counted, and whoever reads groups by their dimensions does not take it for
  one. Which dimensions its events had is not known: `:where` leaves the map as it is. Then the
  groups are a lower bound, and together with this map an upper one.

  ## Reach

  Where the dimensions of `:by` and `:where` are all among those of `reach: [by: ...]`, a map has
  `:reach` as well, the estimate of different users, and `:reach_low` and `:reach_high`, its bounds
  at two standard errors. All three are `nil` for a group with a key that had no room for a sketch
  in one of the windows: it may have had users there. Those are in the `:reach` of the last map.

      iex> options = [name: Reporting, dimensions: [:campaign, :country], metrics: [:clicks], max_keys: 3]
      iex> {:ok, _meter} = AdTally.Meter.start_link([{:clock, :events} | options])
      iex> for dimensions <- [{42, "us"}, {42, "ca"}, {43, "us"}, {44, "us"}] do
      ...>   event = %AdTally.Event{at: 1_780_272_000_004, dimensions: dimensions, metrics: [clicks: 1]}
      ...>   AdTally.Meter.record(Reporting, event)
      ...> end
      [:ok, :ok, :ok, :overflow]
      iex> AdTally.Meter.report(Reporting, by: [:campaign])
      [%{campaign: 42, clicks: 2}, %{campaign: 43, clicks: 1}, %{overflow: true, clicks: 1}]
      iex> AdTally.Meter.report(Reporting, by: [], where: [campaign: 42, country: ["us", "mx"]])
      [%{clicks: 1}, %{overflow: true, clicks: 1}]
      iex> AdTally.Meter.report(Reporting, from: ~U[2026-06-01 00:01:00Z])
      []
  """
  @spec report(name(), [report_option()]) :: [map()]
  def report(name, options \\ []) do
    options = Options.known!(options, [:by, :where, :from, :to, :timeout])
    check_time = time_limit(options, 60_000, {__MODULE__, :report, [name, options]})
    {native, _late} = running(name)

    {config, kept, sequence} =
      calling(name, fn -> GenServer.call(name, :report, check_time.()) end)

    report = Report.new!(config, options)
    apart(fn -> report(name, report, native, kept, sequence, check_time) end)
  end

  defp report(name, report, native, kept, sequence, check_time) do
    wanted? = &(&1.start >= report.from and &1.start < report.to)
    open = native |> open(report.from) |> Enum.filter(wanted?)

    # A window that is closed by now is kept by then: none is missed, and those that were open above are
    # left out. (One that was closed before may have the same start, where the clock was set back.)
    :ok = calling(name, fn -> GenServer.call(name, :closed, check_time.()) end)
    are_open = Map.new(open, &{&1.start, true})
    was_open? = &(&1.sequence > sequence and is_map_key(are_open, &1.start))

    closed =
      kept
      |> Kept.stream(report.from, report.to, fn -> raise_not_running(name) end)
      |> Stream.flat_map(& &1)
      |> Stream.reject(was_open?)

    Report.of(report, Stream.concat(closed, open), check_time)
  end

  # In a process of its own, so that the memory of windows that were read is not kept by garbage in the
  # caller's heap. It ends with the caller.
  defp apart(fun) do
    {caller, tag} = {self(), make_ref()}

    run = fn ->
      answer =
        try do
          {:ok, fun.()}
        catch
          kind, reason -> {kind, reason, __STACKTRACE__}
        end

      # A caller that traps exits is not told of the end.
      Process.unlink(caller)
      send(caller, {tag, answer})
    end

    {_pid, monitor} = :erlang.spawn_opt(run, [:link, :monitor])

    receive do
      {^tag, {:ok, rows}} ->
        Process.demonitor(monitor, [:flush])
        rows

      {^tag, {kind, reason, stacktrace}} ->
        Process.demonitor(monitor, [:flush])
        :erlang.raise(kind, reason, stacktrace)

      {:DOWN, ^monitor, :process, _pid, reason} ->
        exit(reason)
    end
  end

  # No event has a later time.
  @end_of_time 0x7FFF_FFFF_FFFF

  # From old to new, which is how they are closed: one that is closed before it is reached is kept.
  defp open(meter, from) do
    Stream.unfold(min(from, @end_of_time), fn from ->
      case Native.meter_open(meter, from) do
        [] -> nil
        some -> {some, elem(List.last(some), 1)}
      end
    end)
    |> Stream.flat_map(& &1)
    |> Stream.map(fn {start, _end, _rows, native} -> %{start: start, native: native} end)
  end

  # Says how much of `:timeout` is left, and exits when that is nothing.
  defp time_limit(options, default, call) do
    case Options.timeout!(options, default) do
      :infinity ->
        fn -> :infinity end

      timeout ->
        end_ = System.monotonic_time(:millisecond) + timeout

        fn ->
          left = end_ - System.monotonic_time(:millisecond)
          if left > 0, do: left, else: exit({:timeout, call})
        end
    end
  end

  @doc """
  The meter's numbers.

    * `:events` - events `received`, and of those `applied`, `duplicate`, `late`, `future`,
      `no_window`, `overflow` and `refused`, which add up to it. Refused are events that raised, together
      with all events of their list
    * `:excluded` - the amounts of events that are in no window, by `:duplicate`, `:late`, `:future`
      and `:no_window`, and by metric
    * `:open_windows`, `:closed_windows` - how many there are, and were
    * `:newest` - the newest time of an event that was counted, 0 if none was
    * `:memory` - what the meter takes, in bytes, by what it is for: `:ids`, `:open_windows`,
      `:retained_windows` and `:waiting_windows`. Retained are closed windows that `report/2` still
      reads. Waiting are those that are not retained any more and that a sink has still to take, or
      to which somebody still refers: a window is counted once
    * `:memory_bytes` - their sum
    * `:sinks` - of each sink how many windows it took (`:delivered`), how many attempts
      `:failed`, how many windows are `:waiting`, and how many were `:dropped`
    * `:on_late` - where that is an option, how many late events were `:handed` to it, at how many
      it has `:failed`, how many are `:waiting` and how many were `:dropped`

  The option `:timeout` is for how many milliseconds it may take, or `:infinity`. Then it exits, as
  `GenServer.call/3` does. Default: 5,000. Raises `ArgumentError` for any other option, and if there is
  no such meter.

      iex> options = [name: Informing, dimensions: [:campaign], metrics: [:clicks]]
      iex> {:ok, _meter} = AdTally.Meter.start_link(options)
      iex> tomorrow = System.system_time(:millisecond) + 86_400_000
      iex> AdTally.Meter.record(Informing, %AdTally.Event{at: tomorrow, dimensions: {42}, metrics: [clicks: 1]})
      :future
      iex> %{events: events, excluded: excluded} = AdTally.Meter.info(Informing)
      iex> {events.received, events.applied, events.future, excluded.future}
      {1, 0, 1, %{clicks: 1}}
  """
  @spec info(name(), timeout: timeout()) :: map()
  def info(name, options \\ []) do
    options = Options.known!(options, [:timeout])
    check_time = time_limit(options, 5_000, {__MODULE__, :info, [name, options]})
    {native, late} = running(name)
    %{events: events} = info = Native.meter_info(native)
    ask = fn request -> calling(name, fn -> request.(check_time.()) end) end
    {closed_windows, deliveries, kept} = ask.(&GenServer.call(name, :info, &1))
    late_info = if late, do: %{on_late: ask.(&Late.info(late, &1))}, else: %{}
    sinks = for delivery <- deliveries, do: ask.(&Delivery.info(delivery, &1))

    memory = memory(info, native, kept, fn -> raise_not_running(name) end)

    %{info | events: received(events)}
    |> Map.drop([:id_bytes, :closed_bytes])
    |> Map.merge(late_info)
    |> Map.merge(%{closed_windows: closed_windows, sinks: sinks})
    |> Map.merge(%{memory: memory, memory_bytes: sum(memory)})
  end

  # Bytes by what takes them. What is closed and not retained is waiting, or was a moment ago.
  defp memory(info, native, kept, gone) do
    retained = Kept.bytes(kept, gone)

    %{
      ids: info.id_bytes,
      open_windows: open_bytes(native, 0, 0),
      retained_windows: retained,
      waiting_windows: max(info.closed_bytes - retained, 0)
    }
  end

  # A few windows at a time.
  defp open_bytes(native, from, bytes) do
    case Native.meter_open_bytes(native, from) do
      {more, nil} -> bytes + more
      {more, next} -> open_bytes(native, next, bytes + more)
    end
  end

  defp sum(memory), do: memory |> Map.values() |> Enum.sum()

  @doc """
  Closes all windows that have events now, and returns once every sink has taken them: for tests, and
  before a planned move of the meter.

  Windows up to that of the newest event are closed. Those whose time has not passed yet are marked as
  partial; what comes for them, or for windows before them, later is `:late`. The meter goes on with
  newer windows. Do not call it from a sink.

    * `:ok` - every sink has answered `:ok` for all windows closed until now
    * `{:error, :timeout}` - some sink has not within `timeout` milliseconds (default: 5,000, or
      `:infinity`). The windows are closed all the same and will be delivered
    * `{:error, :dropped}` - a sink will not get one of them, because more than `:max_waiting` waited

  Raises `ArgumentError` for another timeout, and for a meter that does not run.

      iex> options = [name: ClosingEarly, dimensions: [:campaign], metrics: [:clicks]]
      iex> {:ok, _meter} = AdTally.Meter.start_link(options)
      iex> now = System.system_time(:millisecond)
      iex> click = %AdTally.Event{at: now, dimensions: {42}, metrics: [clicks: 1]}
      iex> :ok = AdTally.Meter.record(ClosingEarly, click)
      iex> AdTally.Meter.close(ClosingEarly)
      :ok
      iex> AdTally.Meter.record(ClosingEarly, click)
      :late
      iex> AdTally.Meter.report(ClosingEarly)
      [%{campaign: 42, clicks: 1}]
  """
  @spec close(name(), timeout()) :: :ok | {:error, :timeout | :dropped}
  def close(name, timeout \\ 5_000) do
    check_time = time_limit([timeout: timeout], 5_000, {__MODULE__, :close, [name, timeout]})
    running(name)

    try do
      calling(name, fn ->
        {sequences, deliveries} = GenServer.call(name, :close, check_time.())
        await(deliveries, sequences, check_time)
      end)
    catch
      :exit, {:timeout, _call} -> {:error, :timeout}
    end
  end

  defp await([], _sequences, _check_time), do: :ok

  defp await([delivery | deliveries], sequences, check_time) do
    with :ok <- Delivery.await(delivery, sequences, check_time.()),
         do: await(deliveries, sequences, check_time)
  end

  defp received(events), do: Map.put(events, :received, events |> Map.values() |> Enum.sum())

  # The native meter, and who is given late events.
  defp running(name), do: Named.get(__MODULE__, name) || raise_not_running(name)

  # What processes of the meter are asked, which may end before they answer.
  defp calling(name, ask) do
    ask.()
  catch
    :exit, {reason, {GenServer, :call, _arguments}}
    when reason != :timeout and reason != :calling_self ->
      raise_not_running(name)
  end

  defp raise_not_running(name) when is_atom(name),
    do: raise(ArgumentError, Named.not_running(__MODULE__, name))

  defp raise_not_running(other) do
    raise ArgumentError,
          "expected the name of an AdTally.Meter, an atom, got: #{Options.shown(other)}"
  end

  ## The process that closes windows

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    Named.claim(config.name)

    native =
      Native.meter_new(config.times, config.names, config.sketches, config.ids, config.seed)

    # What is long past is late from the beginning, and opens no windows.
    {[], false} = Native.meter_close(native, System.system_time(:millisecond))

    # Secrets and what sinks were configured with are not kept, or they would be in the log of a crash.
    {configured, config} = Map.split(config, [:times, :names, :sketches, :ids, :seed, :sinks])
    config = Map.put(config, :sinks, for({sink, _options} <- configured.sinks, do: sink))

    {:ok, emitter} = Emitter.start(config, native)

    deliveries =
      for {sink, options} <- configured.sinks do
        {:ok, delivery} = Delivery.start(config.name, sink, options, config.max_waiting, emitter)
        delivery
      end

    late = config.on_late && late(config, emitter)
    Named.put(config.name, __MODULE__, native, {native, late})

    state = %{
      config: config,
      native: native,
      deliveries: deliveries,
      late: late,
      emitter: emitter,
      epoch: Native.meter_epoch(System.system_time(:microsecond)),
      sequence: 0,
      kept: Kept.new(),
      told_memory: nil
    }

    {:ok, tick(state)}
  end

  defp late(config, emitter) do
    {:ok, late} = Late.start(config.name, config.on_late, emitter)
    late
  end

  @impl true
  def handle_info(:tick, state) do
    now = System.system_time(:millisecond)
    before = state.sequence
    state = close(state, false, fn -> Native.meter_close(state.native, now) end)
    state = state |> forget() |> tell_memory() |> tick()

    if state.sequence > before,
      do: {:noreply, state, {:continue, :collect}},
      else: {:noreply, state}
  end

  def handle_info({:EXIT, pid, reason}, state) do
    cond do
      # Its windows are gone with it, so this is no time to go on as if nothing had happened.
      pid in state.deliveries ->
        {:stop, {:delivery, reason}, %{state | deliveries: List.delete(state.deliveries, pid)}}

      state.late != nil and pid == elem(state.late, 0) ->
        {:stop, {:on_late, reason}, %{state | late: nil}}

      pid == state.emitter ->
        {:stop, {:telemetry, reason}, state}

      true ->
        {:noreply, state}
    end
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def handle_call(:report, _from, state),
    do:
      {:reply, {Map.take(state.config, [:dimensions, :reach_by]), state.kept, state.sequence},
       state}

  # What was closed before is kept by now.
  def handle_call(:closed, _from, state), do: {:reply, :ok, state}

  def handle_call(:close, _from, state) do
    before = state.sequence
    now = System.system_time(:millisecond)
    state = close(state, false, fn -> Native.meter_close(state.native, now) end)
    %{events: events, newest: newest} = Native.meter_info(state.native)

    # After the clock was set back there may be windows that are newer than the newest event since.
    through = max(newest, Native.meter_last_open(state.native) || 0)

    state =
      if events.applied + events.overflow > 0,
        do: close(state, true, fn -> Native.meter_close_through(state.native, through) end),
        else: state

    {:reply, {{before, state.sequence}, state.deliveries}, state}
  end

  def handle_call(:info, _from, state),
    do: {:reply, {state.sequence, state.deliveries, state.kept}, state}

  # What is sent here by mistake must not end it, and its windows with it.
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_other, state), do: {:noreply, state}

  # The memory of a window goes with the last reference to it, also to one in this heap.
  @impl true
  def handle_continue(:collect, state) do
    :erlang.garbage_collect()
    {:noreply, state}
  end

  # How long telemetry handlers may take when the meter stops.
  @telemetry_wait 1_000

  # In order: nobody finds the meter any more. What whoever has found it before records is counted, or
  # refused once the windows are closed, but for the rest of a list of which some was counted: that is late.
  @impl true
  def terminate(_reason, state) do
    Named.erase(state.config.name)
    state = close(state, true, fn -> Native.meter_stop(state.native) end)
    wait = state.config.flush
    late = if state.late, do: [{:late, fn -> Late.flush(state.late, wait) end}], else: []

    flushes =
      for delivery <- state.deliveries, do: {delivery, fn -> Delivery.flush(delivery, wait) end}

    {whose, funs} = Enum.unzip(flushes ++ late)

    funs
    |> Enum.map(&Task.async/1)
    |> Task.await_many(:infinity)
    |> Enum.zip(whose)
    |> Enum.each(fn
      {:ok, _whose} -> :ok
      {{:left, count}, whose} -> say_what_is_left(whose, count, state.config)
      {hangs_or_gone, whose} when hangs_or_gone in [:hangs, :gone] -> give_up(whose, state)
    end)

    if Emitter.flush(state.emitter, @telemetry_wait) != :ok do
      Logger.warning(
        "AdTally.Meter #{inspect(state.config.name)} stops while a telemetry handler has not returned"
      )
    end
  end

  defp give_up(whose, state) do
    Process.exit(if(whose == :late, do: elem(state.late, 0), else: whose), :kill)
    say_what_is_left(whose, "some", state.config)
  end

  defp say_what_is_left(:late, count, config) do
    Logger.error(
      "AdTally.Meter #{inspect(config.name)} stops with #{count} late events that " <>
        "#{inspect(config.on_late)} was not given"
    )
  end

  defp say_what_is_left(_delivery, count, config) do
    sinks = Enum.map_join(config.sinks, ", ", &inspect/1)

    Logger.error(
      "AdTally.Meter #{inspect(config.name)} stops with #{count} windows that a sink has not " <>
        "taken, one of: #{sinks}"
    )
  end

  defp tick(state) do
    Process.send_after(self(), :tick, state.config.tick)
    state
  end

  # In steps, so that whoever begins a window meanwhile does not wait for long.
  defp close(state, partial, step) do
    begin = System.monotonic_time()
    {periods, more?} = step.()
    state = closed(state, periods, partial, begin)
    if more?, do: close(state, partial, step), else: state
  end

  defp closed(state, [], _partial, _begin), do: state

  defp closed(state, periods, partial, begin) do
    {windows, sequence} =
      Enum.map_reduce(periods, state.sequence, fn period, sequence ->
        {window(period, sequence + 1, partial, state), sequence + 1}
      end)

    Emitter.closed(state.emitter, windows, System.monotonic_time() - begin)
    Enum.each(state.deliveries, &Delivery.deliver(&1, windows))
    Kept.put(state.kept, windows)
    %{state | sequence: sequence}
  end

  defp tell_memory(state) do
    now = System.monotonic_time(:millisecond)

    if state.told_memory == nil or now - state.told_memory >= state.config.telemetry_interval do
      info = Native.meter_info(state.native)
      kept = Kept.size(state.kept)

      bytes =
        info
        |> memory(state.native, state.kept, fn -> raise_not_running(state.config.name) end)
        |> sum()

      measured = %{bytes: bytes, open_windows: info.open_windows, retained_windows: kept}
      Emitter.memory(state.emitter, measured)
      %{state | told_memory: now}
    else
      state
    end
  end

  defp window({start, end_, _rows, native}, sequence, partial, state) do
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
    Kept.forget(state.kept, state.config.retain)
    state
  end
end
