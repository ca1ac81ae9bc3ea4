defmodule AdTally.Telemetry do
  @moduledoc """
  What a meter tells `:telemetry`, where that library is there. None of it is per event.

  | event | measurements | metadata |
  | --- | --- | --- |
  | `[:ad_tally, :window, :closed]` | `duration`, `rows`, `received`, `applied`, `duplicate`, `late`, `future`, `overflow`, `refused` | `meter`, `start`, `end`, `sequence`, `partial` |
  | `[:ad_tally, :sink, :delivered]` | `duration`, `waiting` | `meter`, `sink`, `start`, `end`, `sequence` |
  | `[:ad_tally, :sink, :failed]` | `duration`, `waiting`, `failures`, `pause` | `meter`, `sink`, `start`, `end`, `sequence`, `reason` |
  | `[:ad_tally, :sink, :dropped]` | `waiting` | `meter`, `sink`, `start`, `end`, `sequence` |
  | `[:ad_tally, :late, :handed]` | `duration`, `events` | `meter` |
  | `[:ad_tally, :late, :failed]` | `duration`, `events` | `meter`, `reason` |
  | `[:ad_tally, :meter, :memory]` | `bytes`, `open_windows`, `kept_windows` | `meter` |

  `duration` is in native units of time, see `System.convert_time_unit/3`; `pause`, `start` and `end`
  are in milliseconds. `rows` are those of the window's counters. `received` and what follows it are
  events of the whole meter since the last `[:ad_tally, :window, :closed]`: late ones and copies
  belong to no window. Of windows that are closed together, the first one has them, and the
  duration. `waiting` are windows that the sink has still to take, `failures` how often it has
  failed since it last took one. A dropped window is one that was given up because more than
  `:max_waiting` waited. Memory is told every ten seconds.

  Whoever listens is called in processes of the meter, which wait meanwhile: be quick there, and do
  not call the meter.

      :telemetry.attach("rollups", [:ad_tally, :sink, :failed], &MyApp.Alerts.sink_failed/4, nil)
  """

  @compile {:no_warn_undefined, :telemetry}

  @doc false
  @spec execute([atom(), ...], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    # Whoever listens has had it loaded.
    if function_exported?(:telemetry, :execute, 3),
      do: :telemetry.execute([:ad_tally | event], measurements, metadata)

    :ok
  end
end
