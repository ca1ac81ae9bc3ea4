defmodule AdTally.Demo.Caps do
  @moduledoc """
  What a frequency cap would have withheld of the real log, beside an oracle that keeps
  the exact time of every impression.

  The oracle looks at what the table admitted: what it would withhold the table must
  withhold too, and what the table withholds besides must be explained by the rounding of
  times to ticks. All but that of a few pairs: about one in 10,000 looks like another one to the
  table, and which ones do is another chance each time.
  """

  alias AdTally.Demo.{Log, Text}
  alias AdTally.FrequencyCap

  @granularity 300_000
  @rules [{2, 3_600_000}, {5, 86_400_000}]
  # Of the log's pairs one is expected to look like another one, and seldom is it withheld for that.
  @most_alike 7

  @type result :: %{
          impressions: non_neg_integer(),
          withheld: %{FrequencyCap.rule() => non_neg_integer()},
          rounded: non_neg_integer(),
          alike: non_neg_integer(),
          decided: [decided()],
          exact: %{FrequencyCap.rule() => non_neg_integer()},
          wrong: [String.t()],
          info: map()
        }

  @typedoc "An impression, and whether the caps would have withheld it."
  @type decided :: {Log.impression(), withheld? :: boolean()}

  @doc "Replays the log: two impressions an hour and five a day of an item to a segment."
  @spec replay([Log.impression()]) :: result()
  def replay(impressions) do
    caps = FrequencyCap.new(capacity: 100_000)
    rules = FrequencyCap.rules!(@rules)
    impressions = Enum.sort_by(impressions, & &1.at)
    begin = %{withheld: %{}, rounded: 0, wrong: [], times: %{}, alike: %{}, decided: []}
    seen = Enum.reduce(impressions, begin, &decide(caps, rules, &1, &2))
    unexplained = if map_size(seen.alike) > @most_alike, do: Map.values(seen.alike), else: []

    %{
      impressions: length(impressions),
      withheld: seen.withheld,
      rounded: seen.rounded,
      alike: map_size(seen.alike),
      decided: Enum.reverse(seen.decided),
      exact: exact(impressions),
      wrong: Enum.reverse(seen.wrong) ++ unexplained,
      info: FrequencyCap.info(caps)
    }
  end

  defp decide(caps, rules, %{item: item, segment: segment, at: at} = impression, seen) do
    pair = {item, segment}
    times = Map.get(seen.times, pair, [])
    exactly = blocking(times, at, 0)
    answer = FrequencyCap.admit(caps, {:item, item}, segment, rules, at)
    seen = update_in(seen.decided, &[{impression, answer != :ok} | &1])

    case answer do
      :ok when exactly == nil ->
        put_in(seen.times[pair], [at | times])

      {:capped, rule} ->
        explained = rule in [exactly, blocking(times, at, @granularity)]
        seen = update_in(seen.withheld, &Map.update(&1, rule, 1, fn count -> count + 1 end))

        cond do
          not explained ->
            put_in(seen.alike[pair], wrong("withheld without a reason", impression))

          exactly == nil ->
            Map.update!(seen, :rounded, &(&1 + 1))

          true ->
            seen
        end

      answer ->
        what = wrong("#{inspect(answer)} where #{inspect(exactly)} blocks", impression)
        Map.update!(seen, :wrong, &[what | &1])
    end
  end

  defp wrong(what, %{item: item, segment: segment, at: at}),
    do: "item #{item}, segment #{segment}, at #{at}: #{what}"

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
