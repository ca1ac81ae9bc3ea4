defmodule AdTally.Telemetry do
  @moduledoc """
  The telemetry events of meters, attributions, pacers and stores, for projects that have the library `:telemetry`. None of
  them is per ad event.

  | event | measurements | metadata |
  | --- | --- | --- |
  | `[:ad_tally, :meter, :events]` | `received`, `applied`, `duplicate`, `late`, `future`, `no_window`, `overflow`, `refused`, `busy`, `duration` | `meter` |
  | `[:ad_tally, :meter, :memory]` | `bytes`, `open_windows`, `retained_windows` | `meter` |
  | `[:ad_tally, :attribution, :events]` | `touches_…`, `conversions_…` and `adjustments_…` by outcome, and others: see below | `attribution` |
  | `[:ad_tally, :attribution, :memory]` | `bytes`, `open_windows`, `retained_windows` | `attribution` |
  | `[:ad_tally, :window, :closed]` | of a meter `duration`, `rows`, `totals`, `overflow`, `memory_bytes` | `meter`, `start`, `end`, `sequence`, `partial` |
  | | of an attribution `duration`, `rows`, `touches`, `cost_micros`, `conversions`, `value_micros`, `memory_bytes` | `attribution`, … |
  | `[:ad_tally, :sink, :delivered]` | `duration`, `waiting` | `meter`, `sink`, `start`, `end`, `sequence` |
  | `[:ad_tally, :sink, :failed]` | `duration`, `waiting`, `failures`, `pause` | `meter`, `sink`, `start`, `end`, `sequence`, `reason` |
  | `[:ad_tally, :sink, :dropped]` | `waiting` | `meter`, `sink`, `start`, `end`, `sequence` |
  | `[:ad_tally, :late, :handed]` | `duration`, `events` | `meter` |
  | `[:ad_tally, :late, :failed]` | `duration`, `events` | `meter`, `reason` |
  | `[:ad_tally, :late, :dropped]` | `events` | `meter` |
  | `[:ad_tally, :pacer, :tick]` | `campaigns`, `budget_micros`, `spent_micros`, `reserved_micros`, `leased_micros`, `target_micros`, `overspent_micros`, `presumed_micros`, `lost_nodes`, `duration`, and counts by outcome: see below | `pacer` |
  | `[:ad_tally, :pacer, :campaign]` | `budget_micros`, `spent_micros`, `reserved_micros`, `leased_micros`, `target_micros`, `overspent_micros`, `presumed_micros`, `pass` | `pacer`, `campaign`, `from`, `to`, … |
  | `[:ad_tally, :store, :state]` | `lag`, `waiting_bytes`, `disk_bytes`, `busy` | `store` |
  | `[:ad_tally, :store, :committed]` | `commits`, `records`, `bytes`, `duration`, `longest` | `store` |
  | `[:ad_tally, :store, :failed]` | `lag` | `store`, `reason` |
  | `[:ad_tally, :store, :recovered]` | | `store` |
  | `[:ad_tally, :store, :compacted]` | `duration`, `from_bytes`, `bytes` | `store`, `part` |
  | `[:ad_tally, :store, :compaction_failed]` | | `store`, `reason` |
  | `[:ad_tally, :store, :loaded]` | `duration`, `bytes`, `entries` | `store`, `part` |
  | `[:ad_tally, :store, :without_room]` | `pairs` | `store`, `part` |
  | `[:ad_tally, :store, :torn]` | `bytes` | `store`, `file` |
  | `[:ad_tally, :store, :repaired]` | `bytes` | `store`, `reason` |

  Events of windows and sinks of an attribution have the key `attribution` in place of `meter`, so a handler
  of both matches on that.

  `duration` and `longest` are in native units of time, see `System.convert_time_unit/3`; `pause`, `lag`,
  `start` and `end` are in milliseconds.

    * `[:meter, :events]` and `[:meter, :memory]` come every 10 seconds, see `:telemetry_interval` of
      `AdTally.Meter.start_link/1`, whether or not a window closes. The counts of `[:meter, :events]`
      are events since the last one, which was `duration` ago: sums of them are those of
      `AdTally.Meter.info/1`. A last one comes when the meter is stopped. Without a store, `busy` is 0.
    * `[:attribution, :events]` and `[:attribution, :memory]` come as often. The counts are those since the
      last one, which was `duration` ago: `touches_received`, and of those `touches_applied`,
      `touches_duplicate`, `touches_late`, `touches_future`, `touches_refused` and, 0 without a store,
      `touches_busy`; the same of `conversions_…`; `adjustments_received`, and of those `adjustments_applied`,
      `adjustments_superseded` by a newer one, `adjustments_unknown`, `adjustments_retracted`,
      `adjustments_future` and `adjustments_refused`; final conversions that are `attributed` or
      `unattributed`, and `repeated` ones, that do not count because another one does; how often
      touches that arrived out of order have `revised` a provisional conversion; conversions that became
      final before their window was closed (`finalised_early`); `evicted_touches`, `evicted_users` and
      `evicted_orders`; `overflow`, touches whose dimensions exceeded `:max_keys`; and how often users were
      `linked` and `forgotten`.
    * `[:window, :closed]` has the numbers of that window: its rows, `totals` by metric of all that was
      counted in it (`%{clicks: 12, spend_micros: 4_500}`), `overflow` by metric of the part of them
      that had no row, and its memory in bytes. Of windows that are closed together the first one has
      the duration of that. Of an attribution's window, conversions and their value are net of retractions and
      restatements, and counted once, however many models there are.
    * `[:sink, ...]`: `waiting` are windows that the sink has still to take, `failures` how often it has
      failed since it last took one. A window is dropped when more than `:max_waiting` wait.
    * `[:late, ...]` are late events for `:on_late`: the function has returned from a list of them, or
      has failed. Events that were dropped because too many wait are reported at most once a minute.

    * `[:pacer, :tick]` comes after each tick of a pacer. Its sums are those of all campaigns whose coordinator the node is,
      see `AdTally.Pacer.status/2`; `duration` is how long the controller took, and `lost_nodes` how many other nodes have not
      answered for five seconds. Its counts are calls on the node since
      the last one, as in `:outcomes` of `AdTally.Pacer.info/1`.
    * `[:pacer, :campaign]` comes after it for each of these campaigns, with what `AdTally.Pacer.status/2` returns of it, but for
      `:nodes`. One that is put while the handlers run may have none until the next tick, or two. With
      many campaigns a handler of it has as many calls a tick. While handlers are slower than ticks, some ticks have
      none of either.
    * `[:store, :state]` comes every `:telemetry_interval` of `AdTally.Store.start_link/1`, whatever happens. `lag` is
      for how long the oldest of what is not on disk has waited, `waiting_bytes` how much waits, `disk_bytes`
      the size of the directory, and `busy` how often a call was answered `:busy` since the last one.
    * `[:store, :committed]` tells of commits since the last one: how many, their records and bytes, how long they took
      together and the `longest`. There is one for each, unless handlers are slower than commits.
    * `[:store, :failed]` comes each time that the disk refuses a commit, and `[:store, :recovered]` once it has taken
      all of it.
    * `[:store, :compacted]` tells that files were merged, `[:store, :loaded]` that the state of a part was read, and
      `[:store, :without_room]` that a table of caps is smaller than before and has no room for all events of
      so many pairs. `part` is the name of a meter, an attribution or a table.
    * `[:store, :torn]` comes at the start after a crash, when the end of the last file was being written, and
      `[:store, :repaired]` at one with `repair: :truncate`, with what does not count any more.

  Handlers run in a process of their own, one event after the other. They may take long, raise (then
  `:telemetry` detaches them) or call the meter or attribution, which does not wait for them. One that has not returned after a
  minute or two is killed, which is logged, because all other handlers wait for it. A handler that calls
  one of these should rescue `ArgumentError`: the last events come while it stops, when it is no longer
  found by its name. While a handler has not returned, at most 1,000 events wait, of those of
  `:events` and of `:memory` one each; further ones are dropped, which is logged. What is stopped waits a second for its
  handlers.

      :telemetry.attach("rollups", [:ad_tally, :sink, :failed], &MyApp.Alerts.sink_failed/4, nil)

  `attach_default_logger/1` logs those of windows, sinks, late events and counts, and `metrics/0` makes metrics of most for
  `Telemetry.Metrics`.
  """

  require Logger

  alias AdTally.Options
  alias AdTally.Telemetry.Definitions

  @compile {:no_warn_undefined, :telemetry}

  @default_logger "ad_tally-default-logger"
  @logged [
    [:ad_tally, :meter, :events],
    [:ad_tally, :attribution, :events],
    [:ad_tally, :window, :closed],
    [:ad_tally, :sink, :delivered],
    [:ad_tally, :late, :handed]
  ]
  @levels [:emergency, :alert, :critical, :error, :warning, :notice, :info, :debug]

  @doc """
  Logs what meters and attributions do, a line each: windows that are closed, late events that were handed to
  `:on_late`, and what became of events every `:telemetry_interval`, if there were any, at the given
  level; windows that a sink has taken at `:debug`.

      AdTally.Meter MyApp.Ads closed window 7 of 2026-06-01T00:00:00Z (rows: 12, clicks: 3, spend_micros: 4500)
      AdTally.Meter MyApp.Ads had 1300 events in 10.0 s (applied: 1200, duplicate: 100)
      AdTally.Attribution MyApp.Attribution had 900 touches, 12 conversions and 0 adjustments in 10.0 s (attributed: 11, ...)

  What fails is not among them: meters and attributions log by themselves, always, when a sink or `:on_late`
  fails and when most of what they get is late, too far ahead or refused, and so do stores when the disk refuses
  something.

  Takes a level of `Logger`, or `level:` one. Default: `:info`. To be called once, when the application
  starts. Returns `{:error, :already_exists}` when it was called before, and
  `{:error, :no_telemetry}` where the library `:telemetry` is not there. Raises `ArgumentError` for
  other options.

      iex> AdTally.Telemetry.attach_default_logger(level: :debug)
      :ok
      iex> AdTally.Telemetry.attach_default_logger(:info)
      {:error, :already_exists}
      iex> AdTally.Telemetry.detach_default_logger()
      :ok
  """
  @spec attach_default_logger(Logger.level() | [level: Logger.level()]) ::
          :ok | {:error, :already_exists | :no_telemetry}
  def attach_default_logger(level_or_options \\ [])

  def attach_default_logger(level) when is_atom(level),
    do: attach_default_logger(level: level)

  def attach_default_logger(options) do
    level = options |> Options.known!([:level]) |> Keyword.get(:level, :info)

    unless level in @levels do
      raise ArgumentError,
            "expected :level to be one of #{inspect(@levels)}, got: #{Options.shown(level)}"
    end

    if Code.ensure_loaded?(:telemetry),
      do: :telemetry.attach_many(@default_logger, @logged, &__MODULE__.log/4, level),
      else: {:error, :no_telemetry}
  end

  @doc """
  Detaches the logger of `attach_default_logger/1`. Returns `{:error, :not_found}` where that was not called.
  """
  @spec detach_default_logger() :: :ok | {:error, :not_found}
  def detach_default_logger do
    if Code.ensure_loaded?(:telemetry),
      do: :telemetry.detach(@default_logger),
      else: {:error, :not_found}
  end

  @doc """
  Definitions for `Telemetry.Metrics`, of the library `:telemetry_metrics`, for whatever reporter a project has:

      def metrics, do: AdTally.Telemetry.metrics() ++ [...]

  They are sums and counters of what has happened, last values of what rises and falls, and summaries of how long something took,
  in milliseconds. Tags are names: `:meter`, `:attribution`, `:store`, `:pacer`, `:sink`; and `:part`, where an event may be of a
  meter or of an attribution. There is a sum for every outcome, so those of a meter's events add up to `received`, as do those of
  touches, conversions and adjustments; those of `[:pacer, :tick]` are `:outcomes` of `AdTally.Pacer.info/1`.

  What windows have beside their rows, and `[:pacer, :campaign]`, are not among them: names of metrics and numbers of campaigns
  are the project's. Events that a start or a fault of a store has (`[:store, :loaded]`, `[:store, :torn]`, …) are not either:
  attach a handler to those.

  A sum is of what a reporter has got, from when it was attached. `AdTally.Metrics.snapshot/0` has the totals of the VM.

  Raises `ArgumentError` where `Telemetry.Metrics` is not there.
  """
  @spec metrics() :: [struct(), ...]
  def metrics do
    unless Code.ensure_loaded?(Telemetry.Metrics) do
      raise ArgumentError,
            "expected the library :telemetry_metrics to be there, which defines Telemetry.Metrics: add it to the dependencies"
    end

    # By its full name: it is no dependency of this library.
    for {kind, event, measurement, tags, unit} <- Definitions.all() do
      name = event ++ [if(kind == :counter, do: :count, else: measurement)]

      apply(Telemetry.Metrics, kind, [
        name,
        [
          event_name: event,
          measurement: measurement,
          tags: tags,
          tag_values: &Definitions.tag_values/1,
          unit: unit
        ]
      ])
    end
  end

  @doc false
  def log([:ad_tally, :meter, :events], %{received: received} = measured, metadata, level) do
    if received > 0 do
      outcomes =
        for {what, n} <- measured, what not in [:received, :duration], n > 0, do: {what, n}

      Logger.log(
        level,
        "#{shown(metadata)} had #{received} events in #{seconds(measured)} s #{list(Enum.sort(outcomes))}"
      )
    end
  end

  def log([:ad_tally, :attribution, :events], measured, metadata, level) do
    {received, counts} =
      Map.split(measured, [:touches_received, :conversions_received, :adjustments_received])

    counts = for {what, n} <- counts, what != :duration, n > 0, do: {what, n}

    if counts != [] do
      Logger.log(
        level,
        "#{shown(metadata)} had #{received.touches_received} touches, " <>
          "#{received.conversions_received} conversions and #{received.adjustments_received} adjustments in " <>
          "#{seconds(measured)} s #{list(Enum.sort(counts))}"
      )
    end
  end

  def log([:ad_tally, :window, :closed], measured, %{attribution: _name} = metadata, level) do
    numbers =
      for name <- [:rows, :touches, :cost_micros, :conversions, :value_micros],
          do: {name, Map.fetch!(measured, name)}

    log_closed(numbers, nil, metadata, level)
  end

  def log([:ad_tally, :window, :closed], measured, metadata, level) do
    overflow =
      if Enum.any?(measured.overflow, fn {_, n} -> n != 0 end), do: ", some without a row"

    numbers = [{:rows, measured.rows} | Enum.sort(measured.totals)]
    log_closed(numbers, overflow, metadata, level)
  end

  def log([:ad_tally, :sink, :delivered], measured, metadata, _level) do
    Logger.debug(
      "#{shown(metadata)}: #{inspect(metadata.sink)} took #{window(metadata)} in " <>
        "#{seconds(measured)} s (waiting: #{measured.waiting})"
    )
  end

  def log([:ad_tally, :late, :handed], measured, metadata, level) do
    Logger.log(
      level,
      "#{shown(metadata)} handed #{measured.events} late events to :on_late in #{seconds(measured)} s"
    )
  end

  defp log_closed(numbers, overflow, metadata, level) do
    partial = if metadata.partial, do: ", partial"

    Logger.log(
      level,
      "#{shown(metadata)} closed #{window(metadata)} #{list(numbers)}#{overflow}#{partial}"
    )
  end

  defp shown(%{meter: name}), do: "AdTally.Meter #{inspect(name)}"
  defp shown(%{attribution: name}), do: "AdTally.Attribution #{inspect(name)}"

  defp window(%{sequence: sequence, start: start}),
    do:
      "window #{sequence} of #{start |> DateTime.from_unix!(:millisecond) |> DateTime.to_iso8601()}"

  defp seconds(%{duration: duration}),
    do: Float.round(System.convert_time_unit(duration, :native, :microsecond) / 1_000_000, 3)

  defp list(numbers), do: "(#{Enum.map_join(numbers, ", ", fn {name, n} -> "#{name}: #{n}" end)})"

  @doc false
  @spec available?() :: boolean()
  # Attaching a handler has loaded it.
  def available?, do: function_exported?(:telemetry, :execute, 3)

  @doc false
  @spec execute([atom(), ...], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    if available?(), do: :telemetry.execute([:ad_tally | event], measurements, metadata)

    :ok
  end
end
