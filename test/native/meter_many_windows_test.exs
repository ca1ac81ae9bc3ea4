defmodule AdTally.Native.MeterManyWindowsTest do
  # 40,000 windows. Alone: what is timed here is how long others have to wait.
  use ExUnit.Case, async: false

  @moduletag :slow

  import AdTally.Test.Polling
  import AdTally.Test.Responsiveness

  alias AdTally.{Event, Meter, Named, Native}

  require Named

  @windows 40_000
  @second 1_000
  @begin 1_780_272_000_000

  # What a single call takes at most. A window opened among 40,000 copies a few hundred pointers.
  @opening 250

  defp start(options \\ []) do
    defaults = [
      name: __MODULE__.Ads,
      dimensions: [:campaign],
      metrics: [:impressions],
      clock: :events,
      window: @second,
      lateness: 86_400_000,
      reach: [by: [:campaign]]
    ]

    {:ok, meter} = Meter.start_link(Keyword.merge(defaults, options))
    {native, _late} = Named.fetch!(Meter, __MODULE__.Ads)
    {meter, native}
  end

  defp event(number),
    do: %Event{
      at: @begin + number * @second,
      dimensions: {number},
      user: number,
      metrics: [impressions: 1]
    }

  defp fill(numbers) do
    events = Enum.map(numbers, &event/1)
    assert %{ok: count} = Meter.record_many(__MODULE__.Ads, events)
    assert count == length(events)
  end

  test "one more is opened, listed and its memory asked for in short calls" do
    {meter, native} = start()
    fill(1..@windows)

    assert_short_calls(
      &Native.thread_time/0,
      fn timed ->
        for step <- 1..1_000 do
          {time, outcome} = timed.(fn -> Native.meter_record(native, event(@windows + step)) end)

          assert outcome == :ok
          time
        end
      end,
      @opening
    )

    for call <- [&Native.meter_open/2, &Native.meter_open_bytes/2] do
      assert_short_calls(&Native.thread_time/0, fn timed ->
        for step <- 0..600 do
          {time, _windows} = timed.(fn -> call.(native, @begin + step * 64 * @second) end)
          time
        end
      end)
    end

    assert %{open_windows: 41_000} = info = Meter.info(__MODULE__.Ads)
    assert info.memory.open_windows < 41_000 * 8_192
    GenServer.stop(meter)
  end

  test "the oldest ones are closed in steps of less than a millisecond" do
    {meter, native} = start(lateness: @windows * @second)
    # Whoever closes windows here is the test.
    :sys.suspend(meter)
    fill(1..@windows)

    newest = :counters.new(1, [])
    :counters.put(newest, 1, @windows)

    # As many windows as that have passed each time.
    for count <- [1, 64] do
      assert_short_calls(&Native.dirty_thread_time/0, fn timed ->
        for _ <- 1..200 do
          :counters.add(newest, 1, count)
          fill([:counters.get(newest, 1)])
          {time, {closed, _more?}} = timed.(fn -> Native.meter_close(native, 0) end)
          assert length(closed) <= 64
          time
        end
      end)
    end

    :sys.resume(meter)
    GenServer.stop(meter)
  end

  # Alone it is 4 to 9 ms; after all other tests of the same VM it may be more than ten.
  @tag :exhaustive
  test "a process that ticks every millisecond sees no gap over 10 ms beside a meter that is killed" do
    Process.flag(:trap_exit, true)

    assert_no_gap(
      fn ->
        Process.flag(:trap_exit, true)
        {meter, native} = start(lateness: div(@windows, 2) * @second)
        fill(1..@windows)
        send(meter, :tick)
        await(fn -> Native.meter_info(native).open_windows < @windows - 1_000 end)
        :sys.get_state(meter)
        meter
      end,
      fn meter ->
        down = Process.monitor(meter)
        Process.exit(meter, :kill)
        assert_receive {:DOWN, ^down, :process, ^meter, :killed}, 60_000
        # The library has it until the name is given to another one.
        {next, _native} = start()
        :erlang.garbage_collect()
        GenServer.stop(next)
        Process.sleep(200)
      end,
      fn -> for(n <- 1..20_000, do: {n, %{n: n}}) end
    )
  end
end
