defmodule AdTally.Meter.NamesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling

  alias AdTally.{Event, Meter}
  alias AdTally.Test.{FreshVM, ResidentMemory, TableChurn}
  alias AdTally.Test.MeterSinks.Telling

  @event %Event{at: 1_780_272_000_000, dimensions: {42}, metrics: [clicks: 1]}

  defp options(name),
    do: [name: name, dimensions: [:campaign], metrics: [:clicks], clock: :events]

  defp name, do: :"#{__MODULE__}.#{System.unique_integer([:positive])}"

  test "as many meters as there are names are told apart, while names are added" do
    names = for _ <- 1..300, do: name()
    first = hd(names)
    {:ok, meter} = Meter.start_link(options(first))
    stop = :atomics.new(1, [])
    recorder = Task.async(fn -> record_until(first, stop, 0) end)
    others = for name <- tl(names), do: elem(Meter.start_link(options(name)), 1)

    for {name, times} <- Enum.with_index(tl(names)),
        _ <- 1..times//1,
        do: :ok = Meter.record(name, @event)

    :atomics.put(stop, 1, 1)
    recorded = Task.await(recorder, :infinity)
    counts = for name <- names, do: Meter.info(name).events.applied
    assert counts == [recorded | Enum.to_list(0..298)]
    assert recorded > 0
    Enum.each([meter | others], &GenServer.stop/1)

    for name <- names,
        do: assert_raise(ArgumentError, ~r/that runs/, fn -> Meter.record(name, @event) end)
  end

  defp record_until(name, stop, recorded) do
    :ok = Meter.record(name, @event)

    if :atomics.get(stop, 1) == 1,
      do: recorded + 1,
      else: record_until(name, stop, recorded + 1)
  end

  @tag :slow
  test "of events beside a meter that is stopped and started each is in a window, or raised" do
    name = name()
    stop = :atomics.new(1, [])
    {recorded, raised} = {:counters.new(1, []), :counters.new(1, [])}
    options = [sinks: [{Telling, to: self()}]] ++ options(name)
    recorders = for _ <- 1..4, do: Task.async(fn -> try_until(name, stop, recorded, raised) end)
    for _ <- 1..60, do: start_and_stop(options)

    # On a machine that is busy the recorders may have done less than that.
    await(fn ->
      start_and_stop(options)
      :counters.get(recorded, 1) > 1_000 and :counters.get(raised, 1) > 0
    end)

    :atomics.put(stop, 1, 1)
    Task.await_many(recorders, :infinity)
    assert delivered(0) == :counters.get(recorded, 1)
  end

  defp start_and_stop(options) do
    {:ok, meter} = Meter.start_link(options)
    Process.sleep(Enum.random(0..5))
    GenServer.stop(meter)
  end

  defp try_until(name, stop, recorded, raised) do
    try do
      :ok = Meter.record(name, @event)
      :counters.add(recorded, 1, 1)
    rescue
      error in ArgumentError ->
        true = error.message =~ "that runs"
        :counters.add(raised, 1, 1)
    end

    if :atomics.get(stop, 1) == 0, do: try_until(name, stop, recorded, raised)
  end

  defp delivered(sum) do
    receive do
      {:window, _window, [{{42}, %{clicks: clicks}}], _reach} -> delivered(sum + clicks)
    after
      0 -> sum
    end
  end

  if ResidentMemory.known?() do
    test "meters that have stopped give their memory back" do
      # Ids of each take 17 MB.
      assert FreshVM.call(TableChurn, :stopped_meters, [40]) < 100_000_000
    end
  end
end
