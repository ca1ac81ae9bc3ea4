defmodule AdTally.Demo.Caps do
  @moduledoc """
  What a frequency cap would have withheld of the real log, beside an oracle that keeps
  the exact time of every impression.

  The oracle looks at what the table admitted: what it would withhold the table must
  withhold too, and what the table withholds besides must be explained by the rounding of
  times to ticks.
  """

  alias AdTally.Demo.{Log, Text}
  alias AdTally.FrequencyCap

  @granularity 300_000
  @rules [{2, 3_600_000}, {5, 86_400_000}]

  @type result :: %{
          impressions: non_neg_integer(),
          withheld: %{FrequencyCap.rule() => non_neg_integer()},
          rounded: non_neg_integer(),
          exact: %{FrequencyCap.rule() => non_neg_integer()},
          wrong: [String.t()],
          info: map()
        }

  @doc "Replays the log: two impressions an hour and five a day of an item to a segment."
  @spec replay([Log.impression()]) :: result()
  def replay(impressions) do
    caps = FrequencyCap.new(capacity: 100_000)
    rules = FrequencyCap.rules!(@rules)
    impressions = Enum.sort_by(impressions, & &1.at)
    begin = %{withheld: %{}, rounded: 0, wrong: [], times: %{}}
    seen = Enum.reduce(impressions, begin, &decide(caps, rules, &1, &2))

    %{
      impressions: length(impressions),
      withheld: seen.withheld,
      rounded: seen.rounded,
      exact: exact(impressions),
      wrong: Enum.reverse(seen.wrong),
      info: FrequencyCap.info(caps)
    }
  end

  @doc """
  Impressions in the order of time, and whether the caps would have withheld them: those of
  `replay/1`.
  """
  @spec decided([Log.impression()]) :: [{Log.impression(), withheld? :: boolean()}]
  def decided(impressions) do
    caps = FrequencyCap.new(capacity: 100_000)
    rules = FrequencyCap.rules!(@rules)

    for impression <- Enum.sort_by(impressions, & &1.at) do
      %{item: item, segment: segment, at: at} = impression
      {impression, FrequencyCap.admit(caps, {:item, item}, segment, rules, at) != :ok}
    end
  end

  defp decide(caps, rules, %{item: item, segment: segment, at: at}, seen) do
    times = Map.get(seen.times, {item, segment}, [])
    exactly = blocking(times, at, 0)

    case FrequencyCap.admit(caps, {:item, item}, segment, rules, at) do
      :ok when exactly == nil ->
        put_in(seen.times[{item, segment}], [at | times])

      {:capped, rule} ->
        explained = rule in [exactly, blocking(times, at, @granularity)]
        seen = update_in(seen.withheld, &Map.update(&1, rule, 1, fn count -> count + 1 end))
        seen = if exactly == nil, do: Map.update!(seen, :rounded, &(&1 + 1)), else: seen
        if explained, do: seen, else: wrong(seen, "withheld without a reason", item, segment, at)

      answer ->
        wrong(seen, "#{inspect(answer)} where #{inspect(exactly)} blocks", item, segment, at)
    end
  end

  defp wrong(seen, what, item, segment, at),
    do: Map.update!(seen, :wrong, &["item #{item}, segment #{segment}, at #{at}: #{what}" | &1])

  # What the rules withhold with exact times all along.
  defp exact(impressions) do
    {withheld, _times} =
      Enum.reduce(impressions, {%{}, %{}}, fn %{item: item, segment: segment, at: at},
                                              {withheld, all} ->
        times = Map.get(all, {item, segment}, [])

        case blocking(times, at, 0) do
          nil -> {withheld, Map.put(all, {item, segment}, [at | times])}
          rule -> {Map.update(withheld, rule, 1, &(&1 + 1)), all}
        end
      end)

    withheld
  end

  # In the order of time, so every window that matters ends now.
  defp blocking(times, at, longer) do
    Enum.find(@rules, fn {max, window} ->
      Enum.count(times, &(at - &1 < window + longer)) >= max
    end)
  end

  @doc "The figures as text."
  @spec table(result()) :: String.t()
  def table(result) do
    rows =
      for {{max, _window} = rule, name} <- Enum.zip(@rules, ["an hour", "a day"]) do
        figures = for counts <- [result.withheld, result.exact], do: Map.get(counts, rule, 0)
        ["#{max} #{name}" | Enum.map(figures, &Text.integer/1)]
      end

    Text.table(["at most", "withheld", "with exact times"], rows, 1)
  end
end
