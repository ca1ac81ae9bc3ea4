defmodule AdTally.Native.MeterResponsivenessTest do
  # Alone: what is timed here is how long others have to wait.
  use ExUnit.Case, async: false

  import AdTally.Test.Responsiveness

  alias AdTally.{Event, Meter}
  alias AdTally.Sink.Files

  @milliseconds 1_500
  @year 31_536_000_000

  # It takes every core for itself, and some for what runs beside: where there are few, or others
  # need them too, the system makes gaps of its own.
  @moduletag :exhaustive
  @moduletag :tmp_dir

  test "a process that ticks every millisecond sees no gap over 10 ms beside closing, reporting and writing",
       %{tmp_dir: dir} do
    assert_no_gap(
      fn -> nil end,
      fn nil ->
        record(
          [window: 200, lateness: 100, retain: 400, sinks: [{Files, dir: dir}]],
          fn name -> report_until(name, now() + @milliseconds) end
        )
      end,
      # As much is recorded, and nothing else happens.
      fn -> record([window: @year], fn _name -> Process.sleep(@milliseconds) end) end
    )

    assert length(File.ls!(dir)) >= 3 * 3
  end

  # Two processes record as fast as they can.
  defp record(options, meanwhile) do
    name = __MODULE__.Ads

    common = [
      name: name,
      dimensions: [:campaign, :creative],
      metrics: [:impressions, :spend_micros]
    ]

    more = [reach: [by: [:campaign]], dedupe: [window: 60_000, capacity: 10_000_000]]
    {:ok, meter} = Meter.start_link(common ++ more ++ options)
    recorders = for first <- [0, 1], do: spawn_link(fn -> go_on(name, first) end)
    meanwhile.(name)
    Enum.each(recorders, &kill/1)
    GenServer.stop(meter)
  end

  # Returns once it records no more: the meter is stopped next.
  defp kill(recorder) do
    Process.unlink(recorder)
    down = Process.monitor(recorder)
    Process.exit(recorder, :kill)
    assert_receive {:DOWN, ^down, :process, ^recorder, :killed}, 5_000
  end

  defp go_on(name, id) do
    at = System.system_time(:millisecond)
    dimensions = {rem(id, 20), rem(id, 500)}

    event = %Event{
      id: id,
      at: at,
      dimensions: dimensions,
      user: rem(id, 50_021),
      metrics: [impressions: 1, spend_micros: 3]
    }

    Meter.record(name, event)
    go_on(name, id + 2)
  end

  defp report_until(name, deadline) do
    Process.sleep(100)
    reporter = Task.async(fn -> Meter.report(name, by: [:campaign]) end)
    assert length(Task.await(reporter)) <= 20
    if now() < deadline, do: report_until(name, deadline)
  end

  defp now, do: System.monotonic_time(:millisecond)
end
