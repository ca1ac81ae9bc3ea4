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

  @doc "The same counts, as plainly as they can be written."
  @spec expected([Log.impression()]) :: %{tuple() => Counters.totals()}
  def expected(impressions) do
    for event <- impressions, key <- keys(event), reduce: %{} do
      counts ->
        click = if event.clicked?, do: 1, else: 0

        Map.update(counts, key, %{impressions: 1, clicks: click}, fn row ->
          %{impressions: row.impressions + 1, clicks: row.clicks + click}
        end)
    end
  end

  defp keys(event) do
    [
      {event.policy, event.campaign},
      {event.policy, event.campaign, event.item, event.position}
    ]
  end

  @doc "The keys whose figures differ, with both."
  @spec differences(map(), map()) :: [{tuple(), map() | nil, map() | nil}]
  def differences(counted, expected) do
    for key <- Enum.uniq(Map.keys(counted) ++ Map.keys(expected)),
        counted[key] != expected[key],
        do: {key, counted[key], expected[key]}
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
