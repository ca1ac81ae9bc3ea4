defmodule AdTally.Web.Rows do
  @moduledoc false
  # Rows of a table of the page, as somebody asks for them: searched, sorted and cut. Makes and encodes the answer of such
  # a view too.

  alias AdTally.Web.{JSON, Query, Reports}

  @by_name %{
    "name" => :name,
    "impressions" => :impressions,
    "clicks" => :clicks,
    "ctr" => :ctr,
    "spend" => :spend_micros,
    "ecpm" => :ecpm_micros,
    "cpc" => :cpc_micros,
    "frequency" => :frequency,
    "touches" => :touches,
    "cost" => :cost_micros
  }

  @by_model %{
    "conversions" => :conversions,
    "value" => :value_micros,
    "cpa" => :cpa_micros,
    "roas" => :roas
  }

  @most 1_000
  @default 200

  @type order :: %{
          sort: binary(),
          order: binary(),
          limit: pos_integer(),
          search: binary(),
          by: (map() -> term())
        }

  @doc "What a request asks for. `names` are those of `sort` that a table has, the first one by default."
  @spec order(Query.t(), names :: [binary()], models :: [binary()], metrics :: [atom()]) ::
          {:ok, order()} | {:error, 400, binary()}
  def order(query, names, models, metrics) do
    by_model = for name <- Map.keys(@by_model), model <- models, do: "#{name}:#{model}"
    sorts = names ++ by_model ++ Enum.map(metrics, &"metric:#{&1}")

    with {:ok, sort} <- Query.one_of(query, "sort", sorts),
         {:ok, order} <- Query.one_of(query, "order", orders(sort)),
         {:ok, limit} <- Query.integer(query, "limit", @default, 1..@most) do
      search = query |> Query.get("search") |> Kernel.||("") |> String.downcase()
      by = by(sort, metrics)
      {:ok, %{sort: sort, order: order, limit: limit, search: search, by: by}}
    end
  end

  # The first one is the default: names from A on, and figures from the largest on.
  defp orders("name"), do: ["asc", "desc"]
  defp orders(_sort), do: ["desc", "asc"]

  defp by("reach", _metrics), do: &(&1.reach && &1.reach.estimate)

  defp by("metric:" <> metric, metrics) do
    metric = Enum.find(metrics, &(Atom.to_string(&1) == metric))
    & &1.metrics[metric]
  end

  defp by(sort, _metrics) do
    case String.split(sort, ":", parts: 2) do
      ["name"] ->
        &{String.downcase(&1.name), &1.name}

      [name] ->
        field = Map.fetch!(@by_name, name)
        &Map.get(&1, field)

      [name, model] ->
        field = Map.fetch!(@by_model, name)
        &(&1.by_model[model] || %{})[field]
    end
  end

  @doc """
  An answer with the rows of a report, and with `more` that is said of them. It is written once for all who ask the same.
  `make` makes the report of this `key`, a map with `:rows` and whether they are `:truncated`.
  """
  @spec answer(atom(), key :: term(), (() -> Reports.made()), order(), more :: map()) ::
          {:ok, json :: binary()} | {:error, pos_integer(), binary()}
  def answer(web, key, make, order, more) do
    write = fn made, at, took ->
      {rows, count} = take(made.rows, order)

      order
      |> Map.take([:sort, :order, :limit])
      |> Map.merge(more)
      |> Map.merge(made)
      |> Map.merge(%{
        at: at,
        took_ms: took,
        rows: rows,
        count: count,
        truncated: made.truncated or count > length(rows)
      })
      |> JSON.encode()
      |> IO.iodata_to_binary()
    end

    Reports.get(web, key, make, {order.sort, order.order, order.limit, order.search}, write)
  end

  @doc "The rows that were asked for, and of how many. What is not known comes last, whatever the order."
  @spec take([map()], order()) :: {[map()], count :: non_neg_integer()}
  def take(rows, %{by: by, order: order, limit: limit, search: search}) do
    rows =
      if search == "",
        do: rows,
        else: Enum.filter(rows, &String.contains?(String.downcase(&1.name), search))

    keyed = for row <- rows, do: {by.(row), row}
    {unknown, known} = Enum.split_with(keyed, fn {value, _row} -> value == nil end)
    direction = if order == "asc", do: :asc, else: :desc
    sorted = Enum.sort_by(known, &elem(&1, 0), direction) ++ unknown
    {sorted |> Enum.take(limit) |> Enum.map(&elem(&1, 1)), length(keyed)}
  end
end
