defmodule AdTally.Native.Attribution.WindowsTest do
  # What windows have in them, and what reports and paths make of it.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeAttribution

  alias AdTally.{Native, Steps}
  alias AdTally.Test.NativeSteps

  @models [:last_touch, :linear, {:time_decay, 3_600_000}]

  # A click and a view of campaign 1 and of campaign 2, a purchase after both, and one by nobody known.
  defp attribution(options \\ []) do
    attribution = new([models: @models, prevail: false] ++ options)
    :ok = Native.attribution_touch(attribution, touch(id: 1, dimensions: {1, "x"}))
    view = touch(id: "two", kind: :view, dimensions: {2, :y}, at: at() + 10, cost_micros: 7)
    :ok = Native.attribution_touch(attribution, view)
    :ok = Native.attribution_convert(attribution, conversion(value_micros: 101))
    :ok = Native.attribution_convert(attribution, conversion(order: 10, user: 1, value_micros: 5))
    attribution
  end

  defp id_of_two do
    {hash, _bytes} = Native.key_vector("touch", 0, "two")
    <<id::signed-64>> = <<hash::64>>
    id
  end

  test "credits of an order, by every model" do
    attribution = attribution()
    at = at()
    two = id_of_two()

    assert %{
             :last_touch => [
               %{
                 touch: ^two,
                 dimensions: {2, :y},
                 kind: :view,
                 at: later,
                 credit_micros: 101,
                 share_ppm: 1_000_000
               }
             ],
             :linear => [
               %{touch: 1, dimensions: {1, "x"}, kind: :click, at: ^at, credit_micros: first},
               %{credit_micros: second}
             ],
             {:time_decay, 3_600_000} => [_one, _other],
             :final => false,
             :revision => 1,
             :truncated => false,
             :counted => true,
             :retracted => false,
             :value_micros => 101
           } = credits = Native.attribution_credits(attribution, "o-9")

    assert later == at + 10
    assert {first + second, abs(first - second)} == {101, 1}
    assert map_size(credits) == 9
    assert Native.attribution_credits(attribution, "o-8") == nil

    # Nobody is credited.
    credits = Native.attribution_credits(attribution, 10)
    assert for(model <- @models, do: credits[model]) == [[], [], []]
  end

  test "rows of a closed window" do
    attribution = attribution()
    at = at()
    :ok = Native.attribution_adjust(attribution, "o-9", {:restate, 51}, at + 5_000)
    assert [{^at, ends, 2, _open}] = Native.attribution_open(attribution, 0)
    assert ends == at + 60_000
    assert Native.attribution_last_open(attribution) == at
    assert {bytes, ^ends} = Native.attribution_open_bytes(attribution, 0)
    assert bytes > 0
    assert Native.attribution_open_bytes(attribution, ends) == {0, nil}

    assert {[{^at, ^ends, 5, window}], false} = Native.attribution_close_through(attribution, at)
    assert Native.attribution_open(attribution, 0) == []
    assert Native.attribution_last_open(attribution) == nil

    rows = window |> Native.attribution_window_credits() |> Steps.collect()
    of_last = for row <- rows, elem(row, 0) == :last_touch, do: Tuple.delete_at(row, 0)

    assert Enum.sort(of_last) == [
             {10, :purchase, nil, nil, nil, nil, at + 1_000, nil, 1_000_000, 5, false, 1},
             {"o-9", :purchase, :view, id_of_two(), {2, :y}, at + 10, at + 1_000, at + 5_000, 0,
              -50, false, 1},
             {"o-9", :purchase, :view, id_of_two(), {2, :y}, at + 10, at + 1_000, nil, 1_000_000,
              101, false, 1}
           ]

    # Each model's credits are the value, less the change of it.
    for model <- @models do
      of_model = for row <- rows, elem(row, 0) == model, do: {elem(row, 9), elem(row, 10)}
      {parts, values} = Enum.unzip(of_model)
      assert {Enum.sum(parts), Enum.sum(values)} == {2_000_000, 56}
    end

    {walk, []} = Native.attribution_window_touches(window)

    assert walk |> Steps.collect() |> Enum.sort() ==
             [{{1, "x"}, :click, 1, 1_250}, {{2, :y}, :view, 1, 7}]

    bytes = Native.attribution_window_bytes(window)
    assert Native.attribution_window_totals(window) == {5, 56, 2, 2, 1_257, bytes}
  end

  test "touches of more dimensions than there may be have none" do
    attribution = attribution(max_keys: 1)
    assert [%{dimensions: nil}] = Native.attribution_credits(attribution, "o-9").last_touch
    report = report(attribution, [campaign: 0], {false, false}, :last_touch)

    assert [
             %{campaign: 1, touches: 1},
             %{unattributed: true},
             %{overflow: true, touches: 1} = rest
           ] = report

    assert %{value_micros: 101, spend_micros: 7, conversions_ppm: 1_000_000} = rest
    {[{_begin, _end, _rows, window}], false} = Native.attribution_stop(attribution)
    {walk, overflow} = Native.attribution_window_touches(window)

    assert {Steps.collect(walk), overflow} ==
             {[{{1, "x"}, :click, 1, 1_250}], [{:view, 1, 7}]}
  end

  test "reports, by dimensions, kind and action" do
    attribution = attribution()

    assert report(attribution, [campaign: 0], {false, false}, :last_touch) == [
             row(%{campaign: 1}, 0, 0, 1_250, 1),
             row(%{campaign: 2}, 1_000_000, 101, 7, 1),
             row(%{unattributed: true}, 1_000_000, 5, 0, 0)
           ]

    assert report(attribution, [], {true, true}, :last_touch) == [
             row(%{kind: :view, action: :purchase}, 1_000_000, 101, nil, nil),
             row(%{unattributed: true, action: :purchase}, 1_000_000, 5, nil, nil)
           ]

    assert report(attribution, [], {true, false}, :last_touch) == [
             row(%{kind: :click}, 0, 0, 1_250, 1),
             row(%{kind: :view}, 1_000_000, 101, 7, 1),
             row(%{unattributed: true}, 1_000_000, 5, 0, 0)
           ]

    # Linear: a half of each, so that a conversion costs two and a half thousand.
    assert [%{creative: :y, cpa_micros: 14}, %{creative: "x", cpa_micros: 2_500}, _unattributed] =
             report(attribution, [creative: 1], {false, false}, :linear)

    assert report(attribution, [], {false, false}, :linear, {at() + 60_000, :infinity}) == []
  end

  defp row(names, ppm, value, spend, touches) do
    Map.merge(names, %{
      conversions: ppm / 1_000_000,
      conversions_ppm: ppm,
      value_micros: value,
      spend_micros: spend,
      touches: touches,
      roas: if(spend not in [nil, 0], do: value / spend),
      cpa_micros:
        if(spend != nil and ppm > 0 and not is_map_key(names, :unattributed),
          do: round(spend * 1_000_000 / ppm)
        )
    })
  end

  defp report(attribution, by, and_by, model, times \\ {0, :infinity}) do
    number = Enum.find_index(@models, &(&1 == model))
    made = Native.attribution_report_new(attribution, by, and_by, number, :touch, times)

    windows =
      for {_begin, _end, _rows, window} <- Native.attribution_open(attribution, 0), do: window

    :ok = NativeSteps.read(windows, &Native.attribution_report_read(made, &1))
    rows = NativeSteps.rows(&Native.attribution_report_rows(made, &1))
    assert Native.attribution_report_rows(made, [:more]) == {:done, [:more]}
    assert Native.attribution_report_end(made) == :ok
    Enum.reverse(rows)
  end

  test "rows of a report come in the order of their values, in steps" do
    attribution = new(max_keys: 100_000)
    texts = for number <- 1..4_500, do: Integer.to_string(number)
    values = Enum.shuffle([:a, :b, "", <<0>>, <<0, 0>>, -1, 0] ++ texts ++ Enum.to_list(1..4_500))

    touches =
      for {value, id} <- Enum.with_index(values),
          do: touch(id: id, user: id, dimensions: {value, 1})

    :ok = take(attribution, touches)

    made =
      Native.attribution_report_new(
        attribution,
        [v: 0],
        {false, false},
        0,
        :touch,
        {0, :infinity}
      )

    windows =
      for {_begin, _end, _rows, window} <- Native.attribution_open(attribution, 0), do: window

    :ok = NativeSteps.read(windows, &Native.attribution_report_read(made, &1))
    assert for(row <- shown(made, [], 0), do: row.v) == Enum.sort(values)
  end

  defp take(_attribution, []), do: :ok

  defp take(attribution, touches) do
    {rest, _counts} = Native.attribution_touch_some(attribution, touches)
    take(attribution, rest)
  end

  defp shown(made, rows, calls) do
    case Native.attribution_report_rows(made, rows) do
      {:more, rows} ->
        shown(made, rows, calls + 1)

      {:done, rows} ->
        # Nine thousand are more than one call may sort and show.
        assert calls > 0
        Enum.reverse(rows)
    end
  end

  test "paths of conversions, and of users without one" do
    attribution = attribution()
    :ok = Native.attribution_touch(attribution, touch(id: 7, user: "bob", dimensions: {2, "x"}))
    made = Native.attribution_paths_new(attribution, [0], {0, :infinity})

    windows =
      for {_begin, _end, _rows, window} <- Native.attribution_open(attribution, 0), do: window

    :ok = NativeSteps.read(windows, &Native.attribution_paths_read(made, &1))

    assert Enum.reverse(NativeSteps.rows(&Native.attribution_paths_rows(made, &1))) == [
             %{path: [{1}, {2}], conversions: 1, value_micros: 101, non_conversions: 0},
             %{path: [{2}], conversions: 0, value_micros: 0, non_conversions: 1}
           ]

    assert Native.attribution_paths_end(made) == :ok
    assert Native.attribution_paths_rows(made, []) == {:done, []}
  end

  test "what is asked of no window is refused" do
    attribution = attribution()

    made =
      Native.attribution_report_new(attribution, [], {false, false}, 0, :touch, {0, :infinity})

    for windows <- [[attribution], :none, [make_ref() | 1]] do
      assert_raise ArgumentError, fn -> Native.attribution_report_read(made, windows) end
    end

    for {by, model, dated_by} <- [{[a: 2], 0, :touch}, {[a: 0], 3, :touch}, {[], 0, :click}] do
      assert_raise ArgumentError, fn ->
        Native.attribution_report_new(attribution, by, {false, false}, model, dated_by, {0, 1})
      end
    end

    assert_raise ArgumentError, fn -> Native.attribution_paths_new(attribution, [2], {0, 1}) end
  end

  test "lists of any length are taken whole" do
    attribution = new()

    for count <- [0, 1, 7, 8, 9, 64, 65, 256] do
      touches = for id <- 1..count//1, do: touch(id: id, user: {count, id})
      check = &Native.attribution_check_touches(attribution, &1, &2)
      assert NativeSteps.check(touches, 5, check) == count + 5
      refused = &Native.attribution_refused_touches(attribution, &1, &2)
      assert NativeSteps.refused(touches, 0, refused) == {count, []}
      rest = Native.attribution_touch_many(attribution, touches)
      assert all(rest, attribution, &Native.attribution_touch_some/2) == count

      conversions =
        for id <- 1..count//1, do: conversion(order: id + 1_000 * count, user: {count, id})

      check = &Native.attribution_check_conversions(attribution, &1, &2)
      assert NativeSteps.check(conversions, 5, check) == count + 5
      refused = &Native.attribution_refused_conversions(attribution, &1, &2)
      assert NativeSteps.refused(conversions, 0, refused) == {count, []}
      rest = Native.attribution_convert_many(attribution, conversions)
      assert all(rest, attribution, &Native.attribution_convert_some/2) == count
    end

    assert Native.attribution_touch_many(attribution, List.duplicate(touch(), 257)) == :many
    bad = [touch(id: 1), touch(id: nil), touch(id: 2), :none]
    refused = &Native.attribution_refused_touches(attribution, &1, &2)
    {4, [{1, one}, {3, other}]} = NativeSteps.refused(bad, 0, refused)
    assert [%ArgumentError{}, %ArgumentError{}] = [one, other]
  end

  # How many are taken by a call and those that take the rest.
  defp all({[], {ok, 0, 0, 0}}, _attribution, _some), do: ok

  defp all({rest, {ok, 0, 0, 0}}, attribution, some),
    do: ok + all(some.(attribution, rest), attribution, some)
end
