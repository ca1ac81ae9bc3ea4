defmodule AdTally.Test.Responsiveness.ManyWindows do
  @moduledoc "What of a meter of 40,000 windows others might have to wait for."

  @behaviour AdTally.Test.Responsiveness

  import AdTally.Test.Polling

  alias AdTally.{Event, Meter, Named, Native}

  require Named

  @windows 40_000
  @second 1_000
  @begin 1_780_272_000_000
  @name __MODULE__.Ads

  # What a single call takes at most. A window opened among 40,000 copies a few hundred pointers.
  @opening 250

  @impl true
  def beside do
    [
      %{
        name: "a meter of 40,000 windows that is killed",
        # Alone it is 4 to 9 ms; after all other tests of the same VM it may be more than ten.
        setup: &start_closing/0,
        operation: &kill_and_start_another/1,
        plain: fn -> for(n <- 1..20_000, do: {n, %{n: n}}) end
      }
    ]
  end

  @impl true
  def calls do
    lists =
      for {what, call} <- [
            {"lists open windows", &Native.meter_open/2},
            {"tells the memory of open windows", &Native.meter_open_bytes/2}
          ] do
        %{
          name: "#{what}, which are 41,000",
          setup: fn -> start_filled(@windows + 1_000) end,
          operation: fn timed, {meter, native} ->
            times =
              for step <- 0..600 do
                {time, _} = timed.(fn -> call.(native, @begin + step * 64 * @second) end)
                time
              end

            %{open_windows: 41_000} = info = Meter.info(@name)
            true = info.memory.open_windows < 41_000 * 8_192
            GenServer.stop(meter)
            times
          end
        }
      end

    closes =
      for {what, count} <- [{"each", 1}, {"every 64", 64}] do
        %{
          name: "closes the oldest windows of 40,000, after #{what} that have passed",
          clock: &Native.dirty_thread_time/0,
          setup: fn ->
            {meter, native} = start(lateness: @windows * @second)
            # Whoever closes windows here is the test.
            :sys.suspend(meter)
            fill(1..@windows)
            {meter, native}
          end,
          operation: fn timed, {meter, native} ->
            times = for step <- 1..200, do: close_time(timed, native, @windows + step * count)

            :sys.resume(meter)
            GenServer.stop(meter)
            times
          end
        }
      end

    open = %{
      name: "opens a window beside 40,000 others",
      limit: @opening,
      setup: fn -> start_filled(@windows) end,
      operation: fn timed, {meter, native} ->
        times =
          for step <- 1..1_000 do
            {time, :ok} = timed.(fn -> Native.meter_record(native, event(@windows + step)) end)
            time
          end

        GenServer.stop(meter)
        times
      end
    }

    [open] ++ lists ++ closes
  end

  defp close_time(timed, native, newest) do
    fill([newest])
    {time, {closed, _more?}} = timed.(fn -> Native.meter_close(native, 0) end)
    true = length(closed) <= 64
    time
  end

  defp start_closing do
    Process.flag(:trap_exit, true)
    {meter, native} = start(lateness: div(@windows, 2) * @second)
    fill(1..@windows)
    send(meter, :tick)
    await(fn -> Native.meter_info(native).open_windows < @windows - 1_000 end)
    :sys.get_state(meter)
    meter
  end

  defp kill_and_start_another(meter) do
    down = Process.monitor(meter)
    Process.exit(meter, :kill)

    receive do
      {:DOWN, ^down, :process, ^meter, :killed} -> :ok
    end

    # The library has it until the name is given to another one.
    {next, _native} = start()
    :erlang.garbage_collect()
    GenServer.stop(next)
    Process.sleep(200)
  end

  defp start_filled(windows) do
    {meter, native} = start()
    fill(1..windows)
    {meter, native}
  end

  defp start(options \\ []) do
    defaults = [
      name: @name,
      dimensions: [:campaign],
      metrics: [:impressions],
      clock: :events,
      window: @second,
      lateness: 86_400_000,
      reach: [by: [:campaign]]
    ]

    {:ok, meter} = Meter.start_link(Keyword.merge(defaults, options))
    {native, _late} = Named.fetch!(Meter, @name)
    {meter, native}
  end

  defp fill(numbers) do
    events = Enum.map(numbers, &event/1)
    count = length(events)
    %{ok: ^count} = Meter.record_many(@name, events)
  end

  defp event(number) do
    at = @begin + number * @second
    %Event{at: at, dimensions: {number}, user: number, metrics: [impressions: 1]}
  end
end
