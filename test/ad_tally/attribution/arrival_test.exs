defmodule AdTally.Attribution.ArrivalTest do
  # Within lateness what comes out is a function of what there was, and not of the order in which it came.
  use ExUnit.Case, async: true

  import AdTally.Test.Attributions

  alias AdTally.Attribution
  alias AdTally.Test.{AttributionOperations, NaiveAttribution}

  @models [:last_touch, :first_touch, :linear, :position_based, {:time_decay, 600_000}]
  @users ["ann", "bob", 3, :dan, {"eve", 1}]

  setup context do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    [{:seed, seed} | own_name(context)]
  end

  # Of few times and ids, so that the order by both matters.
  defp events do
    touches =
      for id <- 1..150 do
        kind = Enum.random([:click, :view, :view])
        dimensions = {Enum.random(1..3)}

        touch(id, Enum.random(@users), 30 * Enum.random(0..240),
          kind: kind,
          dimensions: dimensions
        )
      end

    # The conversions of a time are of as many hashes: with whole seconds none is that of a touch, with
    # others it is.
    conversions =
      for {second, number} <- 0..7_200 |> Enum.take_random(60) |> Enum.with_index() do
        conversion(
          "order-#{number}",
          Enum.random(@users),
          Enum.random([second, 30 * div(second, 30)]),
          action: Enum.random([:purchase, :signup, :install]),
          value_micros: Enum.random(-1_000..1_000)
        )
      end
      |> Enum.uniq_by(& &1.at)

    links = for _ <- 1..2, do: {:link, Enum.random(@users), Enum.random(@users)}
    touches ++ conversions ++ links
  end

  defp take(name, {:link, from, to}), do: Attribution.link(name, from, to)
  defp take(name, %AdTally.Touch{} = touch), do: Attribution.touch(name, touch)
  defp take(name, conversion), do: Attribution.convert(name, conversion)

  defp naive_take({:link, from, to}, state), do: NaiveAttribution.link(state, from, to)

  defp naive_take(%AdTally.Touch{} = touch, state),
    do: state |> NaiveAttribution.touch(touch) |> elem(1)

  defp naive_take(conversion, state), do: state |> NaiveAttribution.convert(conversion) |> elem(1)

  for prevail <- [true, false] do
    test "every order of arrival gives the same credits and rows, prevail: #{prevail}", %{
      name: name,
      seed: seed
    } do
      options = [prevail: unquote(prevail), models: @models, touches_per_user: 255]

      kinds = [
        dimensions: [:campaign],
        touches: [click: 86_400_000, view: 3_600_000],
        conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch]
      ]

      for pass <- 1..6 do
        events = events()
        naive = Enum.reduce(events, NaiveAttribution.new(options ++ kinds), &naive_take/2)
        orders = Map.keys(naive.orders)

        expected =
          for order <- orders,
              do: naive |> NaiveAttribution.credits(order) |> Map.delete(:revision)

        rows = naive |> NaiveAttribution.close() |> NaiveAttribution.rows() |> without_revision()

        for arrival <- 1..6 do
          name = :"#{name}.#{pass}.#{arrival}"
          start(name, options)
          told = "seed #{seed}, pass #{pass}, arrival #{arrival}"
          # Copies are of no consequence, wherever they come.
          copies = Enum.take_random(events, 50)

          for event <- Enum.shuffle(events ++ copies),
              do: assert(take(name, event) in [:ok, :duplicate], told)

          credits =
            for order <- orders, do: name |> Attribution.credits(order) |> Map.delete(:revision)

          assert credits == expected, told
          stop_supervised!(name)
          delivered = for {_window, credits, _touches} <- delivered(), row <- credits, do: row
          assert without_revision(delivered) == rows, told
        end
      end
    end
  end

  # How often a conversion was revised tells what came after it.
  defp without_revision(rows) do
    rows |> Enum.map(&Tuple.delete_at(&1, 12)) |> AttributionOperations.canonical()
  end

  test "of conversions of one time that are counted once one counts, the same one in every order",
       %{name: name} do
    signups = for number <- 1..6, do: conversion("order-#{number}", "ann", 60, action: :signup)
    # Which one depends on the hashes of orders, which are others under another seed.
    options = [seed: 7]

    counted =
      for arrival <- 1..10 do
        name = :"#{name}.#{arrival}"
        start(name, options)

        for event <- Enum.shuffle([touch(1, "ann", 0) | signups]),
            do: assert(take(name, event) == :ok)

        provisional =
          for %{order: order} <- signups, Attribution.credits(name, order).counted, do: order

        :ok = Attribution.close(name)

        final =
          for %{order: order} <- signups, Attribution.credits(name, order).counted, do: order

        assert provisional == final
        final
      end

    assert [[_one]] = Enum.uniq(counted)
  end

  test "touches that come in the order of time are put together, and those of other dimensions are not",
       %{name: name} do
    options = [collapse: :consecutive, prevail: false, models: @models, touches_per_user: 255]
    start(name, options)

    config = [
      dimensions: [:campaign],
      touches: [click: 86_400_000, view: 3_600_000],
      conversions: [purchase: :every]
    ]

    touches =
      for id <- 1..200 do
        kind = Enum.random([:click, :view, :view, :view])
        touch(id, "ann", 20 * id, kind: kind, dimensions: {Enum.random([1, 1, 1, 2])})
      end

    naive =
      for touch <- touches, reduce: NaiveAttribution.new(options ++ config) do
        naive ->
          assert Attribution.touch(name, touch) == :ok
          order = conversion(touch.id, "ann", 20 * touch.id + 10, value_micros: 1_000)
          assert Attribution.convert(name, order) == :ok
          {:ok, naive} = NaiveAttribution.touch(naive, touch)
          {:ok, naive} = NaiveAttribution.convert(naive, order)
          naive
      end

    for order <- 1..200,
        do: assert(Attribution.credits(name, order) == NaiveAttribution.credits(naive, order))

    # Two of a run at most are there.
    assert Attribution.info(name).kept_touches < 190
  end
end
