defmodule AdTally.Web.Roles do
  @moduledoc false
  # What a meter's metrics are: which one are impressions, which one is spend. From the option, or guessed from names.

  alias AdTally.Metrics.Top
  alias AdTally.Options

  @roles [:impressions, :clicks, :conversions, :spend, :value]

  # What is not in micros has no guess as an amount: it could be cents, or units.
  @usual [
    impressions: ~w(impressions impression imps views served shows)a,
    clicks: ~w(clicks click taps)a,
    conversions: ~w(conversions conversion purchases orders installs signups leads)a,
    value: ~w(value_micros revenue_micros conversion_value_micros sales_micros)a
  ]

  @type t :: %{optional(atom()) => atom()}

  @doc "The option `:roles`, checked."
  @spec new!(term()) :: keyword(atom() | nil)
  def new!(roles) do
    unless Keyword.keyword?(roles) and Keyword.keys(roles) -- @roles == [] and
             Enum.all?(roles, fn {_role, metric} -> is_atom(metric) end) do
      raise ArgumentError,
            "expected :roles to be a keyword list of metrics by #{Enum.map_join(@roles, ", ", &inspect/1)}, each " <>
              "once, with nil for none, got: #{Options.shown(roles)}"
    end

    roles
  end

  @doc "Which metric has which role, of a meter with these."
  @spec of(keyword(atom() | nil), metrics :: [atom()]) :: t()
  def of(roles, metrics) do
    for role <- @roles,
        metric = metric(Keyword.fetch(roles, role), role, metrics),
        into: %{},
        do: {role, metric}
  end

  # A meter may have no metric of that name, where the option is meant for another one.
  defp metric({:ok, nil}, _role, _metrics), do: nil

  defp metric({:ok, metric}, role, metrics),
    do: if(metric in metrics, do: metric, else: metric(:error, role, metrics))

  defp metric(:error, :spend, metrics), do: Top.spend(metrics)
  defp metric(:error, role, metrics), do: Enum.find(@usual[role], &(&1 in metrics))

  @doc "The dimension that is the campaign."
  @spec campaign(atom() | nil, dimensions :: [atom(), ...]) :: atom()
  def campaign(given, dimensions) do
    if given != nil and given in dimensions,
      do: given,
      else: Top.dimension(%{dimensions: dimensions})
  end

  @doc "The unit of a metric, by its name."
  @spec unit(atom()) :: binary()
  def unit(metric),
    do:
      if(metric |> Atom.to_string() |> String.ends_with?("_micros"), do: "micros", else: "count")

  @doc "Metrics as columns."
  @spec columns([atom()], t()) :: [map()]
  def columns(metrics, roles) do
    names = Map.new(roles, fn {role, metric} -> {metric, role} end)
    for metric <- metrics, do: %{key: metric, role: names[metric], unit: unit(metric)}
  end
end
