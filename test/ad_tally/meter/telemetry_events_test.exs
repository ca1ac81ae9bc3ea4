defmodule AdTally.Meter.TelemetryEventsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import ExUnit.CaptureLog

  alias AdTally.Meter
  alias AdTally.Test.MeterSinks.Telling

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  test "has telemetry events of outcomes, memory, windows, sinks and late events", %{name: name} do
    test = self()

    events =
      for event <- [
            [:window, :closed],
            [:sink, :delivered],
            [:sink, :failed],
            [:late, :handed],
            [:meter, :memory]
          ],
          do: [:ad_tally | event]

    tell = fn [:ad_tally | event], measured, metadata, _config ->
      if metadata[:meter] == name, do: send(test, {event, measured, metadata})
    end

    :ok = :telemetry.attach_many(name, events, tell, nil)
    tries = :counters.new(1, [])

    answer = fn _window ->
      :counters.add(tries, 1, 1)
      if :counters.get(tries, 1) == 1, do: {:error, :busy}, else: :ok
    end

    capture_log(fn ->
      start(name,
        lateness: 0,
        window: @minute,
        max_waiting: 2,
        on_late: {Function, :identity},
        sinks: [{Telling, to: self(), answer: answer}]
      )

      assert Meter.record(name, event(id: 1)) == :ok
      assert Meter.record(name, event(id: 1)) == :duplicate
      assert Meter.record(name, event(dimensions: {1, 1, 1})) == :ok
      assert_raise ArgumentError, fn -> Meter.record(name, event(at: nil)) end
      assert Meter.record(name, event(at: @begin + @minute)) == :ok

      assert_receive {[:window, :closed], closed, %{sequence: 1, partial: false} = metadata}

      assert %{start: @begin, end: end_} = metadata
      assert end_ == @begin + @minute

      assert %{rows: 2, duration: duration, memory_bytes: memory} = closed
      assert duration > 0 and memory > 0
      assert closed.totals == %{impressions: 2, clicks: 0, spend_micros: 0}
      assert closed.overflow == %{impressions: 0, clicks: 0, spend_micros: 0}

      assert Meter.record(name, event()) == :late

      assert_receive {[:sink, :failed], %{failures: 1, waiting: 1, pause: 100}, %{reason: :busy}}

      assert_receive {[:sink, :delivered], %{waiting: 0, duration: _}, %{sink: Telling}}
      assert_receive {[:late, :handed], %{events: 1, duration: _}, _metadata}

      assert_receive {[:meter, :memory], %{bytes: bytes, open_windows: _, retained_windows: _}, _}

      assert bytes > 0

      stop_supervised!(name)

      assert_receive {[:window, :closed], %{rows: 1}, %{partial: true}}

      assert_receive {[:sink, :delivered], %{waiting: 0}, %{sequence: 2}}
    end)
  end
end
