defmodule AdTally.Bench.Visits do
  @moduledoc """
  Users to show to keys that have seen many: `{key, user}`, each key visited equally
  often and each user once, in an order that has nothing to do with the keys.

  The same in every run. Users are integers of 58 bits, as ids that begin with a time
  are.
  """

  alias AdTally.Bench.Keys

  # At the default precision a key has registers from 385 users on.
  @seen_before 1_000
  @seed 20_191_124

  @enforce_keys [:keys, :seen, :visited]
  defstruct @enforce_keys

  @type visit :: {Keys.key(), non_neg_integer()}
  @type t :: %__MODULE__{
          keys: [Keys.key(), ...],
          seen: [non_neg_integer(), ...],
          visited: [visit(), ...]
        }

  @doc """
  So many keys, each visited by so many users and seen before by so many others, the
  same ones for all keys.
  """
  @spec distinct(pos_integer(), pos_integer(), pos_integer()) :: t()
  def distinct(keys, visits, seen_before \\ @seen_before) do
    :rand.seed(:exsss, @seed)
    keys = Keys.distinct(keys).inserted
    seen = users(seen_before)
    visited = for key <- keys, user <- users(visits), do: {key, user}
    %__MODULE__{keys: keys, seen: seen, visited: Enum.shuffle(visited)}
  end

  defp users(count), do: for(_ <- 1..count, do: :rand.uniform(2 ** 58))
end
