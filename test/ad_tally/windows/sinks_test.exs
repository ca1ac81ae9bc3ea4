defmodule AdTally.Windows.SinksTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Meter, Window}
  alias AdTally.Test.MeterSinks.Telling

  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  describe "sinks" do
    test "get a window again until they take it, in order, and do not hold others up", %{
      name: name
    } do
      tries = :counters.new(1, [])
      test = self()

      answer = fn window ->
        :counters.add(tries, 1, 1)

        case {window.sequence, :counters.get(tries, 1)} do
          {1, 1} -> {:error, :busy}
          {1, 2} -> raise "it broke"
          {1, 3} -> exit(:gone)
          {1, 4} -> Process.exit(self(), :kill)
          {1, 5} -> :what
          _ -> :ok
        end
      end

      log =
        capture_log(fn ->
          start(name,
            lateness: 0,
            window: 100,
            sinks: [
              {Telling, to: test, answer: answer},
              {Telling, to: test, answer: fn _ -> :ok end}
            ]
          )

          for step <- 0..3, do: assert(Meter.record(name, event(at: @begin + 100 * step)) == :ok)
          # The second sink has all three long before the first one.
          for _ <- 1..3, do: assert_receive({:window, _window, _counters, _reach})

          assert [%{delivered: 0, waiting: 3}, %{delivered: 3, waiting: 0}] =
                   Meter.info(name).sinks

          for sequence <- 1..3,
              do:
                assert_receive({:window, %Window{sequence: ^sequence}, _counters, _reach}, 6_000)

          assert [%{delivered: 3, failed: 5, waiting: 0, dropped: 0}, _other] =
                   Meter.info(name).sinks
        end)

      for reason <- [":busy", "it broke", ":gone", ":killed", "{:answered, :what}"],
          do: assert(log =~ reason)
    end

    test "that never take a window are given up on, oldest first, and counted", %{name: name} do
      test = self()

      tell = fn _event, %{waiting: waiting}, metadata, _config ->
        if metadata[:meter] == name and waiting >= 3,
          do: send(test, {:dropped, metadata.sequence})
      end

      :ok = :telemetry.attach_many(name, [[:ad_tally, :sink, :dropped]], tell, nil)

      log =
        capture_log(fn ->
          start(name,
            lateness: 0,
            window: 100,
            max_waiting: 3,
            flush: 50,
            sinks: [{Telling, to: self(), answer: fn _ -> {:error, :no} end}]
          )

          for step <- 0..10, do: assert(Meter.record(name, event(at: @begin + 100 * step)) == :ok)
          await(fn -> Meter.info(name).closed_windows == 10 end)
          assert [%{delivered: 0, waiting: 3, dropped: 7}] = Meter.info(name).sinks
          stop_supervised!(name)
        end)

      # One more when it was stopped.
      for _ <- 1..8, do: assert_received({:dropped, _sequence})
      refute_received {:dropped, _sequence}
      assert log =~ "more than 3 are waiting"
      assert log =~ "stops with 3 windows"
    end
  end

  # Three minutes and a half of pauses would be allowed.
  @tag :exhaustive
  test("a sink that fails for half a minute loses nothing", %{name: name},
    do: fails_for(name, 30_000)
  )

  test("a sink that fails for a second loses nothing", %{name: name}, do: fails_for(name, 1_000))

  # Windows of 100 ms of real time, and a sink that takes none in the middle, after it has done what
  # it does with them.
  defp fails_for(name, milliseconds) do
    test = self()
    begin = System.monotonic_time(:millisecond)
    fails? = fn -> (System.monotonic_time(:millisecond) - begin) in 500..(500 + milliseconds) end

    answer = fn window ->
      send(test, {:seen, window.sequence, Window.counters(window)})
      if fails?.(), do: {:error, :down}, else: :ok
    end

    log =
      capture_log(fn ->
        start(name,
          clock: :system,
          window: 100,
          lateness: 0,
          max_ahead: 1_000,
          dedupe: false,
          sinks: [{Telling, to: self(), answer: answer}]
        )

        sent = send_until(name, begin + milliseconds + 1_000, 0)
        await(fn -> match?([%{waiting: 0}], Meter.info(name).sinks) end, 40 * milliseconds)
        assert %{applied: applied, late: late} = Meter.info(name).events
        assert applied + late == sent
        stop_supervised!(name)

        taken = delivered()
        sequences = for {window, _counters, _reach} <- taken, do: window.sequence
        assert sequences == Enum.to_list(1..length(taken))
        counted = for {_window, [{_key, totals}], _reach} <- taken, do: totals.impressions
        assert Enum.sum(counted) == applied

        # What it saw more than once was the same window, under the same sequence.
        seen = seen([])
        assert length(seen) > length(Enum.uniq(seen))

        assert seen |> Enum.uniq_by(&elem(&1, 0)) |> Enum.sort() ==
                 seen |> Enum.uniq() |> Enum.sort()
      end)

    assert log =~ "has not taken window"
  end

  defp send_until(name, time, sent) do
    if System.monotonic_time(:millisecond) < time do
      Meter.record(name, event(at: System.system_time(:millisecond)))
      Process.sleep(1)
      send_until(name, time, sent + 1)
    else
      sent
    end
  end

  defp seen(windows) do
    receive do
      {:seen, sequence, counters} -> seen([{sequence, counters} | windows])
    after
      0 -> windows
    end
  end
end
