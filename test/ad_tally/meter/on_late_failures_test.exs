defmodule AdTally.Meter.OnLateFailuresTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Meter}
  alias AdTally.Test.LogLines
  alias AdTally.Test.MeterSinks.Telling

  @moduletag :capture_log
  @begin 1_780_272_000_000

  setup context do
    name = Module.concat(__MODULE__, "Meter#{context.line}")
    # Found by the function for late events, which is given nothing but them.
    Process.register(self(), Module.concat(name, Test))
    lines = LogLines.start(inspect(name))
    test = self()

    :ok =
      :telemetry.attach_many(
        name,
        for(what <- [:handed, :failed, :dropped], do: [:ad_tally, :late, what]),
        fn [:ad_tally, :late, what], measured, metadata, nil ->
          if metadata[:meter] == name, do: send(test, {what, measured.events})
        end,
        nil
      )

    on_exit(fn ->
      LogLines.stop(lines)
      :telemetry.detach(name)
    end)

    start_supervised!(
      {Meter,
       name: name,
       dimensions: [:whose, :what],
       metrics: [:n],
       clock: :events,
       window: 100,
       lateness: 0,
       flush: 2_000,
       on_late: {__MODULE__, :late},
       sinks: [{Telling, to: self()}]},
      id: name
    )

    assert Meter.record(name, event(name, :good, @begin + 60_000)) == :ok
    {:ok, name: name}
  end

  defp event(name, what, at \\ @begin),
    do: %Event{at: at, dimensions: {name, what}, metrics: [n: 1]}

  def late([%Event{dimensions: {name, what}} | _] = events) do
    test = Process.whereis(Module.concat(name, Test))
    send(test, {:given, self(), what, length(events)})
    late(what, name, test)
  end

  defp late(:good, _name, _test), do: :ok
  defp late(:sleeps, _name, _test), do: receive(do: (:go_on -> :ok))
  defp late(:raises, _name, _test), do: raise("on request")
  defp late(:exits, _name, _test), do: exit(:on_request)
  defp late(:throws, _name, _test), do: throw(:on_request)
  defp late(:is_killed, _name, _test), do: Process.exit(self(), :kill)

  defp late(:calls_the_meter, name, test) do
    again = Meter.record(name, event(name, :again, @begin + 60_000))
    send(test, {:answers, again, Meter.info(name), Meter.report(name, by: [:what])})
  end

  for what <- [:sleeps, :raises, :exits, :throws, :is_killed] do
    test "a function that #{what} harms nobody", %{name: name} do
      what = unquote(what)
      assert Meter.record(name, event(name, what)) == :late
      assert_receive {:given, _pid, ^what, 1}
      # Windows are closed and delivered meanwhile, and the meter answers.
      at = @begin + 120_000
      assert Meter.record(name, event(name, :good, at)) == :ok
      assert_receive {:window, %{sequence: 1}, _counters, _reach}
      assert %{on_late: %{handed: 0}, events: %{late: 1}} = Meter.info(name)

      assert_failed(name, what)

      stop_supervised!(name)
      assert_received {:window, %{sequence: 2}, _counters, _reach}
    end
  end

  defp assert_failed(_name, :sleeps), do: :ok

  defp assert_failed(name, _what) do
    assert_receive {:failed, 1}
    assert_receive {:logged, :error, line}
    assert line =~ "AdTally.Meter.OnLateFailuresTest.late has not taken 1 late events"
    assert Meter.record(name, event(name, :good)) == :late
    assert_receive {:given, _pid, :good, 1}
    assert_receive {:handed, 1}
  end

  test "a function may call the meter", %{name: name} do
    assert Meter.record(name, event(name, :calls_the_meter)) == :late
    assert_receive {:answers, :ok, info, report}
    assert %{events: %{late: 1, applied: 2}, on_late: %{waiting: 1}} = info
    assert Enum.sort_by(report, & &1.what) == [%{what: :again, n: 1}, %{what: :good, n: 1}]
    assert_receive {:handed, 1}
  end

  test "a function that raises at every list does not fill the log", %{name: name} do
    begin = System.monotonic_time(:millisecond)
    send_for(name, begin + 500)
    stop_supervised!(name)
    passed = System.monotonic_time(:millisecond) - begin
    # A list each tenth of a second, and what is left when the meter stops.
    assert length(logged([])) <= div(passed, 100) + 2
  end

  test "that events are dropped is told once, not for each", %{name: name} do
    assert Meter.record(name, event(name, :sleeps)) == :late
    assert_receive {:given, pid, :sleeps, 1}
    late = List.duplicate(event(name, :good), 50_000)
    assert %{late: 50_000} = Meter.record_many(name, late)
    assert Meter.info(name).on_late.dropped == 0
    for _ <- 1..3, do: assert(%{late: 50_000} = Meter.record_many(name, late))
    assert %{waiting: 100_000, dropped: 100_001} = Meter.info(name).on_late
    assert_receive {:dropped, first}
    assert first in 1..100_001
    assert_receive {:logged, :warning, line}

    assert line =~
             "has dropped #{first} late events, because 100000 wait for AdTally.Meter.OnLateFailuresTest.late"

    send(pid, :go_on)
    for _ <- 1..100, do: assert_receive({:handed, _count})
    refute_received {:dropped, _more}
  end

  defp send_for(name, until) do
    if System.monotonic_time(:millisecond) < until do
      :late = Meter.record(name, event(name, :raises))
      Process.sleep(1)
      send_for(name, until)
    end
  end

  defp logged(lines) do
    receive do
      {:logged, :error, line} -> logged([line | lines])
    after
      0 -> lines
    end
  end
end
