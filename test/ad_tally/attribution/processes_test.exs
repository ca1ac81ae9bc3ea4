defmodule AdTally.Attribution.ProcessesTest do
  # The processes that an attribution has in common with a meter: closing, sinks, stopping, telemetry and
  # warnings. What they do at length is tested with a meter.
  use ExUnit.Case, async: true

  import AdTally.Test.AttributionWindows, except: [window: 1, window: 2]
  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Attribution, Meter}
  alias AdTally.Attribution.Window
  alias AdTally.Test.LogLines
  alias AdTally.Test.MeterSinks.Forwarding

  @minute 60_000

  defmodule Refusing do
    @behaviour AdTally.Sink

    # Takes a window once `tries` are zero.
    @impl true
    def deliver(window, to: pid, tries: tries) do
      if :counters.get(tries, 1) > 0 do
        :counters.sub(tries, 1, 1)
        {:error, :busy}
      else
        send(pid, {:window, window})
        :ok
      end
    end
  end

  setup context do
    name = Module.concat(__MODULE__, "Attribution#{context.line}")
    on_exit(fn -> :telemetry.detach(name) end)
    {:ok, name: name}
  end

  defp start(name, more \\ []),
    do: start_supervised!({Attribution, options([name: name] ++ more)}, id: name)

  defp tell(name, events) do
    test = self()

    tell = fn [:ad_tally | event], measured, metadata, nil ->
      if metadata[:attribution] == name, do: send(test, {event, measured, metadata})
    end

    :ok = :telemetry.attach_many(name, for(event <- events, do: [:ad_tally | event]), tell, nil)
  end

  describe "windows are closed" do
    test "by the clock, in order, and not partial", %{name: name} do
      start(name)
      for n <- 0..2, do: assert(Attribution.touch(name, touch(n, after: n * @minute)) == :ok)
      assert_receive {:window, %Window{sequence: 1, partial: false} = first}
      assert_receive {:window, %Window{sequence: 2, partial: false} = second}
      assert {first.start, second.start} == {begin(), begin() + @minute}
      refute_received {:window, _third}
      assert Attribution.touch(name, touch(9)) == :late
    end

    test "by close/2, with whatever is booked in them", %{name: name} do
      start(name)
      assert Attribution.close(name) == :ok
      refute_received {:window, _window}
      assert Attribution.convert(name, conversion(9, value_micros: 100)) == :ok
      assert Attribution.close(name) == :ok
      assert_received {:window, %Window{sequence: 1, partial: true} = window}
      assert [%{value_micros: 100} | _] = Window.credits(window)

      # A refund of what is final is in a window to come.
      assert Attribution.adjust(name, 9, :retract, begin() + 1) == :ok
      assert Attribution.close(name) == :ok
      assert_received {:window, %Window{sequence: 2} = window}
      assert [%{value_micros: -100, conversions_ppm: -1_000_000} | _] = Window.credits(window)
      assert Attribution.close(name) == :ok
      refute_received {:window, _window}
    end

    test "when it is stopped, and it is not found any more", %{name: name} do
      start(name)
      assert Attribution.touch(name, touch(1)) == :ok
      assert Attribution.convert(name, conversion(9, after: 5, value_micros: 7)) == :ok
      stop_supervised!(name)
      assert_received {:window, %Window{partial: true} = window}
      assert [%{touch: 1, value_micros: 7}, %{touch: 1, value_micros: 7}] = Window.credits(window)
      message = "there is no AdTally.Attribution named #{inspect(name)} that runs"

      for call <- [
            fn -> Attribution.touch(name, touch(2)) end,
            fn -> Attribution.close(name) end,
            fn -> Attribution.info(name) end
          ],
          do: assert(assert_raise(ArgumentError, call).message =~ message)

      # Of another kind the name is free, and not found as an attribution.
      start_supervised!({Meter, name: name, dimensions: [:page], metrics: [:views]})
      assert assert_raise(ArgumentError, fn -> Attribution.info(name) end).message =~ message
    end

    test "and delivered again until a sink takes them; others do not wait", %{name: name} do
      tries = :counters.new(1, [])
      :counters.put(tries, 1, 2)

      log =
        capture_log(fn ->
          start(name, sinks: [{Refusing, to: self(), tries: tries}, {Forwarding, to: self()}])
          assert Attribution.touch(name, touch(1)) == :ok
          assert Attribution.close(name, 10) == {:error, :timeout}
          assert_receive {:window, %Window{sequence: 1}}
          assert Attribution.close(name) == :ok
          assert_received {:window, %Window{sequence: 1}}
          await(fn -> match?([%{failed: 2, delivered: 1}, _], Attribution.info(name).sinks) end)
        end)

      assert log =~
               "AdTally.Attribution #{inspect(name)}: AdTally.Attribution.ProcessesTest.Refusing has not taken " <>
                 "window 1 of #{begin()}, again in 100 ms: :busy"
    end
  end

  test "memory is that of users, orders, dimensions and windows", %{name: name} do
    start(name, retain: 1)
    empty = Attribution.info(name)

    assert Map.keys(empty.memory) |> Enum.sort() ==
             [:keys, :open_windows, :orders, :retained_windows, :users, :waiting_windows]

    touches = for id <- 1..2_000, do: touch(id, user: id, dimensions: {id, 7})
    assert %{ok: 2_000} = Attribution.touch_many(name, touches)
    touched = Attribution.info(name).memory
    for part <- [:keys, :open_windows], do: assert(touched[part] > empty.memory[part] + 50_000)
    assert touched.orders == empty.memory.orders

    conversions = for order <- 1..2_000, do: conversion(order, user: order, value_micros: 1)
    assert %{ok: 2_000} = Attribution.convert_many(name, conversions)
    %{memory: filled} = info = Attribution.info(name)
    assert info.memory_bytes == filled |> Map.values() |> Enum.sum()
    assert filled.orders > touched.orders + 50_000
    assert filled.keys == touched.keys

    assert Attribution.close(name) == :ok
    assert_received {:window, window}
    closed = Attribution.info(name)
    assert closed.closed_windows == 1
    assert closed.memory.open_windows < filled.open_windows
    # It is referred to here.
    assert closed.memory.retained_windows + closed.memory.waiting_windows > 50_000
    assert length(Window.touches(window)) == 2_000
  end

  test "memory of open windows is that of all of them, however many there are", %{name: name} do
    start(name, lateness: 365 * 24 * 60 * @minute)

    [{500, some}, {1_000, twice_as_many}] =
      for ids <- [1..500, 501..1_000] do
        for id <- ids, do: assert(Attribution.touch(name, touch(id, after: id * @minute)) == :ok)
        info = Attribution.info(name)
        {info.open_windows, info.memory.open_windows}
      end

    # Each has one touch.
    assert some > 0 and twice_as_many == 2 * some
  end

  describe "telemetry" do
    test "has the numbers of intervals, memory, windows and sinks", %{name: name} do
      tell(name, [
        [:attribution, :events],
        [:attribution, :memory],
        [:window, :closed],
        [:sink, :delivered]
      ])

      start(name, telemetry_interval: 3_600_000)
      for id <- 1..3, do: assert(Attribution.touch(name, touch(id, cost_micros: 5)) == :ok)
      assert Attribution.touch(name, touch(1, cost_micros: 5)) == :duplicate
      assert_raise ArgumentError, fn -> Attribution.touch(name, touch(4, kind: :banner)) end
      assert Attribution.convert(name, conversion(9, after: 1, value_micros: 100)) == :ok
      assert Attribution.convert(name, conversion(10, user: "eve", value_micros: 1)) == :ok
      assert Attribution.adjust(name, 9, {:restate, 60}, begin() + 9) == :ok
      assert Attribution.close(name) == :ok

      assert_receive {[:window, :closed], closed, %{sequence: 1, partial: true} = metadata}

      assert metadata == %{
               attribution: name,
               start: begin(),
               end: begin() + @minute,
               sequence: 1,
               partial: true
             }

      assert %{touches: 3, cost_micros: 15, conversions: 2, value_micros: 61, memory_bytes: bytes} =
               closed

      assert bytes > 0 and closed.rows > 0 and closed.duration > 0
      assert_receive {[:sink, :delivered], %{waiting: 0}, %{sequence: 1, sink: Forwarding}}

      # With the next tick.
      assert_receive {[:attribution, :memory], memory, metadata}
      assert %{bytes: bytes, open_windows: 0, retained_windows: 1} = memory
      assert bytes > 0
      assert metadata == %{attribution: name}

      stop_supervised!(name)
      assert_receive {[:attribution, :events], counts, %{attribution: ^name}}

      assert %{
               touches_received: 5,
               touches_applied: 3,
               touches_duplicate: 1,
               touches_late: 0,
               touches_future: 0,
               touches_refused: 1,
               conversions_received: 2,
               conversions_applied: 2,
               attributed: 1,
               unattributed: 1,
               adjustments_received: 1,
               adjustments_applied: 1,
               evicted_touches: 0
             } = counts

      assert counts.duration > 0
    end
  end

  describe "a warning is logged" do
    setup %{name: name} do
      lines = LogLines.start("AdTally.Attribution #{inspect(name)}: ")
      on_exit(fn -> LogLines.stop(lines) end)
      :ok
    end

    @tag :capture_log
    test "if most touches or conversions are late, ahead or refused, with the cause", %{
      name: name
    } do
      start(name, clock: :system, lateness: 1_000, warning_interval: 50)
      now = System.system_time(:millisecond)
      assert Attribution.touch(name, touch(1, at: div(now, 1_000))) == :late

      LogLines.await(
        :warning,
        "1 of 1 touches of the last 50 ms were late, too far ahead or refused (late: 1, future: 0, refused: 0). Likeliest cause: times look like seconds"
      )

      assert Attribution.convert(name, conversion(1, at: now + 3 * 3_600_000)) == :future
      LogLines.await(:warning, "1 of 1 conversions of the last 50 ms were")
      assert Attribution.convert(name, conversion(1, at: now + 3 * 3_600_000)) == :future
      LogLines.await(:warning, "is off by 3 h")

      assert_raise ArgumentError, fn ->
        Attribution.touch(name, touch(2, at: now, kind: :banner))
      end

      LogLines.await(:warning, "the last one was refused because")
      # Most are of use.
      assert %{ok: 9} = Attribution.touch_many(name, for(id <- 11..19, do: touch(id, at: now)))
      assert Attribution.touch(name, touch(20, at: div(now, 1_000))) == :late
      refute_receive {:logged, :warning, _line}, 200
    end
  end
end
