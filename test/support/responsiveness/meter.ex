defmodule AdTally.Test.Responsiveness.Meter do
  @moduledoc "What of `AdTally.Meter` others might have to wait for, but for a number of windows."

  @behaviour AdTally.Test.Responsiveness

  alias AdTally.{Event, Native}
  alias AdTally.Meter.{Config, Source}
  alias AdTally.Sink.Files
  alias AdTally.Test.Responsiveness.Recorders
  alias AdTally.Test.SinkFiles

  @milliseconds 1_500
  @year 31_536_000_000
  @at 1_780_272_000_000

  @impl true
  def beside do
    [
      %{
        name: "closing, reporting and writing while two processes record",
        # It takes every core for itself, and some for what runs beside: where there are few, or
        # others need them too, the system makes gaps of its own.
        setup: &Recorders.directory/0,
        operation: fn dir ->
          options = [window: 200, lateness: 100, retain: 400, sinks: [{Files, dir: dir}]]
          Recorders.record(options, &Recorders.report(&1, @milliseconds))
          true = length(SinkFiles.paths(dir, :counters)) >= 3
          File.rm_rf!(dir)
        end,
        # As much is recorded, and nothing else happens.
        plain: fn ->
          Recorders.record([window: @year], fn _name -> Process.sleep(@milliseconds) end)
        end
      }
    ]
  end

  @impl true
  def calls do
    long_events =
      for field <- [:id, :user, :dimensions], secret <- [nil, "sixteen bytes..."] do
        %{
          name: "records events with long #{field}#{if secret, do: ", with a secret"}",
          setup: fn -> long(field, 256) end,
          operation: fn timed, events ->
            Enum.flat_map(1..50, fn _pass -> long_events_times(timed, secret, events) end)
          end
        }
      end

    refused_events =
      for {what, setup} <- [
            {"things that are no events", fn -> List.duplicate(:event, 20_000) end},
            {"long events with unknown metrics", &long_events_of_unknown_metrics/0},
            {"long events that are none", &long_of_each/0}
          ] do
        %{
          name: "looks which of a long list are refused: #{what}",
          setup: setup,
          operation: fn timed, events ->
            native = native_meter(nil)
            for _ <- 1..200, do: refused_time(timed, native, events)
          end
        }
      end

    new_keys = %{
      name: "records as many events as it takes, each of a new key and in one of many windows",
      setup: fn -> for number <- 1..256, do: of_many_windows(number) end,
      operation: fn timed, events ->
        for _pass <- 1..200 do
          native = native_meter(nil)
          {time, _applied} = timed.(fn -> Native.meter_record_many(native, events) end)
          time
        end
      end
    }

    long_events ++ refused_events ++ [new_keys]
  end

  defp long_events_times(timed, secret, events) do
    native = native_meter(secret)
    {many, _} = timed.(fn -> Native.meter_record_many(native, events) end)
    {check, _} = timed.(fn -> Native.meter_check_some(native, events, 0) end)
    {some, _} = timed.(fn -> Native.meter_record_some(native, events) end)
    [many, check, some]
  end

  defp refused_time(timed, native, events) do
    {time, {_rest, looked_at, refused}} =
      timed.(fn -> Native.meter_refused_some(native, events, 0) end)

    true = looked_at > 0 and length(refused) <= looked_at
    time
  end

  defp long_events_of_unknown_metrics,
    do: for(event <- long_of_each(), do: %{event | metrics: [unknown: Enum.to_list(1..100)]})

  defp long_of_each, do: Enum.flat_map([:id, :user, :dimensions], &long(&1, 100))
  defp long(field, count), do: for(number <- 1..count, do: event(field, number))

  defp event(:dimensions, number) do
    dimensions = {long_binary(number), long_binary(-number)}
    %Event{at: @at, dimensions: dimensions, user: 1, metrics: [n: 1]}
  end

  defp event(field, number) do
    long = [{field, long_binary(number)}]
    struct!(%Event{at: @at, dimensions: {1, 2}, metrics: [n: 1]}, long)
  end

  defp long_binary(number), do: "#{number}" <> :binary.copy(<<1>>, 60 * 1_024)

  defp of_many_windows(number) do
    at = @at + rem(number, 8) * 60_000
    %Event{id: number, at: at, dimensions: {number, 1}, user: number, metrics: [n: 1]}
  end

  # Without a process and a name: what is erased with each of hundreds is looked for in all heaps of the VM.
  defp native_meter(secret) do
    config =
      Config.new!(
        name: __MODULE__,
        dimensions: [:a, :b],
        metrics: [:n],
        clock: :events,
        lateness: 3_600_000,
        reach: [by: [:a], secret: secret],
        dedupe: [window: 600_000, capacity: 100_000]
      )

    Source.new(config.table)
  end
end
