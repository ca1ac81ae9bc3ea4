defmodule AdTally.Native.Store.MeterTest do
  # Windows of a meter that a store has, over restarts.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeStores

  alias AdTally.{Event, Native, Steps}

  @at 1_780_272_000_000
  @minute 60_000

  defp event(id, fields \\ []) do
    event = %Event{id: id, at: @at, dimensions: {42, :us}, user: id, metrics: [impressions: 1]}
    struct!(event, fields)
  end

  defp rows(window) do
    {walk, _overflow} = Native.meter_counters(window)
    walk |> Steps.collect() |> Enum.sort()
  end

  defp sketches(window) do
    {walk, _overflow} = Native.meter_reach(window)
    walk |> Steps.collect() |> Enum.sort()
  end

  defp restart(directory, options \\ []) do
    store = open(left_behind(directory))
    {store, meter(store, options)}
  end

  test "events are counted once, and windows stay open, over a crash" do
    directory = directory()
    store = open(directory)
    meter = meter(store)
    for id <- 1..100, do: assert(Native.meter_record(meter, event(id)) == :ok)
    assert Native.meter_record(meter, event(1)) == :duplicate
    assert Native.meter_record(meter, event("next", at: @at + @minute)) == :ok
    assert sync(store) == :ok
    assert Native.meter_record(meter, event("not synced")) == :ok

    {_store, again} = restart(directory)
    for id <- 1..100, do: assert(Native.meter_record(again, event(id)) == :duplicate)
    assert Native.meter_record(again, event("not synced")) == :ok

    assert [{@at, _, 1, one}, {_, _, 1, two}] = Native.meter_open(again, 0)
    assert rows(one) == [{{42, :us}, %{impressions: 101, clicks: 0}}]
    assert rows(two) == [{{42, :us}, %{impressions: 1, clicks: 0}}]
    assert [{@at, _, 1, before}, _] = Native.meter_open(meter, 0)
    assert sketches(one) == sketches(before)
    assert Native.meter_info(again).newest == @at + @minute
  end

  test "of a list each event is counted once as well" do
    directory = directory()
    store = open(directory)
    meter = meter(store)
    events = for id <- 1..1_000, do: event(id)
    assert {{64, 0, 0, 0, 0, 0, 0}, []} = record_many(meter, Enum.take(events, 64))
    assert {{936, 64, 0, 0, 0, 0, 0}, []} = record_many(meter, events)
    assert sync(store) == :ok
    {_store, again} = restart(directory)
    assert {{0, 1_000, 0, 0, 0, 0, 0}, []} = record_many(again, events)
    assert [{_, _, 1, window}] = Native.meter_open(again, 0)
    assert rows(window) == [{{42, :us}, %{impressions: 1_000, clicks: 0}}]
  end

  defp record_many(meter, events) do
    case Native.meter_record_many(meter, events) do
      :many -> record_some(meter, events, {0, 0, 0, 0, 0, 0, 0}, [])
      {rest, {counts, late}} -> record_some(meter, rest, counts, late)
    end
  end

  defp record_some(_meter, [], counts, late), do: {counts, late}

  defp record_some(meter, events, counts, late) do
    {rest, {some, late_ones}} = Native.meter_record_some(meter, events)
    sum = Enum.zip_with(Tuple.to_list(counts), Tuple.to_list(some), &+/2)
    record_some(meter, rest, List.to_tuple(sum), late ++ late_ones)
  end

  test "a closed window is undelivered until it is gone, under its number" do
    directory = directory()
    store = open(directory)
    meter = meter(store)
    assert Native.windows_undelivered(meter) == []
    assert Native.windows_sequence(meter) == 0
    for minute <- 0..2, do: Native.meter_record(meter, event(minute, at: @at + minute * @minute))
    assert {closed, false} = Native.meter_close(meter, 0)
    assert [{@at, _, 1, first}, {_, _, 1, second}] = closed

    # Whoever has closed them may crash before they have a number.
    assert [
             {@at, _, 1, _, "[:impressions, :clicks]", nil, nil, nil},
             {_, _, 1, _, _, nil, nil, nil}
           ] = Native.windows_undelivered(meter)

    assert Native.windows_closed(meter, [{first, 1}, {second, 2}], false, "a@node", 99) == :ok
    assert Native.windows_sequence(meter) == 2
    assert sync(store) == :ok

    {store_again, again} = restart(directory)
    assert Native.windows_sequence(again) == 2

    assert [{@at, end_, 1, window, _, 1, false, "a@node"}, two] =
             Native.windows_undelivered(again)

    assert end_ == @at + @minute
    assert {_, _, 1, _, _, 2, false, "a@node"} = two
    assert rows(window) == rows(first)
    assert sketches(window) == sketches(first)
    assert [{third, _, 1, _}] = Native.meter_open(again, 0)
    assert third == @at + 2 * @minute
    # What comes for them now is late, as before.
    assert Native.meter_record(again, event("late")) == :late

    assert Native.windows_gone(again, [window]) == :ok
    assert [^two] = put_elem_of(Native.windows_undelivered(again), two)
    assert sync(store_again) == :ok
  end

  # References to one window differ.
  defp put_elem_of([window], other), do: [put_elem(window, 3, elem(other, 3))]

  test "what is gone is not delivered again" do
    directory = directory()
    store = open(directory)
    meter = meter(store)
    for minute <- 0..1, do: Native.meter_record(meter, event(minute, at: @at + minute * @minute))
    {[{_, _, _, window}], false} = Native.meter_close(meter, 0)
    :ok = Native.windows_closed(meter, [{window, 1}], false, "a@node", 99)
    :ok = Native.windows_gone(meter, [window])
    assert sync(store) == :ok
    {_store, again} = restart(directory)
    assert Native.windows_undelivered(again) == []
    assert Native.windows_sequence(again) == 1
    assert [{_, _, 1, _}] = Native.meter_open(again, 0)
  end

  test "windows of a configuration of before are closed as they were" do
    directory = directory()
    store = open(directory)
    meter = meter(store)

    for id <- 1..3,
        do: Native.meter_record(meter, event(id, metrics: [impressions: 1, clicks: 2]))

    assert sync(store) == :ok

    metrics = [:impressions, :clicks, :spend]

    old =
      {"[:impressions, :clicks]", @minute, {[:impressions, :clicks], 2, 1_000},
       {[0], 12, 1_000, nil}}

    {store, again} = restart(directory, metrics: metrics, olds: [old])
    assert Native.meter_open(again, 0) == []

    assert [{@at, _, 1, window, "[:impressions, :clicks]", nil, nil, nil}] =
             Native.windows_undelivered(again)

    assert rows(window) == [{{42, :us}, %{impressions: 3, clicks: 6}}]

    # Ids go on, and there is a window of the new shape.
    assert Native.meter_record(again, event(1)) == :duplicate
    assert Native.meter_record(again, event(4, metrics: [spend: 5])) == :ok
    assert [{@at, _, 1, fresh}] = Native.meter_open(again, 0)
    assert rows(fresh) == [{{42, :us}, %{impressions: 0, clicks: 0, spend: 5}}]
    assert :ok = Native.windows_closed(again, [{window, 1}], true, "b@node", 99)
    assert sync(store) == :ok
  end

  test "a meter without a store has nothing undelivered" do
    meter = Native.meter_new({@minute, 0, nil, 10}, {[:impressions], 2, 10}, nil, nil, nil, nil)

    Native.meter_record(meter, event(1))
    {[{_, _, _, window}], false} = Native.meter_close_through(meter, @at)
    assert Native.windows_undelivered(meter) == []
    assert Native.windows_closed(meter, [{window, 1}], false, "a@node", 99) == :ok
    assert Native.windows_sequence(meter) == 0
    assert Native.windows_gone(meter, [window]) == :ok

    refused = ~r/a meter or an attribution/
    assert_raise ArgumentError, refused, fn -> Native.windows_gone(window, [window]) end
    refused = ~r/a window of an AdTally.Meter/
    assert_raise ArgumentError, refused, fn -> Native.windows_gone(meter, [meter]) end
  end

  test "an event that its store has no room for is not counted" do
    store = open(directory(), buffer_bytes: 1_000_000, wake_bytes: 1_000_000_000)
    meter = meter(store)
    counted = record_until_busy(meter, 0)
    assert counted > 0
    assert [{_, _, 1, window}] = Native.meter_open(meter, 0)
    assert [{_, %{impressions: ^counted}}] = rows(window)

    assert sync(store) == :ok
    # It is no copy either.
    assert Native.meter_record(meter, event(counted + 1)) == :ok
  end

  test "of a list that its store has no room for nothing is counted" do
    directory = directory()
    store = open(directory)
    meter = meter(store)
    assert Native.meter_record(meter, event("a")) == :ok
    :ok = Native.store_stop(store)
    events = [event("a"), event("b")]
    assert {[], {{0, 0, 0, 0, 0, 0, 2}, []}} = Native.meter_record_many(meter, events)
    assert Native.meter_info(meter).events.busy == 2
    meter = meter(open(directory))
    assert {[], {{1, 1, 0, 0, 0, 0, 0}, []}} = Native.meter_record_many(meter, events)
  end

  defp record_until_busy(meter, counted) do
    case Native.meter_record(meter, event(counted + 1)) do
      :ok -> record_until_busy(meter, counted + 1)
      :busy -> counted
    end
  end
end
