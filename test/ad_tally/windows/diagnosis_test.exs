defmodule AdTally.Windows.DiagnosisTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Meter}
  alias AdTally.Test.LogLines
  alias AdTally.Windows.Diagnosis

  @moduletag :capture_log

  @now 1_780_272_000_000
  @hour 3_600_000
  @minute 60_000
  @fine %{applied: 0, duplicate: 0, overflow: 0, late: 0, future: 0, no_window: 0, refused: 0}

  # What would be said of such events, each of which is counted here by itself.
  defp line(counts, examples, newest \\ nil) do
    examples = Map.merge(%{late: 0, future: 0, refused: nil}, Map.new(examples))

    Diagnosis.warning(
      Meter.Source.diagnosed(),
      Map.merge(@fine, Map.new(counts)),
      @minute,
      {examples.late, examples.future, examples.refused},
      @now,
      newest
    )
  end

  describe "a warning is logged" do
    test "if more than half of the events were late, future or refused, and not otherwise" do
      assert line([]) == nil
      assert line(applied: 10) == nil
      # Copies and what has no row are counted as they should be.
      assert line(duplicate: 10, overflow: 5, late: 15) == nil
      assert line(applied: 6, late: 2, future: 2, refused: 2) == nil

      assert line(applied: 5, late: 1, future: 2, refused: 3) =~
               "6 of 11 events of the last 60 s were not counted (late: 1, future: 2, no_window: 0, refused: 3). " <>
                 "Likeliest cause: "

      assert line(late: 1) =~ "1 of 1 events"
    end

    defp line(counts), do: line(counts, refused: {nil, "of something"})
  end

  describe "the likeliest cause" do
    test "of late events are times in seconds" do
      assert line([late: 1], late: div(@now, 1_000)) =~
               "times look like seconds, :at is in milliseconds; the last late event's was 1780272000"

      # Also of a log that is thirty years old.
      assert line([late: 1], late: div(@now, 1_000) - 30 * 365 * 86_400) =~ "look like seconds"
    end

    test "or that they are older than the meter permits" do
      late = line([late: 1], late: @now - 10 * @minute)
      assert late =~ "events are older than :window and :lateness allow"
      assert late =~ ":at, 2026-05-31T23:50:00.000Z, is 10 min before the system's time"
      refute late =~ "zone"

      late = line([late: 1], [late: @now - 90 * @minute], @now + 100)
      assert late =~ "is 90 min before the newest, 2026-06-01T00:00:00.100Z"
      refute late =~ "zone"
    end

    test "by whole hours, which may be a time zone" do
      assert line([late: 1], late: @now - 5 * @hour - 30_000) =~
               "if all are, a clock or a time zone is off by 5 h"
    end

    test "or that a time far ahead was counted, where events are the clock" do
      assert line([late: 1], [late: @now], @now + 1_000 * @hour) =~
               "a time far ahead, 2026-07-12T16:00:00.000Z, was counted and made all events before it late"
    end

    test "of future events is a clock or a time zone" do
      assert line([future: 1], future: @now + 2 * @hour - 20_000) =~
               "a clock or a time zone is off by 2 h"

      assert line([future: 1], future: @now + 11 * div(@hour, 2)) =~ "is off by 5.5 h"
      assert line([future: 1], future: @now + 23 * div(@hour, 4)) =~ "is off by 5.75 h"
      assert line([future: 1], future: @now + 90_000) =~ "a clock is off by 90 s"
    end

    test "of refused events are times in microseconds or nanoseconds, or else the reason" do
      assert line([refused: 1], refused: {@now * 1_000, "a time is"}) =~
               "times look like microseconds, :at is in milliseconds; the last refused one was 1780272000000000"

      assert line([refused: 1], refused: {@now * 1_000_000, "a time is"}) =~
               "look like nanoseconds"

      for refused <- [{nil, "of this"}, {-1, "of this"}],
          do: assert(line([refused: 1], refused: refused) =~ "was refused because of this")
    end

    test "of events without a window is that too many are open" do
      assert line([no_window: 1], []) =~ ":max_open_windows are open"
    end

    test "is that of the most" do
      examples = [late: 1, future: @now + @hour, refused: {nil, "of this"}]
      assert line([late: 2, future: 3, refused: 1], examples) =~ "off by 1 h"
      assert line([late: 3, future: 2, refused: 4], examples) =~ "because of this"
      assert line([late: 4, future: 2, refused: 3], examples) =~ "are older than"
    end
  end

  describe "a meter logs it once an interval" do
    setup context do
      name = Module.concat(__MODULE__, "Meter#{context.line}")
      lines = LogLines.start("#{inspect(name)}: ")
      on_exit(fn -> LogLines.stop(lines) end)
      {:ok, name: name, time: System.system_time(:millisecond)}
    end

    defp start(name, options) do
      defaults = [name: name, dimensions: [:campaign], metrics: [:clicks], warning_interval: 50]
      start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
    end

    defp event(at, fields \\ []),
      do: struct!(%Event{at: at, dimensions: {42}, metrics: [clicks: 1]}, fields)

    defp assert_logged(words) do
      assert_receive {:logged, :warning, line}
      # What takes longer than an interval is in the next line as well.
      if line =~ words, do: :ok, else: assert_logged(words)
    end

    test "with the cause of its last event of that kind", %{name: name, time: time} do
      start(name, clock: :system)

      for {at, outcome, words} <- [
            {div(time, 1_000), :late, "times look like seconds"},
            {time - 10 * @hour, :late, "off by 10 h"},
            {time + 3 * @hour, :future, "a clock or a time zone is off by 3 h"}
          ] do
        assert Meter.record(name, event(at)) == outcome
        assert_logged("1 of 1 events of the last 50 ms were not counted")
        # In lists as well.
        many = Meter.record_many(name, List.duplicate(event(at), 300))
        assert many[outcome] == 300
        assert_logged(words)
      end

      for {bad, words} <- [
            {event(time * 1_000), "times look like microseconds"},
            {event(time * 1_000_000), "times look like nanoseconds"},
            {event(time, metrics: [views: 1]), "refused because unknown metric :views"},
            {event(nil), "refused because a time is"},
            {:event, "refused because expected a %AdTally.Event{} struct"}
          ] do
        assert_raise ArgumentError, fn -> Meter.record(name, bad) end
        assert_logged(words)
        assert_raise ArgumentError, fn -> Meter.record_many(name, [bad]) end
        assert_logged(words)
        assert %{refused: [{0, _}]} = Meter.record_many(name, [bad], on_refused: :skip)
        assert_logged(words)
      end

      assert_raise ArgumentError, fn -> Meter.record_many(name, :events) end
      assert_logged("refused because record_many/3 takes proper lists")
    end

    test "also of events without a window", %{name: name} do
      options = [window: 50, lateness: 1_000, max_ahead: 50, max_open_windows: 23]
      start(name, [clock: :system] ++ options)
      # Nobody closes windows.
      :sys.suspend(name)
      now = fn -> System.system_time(:millisecond) end

      record_until_no_window = fn again ->
        Meter.record(name, event(now.())) == :no_window ||
          (Process.sleep(10) && again.(again))
      end

      record_until_no_window.(record_until_no_window)
      for _ <- 1..1_000, do: Meter.record(name, event(now.() + 50))
      assert_logged(":max_open_windows are open")
    end

    test "also where events are the clock", %{name: name} do
      start(name, clock: :events, lateness: 0, window: @minute)
      assert Meter.record(name, event(@now + @hour)) == :ok
      for _ <- 1..9, do: assert(Meter.record(name, event(@now - 10 * @hour)) == :late)
      assert_logged("before the newest, 2026-06-01T01:00:00.000Z")
    end

    test "and once only, and nothing where most are counted", %{name: name, time: time} do
      start(name, clock: :system)
      assert Meter.record(name, event(time - 10 * @hour)) == :late
      assert_logged("1 of 1 events")
      # One of several.
      events = [event(time), event(time), event(time - 10 * @hour)]
      assert %{ok: 2, late: 1} = Meter.record_many(name, events)
      refute_receive {:logged, _level, _line}, 200
    end
  end
end
