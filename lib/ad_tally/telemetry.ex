defmodule AdTally.Telemetry do
  @moduledoc """
  The telemetry events of a meter, where the library `:telemetry` is there. None of them is per event
  of an ad.

  | event | measurements | metadata |
  | --- | --- | --- |
  | `[:ad_tally, :meter, :events]` | `received`, `applied`, `duplicate`, `late`, `future`, `overflow`, `refused`, `duration` | `meter` |
  | `[:ad_tally, :meter, :memory]` | `bytes`, `open_windows`, `kept_windows` | `meter` |
  | `[:ad_tally, :window, :closed]` | `duration`, `rows`, `totals`, `overflow`, `memory_bytes` | `meter`, `start`, `end`, `sequence`, `partial` |
  | `[:ad_tally, :sink, :delivered]` | `duration`, `waiting` | `meter`, `sink`, `start`, `end`, `sequence` |
  | `[:ad_tally, :sink, :failed]` | `duration`, `waiting`, `failures`, `pause` | `meter`, `sink`, `start`, `end`, `sequence`, `reason` |
  | `[:ad_tally, :sink, :dropped]` | `waiting` | `meter`, `sink`, `start`, `end`, `sequence` |
  | `[:ad_tally, :late, :handed]` | `duration`, `events` | `meter` |
  | `[:ad_tally, :late, :failed]` | `duration`, `events` | `meter`, `reason` |

  `duration` is in native units of time, see `System.convert_time_unit/3`; `pause`, `start` and `end`
  are in milliseconds.

    * `[:meter, :events]` and `[:meter, :memory]` come every 10 seconds, see `:telemetry_interval` of
      `AdTally.Meter.start_link/1`, whether or not a window closes. The counts of `[:meter, :events]`
      are events since the last one, which was `duration` ago: sums of them are those of
      `AdTally.Meter.info/1`. A last one comes when the meter is stopped.
    * `[:window, :closed]` has the numbers of that window: its rows, `totals` by metric of all that was
      counted in it (`%{clicks: 12, spend_micros: 4_500}`), `overflow` by metric of the part of them
      that had no row, and its memory in bytes. Of windows that are closed together the first one has
      the duration of that.
    * `[:sink, ...]`: `waiting` are windows that the sink has still to take, `failures` how often it has
      failed since it last took one. A dropped window is one that was given up because more than
      `:max_waiting` waited.
    * `[:late, ...]` are lists of late events for `:on_late`: the function has returned, or has failed.

  Handlers run in a process of their own, one event after the other. They may take long, raise (then
  `:telemetry` detaches them) or call the meter: it goes on meanwhile. While a handler has not returned,
  at most 1,000 events wait, of `[:meter, :events]` and `[:meter, :memory]` one each; further ones are
  dropped, which is logged. A meter that is stopped waits a second for its handlers.

      :telemetry.attach("rollups", [:ad_tally, :sink, :failed], &MyApp.Alerts.sink_failed/4, nil)
  """

  @compile {:no_warn_undefined, :telemetry}

  @doc false
  @spec available?() :: boolean()
  # Whoever listens has had it loaded.
  def available?, do: function_exported?(:telemetry, :execute, 3)

  @doc false
  @spec execute([atom(), ...], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    if available?(), do: :telemetry.execute([:ad_tally | event], measurements, metadata)

    :ok
  end
end
