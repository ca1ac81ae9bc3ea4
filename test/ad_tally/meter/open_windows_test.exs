defmodule AdTally.Meter.OpenWindowsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import AdTally.Test.Polling

  alias AdTally.{Meter, Named, Native}

  require Named

  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  test "beyond :max_open_windows an event has no window, which shows, and is not remembered", %{
    name: name
  } do
    times = [window: 50, lateness: 1_000, max_ahead: 50]
    pid = start(name, [clock: :system, max_open_windows: 23] ++ times)

    # Nobody closes windows, as when what the meter calls hangs.
    :sys.suspend(pid)
    now = fn -> System.system_time(:millisecond) end
    first = now.()
    assert Meter.record(name, event(id: :first, at: first)) == :ok

    # Until as many are open.
    await(fn -> Meter.record(name, event(at: now.())) == :no_window end)
    assert Native.meter_info(native(name)).open_windows == 23
    before = Native.meter_info(native(name))
    spent = event(id: :later, at: now.() + 50, metrics: [spend_micros: 5])
    assert Meter.record(name, spent) == :no_window

    # A copy is one all the same, and others have the windows that there are.
    copy = event(id: :first, at: now.() + 50)
    events = [spent, copy, event(id: :again, at: first)]

    assert Meter.record_many(name, events) ==
             %{ok: 1, duplicate: 1, late: 0, future: 0, no_window: 1, overflow: 0}

    :sys.resume(pid)
    info = Meter.info(name)
    assert info.events.no_window == before.events.no_window + 2
    assert info.excluded.no_window.spend_micros == 10
    assert info.excluded.duplicate.impressions == 1
    # There is room once some are closed, and it was not remembered.
    await(fn -> Meter.info(name).open_windows < 23 end)
    assert Meter.record(name, %{spent | at: now.()}) == :ok
  end

  defp native(name) do
    {native, _late} = Named.fetch!(Meter, name)
    native
  end

  test "more windows than one step closes are closed, delivered and reported in their order", %{
    name: name
  } do
    start(name, dedupe: false, window: 1_000, lateness: 0, max_open_windows: 1_000)
    # Ones that are left for the next tick, whenever that comes.
    events = for step <- 0..499, do: event(at: @begin + 1_000 * step)
    assert %{ok: ok, late: late} = Meter.record_many(name, Enum.reverse(events))
    assert ok + late == 500 and ok >= 1

    assert %{ok: 500} =
             Meter.record_many(name, for(step <- 500..999, do: event(at: @begin + 1_000 * step)))

    assert [%{impressions: impressions}] = Meter.report(name, by: [])
    assert impressions == ok + 500
    await(fn -> Meter.info(name).open_windows == 1 end)
    assert [%{impressions: ^impressions}] = Meter.report(name, by: [])
    stop_supervised!(name)
    windows = for {window, _counters, _reach} <- delivered(), do: window
    assert Enum.map(windows, & &1.sequence) == Enum.to_list(1..length(windows))
    assert Enum.map(windows, & &1.start) == windows |> Enum.map(& &1.start) |> Enum.sort()
    assert length(windows) == impressions
    assert Enum.map(windows, & &1.partial) == List.duplicate(false, impressions - 1) ++ [true]
  end

  test "rejects a :max_open_windows that is too small for the lateness", %{name: name} do
    options = [name: name, dimensions: [:campaign], metrics: [:clicks]]

    for {more, least} <- [
          # Every window from a lateness ago to as far ahead as is let in, and one that is still
          # to be closed.
          {[window: 1_000, lateness: 60_000, max_ahead: 10_000], 72},
          {[window: 1_000, lateness: 60_000, clock: :events], 62},
          {[window: 60_000, lateness: 0, max_ahead: 60_000], 3},
          {[window: 1_000, lateness: 86_400_000], 86_403}
        ] do
      message = ~r/:max_open_windows to be at least #{least}, .* got: #{least - 1}/
      options = more ++ options

      assert_raise ArgumentError, message, fn ->
        Meter.start_link([max_open_windows: least - 1] ++ options)
      end

      {:ok, pid} = Meter.start_link([max_open_windows: least] ++ options)
      GenServer.stop(pid)
    end

    # As many as it needs by default.
    {:ok, pid} = Meter.start_link([window: 1_000, lateness: 86_400_000] ++ options)
    GenServer.stop(pid)
  end
end
