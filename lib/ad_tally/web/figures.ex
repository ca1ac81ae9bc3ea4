defmodule AdTally.Web.Figures do
  @moduledoc false
  # A row of the page: its metrics by role, and what follows from them. Amounts are integers of micros, divided and
  # rounded as integers, so that they are exact beyond 2^53 too.

  alias AdTally.Web.Names

  @typedoc "Conversions in millionths, and what they are worth."
  @type credit :: %{ppm: integer(), value: integer() | nil}

  @millionths 1_000_000

  # More digits than anybody reads, and short as text.
  @digits 6

  @doc """
  A row of a report. `key` is the value of its dimension, or `nil` for a total. `credits` are those of an
  attribution by model as text.
  """
  @spec row(map(), {:key, term()} | nil, [atom()], map(), %{binary() => credit()}) :: map()
  def row(row, key, metrics, roles, credits) do
    amounts = Map.new(metrics, &{&1, Map.get(row, &1, 0)})
    of = fn role -> if metric = roles[role], do: amounts[metric] end
    {impressions, clicks, spend} = {of.(:impressions), of.(:clicks), of.(:spend)}
    reach = reach(row)

    Map.merge(named(key), %{
      metrics: amounts,
      impressions: impressions,
      clicks: clicks,
      ctr: ratio(clicks, impressions),
      spend_micros: spend,
      ecpm_micros: spend && divide(spend * 1_000, impressions),
      cpc_micros: divide(spend, clicks),
      by_model: credits |> recorded(of.(:conversions), of.(:value)) |> by_model(spend),
      reach: reach,
      frequency: reach && ratio(impressions, reach.estimate)
    })
  end

  @doc "Key and name of a row."
  @spec named({:key, term()} | nil) :: map()
  def named(nil), do: %{key: nil, name: "All campaigns"}
  def named({:key, value}), do: %{key: Names.key(value), name: Names.shown(value)}

  defp recorded(credits, nil, _value), do: credits

  defp recorded(credits, conversions, value),
    do: Map.put(credits, "recorded", %{ppm: conversions * @millionths, value: value})

  @doc "What models say, with what that costs."
  @spec by_model(%{binary() => credit()}, spend :: integer() | nil) :: map()
  def by_model(credits, spend) do
    Map.new(credits, fn {model, %{ppm: ppm, value: value}} ->
      {model,
       %{
         conversions: conversions(model, ppm),
         value_micros: value,
         cpa_micros: spend && divide(spend * @millionths, ppm),
         roas: ratio(value, spend)
       }}
    end)
  end

  # What a meter has counted is a whole number.
  defp conversions("recorded", ppm), do: div(ppm, @millionths)
  defp conversions(_model, ppm), do: ppm / @millionths

  defp reach(%{reach: estimate, reach_low: low, reach_high: high}) when is_number(estimate),
    do: %{estimate: round(estimate), lower: round(low), upper: round(high)}

  defp reach(_row), do: nil

  @doc "A quotient as a float, `nil` where there is none."
  @spec ratio(number() | nil, number() | nil) :: float() | nil
  def ratio(of, by) when is_number(of) and is_number(by) and by > 0,
    do: Float.round(of / by, @digits)

  def ratio(_of, _by), do: nil

  @doc "A quotient of integers, rounded to the nearest one, `nil` where there is none."
  @spec divide(integer() | nil, integer() | nil) :: integer() | nil
  def divide(of, by) when is_integer(of) and is_integer(by) and by > 0,
    do: Integer.floor_div(2 * of + by, 2 * by)

  def divide(_of, _by), do: nil
end
