defmodule AdTally.Test.Kills.Plan do
  @moduledoc """
  What is sent in a run of `AdTally.Test.Kills`: rounds of items for each of some workers, which
  all follow from a seed, so that both sides of the pipe know them.

  An item is `{:event, event}`, `{:conversion, conversion}`, `{:adjust, order, change, at}`, or
  `{:admit, mode, scope, user, rule, at}` with the mode `:synced`, `:quick` or `:released`. One
  event in twenty comes from a second worker too. All times of a round are in a minute of its own, and
  rounds begin five minutes after each other. Users of events are those of two rounds, so that no budget of touches is exceeded.
  """

  alias AdTally.{Conversion, Event}

  @workers 4
  @items 120
  @slots @workers * @items
  @minute 60_000
  @apart 5 * @minute
  @day 1_440 * @minute
  # More than a day of them.
  @blocks 150
  @capped 20
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  def workers, do: @workers

  @doc "At most so many items of a worker are not on disk at a time."
  def longest_batch, do: 30

  @doc "The longest time for which an item matters to others."
  def longest, do: @day

  @doc """
  Users of caps come again after 25 hours, when no rule of a day knows them. What a pair was let through is of a cycle,
  or ever.
  """
  def cycle({_max, :lifetime}, _at), do: :ever
  def cycle(_rule, at), do: at |> round_at() |> block() |> div(@blocks)

  @doc "The round of which a time is."
  def round_at(at), do: div(at - @begin, @apart)

  @doc "The round of which an order is."
  def round_of(order), do: div(order, 1_000 * @workers)

  @doc "Two rounds have the same users."
  def block(round), do: div(round, 2)

  @doc "The items of a worker in a round."
  def items(seed, round, worker) do
    own = own_items(seed, round, worker)
    others = for {:event, event} <- own_items(seed, round, rem(worker + 1, @workers)), do: event
    copies = for event <- others, rem(event.id, 20) == 0, do: {:event, event}
    own ++ copies
  end

  defp own_items(seed, round, worker) do
    state = :rand.seed_s(:exsss, {seed, round, worker})

    {items, _state, _orders} =
      Enum.reduce(1..@items, {[], state, earlier_orders(seed, round, worker)}, fn index, acc ->
        item(acc, round, (round * @workers + worker) * 1_000 + index)
      end)

    Enum.reverse(items)
  end

  # Conversions of the round before that were not adjusted, if its users are the same: they are
  # final by now.
  defp earlier_orders(seed, round, worker) do
    before =
      if round > 0 and block(round) == block(round - 1),
        do: own_items(seed, round - 1, worker),
        else: []

    orders = for {:conversion, one} <- before, do: {one.order, one.at}
    orders -- for {:adjust, order, _change, at} <- before, do: {order, at}
  end

  defp item({items, state, orders}, round, number) do
    {kind, state} = random(state, 100)
    {a, state} = random(state, 1_000_000)
    {b, state} = random(state, 1_000_000)

    # No two are of one time: which of two conversions is the first one would be no matter of
    # their times.
    slot =
      rem((rem(div(number, 1_000), @workers) * @items + rem(number, 1_000) - 1) * 137, @slots)

    at = @begin + round * @apart + slot * div(@minute, @slots) + rem(b, div(@minute, @slots))
    user = "#{block(round)}-#{rem(a, 60)}"

    case kind do
      kind when kind < 56 ->
        {[{:event, event(number, at, user, a, b)} | items], state, orders}

      kind when kind < 64 ->
        conversion = conversion(number, at, user, a)
        {[{:conversion, conversion} | items], state, [{number, at} | orders]}

      kind when kind < 70 and orders != [] ->
        # Each is adjusted once, after it has come, at its own time.
        {order, at} = Enum.at(orders, rem(a, length(orders)))
        change = if rem(b, 3) == 0, do: :retract, else: {:restate, rem(b, 9_999) * 1_000}
        {[{:adjust, order, change, at} | items], state, List.delete(orders, {order, at})}

      _ ->
        {[admit(at, round, a, b) | items], state, orders}
    end
  end

  defp event(number, at, user, a, b) do
    touch = Enum.at([nil, nil, :view, :view, :click], rem(a, 5))
    clicks = if touch == :click, do: 1, else: 0

    %Event{
      id: number,
      at: at,
      dimensions: {rem(a, 7), rem(b, 3)},
      user: user,
      metrics: [impressions: 1, clicks: clicks, spend_micros: rem(a, 5_000)],
      touch: touch
    }
  end

  defp conversion(number, at, user, a) do
    action = Enum.at([:purchase, :signup, :install], rem(a, 3))
    value = rem(a, 99_999) * 1_000
    %Conversion{order: number, user: user, at: at, action: action, value_micros: value}
  end

  # Of some pairs there are events in every round, of others in two of a cycle.
  defp admit(at, round, a, b) do
    user = "#{rem(block(round), @blocks)}-#{rem(a, @capped)}"
    mode = Enum.at([:synced, :synced, :quick, :quick, :released], rem(a, 5))
    # What is released is of scopes of its own, so that it is known how many were not.
    if rem(b, 2) == 0,
      do: {:admit, mode, {mode, rem(b, 3)}, user, {3, @day}, at},
      else: {:admit, mode, {mode, :ever}, rem(a, 25), {5, :lifetime}, at}
  end

  defp random(state, below) do
    {number, state} = :rand.uniform_s(below, state)
    {number - 1, state}
  end
end
