defmodule AdTally.Bench.Loop do
  @moduledoc """
  The one loop in which everything is timed.
  """

  @doc "Calls `fun` with each input, `repeats` times over: the last result."
  @spec run([term(), ...], pos_integer(), (term() -> result)) :: result when result: term()
  def run(inputs, 1, fun), do: each(inputs, fun)

  def run(inputs, repeats, fun) do
    each(inputs, fun)
    run(inputs, repeats - 1, fun)
  end

  defp each([input], fun), do: fun.(input)

  defp each([input | inputs], fun) do
    fun.(input)
    each(inputs, fun)
  end
end
