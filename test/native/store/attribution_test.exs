defmodule AdTally.Native.Store.AttributionTest do
  # Touches and conversions of an attribution that a store has, over restarts; and events that are touches.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeStores
  import AdTally.Test.Polling, only: [await: 1]

  alias AdTally.{Conversion, Event, Native, Steps, Touch}

  @at 1_780_272_000_000
  @minute 60_000

  defp touch(id, fields \\ []) do
    touch = %Touch{id: id, user: "ann", at: @at, kind: :click, dimensions: {42}, cost_micros: 5}
    struct!(touch, fields)
  end

  defp conversion(order, fields \\ []) do
    conversion = %Conversion{order: order, user: "ann", at: @at + 1_000, action: :purchase}
    struct!(%{conversion | value_micros: 90}, fields)
  end

  defp restart(directory) do
    store = open(left_behind(directory))
    {store, attribution(store)}
  end

  test "a conversion after a crash is credited to the touches of before" do
    directory = directory()
    store = open(directory)
    attribution = attribution(store)
    assert Native.attribution_touch(attribution, touch(1)) == :ok
    assert Native.attribution_touch(attribution, touch(2, dimensions: {7}, at: @at + 1)) == :ok
    assert Native.attribution_convert(attribution, conversion("before")) == :ok
    assert sync(store) == :ok

    {_store, again} = restart(directory)
    assert Native.attribution_touch(again, touch(1)) == :duplicate
    assert Native.attribution_convert(again, conversion("before")) == :duplicate
    assert Native.attribution_convert(again, conversion("after")) == :ok
    before = Native.attribution_credits(again, "before")
    assert before == Native.attribution_credits(attribution, "before")
    credits = Native.attribution_credits(again, "after")
    assert credits == Map.merge(before, Map.take(credits, [:revision]))
    assert [%{dimensions: {7}, credit_micros: 90}] = credits.last_touch
    assert [_, _] = credits.linear
  end

  test "a closed window is undelivered until it is gone, and an order that is final can be adjusted" do
    directory = directory()
    store = open(directory)
    attribution = attribution(store)
    Native.attribution_touch(attribution, touch(1))
    Native.attribution_convert(attribution, conversion("order"))
    assert {[{@at, _, _, window}], false} = Native.attribution_close_through(attribution, @at)
    assert [{@at, _, _, _, "", nil, nil, nil}] = Native.windows_undelivered(attribution)
    assert Native.windows_closed(attribution, [{window, 1}], false, "a@node", 99) == :ok
    assert Native.windows_sequence(attribution) == 1
    totals = Native.attribution_window_totals(window)
    assert sync(store) == :ok

    {store, again} = restart(directory)
    assert Native.windows_sequence(again) == 1
    assert [{@at, _, _, window, "", 1, false, "a@node"}] = Native.windows_undelivered(again)
    assert put_elem(Native.attribution_window_totals(window), 5, elem(totals, 5)) == totals
    assert Native.attribution_adjust(again, "order", {:restate, 80}, @at + 2 * @minute) == :ok
    assert Native.windows_gone(again, [window]) == :ok
    assert Native.windows_undelivered(again) == []
    assert Native.store_stop(store) == :ok

    assert Native.attribution_adjust(again, "order", :retract, @at + 2 * @minute) ==
             {:error, :busy}

    assert %{value_micros: 80} = Native.attribution_credits(again, "order")
  end

  test "a user that is forgotten has no touches after a crash" do
    directory = directory()
    store = open(directory)
    attribution = attribution(store)
    Native.attribution_touch(attribution, touch(1))
    Native.attribution_touch(attribution, touch(2, user: "bob"))
    assert Native.attribution_forget(attribution, "ann") == :store
    assert Native.attribution_forget_stored(attribution, "ann") == :ok
    assert sync(store) == :ok

    {_store, again} = restart(directory)
    Native.attribution_convert(again, conversion("ann"))
    Native.attribution_convert(again, conversion("bob", user: "bob"))
    assert %{last_touch: []} = Native.attribution_credits(again, "ann")
    assert %{last_touch: [%{touch: 2}]} = Native.attribution_credits(again, "bob")
  end

  describe "an event that is a touch" do
    defp event(id) do
      %Event{
        id: id,
        at: @at,
        dimensions: {42, :us},
        user: "ann",
        metrics: [impressions: 1],
        touch: :click
      }
    end

    defp counted(meter) do
      case Native.meter_open(meter, 0) do
        [{_, _, _, window}] ->
          {walk, _overflow} = Native.meter_counters(window)
          [{_key, %{impressions: count}}] = Steps.collect(walk)
          count

        [] ->
          0
      end
    end

    defp touched(attribution), do: Native.attribution_info(attribution).touches.applied

    test "is in the meter and in the attribution after a crash, or in none of them" do
      directory = directory()
      store = open(directory, interval: 5)
      meter = meter(store, touches: {[0], nil})
      attribution = attribution(store)
      test = self()

      recording =
        for process <- 1..2 do
          Task.async(fn -> record_until(meter, attribution, process, 0, test) end)
        end

      await(fn -> touched(attribution) > 0 end)

      # Copies at any moment, as a process that is killed leaves them behind, and one after a sync.
      copies =
        for copy <- 1..10 do
          Process.sleep(10)
          if copy == 10, do: assert(sync(store) == :ok)
          left_behind(directory)
        end

      for task <- recording, do: send(task.pid, :stop)
      assert recording |> Task.await_many(:infinity) |> Enum.sum() > 0

      counts =
        for copy <- copies do
          store = open(copy)
          meter = meter(store, touches: {[0], nil})
          attribution = attribution(store)
          count = counted(meter)
          assert spent(attribution) == count
          count
        end

      assert List.last(counts) > 0
    end

    # Rows of spend count touches, also those that a ring has dropped since.
    defp spent(attribution) do
      for {_, _, _, window} <- Native.attribution_open(attribution, 0), reduce: 0 do
        sum -> sum + elem(Native.attribution_window_totals(window), 3)
      end
    end

    defp record_until(meter, attribution, process, count, test) do
      receive do
        :stop -> count
      after
        1 ->
          events = for number <- 1..10, do: event(process * 1_000_000_000 + count * 11 + number)

          :ok =
            Native.meter_record(meter, attribution, event(process * 1_000_000_000 + count * 11))

          {[], {counts, []}} = Native.meter_record_many(meter, attribution, events)
          assert elem(counts, 0) == 10
          record_until(meter, attribution, process, count + 1, test)
      end
    end

    test "is refused by both where there is no room" do
      store = open(directory(), buffer_bytes: 1_000_000, wake_bytes: 1_000_000_000)
      meter = meter(store, touches: {[0], nil})
      attribution = attribution(store)
      count = record_until_busy(meter, attribution, 0)
      assert count > 0
      assert counted(meter) == count
      assert touched(attribution) == count

      :ok = Native.store_stop(store)
      events = [event("a"), event("b")]
      assert {[], {counts, []}} = Native.meter_record_many(meter, attribution, events)
      assert counts == {0, 0, 0, 0, 0, 0, 2}
      assert Native.meter_record(meter, attribution, event("a")) == :busy
      assert counted(meter) == count
      assert touched(attribution) == count
      assert Native.meter_info(meter).events.busy == 4
      assert Native.attribution_touch(attribution, touch(1)) == :busy
      assert Native.attribution_touch_many(attribution, [touch(1)]) == {[], {0, 0, 0, 0, 1}}
      assert Native.attribution_convert(attribution, conversion("order")) == :busy
      conversions = for order <- 1..3, do: conversion(order)
      assert Native.attribution_convert_many(attribution, conversions) == {[], {0, 0, 0, 0, 3}}
      info = Native.attribution_info(attribution)
      assert {info.touches.busy, info.conversions.busy} == {2, 4}
    end

    defp record_until_busy(meter, attribution, count) do
      case Native.meter_record(meter, attribution, event(count)) do
        :ok -> record_until_busy(meter, attribution, count + 1)
        :busy -> count
      end
    end
  end
end
