defmodule AdTally.Test.NaiveAttribution do
  @moduledoc """
  `AdTally.Attribution` as one would write it down: every touch, conversion and row is in a list, and
  what is asked for is made anew from all of them.

  Touches and conversions are the structs that the real one takes, with integers as touch ids. Time
  closes nothing here: `close/1` closes every window that has begun, as `AdTally.Attribution.close/1`
  does. Budgets of users, orders and dimensions are never reached, orders can be adjusted forever, and
  of two conversions of one time the one with the smaller order is first.
  """

  alias AdTally.Test.NaiveAttribution.Credits

  @defaults %{
    prevail: true,
    collapse: nil,
    touches_per_user: 16,
    window: 60_000,
    models: [:last_touch]
  }

  @doc "Nothing has happened yet. Options are those of the real one."
  def new(options) do
    %{
      config: Map.merge(@defaults, Map.new(options)),
      # The number of the first window that is not closed, and of the last one that has begun since it was.
      first_open: 0,
      last_open: nil,
      # The newest time of a touch or conversion that came in time.
      newest: 0,
      # %{user => %{touches: [touch], evicted: time or nil}}
      users: %{},
      # %{alias => user}
      aliases: %{},
      # %{order => conversion}
      orders: %{},
      # [{{user, action} or {user, action, touch}, order}] of conversions that are final and count
      marks: [],
      # [{window, row}]
      rows: [],
      # [{window, touch}] of touches that were in time
      spend: [],
      counts: %{repeated: 0, superseded: 0}
    }
  end

  # Touches

  def touch(state, touch) do
    user = user(state, touch.user)
    ring = ring(state, user)
    late? = late?(state, touch.at)
    state = if late?, do: state, else: open(state, touch.at)

    if Enum.any?(ring.touches, &(&1.id == touch.id)) do
      {:duplicate, state}
    else
      users = Map.put(state.users, user, keep(ring, touch, state.config))
      orders = told(state, user, %{touches: [touch], evicted: nil})
      state = %{state | users: users, orders: orders}
      if late?, do: {:late, state}, else: {:ok, state |> spend(touch) |> newest(touch.at)}
    end
  end

  defp spend(state, touch),
    do: %{state | spend: [{window(state, touch.at), touch} | state.spend]}

  # The newest touches, and the newest time of those that were left out.
  defp keep(kept, touch, config) do
    {older, touches} =
      [touch | kept.touches]
      |> Enum.sort_by(&{&1.at, &1.id})
      |> Enum.split(-config.touches_per_user)

    %{touches: touches, evicted: latest([kept.evicted | Enum.map(older, & &1.at)])}
  end

  defp latest(times), do: times |> Enum.reject(&is_nil/1) |> Enum.max(fn -> nil end)

  # The orders once provisional conversions of the user know of these touches too.
  defp told(state, user, ring) do
    Map.new(state.orders, fn {order, conversion} ->
      if conversion.user == user and not conversion.final do
        new = Enum.filter(ring.touches, &(&1.at <= conversion.at))
        known = union(conversion.known, %{ring | touches: new}, state.config)
        {order, revised(conversion, %{conversion | known: known}, state.config)}
      else
        {order, conversion}
      end
    end)
  end

  defp revised(before, since, config) do
    if Credits.path(before, config) == Credits.path(since, config),
      do: since,
      else: %{since | revision: since.revision + 1}
  end

  defp union(kept, more, config) do
    new = Enum.reject(more.touches, fn touch -> Enum.any?(kept.touches, &(&1.id == touch.id)) end)
    kept = Enum.reduce(new, kept, &keep(&2, &1, config))
    %{kept | evicted: latest([kept.evicted, more.evicted])}
  end

  defp ring(state, user), do: state.users[user] || %{touches: [], evicted: nil}
  defp user(state, user), do: state.aliases[user] || user
  defp window(state, at), do: div(at, state.config.window)
  defp late?(state, at), do: window(state, at) < state.first_open
  defp newest(state, at), do: %{state | newest: max(at, state.newest)}

  # What is of a time, or of an earlier one, goes into the window of that time, or into the first one that
  # is not closed.
  defp open(state, at) do
    window = max(state.first_open, window(state, at))
    %{state | last_open: latest([state.last_open, window])}
  end

  # Conversions

  def convert(state, conversion) do
    state = open(state, conversion.at)

    cond do
      is_map_key(state.orders, conversion.order) ->
        {:duplicate, state}

      late?(state, conversion.at) ->
        {:late, state |> add(conversion) |> finish(conversion.order, state.first_open)}

      true ->
        {:ok, state |> add(conversion) |> newest(conversion.at)}
    end
  end

  defp add(state, conversion) do
    user = user(state, conversion.user)
    ring = ring(state, user)

    put_in(state.orders[conversion.order], %{
      order: conversion.order,
      user: user,
      at: conversion.at,
      action: conversion.action,
      value: conversion.value_micros,
      first_value: conversion.value_micros,
      known: %{ring | touches: Enum.filter(ring.touches, &(&1.at <= conversion.at))},
      revision: 1,
      final: false,
      counted: true,
      retracted: false,
      restated_at: nil,
      # [{adjusted_at, the value before or nil, the value since or nil}], newest first
      adjustments: []
    })
  end

  # Makes it final, with its rows in that window.
  defp finish(state, order, window) do
    conversion = state.orders[order]
    conversion = %{conversion | counted: counts?(state, conversion), final: true}
    state = put_in(state.orders[order], conversion)

    if conversion.counted do
      rows = for row <- all_rows(conversion, state.config), do: {window, row}
      marks = marks(state, conversion) ++ state.marks
      %{state | rows: rows ++ state.rows, marks: marks}
    else
      update_in(state.counts.repeated, &(&1 + 1))
    end
  end

  # Its credits, and each adjustment of them.
  defp all_rows(conversion, config) do
    adjustments =
      Enum.flat_map(conversion.adjustments, &Credits.adjustment_rows(conversion, &1, config))

    Credits.rows(conversion, conversion.first_value, config) ++ adjustments
  end

  defp marks(state, conversion) do
    case once(state, conversion) do
      nil -> []
      once -> [{once, conversion.order}]
    end
  end

  # What a conversion is to be the only one of, if anything.
  defp once(state, conversion) do
    last = conversion |> Credits.path(state.config) |> List.last()

    case state.config.conversions[conversion.action] do
      :every -> nil
      :once_per_user -> {conversion.user, conversion.action}
      :once_per_touch -> if last, do: {conversion.user, conversion.action, last.id}
    end
  end

  defp counts?(_state, %{final: true, counted: counted}), do: counted

  defp counts?(state, conversion) do
    once = once(state, conversion)

    earlier? = fn other ->
      not other.final and {other.at, other.order} < {conversion.at, conversion.order} and
        once(state, other) == once
    end

    once == nil or
      not (Enum.any?(state.marks, fn {known, _order} -> known == once end) or
             Enum.any?(Map.values(state.orders), earlier?))
  end

  # Adjustments

  def adjust(state, order, change, at) do
    # A time after all others is that of the newest one.
    state = open(state, min(at, state.newest))
    conversion = state.orders[order]

    cond do
      conversion == nil ->
        {{:error, :unknown}, state}

      conversion.retracted ->
        {{:error, :retracted}, state}

      change == :retract ->
        {:ok, adjusted(state, %{conversion | retracted: true}, at, nil)}

      conversion.restated_at != nil and
          {at, elem(change, 1)} <= {conversion.restated_at, conversion.value} ->
        {:ok, update_in(state.counts.superseded, &(&1 + 1))}

      true ->
        {:restate, value} = change
        {:ok, adjusted(state, %{conversion | value: value, restated_at: at}, at, value)}
    end
  end

  defp adjusted(state, conversion, at, value) do
    change = {at, state.orders[conversion.order].value, value}
    conversion = %{conversion | adjustments: [change | conversion.adjustments]}
    state = put_in(state.orders[conversion.order], conversion)
    window = max(state.first_open, window(state, min(at, state.newest)))

    if conversion.final and conversion.counted do
      rows =
        for row <- Credits.adjustment_rows(conversion, change, state.config),
            do: {window, row}

      %{state | rows: rows ++ state.rows}
    else
      state
    end
  end

  # Users

  def link(state, from, to) do
    {from, to} = {user(state, from), user(state, to)}
    if from == to, do: state, else: unite(state, from, to)
  end

  defp unite(state, from, to) do
    {left, stays} = {ring(state, from), ring(state, to)}

    # Both users' conversions learn of the touches of the other one. What was evicted of either may be missing.
    evicted = latest([left.evicted, stays.evicted])
    state = %{state | orders: told(state, to, %{left | evicted: evicted})}
    state = %{state | orders: told(state, from, %{stays | evicted: evicted})}

    moved = fn user -> if user == from, do: to, else: user end

    %{
      state
      | users: state.users |> Map.delete(from) |> Map.put(to, union(stays, left, state.config)),
        aliases:
          state.aliases
          |> Map.new(fn {name, user} -> {name, moved.(user)} end)
          |> Map.put(from, to),
        orders:
          Map.new(state.orders, fn {order, one} -> {order, %{one | user: moved.(one.user)}} end),
        marks:
          for({once, order} <- state.marks, do: {put_elem(once, 0, moved.(elem(once, 0))), order})
    }
  end

  def forget(state, user) do
    user = user(state, user)

    %{
      state
      | users: Map.delete(state.users, user),
        aliases: for({name, of} <- state.aliases, of != user, into: %{}, do: {name, of}),
        orders:
          Map.new(state.orders, fn {order, one} ->
            {order, if(one.user == user, do: %{one | user: {:forgotten, order}}, else: one)}
          end),
        marks: for({once, order} <- state.marks, elem(once, 0) != user, do: {once, order})
    }
  end

  # Windows

  @doc "Closes the windows that have begun."
  def close(%{last_open: nil} = state), do: state

  def close(state) do
    provisional = for {_order, one} <- state.orders, not one.final, do: one

    state =
      provisional
      |> Enum.sort_by(&{&1.at, &1.order})
      |> Enum.reduce(state, &finish(&2, &1.order, window(state, &1.at)))

    %{state | first_open: state.last_open + 1, last_open: nil}
  end

  @doc "The rows of conversions that are final, in no particular order."
  def rows(state), do: for({_window, row} <- state.rows, do: row)

  @doc "Those that provisional conversions would have if they were final now."
  def provisional_rows(%{config: config} = state) do
    for {_order, one} <- state.orders,
        not one.final and counts?(state, one),
        row <- all_rows(one, config),
        do: row
  end

  @doc "The rows of credits by the number of their window."
  def rows_by_window(state) do
    Enum.group_by(state.rows, fn {window, _row} -> window end, fn {_window, row} -> row end)
  end

  @doc "How many touches there were of dimensions and kind, and what they have cost, by the number of their window."
  def spend(state) do
    Enum.reduce(state.spend, %{}, fn {window, touch}, spend ->
      key = {window, touch.dimensions, touch.kind}

      Map.update(spend, key, {1, touch.cost_micros}, fn {n, cost} ->
        {n + 1, cost + touch.cost_micros}
      end)
    end)
  end

  @doc "As `AdTally.Attribution.credits/2`."
  def credits(state, order) do
    case state.orders[order] do
      nil -> nil
      one -> Credits.shown(%{one | counted: counts?(state, one)}, state.config)
    end
  end
end
