defmodule AdTally.Meter.MemoryTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter}
  alias AdTally.Test.MeterSinks.Telling

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  describe "memory" do
    # Windows of 1,000 rows, each more than 100 kB, and of no others.
    @rows 1_000
    @least 100_000

    defp fill(name, minutes) do
      for minute <- minutes do
        events =
          for n <- 1..@rows,
              do: event(at: @begin + minute * @minute, dimensions: {n, 7, "us"}, user: n)

        assert %{ok: @rows} = Meter.record_many(name, events)
      end
    end

    defp memory(name) do
      %{memory: memory, memory_bytes: bytes} = Meter.info(name)

      assert Map.keys(memory) |> Enum.sort() == [
               :ids,
               :late_events,
               :open_windows,
               :retained_windows,
               :waiting_windows
             ]

      assert bytes == memory |> Map.values() |> Enum.sum()
      memory
    end

    test "is that of ids, and of open, retained and waiting windows", %{name: name} do
      gate = :atomics.new(1, [])
      takes = fn _window -> if :atomics.get(gate, 1) == 1, do: :ok, else: {:error, :busy} end

      log =
        capture_log(fn ->
          start(name,
            lateness: 0,
            retain: 1_000,
            dedupe: [window: 100 * @minute, capacity: 100_000],
            sinks: [{Telling, to: self(), answer: takes}]
          )

          empty = memory(name)
          assert empty.ids > 400_000
          assert %{retained_windows: 0, waiting_windows: 0} = empty
          # A meter itself takes some kilobytes.
          assert empty.open_windows < 20_000

          fill(name, [0])
          open = memory(name)
          assert open.open_windows > empty.open_windows + @least
          assert %{retained_windows: 0, waiting_windows: 0} = open
          assert open.ids == empty.ids

          # Closed, and both retained and waiting: counted once.
          fill(name, [1])
          await(fn -> Meter.info(name).closed_windows == 1 end)
          %{retained_windows: retained} = closed = memory(name)
          assert retained > @least and retained < closed.open_windows + @least
          assert %{waiting_windows: 0} = closed

          # Not retained any more, and still to be taken by the sink.
          await(fn -> memory(name).waiting_windows > 0 end)
          assert %{retained_windows: 0, waiting_windows: ^retained} = memory(name)

          # Once it has, no process of the meter refers to it any more.
          :atomics.put(gate, 1, 1)
          await(fn -> match?([%{waiting: 0}], Meter.info(name).sinks) end)

          await(fn ->
            # Messages have it, too.
            Enum.each(delivered(), fn {window, _counters, _reach} ->
              assert window.sequence == 1
            end)

            :erlang.garbage_collect() && memory(name).waiting_windows == 0
          end)

          assert memory(name).open_windows > @least
        end)

      assert log =~ "has not taken window"
    end

    def wait_for_test([%Event{dimensions: {test, _, _}} | _]) do
      send(test, {:late, self()})
      receive do: (:go_on -> :ok)
    end

    test "is that of late events until on_late is given them", %{name: name} do
      start(name, lateness: 0, on_late: {__MODULE__, :wait_for_test})
      assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok
      assert %{late_events: nothing} = memory(name)
      assert nothing < 20_000

      test = Module.concat(name, Test)
      Process.register(self(), test)
      late = for n <- 1..5_000, do: event(dimensions: {test, n, "us"})
      assert %{late: 5_000} = Meter.record_many(name, late)
      assert_receive {:late, attempt}
      # Those beside the first thousand, at ten words or more.
      assert memory(name).late_events > 4_000 * 10 * 8

      send(attempt, :go_on)

      for _ <- 1..4 do
        assert_receive {:late, attempt}
        send(attempt, :go_on)
      end
    end

    test "of a meter without on_late has no late events", %{name: name} do
      start(name, lateness: 0)
      assert memory(name).late_events == 0
    end

    test "of a window that has one row is at most 8 kilobytes", %{name: name} do
      start(name, window: 1_000, dedupe: false)
      before = memory(name).open_windows
      events = for step <- 0..99, do: event(at: @begin + 1_000 * step, user: step)
      assert %{ok: 100} = Meter.record_many(name, events)
      assert memory(name).open_windows - before <= 100 * 8_192
    end
  end
end
