defmodule AdTally.Attribution.Shape do
  @moduledoc false
  # What of an attribution's options its stored state depends on: touches have kinds and conversions actions by
  # their numbers. With further ones it begins new windows, and those of before are closed as they are. Credits are
  # computed from paths when they are read, so models are not among it.

  alias AdTally.Store.Shape

  @rules [
    {:window, :same, ":window"},
    {:dimensions, :same, ":dimensions"},
    {:touches, :grows, "the kinds of :touches"},
    {:conversions, :grows, ":conversions"}
  ]

  @doc "That of an attribution: `conversions` with which of them count."
  @spec new(pos_integer(), map(), keyword()) :: {Shape.t(), [Shape.rule()]}
  def new(window, names, conversions) do
    shape = [
      window: window,
      dimensions: names.dimensions,
      touches: names.kinds,
      conversions: conversions
    ]

    {shape, @rules}
  end

  @doc "One of an earlier start, as native code reads its windows."
  @spec old(String.t()) :: {String.t(), pos_integer(), tuple()}
  def old(text) do
    parsed = Shape.parse(text)
    # Lookbacks and models are not in it, and its windows need none.
    kinds = for kind <- Shape.atoms(parsed, "touches"), do: {kind, 1}
    dimensions = parsed |> Shape.atoms("dimensions") |> length()
    names = {dimensions, kinds, conversions(parsed), [:last_touch]}
    {text, Shape.integer(parsed, "window"), names}
  end

  defp conversions(parsed) do
    for [action, counting] <- Map.get(parsed, "conversions", []),
        do: {String.to_atom(action), String.to_atom(counting)}
  end
end
