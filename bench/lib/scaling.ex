defmodule AdTally.Bench.Scaling do
  @moduledoc """
  The same adds from more and more processes, with ETS beside them.
  """

  alias AdTally.Bench.{Adds, Group, Keys}

  @ets ":ets.update_counter"
  @ets_write_concurrency ":ets.update_counter, write_concurrency"

  @doc """
  A group that adds to `keys` from each number of processes, the first of which
  is 1. Every process does the same number of adds, so twice the processes do
  twice the work.
  """
  @spec group(String.t(), Keys.t(), [pos_integer(), ...], keyword()) :: Group.t()
  def group(title, keys, process_counts, size) do
    contenders =
      for {subject, make} <- subjects(), processes <- process_counts do
        make.(label(subject, processes), keys,
          repeats: size[:repeats],
          processes: processes,
          yardsticks: yardsticks(subject, processes),
          scaling_of: if(processes > 1, do: label(subject, 1))
        )
      end

    %Group{title: title, unit: "add", rounds: size[:rounds], contenders: contenders}
  end

  # A table for each number of processes: a row on which processes have met is
  # kept differently from then on, and that must not slow down the single one.
  defp subjects do
    [
      {"AdTally.Counters.add", &Adds.ad_tally/3},
      {@ets, &Adds.ets/3},
      {@ets_write_concurrency, &Adds.ets_write_concurrency/3}
    ]
  end

  defp yardsticks("AdTally" <> _, processes) do
    Enum.map([@ets, @ets_write_concurrency], &label(&1, processes))
  end

  defp yardsticks(_ets, _processes), do: []

  defp label(subject, 1), do: "#{subject}, 1 process"
  defp label(subject, processes), do: "#{subject}, #{processes} processes"
end
