defmodule AdTally.Attribution.ConcurrencyTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Attributions

  alias AdTally.Attribution
  alias AdTally.Test.AttributionRace

  @models [:last_touch, :linear, :position_based, {:time_decay, 60_000}]
  @touches_per_user 8

  setup :own_name

  # Five seconds of work are to be looked through, which take longer where others use the machine as well.
  @tag :slow
  test "of users whom four processes race for no credit is lost or doubled", %{name: name} do
    race(name, 4, 5_000)
  end

  @tag :exhaustive
  @tag timeout: 600_000
  test "of users whom two processes race for no credit is lost or doubled, for a minute", %{
    name: name
  } do
    race(name, 2, 60_000)
  end

  defp race(name, processes, milliseconds) do
    week = 7 * 86_400_000

    options = [
      models: @models,
      prevail: false,
      touches: [click: week, view: week],
      touches_per_user: @touches_per_user,
      users: 10_000,
      orders: 10_000_000,
      retain: week
    ]

    start(name, options)
    told = AttributionRace.run(name, processes, milliseconds)
    steady = AttributionRace.convert_steady(name, told)
    for {order, touches} <- steady, do: check_steady(Attribution.credits(name, order), touches)
    :ok = Attribution.close(name, :infinity)

    credits =
      for {:convert, conversion, outcome} <- told, into: %{} do
        assert outcome in [:ok, :late]
        {conversion.order, {conversion.value_micros, Attribution.credits(name, conversion.order)}}
      end

    for {order, _touches} <- steady, do: assert(Attribution.credits(name, order).final)
    {info, report} = {Attribution.info(name), Attribution.report(name, by: [])}
    stop_supervised!(name)
    windows = delivered()

    {told_steady, rows} =
      Enum.split_with(rows(windows), &String.starts_with?(elem(&1, 1), "steady"))

    for {order, {_value, credits}} <- credits, do: check_credits(order, credits)
    check_rows(rows, credits)
    check_spend(windows, told)
    check_report(report, rows ++ told_steady)

    counted = Enum.count(credits, fn {_order, {_value, credits}} -> credits.counted end)
    assert info.attributed + info.unattributed == counted + length(steady)
    assert info.repeated == map_size(credits) - counted
    assert counted > 1_000 and info.repeated > 10

    # In time and late, both often.
    for counts <- [info.touches, info.conversions],
        outcome <- [:applied, :late],
        do: assert(counts[outcome] > div(counts.received, 50))

    # The order of an adjustment may have been about to come.
    answers = for {:adjust, _order, _change, answer} <- told, uniq: true, do: answer
    assert answers -- [:ok, {:error, :retracted}, {:error, :unknown}] == []
    assert :ok in answers
  end

  # The newest ones, whoever they were sent for, and none of them is missing.
  defp check_steady(credits, touches) do
    for {:touch, _touch, outcome} <- touches, do: assert(outcome in [:ok, :late])

    newest =
      touches
      |> Enum.map(fn {:touch, touch, _outcome} -> {touch.at, touch.id} end)
      |> Enum.sort()
      |> Enum.take(-@touches_per_user)

    assert Enum.map(credits.linear, &{&1.at, &1.touch}) == newest
    assert credits.truncated
  end

  defp check_credits(order, credits) do
    assert credits.final
    AttributionRace.whole!(order, credits)
  end

  defp rows(windows), do: for({_window, credits, _touches} <- windows, row <- credits, do: row)

  # Each conversion that counts is there once under each model, and with its adjustments it is what it is
  # credited with in the end.
  defp check_rows(rows, credits) do
    by_order = Enum.group_by(rows, &elem(&1, 1))
    counted = for {order, {_value, %{counted: true}}} <- credits, do: order
    assert by_order |> Map.keys() |> Enum.sort() == Enum.sort(counted)

    for {order, rows} <- by_order do
      {value, credits} = credits[order]
      assert rows |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort() == Enum.sort(@models)

      for {model, rows} <- Enum.group_by(rows, &elem(&1, 0)) do
        {first, adjusted} = Enum.split_with(rows, &(elem(&1, 8) == nil))
        assert {sum(first, 9), sum(first, 10)} == {1_000_000, value}
        assert first |> Enum.uniq_by(&elem(&1, 4)) |> length() == length(first)

        net = {if(credits.retracted, do: 0, else: 1_000_000), credits.value_micros}
        assert {1_000_000 + sum(adjusted, 9), value + sum(adjusted, 10)} == net

        by_touch =
          for {touch, rows} <- Enum.group_by(rows, &elem(&1, 4)),
              do: {touch, sum(rows, 9), sum(rows, 10)}

        shown = for one <- credits[model], do: {one.touch, one.share_ppm, one.credit_micros}

        unless credits.retracted,
          do:
            assert(
              Enum.sort(by_touch) ==
                Enum.sort(
                  if(shown == [], do: [{nil, 1_000_000, credits.value_micros}], else: shown)
                )
            )
      end
    end
  end

  defp check_spend(windows, told) do
    spend =
      for {_window, _credits, touches} <- windows,
          {dimensions, kind, count, cost} <- touches,
          reduce: %{} do
        sums ->
          Map.update(sums, {dimensions, kind}, {count, cost}, fn {n, sum} ->
            {n + count, sum + cost}
          end)
      end

    expected =
      for {:touch, touch, :ok} <- told, reduce: %{} do
        sums ->
          Map.update(sums, {touch.dimensions, touch.kind}, {1, touch.cost_micros}, fn {n, sum} ->
            {n + 1, sum + touch.cost_micros}
          end)
      end

    assert spend == expected
  end

  # Of the first model.
  defp check_report(report, rows) do
    rows = Enum.filter(rows, &(elem(&1, 0) == hd(@models)))
    total = fn field -> report |> Enum.map(&Map.fetch!(&1, field)) |> Enum.sum() end
    assert {total.(:conversions_ppm), total.(:value_micros)} == {sum(rows, 9), sum(rows, 10)}
  end

  defp sum(rows, place), do: rows |> Enum.map(&elem(&1, place)) |> Enum.sum()
end
