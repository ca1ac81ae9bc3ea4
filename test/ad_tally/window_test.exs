defmodule AdTally.WindowTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Meter, Sketch, Window}
  alias AdTally.Test.MeterSinks.Forwarding

  doctest Window

  @at 1_780_272_000_000

  defp window(events, options \\ []) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    names = [name: name, dimensions: [:page, :country], metrics: [:views], clock: :events]
    {:ok, meter} = Meter.start_link(names ++ [sinks: [{Forwarding, to: self()}]] ++ options)
    Meter.record_many(name, events)
    GenServer.stop(meter)
    assert_received {:window, window}
    window
  end

  defp event(page, user),
    do: %Event{at: @at, dimensions: {page, "us"}, metrics: [views: page], user: user}

  test "streams have the rows that lists have, in one order each time, and any part of them" do
    window = window(for(n <- 1..20_000, do: event(n, n)), reach: [by: [:page]])

    for {stream, list} <- [
          {Window.stream_counters(window), Window.counters(window)},
          {Window.stream_reach(window), Window.reach(window)}
        ] do
      assert length(list) == 20_000
      assert Enum.to_list(stream) == list
      assert Enum.to_list(stream) == list
      assert length(Enum.take(stream, 7)) == 7
      assert Enum.uniq(Enum.map(list, &elem(&1, 0))) == Enum.map(list, &elem(&1, 0))
    end

    assert window |> Window.stream_counters() |> Enum.map(&elem(&1, 1).views) |> Enum.sum() ==
             div(20_000 * 20_001, 2)
  end

  test "streams are lazy: what is not read is not made" do
    window = window(for(n <- 1..200_000, do: event(n, nil)))
    parent = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        for _row <- Window.stream_counters(window), reduce: 0 do
          most -> max(most, :erlang.process_info(self(), :memory) |> elem(1))
        end
        |> then(&send(parent, {:most, &1}))
      end)

    assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}
    assert_received {:most, most}
    all = 8 * :erts_debug.flat_size(Window.counters(window))
    assert 5 * most < all
  end

  test "a window without sketches has none to stream" do
    window = window([event(1, 7)])
    assert Enum.to_list(Window.stream_reach(window)) == []
    assert Window.reach_overflow(window) == nil
  end

  test "users whose key had no sketch are in one for all of them" do
    users = for n <- 1..50, do: event(n, n)
    window = window(users, reach: [by: [:page], max_keys: 10])
    assert length(Window.reach(window)) == 10
    assert_in_delta Sketch.estimate(Window.reach_overflow(window)), 40, 1
    window = window(users, reach: [by: [:page]])
    assert Sketch.estimate(Window.reach_overflow(window)) == 0.0
  end
end
