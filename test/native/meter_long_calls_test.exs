defmodule AdTally.Native.MeterLongCallsTest do
  # What takes long for its size, not for its number. Alone: what is timed here is how
  # long others have to wait.
  use ExUnit.Case, async: false

  @moduletag :slow

  import AdTally.Test.Responsiveness

  alias AdTally.{Event, Meter, Named, Native}

  require Named

  @at 1_780_272_000_000
  @options [
    dimensions: [:a, :b],
    metrics: [:n],
    clock: :events,
    lateness: 3_600_000,
    reach: [by: [:a]],
    dedupe: [window: 600_000, capacity: 100_000]
  ]

  describe "a native call takes less than a millisecond" do
    test "that is given events with long ids, users and dimensions" do
      for field <- [:id, :user, :dimensions], secret <- [nil, "sixteen bytes..."] do
        events = for number <- 1..256, do: event(field, number)

        assert_short_calls(&Native.thread_time/0, fn timed ->
          for pass <- 1..50 do
            with_meter(pass, secret, fn native ->
              {many, _} = timed.(fn -> Native.meter_record_many(native, events) end)
              {check, _} = timed.(fn -> Native.meter_check_some(native, events, 0) end)
              {some, _} = timed.(fn -> Native.meter_record_some(native, events) end)
              [many, check, some]
            end)
          end
          |> Enum.concat()
        end)
      end
    end

    test "that looks which events of a long list are refused" do
      long_ones =
        for field <- [:id, :user, :dimensions], number <- 1..100, do: event(field, number)

      refused = for event <- long_ones, do: %{event | metrics: [unknown: Enum.to_list(1..100)]}

      for events <- [List.duplicate(:event, 20_000), refused, long_ones] do
        with_meter(1, nil, fn native ->
          assert_short_calls(&Native.thread_time/0, fn timed ->
            for _ <- 1..200 do
              {time, {_rest, looked_at, refused}} =
                timed.(fn -> Native.meter_refused_some(native, events, 0) end)

              assert looked_at > 0 and length(refused) <= looked_at
              time
            end
          end)
        end)
      end
    end

    test "that is given as many events as it takes, each of a new key and in one of many windows" do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        for pass <- 1..200 do
          with_meter(pass, nil, fn native ->
            events =
              for number <- 1..256 do
                at = @at + rem(number, 8) * 60_000
                %Event{id: number, at: at, dimensions: {number, 1}, user: number, metrics: [n: 1]}
              end

            {time, _applied} = timed.(fn -> Native.meter_record_many(native, events) end)
            time
          end)
        end
      end)
    end
  end

  defp event(:dimensions, number),
    do: %Event{at: @at, dimensions: {long(number), long(-number)}, user: 1, metrics: [n: 1]}

  defp event(field, number),
    do: struct!(%Event{at: @at, dimensions: {1, 2}, metrics: [n: 1]}, [{field, long(number)}])

  defp long(number), do: "#{number}" <> :binary.copy(<<1>>, 60 * 1_024)

  defp with_meter(pass, secret, act) do
    name = Module.concat(__MODULE__, "Pass#{pass}")
    options = [{:name, name} | put_in(@options[:reach][:secret], secret)]
    {:ok, meter} = Meter.start_link(options)
    {native, _late} = Named.fetch!(Meter, name)
    result = act.(native)
    GenServer.stop(meter)
    result
  end
end
