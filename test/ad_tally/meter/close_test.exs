defmodule AdTally.Meter.CloseTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Meter}
  alias AdTally.Test.MeterSinks.Telling

  @moduletag :capture_log
  @begin 1_780_272_000_000
  @minute 60_000

  setup context do
    {:ok, name: Module.concat(__MODULE__, "Meter#{context.line}")}
  end

  defp start(name, options \\ []) do
    defaults = [
      name: name,
      dimensions: [:campaign],
      metrics: [:clicks],
      clock: :events,
      sinks: [{Telling, to: self()}]
    ]

    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
  end

  defp event(at), do: %Event{at: at, dimensions: {42}, metrics: [clicks: 1]}

  # What was delivered by now: when each window begins, its clicks, and whether it is partial.
  defp delivered(windows \\ []) do
    receive do
      {:window, window, [{{42}, %{clicks: clicks}}], _reach} ->
        delivered([{window.start, clicks, window.partial} | windows])
    after
      0 -> Enum.reverse(windows)
    end
  end

  test "all windows that have events are closed, and every sink has them when it returns", %{
    name: name
  } do
    slow = fn _window -> Process.sleep(20) end
    start(name, sinks: [{Telling, to: self()}, {Telling, to: self(), answer: slow}])
    # Of the last one the lateness has not passed, nor has that of those before it.
    for minute <- [0, 3, 1, 3, 4],
        do: assert(Meter.record(name, event(@begin + minute * @minute)) == :ok)

    assert Meter.close(name) == :ok

    windows =
      for {minute, clicks} <- [{0, 1}, {1, 1}, {3, 2}, {4, 1}],
          do: {@begin + minute * @minute, clicks, true}

    assert Enum.sort(delivered()) == Enum.sort(windows ++ windows)
    assert %{closed_windows: 4, open_windows: 0} = Meter.info(name)

    # What comes for them is late, also where no window had begun; the meter goes on with newer ones.
    for minute <- 0..4, do: assert(Meter.record(name, event(@begin + minute * @minute)) == :late)
    assert Meter.record(name, event(@begin + 5 * @minute)) == :ok
    # They are in reports all the same.
    assert [%{clicks: 6}] = Meter.report(name, by: [])
    assert Meter.close(name) == :ok
    assert [{_, 1, true}, {_, 1, true}] = delivered()
    assert Meter.info(name).closed_windows == 5
  end

  test "those whose time has passed are not partial", %{name: name} do
    start(name, lateness: 0, window: 3 * @minute)
    assert Meter.record(name, event(@begin)) == :ok
    assert Meter.record(name, event(@begin + 7 * @minute)) == :ok
    assert Meter.close(name) == :ok
    assert delivered() == [{@begin, 1, false}, {@begin + 6 * @minute, 1, true}]
  end

  # More than are closed in a step, in their order.
  test "nor are they when the meter is stopped", %{name: name} do
    start(name, lateness: 2 * @minute)
    for number <- 0..99, do: assert(Meter.record(name, event(@begin + number * @minute)) == :ok)
    stop_supervised!(name)
    expected = for number <- 0..99, do: {@begin + number * @minute, 1, number > 96}
    assert delivered() == expected
  end

  test "with the system's clock too, up to the window of an event that is ahead", %{name: name} do
    start(name, clock: :system, max_ahead: 10 * @minute)
    now = System.system_time(:millisecond)
    assert Meter.record(name, event(now)) == :ok
    assert Meter.record(name, event(now + 5 * @minute)) == :ok
    assert Meter.record(name, event(now + 60 * @minute)) == :future
    assert Meter.close(name) == :ok
    assert [{_, 1, true}, {_, 1, true}] = delivered()
    assert Meter.record(name, event(now + 4 * @minute)) == :late
    assert Meter.record(name, event(now + 6 * @minute)) == :ok
  end

  test "a meter without events closes nothing", %{name: name} do
    start(name, lateness: 0)
    assert Meter.close(name) == :ok
    assert Meter.record(name, event(0)) == :ok
    assert Meter.close(name) == :ok
    assert [{0, 1, true}] = delivered()
    assert Meter.close(name) == :ok
    assert delivered() == []
  end

  test "thousands of windows, and two that close at once", %{name: name} do
    start(name)
    events = for minute <- 0..2_999, do: event(@begin + minute * @minute)
    assert %{ok: 3_000} = Meter.record_many(name, events)
    closing = for _ <- 1..2, do: Task.async(fn -> Meter.close(name, 60_000) end)
    assert Task.await_many(closing, :infinity) == [:ok, :ok]
    assert length(delivered()) == 3_000
  end

  test "a sink that fails is waited for until the time is up, and gets them later", %{name: name} do
    taking = :atomics.new(1, [])

    answer = fn _window ->
      if :atomics.get(taking, 1) == 1, do: :ok, else: {:error, :busy}
    end

    start(name, sinks: [{Telling, to: self()}, {Telling, to: self(), answer: answer}])
    assert Meter.record(name, event(@begin)) == :ok
    assert Meter.close(name, 50) == {:error, :timeout}
    # The other one has it.
    assert_receive {:window, %{start: @begin, partial: true}, [{{42}, %{clicks: 1}}], _reach}

    # Closed it is, and others may wait for it.
    assert Meter.record(name, event(@begin)) == :late
    waiting = Task.async(fn -> Meter.close(name, :infinity) end)
    :atomics.put(taking, 1, 1)
    assert Task.await(waiting, :infinity) == :ok
    assert [{@begin, 1, true}] = delivered()
    assert Meter.close(name) == :ok
  end

  test "who has given up on a sink that fails is forgotten, and who waits on is told", %{
    name: name
  } do
    taking = :atomics.new(1, [])

    answer = fn _window ->
      if :atomics.get(taking, 1) == 1, do: :ok, else: {:error, :busy}
    end

    meter = start(name, sinks: [{Telling, to: self(), answer: answer}])
    assert Meter.record(name, event(@begin)) == :ok

    waiting =
      for timeout <- [:infinity, 60_000], do: Task.async(fn -> Meter.close(name, timeout) end)

    for _ <- 1..20, do: assert(Meter.close(name, 5) == {:error, :timeout})
    {:links, links} = Process.info(meter, :links)
    [delivery] = Enum.filter(links, &delivery?/1)
    # Those two, and the last ones, which the next would forget.
    assert length(:sys.get_state(delivery).awaiting) <= 4
    :atomics.put(taking, 1, 1)
    # It does not wait for the pause.
    assert Meter.close(name) == :ok
    assert Task.await_many(waiting, :infinity) == [:ok, :ok]
    assert :sys.get_state(delivery).awaiting == []
  end

  defp delivery?(pid) do
    is_pid(pid) and :proc_lib.translate_initial_call(pid) == {AdTally.Windows.Delivery, :init, 1}
  end

  test "a sink that hangs is waited for until the time is up", %{name: name} do
    hang = fn _window -> Process.sleep(:infinity) end
    start(name, flush: 50, sinks: [{Telling, to: self(), answer: hang}])
    assert Meter.record(name, event(@begin)) == :ok
    assert Meter.close(name, 50) == {:error, :timeout}
    assert Meter.record(name, event(@begin + @minute)) == :ok
  end

  test "a window that is given up is told of at once", %{name: name} do
    sink = {Telling, to: self(), answer: fn _ -> :no end}
    start(name, flush: 50, max_waiting: 1, sinks: [sink])

    for minute <- 0..2, do: assert(Meter.record(name, event(@begin + minute * @minute)) == :ok)
    assert Meter.close(name, :infinity) == {:error, :dropped}
    # By windows that come while somebody waits, too: each gives up the one before.
    waiting = Task.async(fn -> Meter.close(name, :infinity) end)
    assert record_until_answered(name, waiting.ref, 3) == {:error, :dropped}
  end

  defp record_until_answered(name, ref, minute) do
    receive do
      {^ref, answer} ->
        Process.demonitor(ref, [:flush])
        answer
    after
      10 ->
        Meter.record(name, event(@begin + minute * @minute))
        Meter.close(name, 1)
        record_until_answered(name, ref, minute + 1)
    end
  end

  test "a meter that does not run is named, and so is what is no timeout", %{name: name} do
    assert_raise ArgumentError, ~r/no AdTally.Meter named #{inspect(name)} that runs/, fn ->
      Meter.close(name)
    end

    pid =
      start(name, sinks: [{Telling, to: self(), answer: fn _ -> Process.sleep(:infinity) end}])

    assert Meter.record(name, event(@begin)) == :ok

    for timeout <- [-1, 1.5, nil] do
      assert_raise ArgumentError, ~r/expected :timeout to be milliseconds/, fn ->
        Meter.close(name, timeout)
      end
    end

    # Also one that ends meanwhile.
    test = self()

    spawn(fn ->
      error = assert_raise ArgumentError, fn -> Meter.close(name, :infinity) end
      send(test, {:raised, Exception.message(error)})
    end)

    assert_receive {:attempt, 1}
    Process.exit(pid, :kill)
    assert_receive {:raised, message}
    assert message =~ "no AdTally.Meter named #{inspect(name)} that runs"
  end
end
