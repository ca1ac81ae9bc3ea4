defmodule AdTally.Demo.Replay do
  @moduledoc """
  Counts the real log twice: from several processes through
  `AdTally.Counters`, and with plain maps. Both have to agree.
  """

  alias AdTally.Counters
  alias AdTally.Demo.{Log, Text}

  @doc """
  Counts impressions and clicks from several processes, by policy and campaign
  and by every item and position beneath them.
  """
  @spec count([Log.impression()], pos_integer()) :: %{tuple() => Counters.totals()}
  def count(impressions, processes) do
    counters = Counters.new(metrics: [:impressions, :clicks], max_keys: 10_000)

    impressions
    |> Enum.chunk_every(div(length(impressions), processes) + 1)
    |> Enum.map(&Task.async(fn -> Enum.each(&1, fn event -> add(counters, event) end) end))
    |> Task.await_many(:infinity)

    Map.new(Counters.drain(counters))
  end

  defp add(counters, event) do
    for key <- keys(event) do
      :ok = Counters.add(counters, key, :impressions)
      if event.clicked?, do: :ok = Counters.add(counters, key, :clicks)
    end
  end

  defp keys(event) do
    [
      {event.policy, event.campaign},
      {event.policy, event.campaign, event.item, event.position}
    ]
  end

  @doc "The same counts, as plainly as they can be written, sharing nothing with `count/2`."
  @spec expected([Log.impression()]) :: %{tuple() => Counters.totals()}
  def expected(impressions) do
    groups = Enum.group_by(impressions, &{&1.policy, &1.campaign})
    items = Enum.group_by(impressions, &{&1.policy, &1.campaign, &1.item, &1.position})

    for {key, events} <- Map.merge(groups, items), into: %{} do
      {key, %{impressions: length(events), clicks: Enum.count(events, & &1.clicked?)}}
    end
  end

  @doc "The keys whose figures differ, with both."
  @spec differences(map(), map()) :: [{tuple(), map() | nil, map() | nil}]
  def differences(counted, expected) do
    for key <- Enum.uniq(Map.keys(counted) ++ Map.keys(expected)),
        counted[key] != expected[key],
        do: {key, counted[key], expected[key]}
  end

  # Enough to see a pattern, few enough for a screen.
  @shown 10

  @doc "Says for people what `differences/2` found, a line a key and at most #{@shown} keys."
  @spec explain([{tuple(), map() | nil, map() | nil}]) :: String.t()
  def explain(differences) do
    lines =
      for {key, counted, expected} <- Enum.take(differences, @shown),
          do: "  #{inspect(key)}: counted #{inspect(counted)}, expected #{inspect(expected)}"

    more = length(differences) - length(lines)
    Enum.join(if(more > 0, do: lines ++ ["  and #{Text.integer(more)} more"], else: lines), "\n")
  end

  @doc "A table by policy and campaign."
  @spec table(map()) :: String.t()
  def table(counted) do
    rows =
      for {{policy, campaign}, row} <- Enum.sort(counted) do
        rate = :erlang.float_to_binary(100 * row.clicks / row.impressions, decimals: 2)
        [policy, campaign, Text.integer(row.impressions), Text.integer(row.clicks), rate <> " %"]
      end

    Text.table(["policy", "campaign", "impressions", "clicks", "click-through"], rows, 2)
  end
end
