defmodule AdTally.Meter.Shape do
  @moduledoc false
  # What of a meter's options its stored state depends on. With another window length or other names a meter
  # begins new windows, and those of before are closed as they are. Its ids go on, so what they depend on has to
  # stay the same.

  alias AdTally.Store.Shape

  # Windows of before take no further events: whatever rows they have, there is room for.
  @most_keys 1_000_000_000

  @rules [
    {:dedupe_window, :same, "the :window of :dedupe"},
    {:dedupe_bits, :same, "the :fingerprint_bits of :dedupe"}
  ]

  @doc "That of a meter: `sketches` and `ids` as native code takes them."
  @spec new(pos_integer(), map(), tuple() | nil, tuple() | nil) :: {Shape.t(), [Shape.rule()]}
  def new(window, names, sketches, ids) do
    shape = [
      window: window,
      dimensions: names.dimensions,
      metrics: names.metrics,
      reach_by: names.reach_by
    ]

    {shape ++ reach(sketches) ++ dedupe(ids), @rules}
  end

  defp reach(nil), do: []

  defp reach({_places, precision, _max_keys, secret}),
    do: [reach_precision: precision, reach_secret: Shape.secret(secret)]

  defp dedupe(nil), do: []

  defp dedupe({window, _capacity, wide}),
    do: [dedupe_window: window, dedupe_bits: if(wide, do: 61, else: 28)]

  @doc "One of an earlier start, as native code reads its windows: window, names and sketches."
  @spec old(String.t()) :: {String.t(), pos_integer(), tuple(), tuple() | nil}
  def old(text) do
    parsed = Shape.parse(text)
    %{dimensions: dimensions, metrics: metrics, reach_by: reach_by} = names(parsed)
    counters = {metrics, length(dimensions), @most_keys}
    {text, Shape.integer(parsed, "window"), counters, sketches(parsed, dimensions, reach_by)}
  end

  defp sketches(_parsed, _dimensions, []), do: nil

  defp sketches(parsed, dimensions, reach_by) do
    places = for name <- reach_by, do: Enum.find_index(dimensions, &(&1 == name))
    {places, Shape.integer(parsed, "reach_precision"), @most_keys, nil}
  end

  @doc "The names in rows of its windows."
  @spec names(String.t() | Shape.parsed()) :: %{
          dimensions: [atom()],
          metrics: [atom()],
          reach_by: [atom()]
        }
  def names(text) when is_binary(text), do: text |> Shape.parse() |> names()

  def names(parsed) do
    for name <- [:dimensions, :metrics, :reach_by], into: %{} do
      {name, Shape.atoms(parsed, Atom.to_string(name))}
    end
  end
end
