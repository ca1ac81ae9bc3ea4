defmodule AdTally.Test.Responsiveness.Report do
  @moduledoc "What of reports of a million rows others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  alias AdTally.{Meter, Named, Native}
  alias AdTally.Test.MillionRows

  require Named

  @name __MODULE__.Ads
  @dimensions [:campaign, :creative, :country]
  @seconds 5

  @impl true
  def beside do
    [
      %{
        name: "reports of a million rows every second",
        # The rows take a while to be recorded, and the second core is others' too.
        setup: fn -> MillionRows.start(@name, 200) end,
        operation: fn meter ->
          for _ <- 1..@seconds do
            begin = System.monotonic_time(:millisecond)
            200 = @name |> Meter.report(by: [:campaign]) |> length()
            100 = @name |> Meter.report(order_by: :spend_micros, limit: 100) |> length()
            Process.sleep(max(0, begin + 1_000 - System.monotonic_time(:millisecond)))
          end

          GenServer.stop(meter)
        end,
        plain: fn ->
          for _ <- 1..@seconds do
            for _ <- 1..1_000, do: Native.busy_dirty_scheduler(250)
            Process.sleep(700)
          end
        end
      }
    ]
  end

  @impl true
  def calls do
    for {what, steps} <- [
          {"reads windows of a million rows into groups", &read_times/3},
          {"shows groups of a million rows", &row_times/3},
          {"sends groups of a million rows to another node and merges them there", &node_times/3}
        ] do
      %{
        name: "#{what}, on a dirty scheduler",
        clock: &Native.dirty_thread_time/0,
        setup: fn -> MillionRows.start(@name, 200, lateness: 7_200_000) end,
        operation: fn timed, meter ->
          {native, _late} = Named.fetch!(Meter, @name)

          windows = for {_start, _end, _rows, window} <- Native.meter_open(native, 0), do: window

          times =
            for groups <- groups(),
                time <- steps.(timed, fn -> report(native, groups) end, windows),
                do: time

          GenServer.stop(meter)
          times
        end
      }
    end
  end

  # By one dimension with users, and by all.
  defp groups, do: [{[:campaign], [0], [], [0]}, {@dimensions, [0, 1, 2], [], nil}]
  defp report(native, groups), do: Native.meter_report_new(native, groups, nil, nil)

  defp read_times(timed, new, windows) do
    report = new.()
    times = read(timed, report, windows)
    :ok = Native.meter_report_end(report)
    times
  end

  defp row_times(timed, new, windows) do
    report = new.()
    read(fn step -> {0, step.()} end, report, windows)
    rows(timed, report)
  end

  # A node sends its groups, another one takes them, and adds them to what it has.
  defp node_times(timed, new, windows) do
    [sent, taken, own] = for _ <- 1..3, do: new.()
    for report <- [sent, own], do: read(fn step -> {0, step.()} end, report, windows)
    send_groups(timed, sent, taken) ++ merge(timed, own, taken)
  end

  defp send_groups(timed, sent, taken) do
    {time, frame} = timed.(fn -> Native.meter_report_frame(sent) end)
    {time_to_take, more} = timed.(fn -> Native.meter_report_take(taken, frame) end)
    [time, time_to_take | if(more == :more, do: send_groups(timed, sent, taken), else: [])]
  end

  defp merge(timed, own, taken) do
    {time, more} = timed.(fn -> Native.meter_report_merge(own, taken) end)
    [time | if(more == :more, do: merge(timed, own, taken), else: [])]
  end

  defp read(_timed, _report, []), do: []

  defp read(timed, report, windows) do
    {time, rest} = timed.(fn -> Native.meter_report_read(report, windows) end)
    [time | read(timed, report, rest)]
  end

  defp rows(timed, report) do
    {time, {more, _rows}} = timed.(fn -> Native.meter_report_rows(report, []) end)
    if more == :more, do: [time | rows(timed, report)], else: [time]
  end
end
