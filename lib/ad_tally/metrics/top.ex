defmodule AdTally.Metrics.Top do
  @moduledoc false
  # Which dimension of a meter is the campaign, by which metric campaigns are the largest, and of how many a meter was
  # asked to keep totals: an entry of :persistent_term for each name.

  alias AdTally.Native

  @dimensions [:campaign, :campaign_id]

  @doc "The dimension that is the campaign, or the first one."
  @spec dimension(%{dimensions: [atom(), ...]}) :: atom()
  def dimension(%{dimensions: [first | _] = dimensions}),
    do: Enum.find(@dimensions, first, &(&1 in dimensions))

  @doc "The metric that is what a campaign spends, or the first one."
  @spec metric(%{metrics: [atom(), ...]}) :: atom()
  def metric(%{metrics: [first | _] = metrics}),
    do: Enum.find(metrics, first, &(Atom.to_string(&1) =~ ~r/spend|cost/i))

  @doc """
  Has a meter keep totals of so many campaigns from now on. Those that have a place in the totals of processes before
  it have one.
  """
  @spec keep(atom(), reference(), map(), 0..1_000, before :: map()) :: :ok
  def keep(_name, _native, _names, 0, _before), do: :ok

  def keep(name, native, names, top, before) do
    if top > asked(name), do: :persistent_term.put({__MODULE__, name}, top)
    place = Enum.find_index(names.dimensions, &(&1 == dimension(names)))
    order = Enum.find_index(names.metrics, &(&1 == metric(names)))
    values = before |> get_in([:top, :values]) |> Kernel.||(%{}) |> Map.keys()
    Native.meter_top(native, place, order, top, values)
  end

  @doc "The most that was ever asked for of a name."
  @spec asked(atom()) :: 0..1_000
  def asked(name), do: :persistent_term.get({__MODULE__, name}, 0)
end
