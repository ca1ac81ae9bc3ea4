defmodule AdTally.Windows.StopTest do
  # How long a meter that is stopped waits: for as long as there is progress, and no longer.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter, Window}

  @at 1_780_272_000_000
  @flush 600

  defmodule Answering do
    @behaviour AdTally.Sink

    @impl true
    def deliver(window, to: pid, answer: answer) do
      send(pid, {:attempt, window.sequence})
      answer.(window)
    end
  end

  defp start(answer, options \\ [])

  defp start(answer, options) when is_function(answer),
    do: start([{Answering, to: self(), answer: answer}], options)

  defp start(sinks, options) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    names = [name: name, dimensions: [:page], metrics: [:views], clock: :events, flush: @flush]
    start_supervised!({Meter, names ++ [sinks: sinks] ++ options}, id: name)
    name
  end

  defp record(name, pages, at \\ @at) do
    events = for page <- pages, do: %Event{at: at, dimensions: {page}, metrics: [views: 1]}
    Meter.record_many(name, events)
  end

  # Stops it: for how many milliseconds, and what it has said of what is lost. Other tests log meanwhile.
  defp stop(name) do
    begin = System.monotonic_time(:millisecond)
    log = capture_log(fn -> :ok = stop_supervised!(name) end)
    said = Regex.scan(~r/#{inspect(name)} stops with (\w+ \w+)/, log, capture: :all_but_first)
    {System.monotonic_time(:millisecond) - begin, List.flatten(said)}
  end

  test "a supervisor leaves it to the meter how long it takes" do
    assert %{shutdown: :infinity} = Meter.child_spec(name: :any)
  end

  test "rows that a sink reads again are no progress" do
    name =
      start(fn window ->
        Stream.repeatedly(fn -> Enum.count(Window.stream_counters(window)) end)
        |> Enum.each(fn 3 -> Process.sleep(10) end)
      end)

    record(name, 1..3)
    {milliseconds, said} = stop(name)
    assert said != []
    assert milliseconds < 10 * @flush
  end

  test "a sink that reads rows slower than :flush has time for all of them" do
    test = self()

    name =
      start(fn window ->
        rows =
          for {_page, totals} <- Window.stream_counters(window), reduce: 0 do
            views -> Process.sleep(1) && views + totals.views
          end

        send(test, {:views, rows})
        :ok
      end)

    record(name, 1..1_500)
    assert {milliseconds, []} = stop(name)
    assert milliseconds > 2 * @flush
    assert_received {:views, 1_500}
  end

  test "a sink that takes windows slower than :flush, one after the other, has time for all of them" do
    # All of them are open until it is stopped.
    sink = fn _window -> Process.sleep(div(@flush, 4)) && :ok end
    name = start(sink, lateness: 3_600_000)
    for minute <- 0..11, do: record(name, [1], @at + minute * 60_000)
    assert {milliseconds, []} = stop(name)
    assert milliseconds > 2 * @flush
    for sequence <- 1..12, do: assert_received({:attempt, ^sequence})
  end

  # Reading the same rows again and again is no progress, or it would never stop.
  test "a sink that reads all rows and fails, at every attempt, is given up on" do
    name =
      start(fn window ->
        Window.counters(window)
        {:error, :down}
      end)

    record(name, 1..100)
    assert {milliseconds, ["1 windows"]} = stop(name)
    assert milliseconds >= @flush
    assert_received {:attempt, 1}
    assert_received {:attempt, 1}
  end

  test "a sink that hangs is given up on, whatever it has read" do
    name =
      start(fn window ->
        Window.counters(window)
        Process.sleep(:infinity)
      end)

    record(name, 1..100)
    assert {milliseconds, ["1 windows"]} = stop(name)
    assert milliseconds >= @flush
  end

  test "one sink that is given up on does not keep another one from its windows" do
    test = self()

    slow = fn window ->
      Enum.each(Window.stream_counters(window), fn _row -> Process.sleep(1) end)
      send(test, :taken)
      :ok
    end

    sinks = [
      {Answering, to: test, answer: fn _window -> Process.sleep(:infinity) end},
      {Answering, to: test, answer: slow}
    ]

    name = start(sinks)
    record(name, 1..1_500)
    assert {milliseconds, ["1 windows"]} = stop(name)
    assert milliseconds > 2 * @flush
    assert_received :taken
  end

  test "late events are handed on for as long as the function returns" do
    name = start(fn _window -> :ok end, lateness: 0, on_late: {__MODULE__, :slowly})
    record(name, [1], @at + 600_000)
    Process.register(self(), :"#{__MODULE__}")
    record(name, [1])
    assert %{late: 12_000} = record(name, List.duplicate(2, 12_000))
    assert {milliseconds, []} = stop(name)
    assert milliseconds > @flush
    assert late(0) >= 12_000
  end

  def slowly(events) do
    Process.sleep(div(@flush, 3))
    send(__MODULE__, {:late, length(events)})
  end

  defp late(count) do
    receive do
      {:late, more} -> late(count + more)
    after
      0 -> count
    end
  end
end
