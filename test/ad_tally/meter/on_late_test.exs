defmodule AdTally.Meter.OnLateTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.Meter

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  describe "late events" do
    setup %{name: name} do
      Process.register(self(), Module.concat(name, "Late"))
      :ok
    end

    test "are handed to a function, in lists", %{name: name} do
      start(name, lateness: 0, on_late: {__MODULE__, :late})
      late = for number <- 1..3_000, do: late_event(name, number)
      assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok
      await(fn -> Meter.record(name, hd(late)) == :late end)

      # In between others, in a list that one call takes and in one that takes several.
      on_time = List.duplicate(event(at: @begin + 10 * @minute), 50)
      short = on_time ++ Enum.take(late, 20) ++ on_time ++ Enum.slice(late, 20, 5)
      assert %{ok: 100, late: 25} = Meter.record_many(name, short)
      assert %{ok: 100, late: 3_000} = Meter.record_many(name, on_time ++ late ++ on_time)

      stop_supervised!(name)
      handed = handed([])
      assert Enum.all?(handed, &(length(&1) in 1..1_000))
      expected = Enum.take(late, 25) ++ late
      assert handed |> Enum.concat() |> Enum.drop_while(&(&1 == hd(late))) == tl(expected)
    end

    test "at which the function raises are counted and not given again", %{name: name} do
      log =
        capture_log(fn ->
          start(name, lateness: 0, on_late: {__MODULE__, :late})
          assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok

          for reason <- [:raise, :exit, :kill],
              do: wait_until_late(name, late_event(name, reason))

          await(fn -> Meter.info(name).on_late.failed >= 3 end)
          assert Meter.record(name, late_event(name, 1)) == :late
          await(fn -> Meter.info(name).on_late.handed == 1 end)
          assert %{waiting: 0, dropped: 0} = Meter.info(name).on_late
        end)

      for reason <- ["late on request", ":gone", ":killed"], do: assert(log =~ reason)
      assert handed([]) == [[late_event(name, 1)]]
    end

    test "of which too many wait are dropped and counted", %{name: name} do
      start(name, lateness: 0, flush: 50, on_late: {__MODULE__, :late})
      assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok
      wait_until_late(name, late_event(name, :hang))
      await(fn -> handed_yet?() end)
      waiting = Meter.info(name).on_late.waiting
      late = List.duplicate(late_event(name, 1), 60_000)
      assert %{late: 60_000} = Meter.record_many(name, late)
      # All of the first list fit, and of the second one those up to 100,000.
      assert %{late: 60_000} = Meter.record_many(name, late)
      %{waiting: now, dropped: dropped} = Meter.info(name).on_late
      assert {now, dropped} == {100_000, waiting + 20_000}
      assert Meter.info(name).excluded.late.impressions == 120_000 + waiting
      assert capture_log(fn -> stop_supervised!(name) end) =~ "late events that"
    end

    defp late_event(name, what), do: event(user: 7, id: nil, dimensions: {inspect(name), what, 1})

    defp wait_until_late(name, event) do
      await(fn -> Meter.record(name, event) == :late end)

      await(fn ->
        Meter.info(name).on_late.waiting == 0 or match?({_, :hang, _}, event.dimensions)
      end)
    end

    defp handed_yet? do
      receive do
        {:handed, _events} -> true
      after
        0 -> false
      end
    end

    defp handed(lists) do
      receive do
        {:handed, events} -> handed([events | lists])
      after
        0 -> Enum.reverse(lists)
      end
    end

    def late([%{dimensions: {test, what, _}} | _] = events) do
      to = Module.concat(elem(Code.eval_string(test), 0), "Late")
      answer(what, to, events)
    end

    defp answer(:raise, _to, _events), do: raise("late on request")
    defp answer(:exit, _to, _events), do: exit(:gone)
    defp answer(:kill, _to, _events), do: Process.exit(self(), :kill)

    defp answer(:hang, to, events) do
      send(to, {:handed, events})
      Process.sleep(:infinity)
    end

    defp answer(_number, to, events), do: send(to, {:handed, events})
  end
end
