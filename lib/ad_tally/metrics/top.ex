defmodule AdTally.Metrics.Top do
  @moduledoc false
  # Which dimension of a meter is the campaign, and by which metric campaigns are the largest.

  @dimensions [:campaign, :campaign_id]

  @doc "The dimension that is the campaign, or the first one."
  @spec dimension(%{dimensions: [atom(), ...]}) :: atom()
  def dimension(%{dimensions: [first | _] = dimensions}),
    do: Enum.find(@dimensions, first, &(&1 in dimensions))

  @doc "The metric that is what a campaign spends, or the first one."
  @spec metric(%{metrics: [atom(), ...]}) :: atom()
  def metric(%{metrics: [first | _] = metrics}),
    do: Enum.find(metrics, first, &(Atom.to_string(&1) =~ ~r/spend|cost/i))
end
