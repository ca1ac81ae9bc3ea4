defmodule AdTally.Web.Attributed do
  @moduledoc false
  # What the models of an attribution credit, side by side.

  alias AdTally.Attribution.Source
  alias AdTally.Web.{Campaigns, Credits, Figures, Names, Parts, Query, Roles, Rows, Spans}

  # Those with most conversions under the first model.
  @most 10_000

  @doc "The answer to a request, which is written once for all who ask the same."
  @spec answer(AdTally.Web.Config.t(), Query.t()) ::
          {:ok, json :: binary()} | {:error, pos_integer(), binary()}
  def answer(config, query) do
    with {:ok, name, info, names} <-
           Parts.find(config.name, :attributions, Query.get(query, "name")),
         %{dimensions: dimensions, models: models} = info.names,
         {:ok, dimension} <- dimension(config, query, dimensions),
         texts = Enum.map(models, &Names.model/1),
         {:ok, order} <- order(query, texts) do
      more = %{
        name: Names.name(name),
        names: Enum.map(names, &Names.name/1),
        dimension: dimension,
        dimensions: dimensions,
        models: texts
      }

      make = fn -> Campaigns.reporting(fn -> make(name, dimension, models) end) end
      Rows.answer(config.name, {:attribution, name, dimension}, make, order, more)
    end
  end

  defp dimension(config, query, dimensions) do
    default = Roles.campaign(config.campaign, dimensions)
    others = Enum.map([default | dimensions -- [default]], &Atom.to_string/1)

    with {:ok, text} <- Query.one_of(query, "dimension", others),
         do: {:ok, Enum.find(dimensions, &(Atom.to_string(&1) == text))}
  end

  defp order(query, [first | _] = models) do
    query =
      if Query.get(query, "sort") in [nil, "conversions"],
        do: %{query | pairs: [{"sort", "conversions:#{first}"} | query.pairs]},
        else: query

    Rows.order(query, ~w(name touches cost), models, [])
  end

  defp make(name, dimension, models) do
    native = Parts.attribution!(name)
    {starts, until} = Spans.of({Source, name}, native)
    read = Credits.read(name, native, dimension, models, @most)
    rows = for {value, credited} <- read.rows, do: row({:key, value}, credited)

    %{
      since: List.first(starts),
      until: until,
      rows: rows,
      truncated: not read.complete?,
      total: row(nil, read.total),
      unattributed: read.unattributed,
      overflow: read.overflow && row(nil, read.overflow) |> Map.delete(:key) |> Map.delete(:name)
    }
  end

  defp row(key, credited) do
    key
    |> Figures.named()
    |> Map.merge(%{
      touches: credited.touches,
      cost_micros: credited.cost,
      by_model: Figures.by_model(credited.by_model, credited.cost)
    })
  end
end
