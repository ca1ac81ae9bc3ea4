defmodule AdTally.Bench.Inputs do
  @moduledoc """
  What contenders are called with, kept outside of all heaps, as a service keeps its
  campaigns: no contender waits for the collection of another one's inputs or its own.

  They are copied there, so that they lie in memory in the order in which they are visited,
  for every contender alike. Every process of a pass has a copy that begins elsewhere: two
  that walked in step would meet at every key.
  """

  @opaque t :: {module(), binary()}

  @doc "Keeps inputs for so many processes. The same inputs are kept once."
  @spec keep([term(), ...], pos_integer()) :: t()
  def keep(inputs, processes) do
    key = {__MODULE__, :erlang.md5(:erlang.term_to_binary({inputs, processes}))}
    kept? = :persistent_term.get(key, nil) != nil
    unless kept?, do: :persistent_term.put(key, turns(inputs, processes))
    key
  end

  @doc "Those of the process with that number, from 0."
  @spec get(t(), non_neg_integer()) :: [term(), ...]
  def get(key, process), do: key |> :persistent_term.get() |> elem(process)

  @doc "Forgets inputs: the VM has a gigabyte for what is kept in this way."
  @spec forget(t()) :: boolean()
  def forget(key), do: :persistent_term.erase(key)

  defp turns(inputs, processes) do
    count = length(inputs)

    List.to_tuple(
      for process <- 0..(processes - 1), do: turn(inputs, div(count * process, processes))
    )
  end

  defp turn(inputs, by) do
    {first, rest} = Enum.split(inputs, by)
    rest ++ first
  end
end
