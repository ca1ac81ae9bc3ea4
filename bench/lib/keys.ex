defmodule AdTally.Bench.Keys do
  @moduledoc """
  Keys to count: `{campaign, "creative-" <> number}`, twenty creatives a campaign.

  They enter a table in one order and are visited in another, both the same in
  every run. In one order for both, neighbours in a table would be visited one
  after the other, which no log of events does.
  """

  @creatives 20

  @enforce_keys [:inserted, :visited]
  defstruct @enforce_keys

  @type key :: {non_neg_integer(), String.t()}
  @type t :: %__MODULE__{inserted: [key(), ...], visited: [key(), ...]}

  @doc "So many distinct keys, each visited once."
  @spec distinct(pos_integer()) :: t()
  def distinct(count) do
    keys = Enum.map(0..(count - 1), &key/1)
    %__MODULE__{inserted: shuffle(keys, :inserted), visited: shuffle(keys, :visited)}
  end

  @doc "One key, visited that often."
  @spec hot(pos_integer()) :: t()
  def hot(visits), do: %__MODULE__{inserted: [key(0)], visited: List.duplicate(key(0), visits)}

  defp key(number), do: {div(number, @creatives), "creative-#{rem(number, @creatives)}"}

  defp shuffle(keys, salt), do: Enum.sort_by(keys, &:erlang.phash2({salt, &1}))
end
