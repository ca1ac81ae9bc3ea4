defmodule AdTally.Test.NaiveAttribution.Credits do
  @moduledoc """
  What one conversion of `AdTally.Test.NaiveAttribution` gives to touches, as rows and as it is shown.

  A row is `{model, order, action, kind, touch, dimensions, touched_at, converted_at, adjusted_at, ppm,
  value, truncated, revision}`.
  """

  alias AdTally.Test.NaiveAttribution.Models

  @doc "The touches that it may be credited to, in the order of time and id."
  def path(conversion, config),
    do: Models.path(conversion.known.touches, conversion.at, config)

  @doc "Its rows for a value, without adjustments."
  def rows(conversion, value, config) do
    for model <- config.models, credit <- split(conversion, model, value, config) do
      row(conversion, model, credit, nil, config)
    end
  end

  @doc "The rows of a change at a time from a value to another one, or to nothing."
  def adjustment_rows(conversion, {at, before, since}, config) do
    for model <- config.models,
        {old, place} <- conversion |> split(model, before, config) |> Enum.with_index() do
      {touch, share, old} = old

      change =
        if since == nil do
          {touch, -share, -old}
        else
          {_touch, _share, new} = conversion |> split(model, since, config) |> Enum.at(place)
          {touch, 0, new - old}
        end

      row(conversion, model, change, at, config)
    end
  end

  defp split(conversion, model, value, config) do
    case path(conversion, config) do
      [] -> [{nil, 1_000_000, value}]
      path -> Models.credits(path, conversion.at, model, value)
    end
  end

  defp row(conversion, model, {touch, share, value}, adjusted_at, config) do
    touch = touch || %{kind: nil, id: nil, dimensions: nil, at: nil}

    {model, conversion.order, conversion.action, touch.kind, touch.id, touch.dimensions, touch.at,
     conversion.at, adjusted_at, share, value, truncated?(conversion, config),
     conversion.revision}
  end

  defp truncated?(conversion, config) do
    longest = config.touches |> Enum.map(fn {_kind, lookback} -> lookback end) |> Enum.max()
    evicted = conversion.known.evicted
    evicted != nil and evicted >= conversion.at - longest
  end

  @doc "As `AdTally.Attribution.credits/2` shows it."
  def shown(conversion, config) do
    path = if conversion.counted, do: path(conversion, config), else: []
    retracted? = conversion.retracted

    by_model =
      for model <- config.models, into: %{} do
        credits = Models.credits(path, conversion.at, model, conversion.value)
        {model, Enum.map(credits, &credit(&1, retracted?))}
      end

    Map.merge(by_model, %{
      final: conversion.final,
      revision: conversion.revision,
      truncated: truncated?(conversion, config),
      counted: conversion.counted,
      retracted: conversion.retracted,
      value_micros: if(conversion.retracted, do: 0, else: conversion.value)
    })
  end

  # Of what was retracted nothing is left.
  defp credit({touch, _share, _value}, true), do: credit({touch, 0, 0}, false)

  defp credit({touch, share, value}, false) do
    touch
    |> Map.take([:dimensions, :kind, :at, :first_at, :repeats])
    |> Map.merge(%{touch: touch.id, credit_micros: value, share_ppm: share})
  end
end
