defmodule AdTally.Bench.Report do
  @moduledoc """
  Turns the times of passes into a table, net of the loop, and its ratios.
  """

  alias AdTally.Bench.{Contender, Group, Timer}

  @typedoc "Nanoseconds an operation, net of the loop, in the best round and in the median one."
  @type figures :: %{best: float(), median: float()}

  @doc "The table of a group and its ratios, as text."
  @spec text(Group.t(), Timer.samples()) :: iodata()
  def text(group, samples) do
    figures = figures(group, samples)
    width = group.contenders |> Enum.map(&String.length(&1.label)) |> Enum.max()
    rows = Enum.map(group.contenders, &row(&1, figures[&1.label], width))
    ratios = Enum.flat_map(group.contenders, &ratios(&1, figures, group.unit))

    [title(group, samples), header(group.unit, width), rows, separated(ratios)]
  end

  @doc "What an operation of each contender takes, by label."
  @spec figures(Group.t(), Timer.samples()) :: %{String.t() => figures()}
  def figures(group, samples) do
    Map.new(group.contenders, fn contender ->
      times = samples[contender.label]
      loop = samples[Contender.empty_loop(contender).label]
      operations = Contender.operations(contender)

      {contender.label,
       %{
         best: (Enum.min(times) - Enum.min(loop)) / operations,
         median: (median(times) - median(loop)) / operations
       }}
    end)
  end

  @doc "One figure over the other, or `nil` where noise has left less than nothing of one."
  @spec ratio(float(), float()) :: float() | nil
  def ratio(figure, yardstick) when figure > 0 and yardstick > 0, do: figure / yardstick
  def ratio(_figure, _yardstick), do: nil

  defp title(group, samples) do
    rounds = samples[hd(group.contenders).label] |> length()
    "### #{group.title} (net of the loop, #{rounds} passes)\n\n"
  end

  defp header(unit, width) do
    columns = ["ns best", "ns median", "M #{unit}s/s", "ms a pass"]
    [String.duplicate(" ", width), Enum.map(columns, &column/1), "\n"]
  end

  defp row(contender, %{best: best, median: median}, width) do
    pass = best * Contender.operations(contender) / 1_000_000
    rate = if best > 0, do: decimals(1_000 / best), else: "-"
    columns = [decimals(best), decimals(median), rate, decimals(pass)]

    [
      String.pad_trailing(contender.label, width),
      Enum.map(columns, &column/1),
      "\n"
    ]
  end

  # As wide as the longest unit makes it.
  defp column(text), do: String.pad_leading(text, 18)

  defp ratios(contender, figures, unit) do
    own = figures[contender.label]

    times =
      for yardstick <- contender.yardsticks do
        other = figures[yardstick]
        best = ratio(own.best, other.best)
        median = ratio(own.median, other.median)
        sentence(contender, best, median, "the time of #{yardstick}")
      end

    scaling =
      for yardstick <- List.wrap(contender.scaling_of) do
        other = figures[yardstick]
        best = ratio(other.best, own.best)
        median = ratio(other.median, own.median)
        sentence(contender, best, median, "the #{unit}s a second of #{yardstick}")
      end

    times ++ scaling
  end

  defp sentence(contender, best, median, yardstick) do
    "#{times(best)} (median #{times(median)}) #{yardstick}: #{contender.label}\n"
  end

  defp times(nil), do: "- x"
  defp times(ratio), do: decimals(ratio) <> " x"

  defp separated([]), do: []
  defp separated(lines), do: ["\n" | lines]

  defp decimals(number), do: :erlang.float_to_binary(number, decimals: 2)

  defp median(numbers) do
    sorted = Enum.sort(numbers)
    count = length(sorted)
    (Enum.at(sorted, div(count - 1, 2)) + Enum.at(sorted, div(count, 2))) / 2
  end
end
