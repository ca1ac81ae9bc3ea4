defmodule AdTally.Demo.Credits do
  @moduledoc """
  Who is credited with a conversion under each model, from a list of `{age, who}` from the oldest touch to
  the newest one: what `AdTally.Attribution` has to arrive at.
  """

  @parts 1_000_000

  @typedoc "Who, and which parts of conversions and of their value."
  @type credit :: {who :: term(), {parts :: integer(), value :: integer()}}

  @doc "The credits of a conversion."
  @spec of([{non_neg_integer(), term()}], term(), non_neg_integer()) :: [credit()]
  def of(path, model, value) do
    weights = path |> Enum.with_index(1) |> Enum.map(&weight(&1, length(path), model))
    shares = Enum.zip(split(@parts, weights), split(value, weights))
    for {{_age, who}, share} <- Enum.zip(path, shares), do: {who, share}
  end

  defp weight({_touch, place}, count, :last_touch), do: if(place == count, do: 1, else: 0)
  defp weight({_touch, place}, _count, :first_touch), do: if(place == 1, do: 1, else: 0)
  defp weight(_touch, _count, :linear), do: 1
  defp weight(_touch, count, :position_based) when count <= 2, do: 1

  defp weight({_touch, place}, count, :position_based),
    do: if(place in [1, count], do: 2 * (count - 2), else: 1)

  # By steps of a 256th of a half-life, in units of 2^-32.
  defp weight({{age, _who}, _place}, _count, {:time_decay, half_life}) do
    steps = div(256 * age, half_life)
    full = round(2 ** 32 / 2 ** (rem(steps, 256) / 256))
    max(1, div(full, 2 ** div(steps, 256)))
  end

  # What is left of the floors goes to the largest remainders, of equal ones to the newest touch.
  defp split(whole, weights) do
    sum = Enum.sum(weights)
    floors = Enum.map(weights, &div(whole * &1, sum))

    more =
      weights
      |> Enum.with_index(fn weight, place -> {rem(whole * weight, sum), place} end)
      |> Enum.sort(:desc)
      |> Enum.take(whole - Enum.sum(floors))
      |> MapSet.new(&elem(&1, 1))

    Enum.with_index(floors, fn floor, place -> if place in more, do: floor + 1, else: floor end)
  end

  @doc "What each is credited with in all, but for those with nothing."
  @spec sums([credit()]) :: %{term() => {integer(), integer()}}
  def sums(credits) do
    for {who, {parts, value}} <- credits, parts != 0, reduce: %{} do
      sums -> Map.update(sums, who, {parts, value}, fn {p, v} -> {p + parts, v + value} end)
    end
  end

  @doc "Who is credited differently in two of them, with what in words."
  @spec compare(map(), map()) :: [{term(), String.t()}]
  def compare(credited, expected) do
    for who <- Enum.uniq(Map.keys(credited) ++ Map.keys(expected)),
        credited[who] != expected[who],
        do: {who, "#{inspect(credited[who])}, and not #{inspect(expected[who])}"}
  end

  @doc "A model's name in tables."
  @spec name(term()) :: String.t()
  def name({:time_decay, _half_life}), do: "time decay"
  def name(model), do: model |> Atom.to_string() |> String.replace("_", " ")
end
