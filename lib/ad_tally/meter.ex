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

  Then any process records events. The call runs in that process and sends no message:

      AdTally.Meter.record(MyApp.Ads, %AdTally.Event{
        id: "01JEX5M3Z7",
        at: 1_780_272_000_004,
        dimensions: {42, 7, "us"},
        user: 80_351_110_224_678_912,
        metrics: [impressions: 1, spend_micros: 1_250]
      })
      #=> :ok

  ## Windows

  A window is `:window` milliseconds of event time. It is closed when the clock is `:lateness` past its
  end. The meter looks for such windows ten times in a window's length, but at most every 10 ms and at
  least once a second. Each event that was recorded in a window by then is in its rows, once. A later event
  is `:late` and in no window, and so is one whose window would have to be closed as soon as it is opened.

  With `clock: :system`, the default, the clock is the system's time. The times of events close
  nothing, so no event is late before its window's end plus `:lateness`. An event more than
  `:max_ahead` past the system's time is refused as `:future`, which bounds the open windows. With
  `clock: :events`, for replays of old logs, the clock is the time of the newest event. Without events
  nothing is closed until the meter stops.

  The system's time is the VM's, `System.system_time/1`, everywhere in AdTally. A VM started with
  `+C multi_time_warp` follows a clock that is set by hours within a minute. The default,
  `+C no_time_warp`, keeps its own time and drifts towards the clock by one percent. After a step
  forward, windows whose time has passed are closed. After a step back, events of windows that were
  closed are not late: such a window opens again, and is closed and delivered as another window of the
  same start. A window that `close/2` has closed opens again only if the step is so large that an event
  of its time would have been `:future`.

  Events that are in no window are counted by outcome and with their metrics: see `info/2`, the option
  `:on_late`, and `AdTally.Telemetry`.

  Closed windows go to every sink, see `AdTally.Sink`. When the meter is stopped in order, for example by
  its supervisor, all open windows are closed and delivered. Those whose time has not passed are flagged
  as partial. A crash loses the open windows, and the closed ones that a sink has not taken yet.

  With a `:store`, an `AdTally.Store`, it is different. A stop leaves windows open, and the next start goes
  on with them, with ids and sketches. So does the start after a crash, without what was recorded in the
  last second. Closed windows that a sink has not taken are delivered by the next start, under the same
  numbers. See [Durability](durability.html).

  ## When the meter is down

  Every function raises `ArgumentError` while no meter of that name runs: before it is started, after
  it was stopped, and between a crash and the restart by its supervisor. When the meter's process is
  killed, calls raise from at most 50 ms later on. So do not acknowledge an event for which `record/2` or
  `record_many/3` raised: a queue that delivers at least once brings it again. If the meter is stopped in
  order while a list is being recorded, the call raises too, unless some of the list was counted. Then the
  remaining events are `:late`. Without a store, events that were recorded before a crash are lost with the
  open windows, and the next meter remembers no ids.

  ## Dedupe

  Only the `:id` is compared, see `AdTally.Dedupe`. If an impression and a click may have the same
  id, put the kind into it: `{:click, id}`. Choose `dedupe: [window: ...]` longer than the longest
  redelivery. An event whose id is remembered is a `:duplicate`, even if its window is closed by now
  or its time is too far ahead. The id of an event that was late, too far ahead or refused is not
  remembered.

  ## Touches

  A counted event may also be a touch for an `AdTally.Attribution`. With the option
  `attribution: [name: MyApp.Attribution, cost: :spend_micros]` this takes no second call. Give the event
  a `:touch`, one of the attribution's kinds, such as `:click`. If the meter counts the event (`:ok` or
  `:overflow`), the attribution takes it as a touch, within the same call. The touch has the event's
  `:id`, `:user` and `:at`, the values of the attribution's dimensions, and as its cost the amount of the
  metric that `:cost` names, or 0 without `:cost`.

  Such an event needs an `:id` that is an integer of 64 bits or a binary, a `:user`, and a cost of 0 or
  more. If one of them is missing, the call raises and counts nothing. `AdTally.Attribution.info/2` has
  what became of the touches: one may be late there although the event is not late here.

  Start the attribution before the meter. Its dimensions must be among the meter's. While it does not run,
  for example between a crash and its restart, `record/2` and `record_many/3` raise and count nothing. If
  it ends after a part of a long list was counted, the rest of the list is counted too, but the touches of
  the rest are lost.
  """

  alias AdTally.{Attribution, Batch, Event, Named, Native, Options, Windows}
  alias AdTally.Meter.{Config, Events, Late, Nodes, Report, Source}
  alias AdTally.Windows.{Deadline, Reader}

  require Named

  @typedoc "A meter's name."
  @type name :: atom()

  @typedoc "What became of an event."
  @type outcome :: :ok | :duplicate | :late | :future | :no_window | :overflow | :busy

  @doc """
  The child specification of a meter. A supervisor may have several meters.

  The supervisor waits until the meter has stopped (`shutdown: :infinity`). The meter stops by itself once
  its sinks have all windows, or have made no progress for `:flush` milliseconds.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: Windows.child_spec(__MODULE__, options)

  @doc """
  Starts a meter. As a child of a supervisor it is `{AdTally.Meter, options}`.

  ## Options

    * `:name` - an atom by which it is called: the name of its process, and its key in
      `:persistent_term`. Required.
    * `:dimensions` - names of one to eight dimensions. Required.
    * `:metrics` - names of one to sixteen metrics. Required. All names are atoms that differ in more
      than case. These are reserved, because they are fields in lines of sinks or rows of reports, or
      columns that engines add: `kind`, `meter`, `node`, `epoch`, `sequence`, `partial`, `starts_at`,
      `ends_at`, `date`, `misfits`, `window_start`, `window_end`, `window_time`, `filename`, `reach`,
      `reach_low`, `reach_high`, `reach_sketch`, `overflow`, and all that begin with `_`. A sink may
      reserve more, see `c:AdTally.Sink.reserved_names/1`.
    * `:window` - milliseconds of a window. Default: a minute.
    * `:lateness` - milliseconds that a window stays open past its end. Default: 5 minutes.
    * `:clock` - `:system` or `:events`. Default: `:system`.
    * `:max_ahead` - how many milliseconds past the system's time an event may be. With
      `clock: :events` no event is too far ahead, and the option is refused. Default: a window.
    * `:reach` - `false`, or `by:` the dimensions that sketches are kept by (required),
      `precision:` 4 to 18 (default 12), `max_keys:` (default that of the meter) and `secret:` as
      in `AdTally.Reach.new/1`. Default: `false`.
    * `:dedupe` - `false`, or `:window`, `:capacity` and `:fingerprint_bits` of
      `AdTally.Dedupe.new/1`. Default: `false`.
    * `:max_keys` - the most rows of a window. Events of other keys are counted in the window's
      overflow. Default: 1,000,000.
    * `:seed` - the number under which keys and ids are hashed, as in `AdTally.Counters.new/1`.
      Default: `nil`, for a random one.
    * `:max_open_windows` - how many windows may be open at a time. An event that would open one more
      is `:no_window`. An open window takes a few kilobytes, and what its rows take. It must be at least
      as many as `:lateness` needs, and with `clock: :system` `:max_ahead` too. With `clock: :events`,
      windows whose time has passed and that the next tick closes do not count. Default: 10,000, or as
      many as are needed if that is more.
    * `:sinks` - a list of `{module, options}`, see `AdTally.Sink`. The options are checked by
      `c:AdTally.Sink.validate/1`, if the module has it. Default: none.
    * `:max_waiting` - how many closed windows may wait for a sink. If there are more, the oldest are
      dropped, which is logged and counted in `info/2`. Default: 10,000.
    * `:retain` - for how many milliseconds closed windows are kept for `report/2`. Default: an hour.
    * `:flush` - for how many milliseconds without progress a meter that is stopped waits for a sink
      and for `:on_late`. A sink makes progress when it takes a window, and when it reads rows of a
      window that none of its attempts has read before. `:on_late` makes progress when it returns. The
      meter waits while there is progress, however much there is to deliver. Without a store, what is left
      after that is lost, which is logged. A sink that needs longer than `:flush` after the last row, such
      as for an upload, needs a longer `:flush`. Default: 4,000.
    * `:on_late` - `{module, function}` of a function that gets late events, in lists of 1 to 1,000, in
      a process of its own. It may take long, raise, or call the meter. It gets a list a tenth of a
      second after the first of its events, or once it has returned from the previous list. Each event
      is given at most once: a list at which the function raises is not given again. While 100,000
      events wait, further ones are dropped, which is logged and counted in `info/2`. Their metrics are
      in `:excluded` in any case. Default: none.
    * `:attribution` - `false`, or `name:` the name of an `AdTally.Attribution` (required), and `cost:` the
      metric that is the cost of a touch, in micros (default: touches cost nothing). See
      ["Touches"](#module-touches). Default: `false`.
    * `:store` - the name of an `AdTally.Store` that keeps the meter. It has to run. If the meter has an
      attribution, both need the same store. Default: `nil`, for none.
    * `:on_stop` - what happens to open windows when a meter with a store is stopped in order: they stay
      open for the next start (`:keep_open`), or they are closed as without a store (`:close`). Default:
      `:keep_open`.
    * `:telemetry_interval` - milliseconds between two telemetry events of the meter's outcomes and
      memory, see `AdTally.Telemetry`. Default: 10,000.
    * `:warning_interval` - every so many milliseconds, a warning with the likeliest cause is logged if
      more than half of the events since then were refused, late, future or without a window. Default:
      60,000.

  Raises `ArgumentError` for an option that is missing, unknown or out of range, and if the options do not fit
  what the store has: the message says what differs.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options), do: options |> Config.new!() |> Windows.start_link()

  @doc """
  Counts an event.

    * `:ok` - it is counted
    * `:duplicate` - its id was recorded before, in whatever window
    * `:late` - its window is closed, or would have to be closed at once
    * `:future` - its time is too far ahead
    * `:no_window` - its window is not open, and `:max_open_windows` others are: it is not counted
    * `:overflow` - its row, or that of its sketch, is new and there is no room: it is counted in
      the window's overflow instead
    * `:busy` - its store has no room, because the disk does not keep up: it is not counted, see
      `AdTally.Store`

  Raises `ArgumentError` for a bad event, with nothing counted, and if no meter of that name runs.

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
  def record(name, event) when is_atom(name) do
    case Named.fetch!(__MODULE__, name) do
      {native, nil} -> Native.meter_record(native, event)
      {native, late} -> record(native, late, event)
      {native, late, attribution} -> record(native, late, attribution, event)
    end
  end

  def record(other, _event), do: Named.raise_not_running(__MODULE__, other)

  defp record(native, late, event), do: native |> Native.meter_record(event) |> hand(late, event)

  # The attribution is looked up each time: after a crash there is another one of the same name.
  defp record(native, late, attribution, event) do
    attribution = Named.fetch!(Attribution, attribution)
    native |> Native.meter_record(attribution, event) |> hand(late, event)
  end

  defp hand(:late, late, event) when late != nil do
    Late.take(late, [event])
    :late
  end

  defp hand(outcome, _late, _event), do: outcome

  @doc """
  Counts a list of events, and returns how many had each outcome of `record/2`.

      iex> options = [name: Lists, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, _meter} = AdTally.Meter.start_link([{:dedupe, [window: 600_000]} | options])
      iex> events = for id <- [1, 2, 2], do: %AdTally.Event{id: id, at: 1_780_272_000_004, dimensions: {42}}
      iex> AdTally.Meter.record_many(Lists, events)
      %{ok: 2, duplicate: 1, late: 0, future: 0, no_window: 0, overflow: 0}

  With `on_refused: :raise`, the default, it raises `ArgumentError` if `record/2` would raise for any of
  them, and counts nothing. With `on_refused: :skip` such events are left out, all others are counted,
  and the map has one more key: `:refused`, a list of `{index, error}` with the position of each refused
  event in the list, from 0, and the `ArgumentError` that says why. An improper list raises in any
  case.

      iex> options = [name: Skipping, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, _meter} = AdTally.Meter.start_link(options)
      iex> good = %AdTally.Event{at: 1_780_272_000_004, dimensions: {42}, metrics: [clicks: 1]}
      iex> events = [good, %{good | dimensions: {42, 7}}, good]
      iex> %{ok: 2, refused: [{1, error}]} = AdTally.Meter.record_many(Skipping, events, on_refused: :skip)
      iex> Exception.message(error)
      "expected a tuple of 1 dimensions, one for each the meter has, got: {42, 7}"

  If the meter has a store, the map has the key `:busy` too: how many events at the end of the list were
  not counted, because the store has no room.

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
          optional(:busy) => non_neg_integer(),
          optional(:refused) => [{index :: non_neg_integer(), %ArgumentError{}}]
        }
  def record_many(name, events, options \\ []),
    do: Batch.take(Events, recording!(name), events, options)

  # As lists of events are recorded.
  defp recording!(name) do
    case running!(name) do
      {native, late} -> {native, late, nil}
      {native, late, attribution} -> {native, late, Named.fetch!(Attribution, attribution)}
    end
  end

  @report_options [:by, :where, :from, :to, :order_by, :limit, :timeout]

  @typedoc "A time: Unix milliseconds, or a `DateTime`."
  @type time :: non_neg_integer() | DateTime.t()

  @typedoc "An option of `report/2` and `stream_report/2`."
  @type report_option ::
          {:by, [atom()]}
          | {:where, [{dimension :: atom(), value | [value]}]}
          | {:from, time()}
          | {:to, time()}
          | {:order_by, metric :: atom()}
          | {:limit, pos_integer()}
          | {:timeout, timeout()}

  @typedoc "A value of a dimension."
  @type value :: integer() | binary() | atom()

  @typedoc "A report over nodes: its rows, whose they are, and which nodes are missing, each with the reason in words."
  @type nodes_report :: %{
          rows: [map()],
          nodes: [node()],
          missing: [{node(), reason :: String.t()}]
        }

  @doc """
  Totals by dimensions: a map for each group of rows, of open windows and of those closed less than
  `:retain` ago, in the order of the values of `:by`. Rows are read and grouped in steps that hold no
  scheduler, in a process that ends with the caller. It takes memory for the groups, not for all rows that it reads.

    * `:by` - the dimensions that rows are grouped by, any of the meter's. Default: all.
    * `:where` - only rows with these values of dimensions, which need not be among `:by`:
      `where: [campaign: 42]`, or a list of values, one of which the row has,
      `where: [campaign: 42, country: ["us", "ca"]]`. Default: all.
    * `:from`, `:to` - only windows that begin at `:from` or later and before `:to`, in Unix
      milliseconds or as a `DateTime`. Default: all.
    * `:order_by` - a metric: groups are sorted from its largest total to its smallest. Groups with equal
      totals are in the order of the values of `:by`. Default: all are in that order.
    * `:limit` - how many groups to return, the first ones in order. The others never become maps.
      `order_by: :spend_micros, limit: 100` returns the hundred with the highest spend. Default: all.
    * `:timeout` - for how many milliseconds it may read, or `:infinity`. After that it exits, as
      `GenServer.call/3` does. Default: 60,000.
    * `:nodes` - `:all`, for this node and those that it is connected to, or a list of nodes: the report is over the
      meters of that name on these nodes, see ["Over nodes"](#report/2-over-nodes). Default: only this node, and a list of rows.

  Raises `ArgumentError` for an option that is unknown or wrong, and if no meter of that name runs.

  ## Over nodes

  With `:nodes` the rows are those that one meter would have if it had recorded the events of all nodes: sums are added,
  sketches are united, and then groups are ordered and limited. It returns `%{rows: rows, nodes: nodes, missing: missing}`.

    * `:rows` - as without `:nodes`
    * `:nodes` - the nodes that are in the rows, each with all that it has
    * `:missing` - `{node, reason}` of each other node. Nothing of it is in the rows. The reason is a sentence: the node
      cannot be reached, was lost meanwhile, has not answered in time, has no meter of that name, or has another version of
      AdTally

  This node needs a meter of that name too. The meters of other nodes are compared with it: dimensions, metrics, the
  length of a window, and `:by`, `:precision` and `:secret` of `:reach` have to be the same. A node that differs is
  missing, with what differs. Seeds may differ.

  Each node reads its own windows, and sends its groups in messages of at most 1 MiB. `:timeout` is for all nodes
  together: a node that has not sent everything by then is missing, and the rows are those of the others. While a report
  is made, it takes the memory of the groups of all nodes.

  ## What had no room

  If there were events in the overflow, because there were `:max_keys` rows, a last map has them, whatever
  the order and the limit: `%{overflow: true, clicks: 3}`. It has every metric and no dimension. So the
  sums of a metric over all maps are what was counted, and a match on dimensions skips this map. The
  dimensions of its events are not known, so `:where` does not change it. With `:where`, the groups are
  then a lower bound, and the groups together with this map an upper one.

  ## Reach

  If the dimensions of `:by` and `:where` are all among those of `reach: [by: ...]`, a map also has
  `:reach`, the estimate of different users, and `:reach_low` and `:reach_high`, its bounds
  at two standard errors. All three are `nil` for a group with a key that had no room for a sketch
  in one of the windows, because users may be missing. Those are in the `:reach` of the last map.

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
      iex> AdTally.Meter.report(Reporting, by: [:country], order_by: :clicks, limit: 1)
      [%{country: "us", clicks: 2}, %{overflow: true, clicks: 1}]
      iex> AdTally.Meter.report(Reporting, from: ~U[2026-06-01 00:01:00Z])
      []
      iex> AdTally.Meter.report(Reporting, by: [], nodes: [node()])
      %{rows: [%{clicks: 3}, %{overflow: true, clicks: 1}], nodes: [node()], missing: []}
  """
  @spec report(name(), [report_option() | {:nodes, :all | [node()]}]) :: [map()] | nodes_report()
  def report(name, options \\ []) do
    options = Options.known!(options, [:nodes | @report_options])
    time_left = Deadline.new(options, 60_000, {__MODULE__, :report, [name, options]})
    native = name |> running!() |> elem(0)

    if Keyword.has_key?(options, :nodes),
      do: Nodes.report(name, native, options, time_left),
      else: Reader.report({Source, name}, Report, native, options, time_left)
  end

  @doc """
  The rows of `report/2` as a lazy enumerable, for an export of more groups than should be in memory as
  terms.

  Options are checked at once. Each enumeration is a report of its own. At its beginning the meter's
  windows are read and grouped, within `:timeout`. Then some thousand rows at a time become maps, as fast
  as the consumer takes them, without a timeout. Meanwhile the groups are kept outside of any heap. They take
  about the memory of their keys, and 16 bytes for each metric of each group. No window is kept or has to
  wait. The groups are freed after the last row, and when an enumeration is halted.

      iex> options = [name: Exporting, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, _meter} = AdTally.Meter.start_link(options)
      iex> for campaign <- 1..5_000 do
      ...>   event = %AdTally.Event{at: 1_780_272_000_004, dimensions: {campaign}, metrics: [clicks: campaign]}
      ...>   :ok = AdTally.Meter.record(Exporting, event)
      ...> end
      iex> rows = AdTally.Meter.stream_report(Exporting, order_by: :clicks)
      iex> Enum.take(rows, 2)
      [%{campaign: 5_000, clicks: 5_000}, %{campaign: 4_999, clicks: 4_999}]
      iex> Enum.count(rows)
      5_000
  """
  @spec stream_report(name(), [report_option()]) :: Enumerable.t()
  def stream_report(name, options \\ []) do
    options = Options.known!(options, @report_options)
    call = {__MODULE__, :stream_report, [name, options]}
    native = name |> running!() |> elem(0)
    deadline = fn -> Deadline.new(options, 60_000, call) end
    Reader.stream({Source, name}, Report, native, options, deadline)
  end

  @doc """
  The meter's numbers.

    * `:events` - how many events were `received`, and how many of them were `applied`, `duplicate`, `late`,
      `future`, `no_window`, `overflow`, `refused` and, with a store, `busy`, which add up to it. Refused are
      events for which a call raised, together with all events of their list. These and other counts are those
      of this start, also with a store
    * `:excluded` - the amounts of events that are in no window, by `:duplicate`, `:late`, `:future`
      and `:no_window`, and by metric
    * `:open_windows`, `:closed_windows` - how many are open, and how many were closed, with a store in all its
      starts
    * `:newest` - the newest time of an event that was counted, 0 if none was
    * `:memory` - bytes of memory by part: `:ids`, `:open_windows`, `:retained_windows`,
      `:waiting_windows` and `:late_events`. Retained are closed windows that `report/2` still reads. Waiting
      are those that are no longer retained and that a sink still has to take, or that are referenced
      otherwise: each window is counted once. Late events are those that wait for `:on_late`, without their
      binaries of more than 64 bytes
    * `:memory_bytes` - their sum
    * `:sinks` - of each sink how many windows it took (`:delivered`), how many attempts
      `:failed`, how many windows are `:waiting`, and how many were `:dropped`
    * `:on_late` - with this option, how many late events were `:handed` to the function, for how many
      it has `:failed`, how many are `:waiting` and how many were `:dropped`

  The option `:timeout` is how many milliseconds it may take, or `:infinity`. After that it exits, as
  `GenServer.call/3` does. Default: 5,000. Raises `ArgumentError` for any other option, and if no meter of
  that name runs.

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
    time_left = Deadline.new(options, 5_000, {__MODULE__, :info, [name, options]})
    value = running!(name)
    info = value |> elem(0) |> Native.meter_info()
    shared = Windows.info({Source, name}, value, info, time_left)

    info
    |> Map.drop([:id_bytes, :closed_bytes])
    |> Map.update!(:events, &Source.received/1)
    |> Map.merge(shared)
    |> Map.merge(late_info(name, elem(value, 1), time_left))
  end

  defp late_info(_name, nil, _time_left), do: %{}

  defp late_info(name, late, time_left),
    do: Windows.asking({Source, name}, fn -> %{on_late: Late.info(late, time_left.())} end)

  @doc """
  Closes all windows that have events now, and returns once every sink has taken them: for tests, and
  before a planned move of the meter.

  Windows up to that of the newest event are closed. Those whose time has not passed yet are flagged as
  partial. A later event for them, or for windows before them, is `:late`, with a store after a restart
  too. Newer windows stay open. Do not call it from a sink.

    * `:ok` - every sink has returned `:ok` for all windows closed until now
    * `{:error, :timeout}` - a sink has not done so within `timeout` milliseconds (default: 5,000, or
      `:infinity`). The windows are closed nevertheless, and will be delivered
    * `{:error, :dropped}` - a sink will not get one of them, because more than `:max_waiting` waited

  Raises `ArgumentError` for a wrong timeout, and if no meter of that name runs.

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
    time_left = Deadline.new([timeout: timeout], 5_000, {__MODULE__, :close, [name, timeout]})
    running!(name)
    Windows.close({Source, name}, time_left)
  end

  # What `AdTally.Meter.Source.started/3` has put there.
  defp running!(name) when is_atom(name), do: Named.fetch!(__MODULE__, name)
  defp running!(other), do: Named.raise_not_running(__MODULE__, other)
end
