defmodule AdTally.Attribution.WindowTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AttributionWindows

  alias AdTally.{Attribution, Sink}
  alias AdTally.Attribution.Window

  doctest Window

  @minute 60_000

  defp credits(window, model), do: for(row <- Window.credits(window), row.model == model, do: row)

  test "says which it is" do
    options = options()
    window = window(&Attribution.touch(&1, touch(1)), options)
    name = options[:name]
    begin = begin()
    end_ = begin + @minute

    assert %Window{
             start: ^begin,
             end: ^end_,
             sequence: 1,
             partial: true,
             attribution: ^name,
             dimensions: [:campaign, :creative],
             kinds: [:click, :view],
             actions: [:purchase, :signup],
             models: [:last_touch, :linear]
           } = window

    assert Sink.window_id(window) == {name, node(), window.epoch, 1}
  end

  test "has what each model credits to each touch" do
    window =
      window(fn name ->
        :ok = Attribution.touch(name, touch(1, dimensions: {42, 7}))
        :ok = Attribution.touch(name, touch(-2, after: 10, dimensions: {"summer", nil}))
        :ok = Attribution.convert(name, conversion("o-9", after: 20, value_micros: 11))
      end)

    assert [last] = credits(window, :last_touch)

    assert last == %{
             model: :last_touch,
             order: "o-9",
             action: :purchase,
             kind: :click,
             touch: -2,
             dimensions: {"summer", nil},
             touched_at: begin() + 10,
             converted_at: begin() + 20,
             adjusted_at: nil,
             conversions_ppm: 1_000_000,
             value_micros: 11,
             truncated: false,
             revision: 1
           }

    linear = window |> credits(:linear) |> Enum.sort_by(& &1.touched_at)

    assert for(row <- linear, do: {row.touch, row.conversions_ppm, row.value_micros}) ==
             [{1, 500_000, 5}, {-2, 500_000, 6}]
  end

  test "has a row of a conversion without a touch, for each model" do
    window = window(&Attribution.convert(&1, conversion(7, value_micros: -5)))

    for model <- [:last_touch, :linear] do
      assert [row] = credits(window, model)

      assert Map.take(row, [:kind, :touch, :dimensions, :touched_at])
             |> Map.values()
             |> Enum.uniq() == [nil]

      assert {row.order, row.conversions_ppm, row.value_micros} == {7, 1_000_000, -5}
    end

    assert Window.touches(window) == []
  end

  test "an adjustment is in rows of its own, with the difference" do
    window =
      window(fn name ->
        :ok = Attribution.touch(name, touch(1))
        :ok = Attribution.convert(name, conversion(9, after: 20, value_micros: 100))
        :ok = Attribution.adjust(name, 9, {:restate, 40}, begin() + 30)
        :ok = Attribution.adjust(name, 9, :retract, begin() + 40)
      end)

    rows = window |> credits(:last_touch) |> Enum.sort_by(& &1.adjusted_at)

    assert for(row <- rows, do: {row.adjusted_at, row.conversions_ppm, row.value_micros})
           |> Enum.sort() ==
             Enum.sort([
               {nil, 1_000_000, 100},
               {begin() + 30, 0, -60},
               {begin() + 40, -1_000_000, -40}
             ])

    assert Enum.all?(rows, &({&1.touch, &1.converted_at} == {1, begin() + 20}))
  end

  test "has touches and their cost by dimensions and kind" do
    window =
      window(fn name ->
        :ok = Attribution.touch(name, touch(1, cost_micros: 100))
        :ok = Attribution.touch(name, touch(2, user: "ben", cost_micros: 11))
        :ok = Attribution.touch(name, touch(3, kind: :view))
        :ok = Attribution.touch(name, touch(4, dimensions: {43, 7}))
        :duplicate = Attribution.touch(name, touch(1, cost_micros: 100))
      end)

    assert Enum.sort_by(Window.touches(window), &{&1.dimensions, &1.kind}) == [
             %{dimensions: {42, 7}, kind: :click, touches: 2, cost_micros: 111},
             %{dimensions: {42, 7}, kind: :view, touches: 1, cost_micros: 0},
             %{dimensions: {43, 7}, kind: :click, touches: 1, cost_micros: 0}
           ]

    assert Window.touches_overflow(window) == []
  end

  test "touches for whose dimensions there is no room are in the overflow, by kind" do
    window =
      window(
        fn name ->
          for id <- 1..5,
              do: Attribution.touch(name, touch(id, dimensions: {id, 7}, cost_micros: id))

          :ok = Attribution.touch(name, touch(6, kind: :view, dimensions: {6, 7}))
          :ok = Attribution.convert(name, conversion(9, after: 20, value_micros: 100))
        end,
        max_keys: 2,
        prevail: false
      )

    assert [%{dimensions: {1, 7}}, %{dimensions: {2, 7}}] =
             Enum.sort_by(Window.touches(window), & &1.dimensions)

    assert Enum.sort_by(Window.touches_overflow(window), & &1.kind) == [
             %{kind: :click, touches: 3, cost_micros: 3 + 4 + 5},
             %{kind: :view, touches: 1, cost_micros: 0}
           ]

    # They are credited all the same.
    linear = credits(window, :linear)
    assert linear |> Enum.map(& &1.value_micros) |> Enum.sum() == 100

    assert linear |> Enum.filter(&(&1.dimensions == nil)) |> Enum.map(& &1.touch) |> Enum.sort() ==
             [3, 4, 5, 6]
  end

  test "thousands of rows are read in steps, and in the same order each time" do
    window =
      window(fn name ->
        touches =
          for id <- 1..3_000, do: touch(id, user: id, dimensions: {id, 7}, cost_micros: id)

        %{ok: 3_000} = Attribution.touch_many(name, touches)

        conversions =
          for order <- 1..3_000, do: conversion(order, user: order, value_micros: order)

        %{ok: 3_000} = Attribution.convert_many(name, conversions)
      end)

    counted = %{window | rows_read: :counters.new(2, [])}
    credits = Window.credits(counted)
    assert length(credits) == 6_000
    assert credits == Window.credits(counted)
    assert Enum.take(Window.stream_credits(counted), 10) == Enum.take(credits, 10)

    assert for(row <- credits, row.model == :linear, do: row.order) |> Enum.sort() ==
             Enum.to_list(1..3_000)

    assert Enum.all?(credits, &(&1.touch == &1.order and &1.value_micros == &1.order))

    touches = Window.touches(counted)
    assert touches == Window.touches(counted)
    assert for(row <- touches, do: row.cost_micros) |> Enum.sort() == Enum.to_list(1..3_000)
    # What a sink has read is its progress, and rows that are read again are none.
    assert {:counters.get(counted.rows_read, 1), :counters.get(counted.rows_read, 2)} ==
             {6_000, 3_000}
  end
end
