defmodule AdTally.TelemetryTest do
  # There is one default logger.
  use ExUnit.Case, async: false

  alias AdTally.{Attribution, Event, Meter, Telemetry}
  alias AdTally.Test.{AttributionWindows, LogLines}
  alias AdTally.Test.MeterSinks.{Forwarding, Telling}

  @moduletag :capture_log
  @begin 1_780_272_000_000

  doctest Telemetry

  setup context do
    name = Module.concat(__MODULE__, "Meter#{context.line}")
    lines = LogLines.start(inspect(name))

    on_exit(fn ->
      LogLines.stop(lines)
      Telemetry.detach_default_logger()
    end)

    {:ok, name: name}
  end

  defp start(name, options) do
    defaults = [
      name: name,
      dimensions: [:campaign],
      metrics: [:clicks, :spend_micros],
      clock: :events,
      window: 60_000,
      lateness: 0,
      max_keys: 1,
      sinks: [{Telling, to: self()}],
      on_late: {Function, :identity}
    ]

    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
  end

  defp event(at, fields \\ []),
    do: struct!(%Event{at: at, dimensions: {42}, metrics: [clicks: 1, spend_micros: 7]}, fields)

  defp lines(lines \\ []) do
    receive do
      {:logged, level, line} -> lines([{level, line} | lines])
    after
      0 -> Enum.reverse(lines)
    end
  end

  # One window on time, one when the meter stops, and a late event.
  defp run(name, options) do
    start(name, options)
    for _ <- 1..3, do: assert(Meter.record(name, event(@begin)) == :ok)
    assert Meter.record(name, event(@begin, dimensions: {43})) == :overflow
    assert Meter.record(name, event(@begin + 600_000)) == :ok
    assert Meter.record(name, event(@begin - 600_000)) == :late
    assert_receive {:window, %{sequence: 1}, _counters, _reach}
    stop_supervised!(name)
    lines()
  end

  test "the default logger logs a line each, at its level", %{name: name} do
    assert Telemetry.attach_default_logger(:notice) == :ok
    lines = run(name, telemetry_interval: 3_600_000)
    # Of two processes, so in any order.
    assert length(lines) == 6
    meter = Regex.escape("AdTally.Meter #{inspect(name)}")
    sink = inspect(Telling)

    for {level, line} <- [
          {:notice,
           "closed window 1 of 2026-06-01T00:00:00.000Z \\(rows: 1, clicks: 4, spend_micros: 28\\), some without a row"},
          {:notice,
           "closed window 2 of 2026-06-01T00:10:00.000Z \\(rows: 1, clicks: 1, spend_micros: 7\\), partial"},
          {:debug,
           ": #{sink} took window 1 of 2026-06-01T00:00:00.000Z in [0-9.]+ s \\(waiting: 0\\)"},
          {:debug,
           ": #{sink} took window 2 of 2026-06-01T00:10:00.000Z in [0-9.]+ s \\(waiting: 0\\)"},
          {:notice, "handed 1 late events to :on_late in [0-9.]+ s"},
          {:notice, "had 6 events in [0-9.]+ s \\(applied: 4, late: 1, overflow: 1\\)"}
        ] do
      assert Enum.any?(
               lines,
               &(match?({^level, _line}, &1) and elem(&1, 1) =~ ~r/^#{meter}:? ?#{line}$/)
             ),
             "#{line} is not among #{inspect(lines)}"
    end
  end

  test "an attribution's lines too", %{name: name} do
    assert Telemetry.attach_default_logger() == :ok
    options = AttributionWindows.options(name: name, telemetry_interval: 3_600_000)
    start_supervised!({Attribution, options}, id: name)
    assert Attribution.touch(name, AttributionWindows.touch(1, cost_micros: 9)) == :ok
    conversion = AttributionWindows.conversion(9, after: 1, value_micros: 100)
    assert Attribution.convert(name, conversion) == :ok
    stop_supervised!(name)
    attribution = Regex.escape("AdTally.Attribution #{inspect(name)}")
    texts = for {_level, text} <- lines(), do: text

    for line <- [
          "closed window 1 of 2026-06-01T00:00:00.000Z \\(rows: \\d+, touches: 1, cost_micros: 9, conversions: 1, " <>
            "value_micros: 100\\), partial",
          ": #{inspect(Forwarding)} took window 1 of 2026-06-01T00:00:00.000Z in [0-9.]+ s \\(waiting: 0\\)",
          "had 1 touches, 1 conversions and 0 adjustments in [0-9.]+ s \\(attributed: 1, conversions_applied: 1, touches_applied: 1\\)"
        ] do
      assert Enum.any?(texts, &(&1 =~ ~r/^#{attribution}:? ?#{line}$/)),
             "#{line} is not among #{inspect(texts)}"
    end
  end

  test "at :info by default, and nothing of an interval without events", %{name: name} do
    assert Telemetry.attach_default_logger() == :ok
    start(name, telemetry_interval: 10)
    assert Meter.record(name, event(@begin)) == :ok
    assert_receive {:logged, :info, line}
    assert line =~ "had 1 events in"
    refute_receive {:logged, :info, _line}, 100
  end

  test "the default logger is attached once, and detached", %{name: name} do
    assert Telemetry.attach_default_logger(level: :info) == :ok
    assert Telemetry.attach_default_logger() == {:error, :already_exists}
    assert Telemetry.detach_default_logger() == :ok
    assert Telemetry.detach_default_logger() == {:error, :not_found}
    assert run(name, []) == []
  end

  test "wrong options are named" do
    for level <- [:loud, nil, "info"], options <- [level, [level: level]], options != "info" do
      assert_raise ArgumentError, ~r/expected :level to be one of \[:emergency,/, fn ->
        Telemetry.attach_default_logger(options)
      end
    end

    assert_raise ArgumentError, ~r/unknown or repeated options \[:encode\]/, fn ->
      Telemetry.attach_default_logger(encode: true)
    end
  end
end
