defmodule AdTally.Demo.Events do
  @moduledoc """
  Generated events: who is shown, whether it is clicked, and what it costs.

  Campaigns and creatives follow Zipf's law: a few get most of the events. A
  process draws its events once and goes through them again and again, so that
  drawing costs nothing while counting is timed.
  """

  alias AdTally.Counters

  @typedoc "The key, whether the impression was clicked, and its price in millionths."
  @type event :: {{pos_integer(), String.t()}, boolean(), pos_integer()}

  @campaigns 1_000
  @creatives 20
  @drawn 50_000
  @seed 20_191_124

  @doc "The events of the `process`-th process, the same ones in each run."
  @spec draw(pos_integer()) :: [event()]
  def draw(process) do
    :rand.seed(:exsss, {@seed, process, 0})
    campaigns = zipf(@campaigns)
    creatives = zipf(@creatives)

    for _event <- 1..@drawn do
      creative = "creative-#{pick(creatives)}"
      {{pick(campaigns), creative}, :rand.uniform(100) == 1, 500 + :rand.uniform(2_000)}
    end
  end

  @doc "What the first `count` events of an endless repetition of `drawn` add up to."
  @spec totals([event()], non_neg_integer()) :: Counters.totals()
  def totals(drawn, count) do
    whole = div(count, length(drawn))
    part = drawn |> Enum.take(rem(count, length(drawn))) |> totals()
    Map.merge(totals(drawn), part, fn _metric, all, some -> whole * all + some end)
  end

  defp totals(events) do
    %{
      impressions: length(events),
      clicks: Enum.count(events, fn {_key, clicked?, _spend} -> clicked? end),
      spend_micros: events |> Enum.map(&elem(&1, 2)) |> Enum.sum()
    }
  end

  # The cumulated shares of ranks 1 to n, the k-th of which is as frequent as 1 / k.
  defp zipf(ranks) do
    weights = for rank <- 1..ranks, do: 1 / rank
    total = Enum.sum(weights)
    weights |> Enum.scan(&(&1 + &2)) |> Enum.map(&(&1 / total)) |> List.to_tuple()
  end

  defp pick(cumulated), do: search(cumulated, :rand.uniform(), 1, tuple_size(cumulated))

  defp search(_cumulated, _at, rank, rank), do: rank

  defp search(cumulated, at, low, high) do
    middle = div(low + high, 2)

    if elem(cumulated, middle - 1) >= at,
      do: search(cumulated, at, low, middle),
      else: search(cumulated, at, middle + 1, high)
  end
end
