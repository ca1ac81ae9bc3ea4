defmodule AdTally.Bench.Scaling do
  @moduledoc """
  The same adds from more and more processes, with ETS beside them.
  """

  alias AdTally.Bench.{Contender, Group}

  @typedoc "A label, and what makes a contender of a label and options."
  @type subject :: {String.t(), (String.t(), keyword() -> Contender.t())}

  @doc """
  A group of the first subject beside the others, each from each number of
  processes, the first of which is 1. Every process does the same number of adds,
  so twice the processes do twice the work.
  """
  @spec group(String.t(), [subject(), ...], [pos_integer(), ...], keyword()) :: Group.t()
  def group(title, [{own, _make} | others] = subjects, process_counts, size) do
    contenders =
      for {subject, make} <- subjects, processes <- process_counts do
        yardsticks =
          if subject == own, do: for({other, _make} <- others, do: label(other, processes))

        make.(label(subject, processes),
          repeats: size[:repeats],
          processes: processes,
          yardsticks: yardsticks || [],
          scaling_of: if(processes > 1, do: label(subject, 1))
        )
      end

    %Group{title: title, unit: "add", rounds: size[:rounds], contenders: contenders}
  end

  defp label(subject, 1), do: "#{subject}, 1 process"
  defp label(subject, processes), do: "#{subject}, #{processes} processes"
end
