defmodule AdTally.Bench.Timer do
  @moduledoc """
  The timer for where Benchee is not installed.

  Contenders take turns, a pass each, for several rounds: what disturbs the
  machine for a while disturbs them all, and the best and the median of the
  rounds tell how much it did.
  """

  alias AdTally.Bench.{Contender, Group, Pass}

  @typedoc "Nanoseconds that passes took, by label."
  @type samples :: %{String.t() => [pos_integer(), ...]}

  @doc "Measures the contenders of a group and their empty loops."
  @spec measure(Group.t(), pos_integer()) :: samples()
  def measure(group, rounds) do
    contenders = group.contenders ++ Group.loops(group)
    # Warms up caches, the table's rows and the processor's clock.
    Enum.each(contenders, &time/1)

    Enum.reduce(1..rounds, %{}, fn round, samples ->
      contenders |> in_turn(round) |> Enum.reduce(samples, &add_sample/2)
    end)
  end

  defp add_sample(contender, samples) do
    nanoseconds = time(contender)
    Map.update(samples, contender.label, [nanoseconds], &[nanoseconds | &1])
  end

  # Every round begins with another one, so that nobody always runs after the
  # contender that leaves the worst caches behind.
  defp in_turn(contenders, round) do
    {last, first} = Enum.split(contenders, rem(round, length(contenders)))
    first ++ last
  end

  @spec time(Contender.t()) :: pos_integer()
  defp time(contender) do
    pass = Pass.ready(contender)
    nanoseconds = Pass.run(pass)
    Pass.finish(pass)
    nanoseconds
  end
end
