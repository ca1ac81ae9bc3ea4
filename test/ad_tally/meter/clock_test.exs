defmodule AdTally.Meter.ClockTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

  alias AdTally.{Meter, Window}

  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  test "events close windows, and what comes later for them is late", %{name: name} do
    start(name, lateness: 0, window: 100)
    assert Meter.record(name, event(id: 1)) == :ok
    assert Meter.record(name, event(id: 2, at: @begin + 250)) == :ok

    assert_receive {:window, %Window{start: @begin, sequence: 1, partial: false},
                    [{{42, 7, "us"}, totals}], _reach}

    assert totals == %{impressions: 1, clicks: 0, spend_micros: 0}
    assert Meter.record(name, event(id: 3, metrics: [spend_micros: 70])) == :late
    # It was not remembered.
    assert Meter.record(name, event(id: 3, at: @begin + 260)) == :ok
    info = Meter.info(name)
    assert %{received: 4, applied: 3, late: 1} = info.events
    assert info.excluded.late == %{impressions: 0, clicks: 0, spend_micros: 70}

    assert {info.closed_windows, info.open_windows, info.newest} == {1, 1, @begin + 260}

    # What was closed is in reports all the same.
    assert [%{impressions: 3}] = Meter.report(name, by: [:campaign])
  end

  test "time alone closes windows, and what is too far ahead is not believed", %{name: name} do
    start(name, clock: :system, window: 100, lateness: 50, max_ahead: 60_000)
    now = System.system_time(:millisecond)
    assert Meter.record(name, event(at: now - 1_000)) == :late
    assert Meter.record(name, event(at: now)) == :ok
    assert Meter.record(name, event(at: now + 120_000, metrics: [clicks: 5])) == :future
    assert_receive {:window, %Window{partial: false}, [{{42, 7, "us"}, _totals}], _reach}
    assert Meter.record(name, event(at: now - 1_000)) == :late
    assert %{events: %{future: 1, late: 2}, excluded: %{future: %{clicks: 5}}} = Meter.info(name)
  end

  test "by the system's clock what events claim closes nothing", %{name: name} do
    start(name, clock: :system, window: 100, lateness: 60_000, max_ahead: 3_600_000)
    now = System.system_time(:millisecond)
    event = fn id, at -> event(id: id, at: at) end
    assert Meter.record(name, event.(1, now + 3_600_000)) == :ok
    # Longer than anything that has a part in it is ahead, and more than a tick later.
    assert Meter.record(name, event.(2, now)) == :ok
    assert %{ok: 2, late: 0} = Meter.record_many(name, [event.(3, now), event.(4, now - 50_000)])
    wait_for_ticks(name, 3)
    assert Meter.record(name, event.(5, now - 50_000)) == :ok
    assert %{ok: 1, late: 1} = Meter.record_many(name, [event.(6, now), event.(7, now - 61_000)])
    assert %{closed_windows: 0, open_windows: 3, events: %{late: 1}} = Meter.info(name)
  end

  # Until the meter has looked that often whether windows are to be closed.
  defp wait_for_ticks(name, count) do
    pid = Process.whereis(name)
    :erlang.trace(pid, true, [:receive])
    for _ <- 1..count, do: assert_receive({:trace, ^pid, :receive, :tick})
    :erlang.trace(pid, false, [:receive])
  end

  test "by the system's clock a window is closed within a tick of its time", %{name: name} do
    start(name, clock: :system, window: 500, lateness: 500, max_ahead: 60_000)
    now = System.system_time(:millisecond)
    # Ahead of it, and at the same time, though that is long over by the first one's.
    assert Meter.record(name, event(at: now + 50_000)) == :ok
    assert Meter.record(name, event(at: now)) == :ok

    assert_receive {:window, %Window{end: end_, sequence: 1, partial: false}, _rows, _reach},
                   5_000

    assert now < end_ and end_ <= now + 500
    assert System.system_time(:millisecond) >= end_ + 500
    assert Meter.record(name, event(at: now)) == :late
  end

  test "time may begin at 0", %{name: name} do
    start(name, dimensions: [:page], metrics: [:n], clock: :events, window: 1_000, reach: false)

    for at <- [0, 999, 998, 1_000, 1_999, 0],
        do: assert(Meter.record(name, event(at: at, dimensions: {1}, metrics: [n: 1])) == :ok)

    events =
      for at <- [0, 999, 998, 1_000, 1_999, 0],
          do: event(at: at, dimensions: {1}, metrics: [n: 1])

    assert %{ok: 6, late: 0} = Meter.record_many(name, events)
    assert [%{n: 8}] = Meter.report(name, by: [:page], from: 0, to: 1_000)
    assert [%{n: 12}] = Meter.report(name, by: [:page], from: 0, to: 2_000)
  end
end
