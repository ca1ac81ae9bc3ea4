defmodule AdTally.Test.NaiveAttribution.Models do
  @moduledoc """
  Which touches of a user a conversion is credited to, and how much each gets, as one would write it
  down: lists, and integers of any size.

  A touch is a map of `:id`, `:at`, `:kind` and `:dimensions`.
  """

  @parts 1_000_000

  @doc """
  The touches that are eligible for a conversion at a time, in the order of time and id, and of
  neighbours that were put together the last one, with the time of the first and how many came before.
  """
  def path(touches, at, config) do
    lookbacks = Map.new(config.touches)

    eligible =
      touches
      |> Enum.filter(&(&1.at <= at))
      |> Enum.sort_by(&{&1.at, &1.id})
      |> Enum.take(-config.touches_per_user)
      |> collapse(config.collapse)
      |> Enum.filter(&(at - &1.at <= lookbacks[&1.kind]))

    if config.prevail, do: strongest(eligible, config.touches), else: eligible
  end

  defp collapse(touches, nil), do: touches

  defp collapse(touches, :consecutive) do
    for run <- Enum.chunk_by(touches, &{&1.dimensions, &1.kind}) do
      run |> List.last() |> Map.merge(%{first_at: hd(run).at, repeats: length(run) - 1})
    end
  end

  defp strongest(touches, kinds) do
    kinds
    |> Enum.map(fn {kind, _lookback} -> Enum.filter(touches, &(&1.kind == kind)) end)
    |> Enum.find([], &(&1 != []))
  end

  @doc "What each touch of a path weighs."
  def weights(path, at, model) do
    count = length(path)

    for {touch, place} <- Enum.with_index(path, 1) do
      case model do
        :last_touch -> if place == count, do: 1, else: 0
        :first_touch -> if place == 1, do: 1, else: 0
        :linear -> 1
        :position_based when count <= 2 -> 1
        :position_based when place in [1, count] -> 2 * (count - 2)
        :position_based -> 1
        {:time_decay, half_life} -> decay(at - touch.at, half_life)
      end
    end
  end

  # 2^32 at the conversion, half of it a half-life before, in steps of a 256th of a half-life.
  defp decay(age, half_life) do
    steps = div(age * 256, half_life)
    begin = round(:math.pow(2, 32) * :math.pow(2, -rem(steps, 256) / 256))
    max(1, div(begin, Integer.pow(2, div(steps, 256))))
  end

  @doc "The parts of a value by weights: they add up to it."
  def split(value, weights) when value < 0, do: for(part <- split(-value, weights), do: -part)

  def split(value, weights) do
    sum = Enum.sum(weights)
    floors = for weight <- weights, do: div(value * weight, sum)
    remainders = for weight <- weights, do: rem(value * weight, sum)

    # One more for each of the largest remainders, the later of equal ones first.
    larger =
      remainders
      |> Enum.with_index()
      |> Enum.sort(:desc)
      |> Enum.take(value - Enum.sum(floors))
      |> Enum.map(fn {_remainder, place} -> place end)

    for {floor, place} <- Enum.with_index(floors),
        do: if(place in larger, do: floor + 1, else: floor)
  end

  @doc "Each touch of a path that a model gives anything, with its part of a conversion and of its value."
  def credits([], _at, _model, _value), do: []

  def credits(path, at, model, value) do
    some =
      for {touch, weight} <- Enum.zip(path, weights(path, at, model)),
          weight > 0,
          do: {touch, weight}

    weights = for {_touch, weight} <- some, do: weight
    shares = split(@parts, weights)
    values = split(value, weights)

    for {{touch, _weight}, share, value} <- Enum.zip([some, shares, values]),
        do: {touch, share, value}
  end
end
