defmodule AdTally.Metrics.Top do
  @moduledoc false
  # Which dimension of a meter is the campaign and which metric is spend, guessed from usual names, for the page too;
  # and of how many campaigns a meter was asked to keep totals: an entry of :persistent_term for each name.

  alias AdTally.Native

  @dimensions ~w(campaign campaign_id line_item ad_group)a
  @spend ~w(spend_micros cost_micros spent_micros media_cost_micros)a

  @doc "The dimension that is the campaign, or the first one."
  @spec dimension(%{dimensions: [atom(), ...]}) :: atom()
  def dimension(%{dimensions: [first | _] = dimensions}),
    do: Enum.find(@dimensions, first, &(&1 in dimensions))

  @doc "The metric that is what a campaign spends, in micros, or `nil`."
  @spec spend(metrics :: [atom()]) :: atom() | nil
  def spend(metrics), do: Enum.find(@spend, &(&1 in metrics))

  @doc """
  The metric by which campaigns are the largest: `spend/1`, or else the first one that is called a spend or a cost,
  whatever its unit, or else the first one.
  """
  @spec metric(%{metrics: [atom(), ...]}) :: atom()
  def metric(%{metrics: [first | _] = metrics}) do
    spend(metrics) || Enum.find(metrics, first, &(Atom.to_string(&1) =~ ~r/spend|cost/i))
  end

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
