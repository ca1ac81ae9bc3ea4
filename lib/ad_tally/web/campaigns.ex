defmodule AdTally.Web.Campaigns do
  @moduledoc false
  # The campaigns of a meter: a row each, with what follows from its metrics, and with what an attribution credits to
  # it, where one belongs to the meter.

  alias AdTally.Meter
  alias AdTally.Meter.Source

  alias AdTally.Web.{Credits, Figures, Names, Parts, Query, Roles, Rows, Series, Spans}

  # As many as a page sorts; of more campaigns those with the highest spend.
  @most 10_000
  @timeout 30_000
  # For other nodes.
  @patience 4_000

  @sorts ~w(spend name impressions clicks ctr ecpm cpc reach frequency)

  @typedoc "What a meter's rows are made of."
  @type shape :: %{
          meter: atom(),
          dimension: atom(),
          dimensions: [atom()],
          metrics: [atom()],
          roles: Roles.t(),
          attribution: atom() | nil,
          models: [AdTally.Attribution.Window.model()],
          nodes: :this | :all
        }

  @doc "The answer to a request, which is written once for all who ask the same."
  @spec answer(AdTally.Web.Config.t(), Query.t()) ::
          {:ok, json :: binary()} | {:error, pos_integer(), binary()}
  def answer(config, query) do
    with {:ok, shape, meters} <- shape(config, Query.get(query, "meter")),
         {:ok, nodes} <- Query.one_of(query, "nodes", ["this", "all"]),
         shape = over(shape, nodes),
         {:ok, order} <- Rows.order(query, @sorts, models(shape), shape.metrics) do
      more = shape |> described() |> Map.put(:meters, Enum.map(meters, &Names.name/1))
      Rows.answer(config.name, {:campaigns, shape}, fn -> make(shape) end, order, more)
    end
  end

  # A user's touches are on one node, and so are the credits of an attribution: there is no report of those over nodes.
  defp over(shape, "this"), do: shape
  defp over(shape, "all"), do: %{shape | nodes: :all, attribution: nil, models: []}

  @doc "The shape of a meter's rows, by its name as text."
  @spec shape(AdTally.Web.Config.t(), binary() | nil) ::
          {:ok, shape(), [atom()]} | {:error, 404, binary()}
  def shape(config, name) do
    with {:ok, meter, info, meters} <- Parts.find(config.name, :meters, name) do
      %{dimensions: dimensions, metrics: metrics} = info.names
      dimension = Roles.campaign(config.campaign, dimensions)
      {attribution, models} = attribution(config, meter, dimension)

      shape = %{
        meter: meter,
        dimension: dimension,
        dimensions: dimensions,
        metrics: metrics,
        roles: Roles.of(config.roles, metrics),
        attribution: attribution,
        models: models,
        nodes: :this
      }

      {:ok, shape, meters}
    end
  end

  # One that knows nothing of campaigns credits nothing to them.
  defp attribution(config, meter, dimension) do
    with {_native, name} when name != nil <- Parts.meter!(meter),
         %{^name => %{names: %{dimensions: dimensions, models: models}}} <-
           Series.snapshot(config.name).attributions,
         true <- dimension in dimensions do
      {name, models}
    else
      _none -> {nil, []}
    end
  rescue
    # It has ended since the snapshot.
    ArgumentError -> {nil, []}
  end

  @doc "The models that a row has, as text and in their order."
  @spec models(shape()) :: [binary()]
  def models(%{roles: %{conversions: _metric}} = shape), do: ["recorded" | credited(shape)]
  def models(shape), do: credited(shape)

  defp credited(%{models: models}), do: Enum.map(models, &Names.model/1)

  @doc "What an answer says of its rows."
  @spec described(shape()) :: map()
  def described(shape) do
    %{
      meter: Names.name(shape.meter),
      attribution: shape.attribution && Names.name(shape.attribution),
      dimension: shape.dimension,
      dimensions: shape.dimensions,
      columns: Roles.columns(shape.metrics, shape.roles),
      models: models(shape)
    }
  end

  @doc "Runs a report of a meter or an attribution that may end meanwhile, and may take too long."
  @spec reporting((() -> made)) :: {:ok, made} | {:error, 404 | 503, binary()} when made: term()
  def reporting(make) do
    {:ok, make.()}
  rescue
    error in ArgumentError -> {:error, 404, Exception.message(error)}
  catch
    :exit, {:timeout, _call} ->
      {:error, 503,
       "the report takes longer than #{div(@timeout, 1_000)} s: too much is retained for this page"}
  end

  defp make(shape) do
    reporting(fn ->
      %{meter: meter, dimension: dimension} = shape
      {native, _attribution} = Parts.meter!(meter)
      {starts, until} = Spans.of({Source, meter}, native)
      by = shape.roles[:spend] || shape.roles[:impressions] || hd(shape.metrics)
      options = [by: [dimension], order_by: by, limit: @most + 1, timeout: @timeout]
      {rows, nodes, missing} = report(shape, options)
      {overflow, rows} = Enum.split_with(rows, &overflow?/1)
      {totals, _nodes, _missing} = report(shape, by: [], timeout: @timeout)
      total = Enum.find(totals, %{}, &(not overflow?(&1)))
      keep = Map.new(rows, &{Map.fetch!(&1, dimension), true})
      credits = credits(shape, keep)

      %{
        since: List.first(starts),
        until: until,
        rows: rows |> Enum.take(@most) |> Enum.map(&row(&1, shape, credits.rows)),
        truncated: length(rows) > @most,
        nodes: Enum.map(nodes, &Names.name/1),
        missing_nodes:
          for({node, reason} <- missing, do: %{node: Names.name(node), reason: reason}),
        total: total(total, overflow, shape, credits.total),
        overflow: overflow(overflow, shape)
      }
    end)
  end

  defp report(%{nodes: :this} = shape, options),
    do: {Meter.report(shape.meter, options), [node()], []}

  # What a node has not sent by then is missing.
  defp report(%{nodes: :all} = shape, options) do
    options = Keyword.merge(options, nodes: :all, timeout: @patience)
    %{rows: rows, nodes: nodes, missing: missing} = Meter.report(shape.meter, options)
    {rows, nodes, missing}
  end

  @doc "Whether a row of a report has what had no room."
  @spec overflow?(map()) :: boolean()
  def overflow?(row), do: Map.get(row, :overflow) == true

  @doc "What an attribution credits to campaigns."
  @spec credits(shape(), map()) :: Credits.t() | %{rows: map(), total: nil}
  def credits(%{attribution: nil}, _keep), do: %{rows: %{}, total: nil}

  def credits(%{attribution: name} = shape, keep) do
    native = Parts.attribution!(name)
    Credits.read(name, native, shape.dimension, shape.models, keep)
  end

  @doc "A row of a report by campaigns."
  @spec row(map(), shape(), %{term() => Credits.credited()}) :: map()
  def row(row, shape, credits) do
    value = Map.fetch!(row, shape.dimension)
    credited = if credit = credits[value], do: credit.by_model, else: %{}
    none = Map.new(credited(shape), &{&1, %{ppm: 0, value: 0}})
    Figures.row(row, {:key, value}, shape.metrics, shape.roles, Map.merge(none, credited))
  end

  # What had no room was counted as well, and its users are not known.
  defp total(total, [overflow], shape, credits) do
    sums = for metric <- shape.metrics, do: {metric, Map.get(total, metric, 0) + overflow[metric]}
    total(Map.new(sums), [], shape, credits)
  end

  defp total(total, [], shape, credits) do
    by_model = if credits, do: credits.by_model, else: %{}
    none = Map.new(credited(shape), &{&1, %{ppm: 0, value: 0}})
    Figures.row(total, nil, shape.metrics, shape.roles, Map.merge(none, by_model))
  end

  defp overflow([], _shape), do: nil
  defp overflow([row], shape), do: Map.take(row, shape.metrics)
end
