defmodule AdTally.Judges.Stream do
  @moduledoc """
  Touches, conversions and adjustments, in the order in which they arrive.

  The order is that of *blocks* of a quarter of an hour. What arrives in a block may arrive in any order, or
  for `event_order` in that of time; what arrives in the next one comes after all of it. No touch or conversion arrives
  more than `lateness/0` after its time.

  Times are chosen so that the edges are met often: touches in the millisecond of a conversion, at the end of
  their lookback, a millisecond before and after it, and many touches of a user in one millisecond.
  """

  alias AdTally.{Conversion, Touch}

  @hour 3_600_000
  @day 24 * @hour
  @block div(@hour, 4)
  # The first conversions come ten days later, so that touches of all ages are there.
  @begin 1_780_272_000_000
  @first_conversion @begin + 10 * @day
  @conversions_for 2 * @day
  @lookbacks [click: 7 * @day, view: @day]
  @actions [purchase: :every, signup: :once_per_user, install: :once_per_touch]

  @most 4_611_686_018_427_387_903

  def lateness, do: @hour
  def window, do: 4 * @hour
  def lookbacks, do: @lookbacks
  def actions, do: @actions
  def first_conversion, do: @first_conversion

  @doc """
  A stream of at least so many touches.

    * `touches_per_user:`, `conversions_per_user:` ranges
    * `order:` `:shuffled`, with copies that come a block later, or `:event_order`
    * `dimensions:` how many campaigns there are
    * `ties: false` where no two touches of a user are of one millisecond
    * `late: true` where one in four users has touches and a conversion that are late

  Returns `%{touches: [{block, touch}], conversions: [{block, conversion}], copies: [{block, touch or conversion}],
  adjustments: [{block, conversion, change, at}], close: block}`.
  """
  def new(count, options) do
    placed =
      for {touches, conversions, late?} <- users(count, options, 1, []),
          do: place(touches, conversions, late?, options)

    stream =
      for key <- [:touches, :conversions, :copies],
          into: %{},
          do: {key, Enum.flat_map(placed, & &1[key])}

    in_time = for {_key, all} <- stream, {block, _one} <- all, is_integer(block), do: block
    close = Enum.max(in_time)

    stream =
      Map.new(stream, fn {key, all} ->
        {key, for({block, one} <- all, do: {later(block, close), one})}
      end)

    Map.merge(stream, %{
      close: close,
      adjustments: Enum.flat_map(stream.conversions, &adjustments/1)
    })
  end

  defp later({:late, blocks}, close), do: close + blocks
  defp later(block, _close), do: block

  defp users(count, _options, _user, users) when count <= 0, do: users

  defp users(count, options, user, users) do
    touches = Enum.random(options[:touches_per_user])
    late? = options[:late] == true and :rand.uniform(4) == 1
    conversions = conversions(user, Enum.random(options[:conversions_per_user]), late?)
    # Nobody converts, or without a touch.
    touches = if conversions != [] and :rand.uniform(20) == 1, do: 0, else: touches
    touches = touches(user, conversions, touches, options)

    users(count - max(length(touches), 1), options, user + 1, [
      {touches, conversions, late?} | users
    ])
  end

  # Of one user no two are of one time: which of them is the first one is told by the hash of the order.
  defp conversions(user, count, late?) do
    times = for _ <- 1..count//1, uniq: true, do: converted_at(late?)

    for {at, number} <- Enum.with_index(times) do
      %Conversion{
        order: order(user, number),
        user: user,
        at: at,
        action: Enum.random([:purchase, :purchase, :signup, :install]),
        value_micros: value()
      }
    end
  end

  defp converted_at(false), do: @first_conversion + :rand.uniform(@conversions_for)

  # Touches are kept that conversions up to a window and lateness before the newest time may need, and an hour before it
  # at most comes what is sent in time.
  defp converted_at(true), do: @first_conversion + @conversions_for - :rand.uniform(50 * 60_000)

  defp order(user, number) when rem(user, 2) == 0, do: "o-#{user}-#{number}"
  defp order(user, number), do: user * 10 + number

  defp value do
    case :rand.uniform(10) do
      1 -> 0
      2 -> :rand.uniform(10) - 5
      3 -> -:rand.uniform(100_000_000)
      4 -> Enum.random([@most, -@most])
      5 -> :rand.uniform(2 * @most) - @most
      6 -> 1_000_000 * :rand.uniform(100)
      _ -> :rand.uniform(100_000_000)
    end
  end

  defp touches(_user, _conversions, 0, _options), do: []

  defp touches(user, conversions, count, options) do
    ids = Stream.repeatedly(&touch_id/0) |> Stream.uniq() |> Enum.take(count)
    anchors = for conversion <- conversions, do: conversion.at
    anchors = if anchors == [], do: [@first_conversion + @day], else: anchors

    {touches, _at} =
      Enum.map_reduce(ids, nil, fn id, before ->
        kind = Enum.random([:click, :view, :view])
        at = touched_at(Enum.random(anchors), @lookbacks[kind], before)

        touch = %Touch{
          id: id,
          user: user,
          at: at,
          kind: kind,
          dimensions: {:rand.uniform(options[:dimensions]), Enum.random(["a", "b", "c"])},
          cost_micros: :rand.uniform(5_000) - 1
        }

        {touch, at}
      end)

    if options[:ties] == false, do: Enum.uniq_by(touches, & &1.at), else: touches
  end

  defp touch_id do
    case :rand.uniform(3) do
      1 -> :rand.uniform(400) - 200
      2 -> :rand.uniform(2 * @most) - @most
      3 -> Enum.random([1, -1]) * (9_223_372_036_854_775_807 - :rand.uniform(400))
    end
  end

  defp touched_at(anchor, lookback, before) do
    case :rand.uniform(20) do
      n when n <= 2 -> before || anchor
      n when n <= 4 -> anchor
      n when n <= 6 -> anchor - lookback
      n when n <= 8 -> anchor - lookback - 1
      9 -> anchor - lookback + 1
      10 -> anchor + 1
      11 -> anchor + :rand.uniform(@hour)
      _ -> anchor - round(:math.pow(:rand.uniform(), 3) * 9 * @day)
    end
  end

  # When they arrive

  defp place(touches, conversions, late?, options) do
    # At most one conversion, so that it is clear which of those that count once is the first.
    {late_conversions, conversions} = Enum.split(conversions, if(late?, do: 1, else: 0))
    {late_touches, touches} = Enum.split_with(touches, fn _ -> late? && :rand.uniform(3) == 1 end)
    placed = place_in_time(touches, conversions, options[:order])

    late_touches = for touch <- late_touches, do: {{:late, Enum.random([1, 3])}, touch}
    late_conversions = for conversion <- late_conversions, do: {{:late, 2}, conversion}

    %{
      placed
      | touches: placed.touches ++ late_touches,
        conversions: placed.conversions ++ late_conversions
    }
  end

  defp place_in_time(touches, conversions, :event_order) do
    %{
      touches: for(touch <- touches, do: {block(touch.at), touch}),
      conversions: for(conversion <- conversions, do: {block(conversion.at), conversion}),
      copies: []
    }
  end

  # A block is a quarter of lateness: within it, and with three quarters before it, nothing is late.
  defp place_in_time(touches, conversions, :shuffled) do
    arrived = fn one -> {block(one.at + :rand.uniform(2 * @block)), one} end
    {touches, conversions} = {Enum.map(touches, arrived), Enum.map(conversions, arrived)}

    copies =
      for {block, one} <- touches ++ conversions,
          :rand.uniform(40) == 1,
          do: {block + 1, copy(one)}

    %{touches: touches, conversions: conversions, copies: copies}
  end

  defp block(time), do: div(time, @block)

  # The first one wins, whatever the other one is worth.
  defp copy(%Conversion{} = conversion), do: %{conversion | value_micros: value()}
  defp copy(touch), do: touch

  # Adjustments

  # Some come before the conversion is final, some hours later, and not in the order of their times.
  defp adjustments({block, conversion}) do
    for _ <- 1..Enum.random([0, 0, 0, 0, 0, 0, 1, 1, 2, 4])//1 do
      block = block + :rand.uniform(Enum.random([4, 40]))
      change = if :rand.uniform(4) == 1, do: :retract, else: {:restate, value()}
      {block, conversion, change, conversion.at + :rand.uniform(4) * @hour}
    end
  end
end
