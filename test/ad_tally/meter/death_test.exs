defmodule AdTally.Meter.DeathTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling

  alias AdTally.{Event, Meter, Named, Native}
  alias AdTally.Test.MeterSinks.Telling

  require Named

  @moduletag :capture_log

  @at 1_780_272_000_000
  # Microseconds after a meter's death, from which on it refuses.
  @grace 50_000

  defp name, do: :"#{inspect(__MODULE__)}.#{System.unique_integer([:positive])}"

  defp options(name) do
    [name: name, dimensions: [:recorder], metrics: [:events, :numbers], clock: :events] ++
      [dedupe: [capacity: 100_000, fingerprint_bits: 61]]
  end

  defp event(recorder, number) do
    %Event{
      at: @at,
      id: {recorder, number},
      dimensions: {recorder},
      metrics: [events: 1, numbers: number]
    }
  end

  defp now, do: System.monotonic_time(:microsecond)

  defmodule Recorder do
    # Records events as fast as it can, each until it is answered :ok, as the consumer of a queue does.

    @stop 1
    @recorded 2
    @refused 3

    def start(record) do
      shared = :atomics.new(3, [])
      {Task.async(fn -> go_on(record, shared, 1, []) end), shared}
    end

    def recorded({_task, shared}), do: :atomics.get(shared, @recorded)
    def refused({_task, shared}), do: :atomics.get(shared, @refused)

    # When each event was begun that was answered :ok, newest first.
    def stop({task, shared}) do
      :atomics.put(shared, @stop, 1)
      Task.await(task, :infinity)
    end

    defp go_on(record, shared, number, begun) do
      begin = System.monotonic_time(:microsecond)

      is_recorded =
        try do
          record.(number)
        rescue
          error in ArgumentError -> error.message =~ "that runs" && :refused
        end

      case is_recorded do
        true ->
          :atomics.put(shared, @recorded, number)
          until_stopped(record, shared, number + 1, [begin | begun])

        :refused ->
          :atomics.add(shared, @refused, 1)
          until_stopped(record, shared, number, begun)
      end
    end

    defp until_stopped(record, shared, number, begun) do
      if :atomics.get(shared, @stop) == 1,
        do: begun,
        else: go_on(record, shared, number, begun)
    end
  end

  defp start_recorders(name) do
    single = fn recorder -> &(Meter.record(name, event(recorder, &1)) == :ok) end
    list = fn recorder -> &(Meter.record_many(name, [event(recorder, &1)]).ok == 1) end

    recorders =
      for {how, number} <- Enum.with_index([single, list, single, list], 1),
          do: Recorder.start(how.(number))

    await_progress(recorders)
    recorders
  end

  # Until each has recorded some events more.
  defp await_progress(recorders) do
    for recorder <- recorders do
      recorded = Recorder.recorded(recorder)
      await(fn -> Recorder.recorded(recorder) > recorded + 100 end)
    end
  end

  defp kill(meter) do
    monitor = Process.monitor(meter)
    Process.exit(meter, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^meter, :killed}
    now()
  end

  test "nothing is answered :ok that is recorded more than 50 ms after a meter was killed" do
    name = name()
    Process.flag(:trap_exit, true)
    {:ok, meter} = Meter.start_link(options(name))
    recorders = start_recorders(name)
    killed_at = kill(meter)
    # Longer than it may go on.
    Process.sleep(4 * div(@grace, 1_000))
    for recorder <- recorders, do: await(fn -> Recorder.refused(recorder) > 0 end)

    for recorder <- recorders,
        do: assert(hd(Recorder.stop(recorder)) - killed_at < @grace)

    for call <- [
          &Meter.record(&1, event(0, 1)),
          &Meter.record_many(&1, [event(0, 1)]),
          &Meter.record_many(&1, [event(0, 1)], on_refused: :skip),
          &Meter.record_many(&1, []),
          &Meter.info/1,
          &Meter.report/1,
          &Meter.close/1
        ] do
      assert_raise ArgumentError, Named.not_running(Meter, name), fn -> call.(name) end
    end
  end

  # The first one at once, another one only after a while.
  def start_slowly(options, test) do
    if Process.get(:starts, 0) > 0, do: Process.sleep(3 * div(@grace, 1_000))
    Process.put(:starts, 1)
    {:ok, meter} = Meter.start_link(options)
    send(test, {:started, meter})
    {:ok, meter}
  end

  test "a meter that a supervisor has started again has all that was answered :ok since" do
    name = name()
    child = Meter.child_spec(options(name))
    child = %{child | start: {__MODULE__, :start_slowly, [options(name), self()]}}
    {:ok, _supervisor} = Supervisor.start_link([child], strategy: :one_for_one)
    assert_receive {:started, meter}
    recorders = start_recorders(name)
    killed_at = kill(meter)
    assert_receive {:started, _another}
    # What is begun from now on is in it.
    runs_at = now()
    await_progress(recorders)
    rows = Map.new(recorders, &{&1, Recorder.stop(&1)})
    report = Meter.report(name)

    for {recorder, number} <- Enum.with_index(recorders, 1) do
      begun = rows[recorder]

      assert [%{events: events, numbers: numbers}] =
               for(row <- report, row.recorder == number, do: row)

      # Those are the last ones of the recorder, each once and none left out.
      recorded = length(begun)
      assert numbers == Enum.sum((recorded - events + 1)..recorded//1)
      assert events >= Enum.count(begun, &(&1 > runs_at))
      # All others were begun before the first one's death, or hardly later.
      assert [last | _others] = Enum.drop(begun, events)
      assert last - killed_at < @grace
    end
  end

  test "the entry of a meter that was killed is erased, and its name is free for another" do
    name = name()
    Process.flag(:trap_exit, true)

    for kills <- 1..20 do
      {:ok, meter} = Meter.start_link(options(name))
      assert Meter.record(name, event(1, 1)) == :ok
      assert Meter.record(name, event(1, 1)) == :duplicate
      assert Meter.info(name).events.received == 2
      kill(meter)
      # After half of them the next one is started as early as can be.
      if rem(kills, 2) == 0, do: await(fn -> :persistent_term.get(name, nil) == nil end)
    end
  end

  test "the end of a meter that was stopped does nothing to the next one of its name" do
    name = name()

    for _ <- 1..20 do
      {:ok, meter} = Meter.start_link(options(name))
      {Meter, _value, watcher} = :persistent_term.get(name)
      monitor = Process.monitor(watcher)
      :ok = GenServer.stop(meter)
      {:ok, next} = Meter.start_link(options(name))
      assert_receive {:DOWN, ^monitor, :process, _pid, _reason}
      assert Meter.record(name, event(1, 1)) == :ok
      assert Meter.record_many(name, [event(1, 2)]).ok == 1
      assert [%{events: 2}] = Meter.report(name)
      :ok = GenServer.stop(next)
    end
  end

  test "a meter that is killed while it starts leaves nothing in the way of the next one" do
    name = name()
    Process.flag(:trap_exit, true)

    for step <- 0..49 do
      starter = spawn(fn -> Meter.start_link(options(name)) end)
      await(fn -> Process.whereis(name) != nil or not Process.alive?(starter) end)
      # From some microseconds after it has its name to some milliseconds.
      until = now() + step * 50
      busy_until(until)
      # It ends with who has started it as well.
      if meter = Process.whereis(name), do: Process.exit(meter, :kill)
      Process.exit(starter, :kill)
      await(fn -> Process.whereis(name) == nil end)

      {:ok, next} = Meter.start_link(options(name))
      assert Meter.record(name, event(1, 1)) == :ok
      assert Meter.record_many(name, [event(1, 2)]).ok == 1
      assert [%{events: 2}] = Meter.report(name)
      :ok = GenServer.stop(next)
    end
  end

  defp busy_until(time), do: if(now() < time, do: busy_until(time))

  test "whoever asks a meter that ends meanwhile is told that there is none" do
    name = name()
    Process.flag(:trap_exit, true)

    for ask <- [&Meter.info/1, &Meter.report/1, &Meter.close/1] do
      {:ok, meter} = Meter.start_link(options(name))
      :ok = :sys.suspend(meter)
      message = Named.not_running(Meter, name)
      asking = Task.async(fn -> assert_raise ArgumentError, message, fn -> ask.(name) end end)
      # It is asked, and does not answer.
      await(fn -> asked?(meter) end)
      kill(meter)
      Task.await(asking, :infinity)
    end
  end

  test "who waits for sinks of a meter that ends meanwhile is told that there is none" do
    name = name()
    Process.flag(:trap_exit, true)
    test = self()

    hangs = fn _window ->
      send(test, :delivering)
      Process.sleep(:infinity)
    end

    sinks = [{Telling, to: self(), answer: hangs}]
    {:ok, meter} = Meter.start_link([sinks: sinks] ++ options(name))
    assert Meter.record(name, event(1, 1)) == :ok
    message = Named.not_running(Meter, name)

    closing =
      Task.async(fn -> assert_raise ArgumentError, message, fn -> Meter.close(name) end end)

    assert_receive :delivering
    kill(meter)
    Task.await(closing, :infinity)
  end

  defp asked?(meter) do
    {:messages, messages} = Process.info(meter, :messages)
    Enum.any?(messages, &match?({:"$gen_call", _from, _request}, &1))
  end

  # On a busy machine the time of a call may be up before its first event.
  defp one(call) do
    case call.() do
      {[_event], _nothing} -> one(call)
      answer -> answer
    end
  end

  # What `record_many` calls for the rest of a list, of which it has found the meter before.
  test "the rest of a list is refused by a meter that was killed meanwhile" do
    name = name()
    Process.flag(:trap_exit, true)
    {:ok, meter} = Meter.start_link(options(name))
    {native, _late} = Named.fetch!(Meter, name)

    assert one(fn -> Native.meter_record_some(native, [event(1, 1)]) end) ==
             {[], {{1, 0, 0, 0, 0, 0}, []}}

    killed_at = kill(meter)

    assert refused_at(fn -> Native.meter_record_some(native, [event(1, 2)]) end) - killed_at <
             @grace

    for call <- [
          &Native.meter_record(&1, hd(&2)),
          &Native.meter_record_many/2,
          &Native.meter_check_some(&1, &2, 0)
        ] do
      assert_raise ArgumentError, Named.not_running(Meter, name), fn ->
        call.(native, [event(1, 2)])
      end
    end
  end

  defp refused_at(call) do
    call.()
    refused_at(call)
  rescue
    ArgumentError -> now()
  end

  test "the rest of a list is late in a meter that was stopped meanwhile" do
    name = name()
    {:ok, meter} = Meter.start_link([sinks: [{Telling, to: self()}]] ++ options(name))
    {native, _late} = Named.fetch!(Meter, name)

    assert one(fn -> Native.meter_record_some(native, [event(1, 1)]) end) ==
             {[], {{1, 0, 0, 0, 0, 0}, []}}

    :ok = GenServer.stop(meter)
    assert Native.meter_record_some(native, [event(1, 2)]) == {[], {{0, 0, 1, 0, 0, 0}, [0]}}
    assert_receive {:window, _window, [{{1}, %{events: 1}}], _reach}
  end

  # What `record` and `record_many` call once they have found the meter.
  test "a meter that was stopped meanwhile refuses an event, and a list of which nothing was counted" do
    name = name()
    {:ok, meter} = Meter.start_link([sinks: [{Telling, to: self()}]] ++ options(name))
    {native, _late} = Named.fetch!(Meter, name)

    assert one(fn -> Native.meter_record_first(native, [event(1, 1)]) end) ==
             {[], {{1, 0, 0, 0, 0, 0}, []}}

    :ok = GenServer.stop(meter)

    for call <- [
          &Native.meter_record(&1, hd(&2)),
          &Native.meter_record_many/2,
          &Native.meter_record_first/2,
          &Native.meter_check_some(&1, &2, 0),
          &Native.meter_refused_some(&1, &2, 0)
        ] do
      assert_raise ArgumentError, Named.not_running(Meter, name), fn ->
        call.(native, [event(1, 2)])
      end
    end

    assert_receive {:window, _window, [{{1}, %{events: 1}}], _reach}
  end

  test "a list that is recorded while a meter is stopped is counted or refused, never late" do
    name = name()

    for _ <- 1..20 do
      {:ok, meter} = Meter.start_link(options(name))
      test = self()

      recorders =
        for recorder <- 1..2 do
          # One list that a call can read, and one that takes several.
          count = if recorder == 1, do: 3, else: 300

          spawn_link(fn ->
            send(test, {:lists, record_until_refused(name, recorder, count, 0)})
          end)
        end

      await(fn -> Meter.info(name).events.applied > 1_000 end)
      :ok = GenServer.stop(meter)
      for _ <- recorders, do: assert_receive({:lists, []})
    end
  end

  # Lists of which something was late, and nothing counted.
  defp record_until_refused(name, recorder, count, number) do
    events = for event <- 1..count, do: event(recorder, number + event)
    outcomes = Meter.record_many(name, events)

    if outcomes.ok == 0,
      do: [outcomes],
      else: record_until_refused(name, recorder, count, number + count)
  rescue
    ArgumentError -> []
  end

  test "meters that are started at once have different epochs" do
    epochs =
      1..8
      |> Enum.map(fn _ -> Task.async(fn -> for _ <- 1..1_000, do: Native.epoch(1) end) end)
      |> Enum.flat_map(&Task.await(&1, :infinity))

    assert epochs |> Enum.uniq() |> length() == 8_000

    starts =
      for _ <- 1..8 do
        options = options(name())

        Task.async(fn ->
          {:ok, meter} = Meter.start_link(options)
          :sys.get_state(meter).epoch
        end)
      end

    epochs = Task.await_many(starts, :infinity)
    assert epochs |> Enum.uniq() |> length() == 8
    # They tell when it was started as well.
    now = System.system_time(:microsecond)
    for epoch <- epochs, do: assert_in_delta(epoch, now, 10_000_000)
  end
end
