defmodule AdTally.Web.Credits do
  @moduledoc false
  # What an attribution credits to each value of a dimension, under each of its models. Reports of attributions have
  # as many rows as there are values, so rows are read as a stream, and only some are kept.

  alias AdTally.Attribution.{Report, Source, Window}
  alias AdTally.Web.Names
  alias AdTally.Windows.{Deadline, Reader}

  @timeout 30_000

  @typedoc "What a value has, by model as text, with the touches and their cost, which are the same under all models."
  @type credited :: %{
          touches: non_neg_integer(),
          cost: integer(),
          by_model: %{binary() => AdTally.Web.Figures.credit()}
        }

  @typedoc """
  By value of the dimension; the sums of all, `:most` of which may not have been kept; conversions without a touch, and
  touches without dimensions.
  """
  @type t :: %{
          rows: %{term() => credited()},
          total: credited(),
          unattributed: map() | nil,
          overflow: credited() | nil,
          complete?: boolean()
        }

  @doc "Those of some values, of a map, or those of `most` with most conversions under the first model."
  @spec read(atom(), reference(), dimension, models, map() | pos_integer()) :: t()
        when dimension: atom(), models: [Window.model(), ...]
  def read(name, native, dimension, [first | _] = models, keep) do
    none = %{
      rows: %{},
      total: credited(),
      unattributed: nil,
      overflow: nil,
      complete?: true,
      model: nil
    }

    Enum.reduce(models, none, fn model, read ->
      # Which ones are kept is known once the first model was read.
      keep = if model == first, do: keep, else: read.rows

      {Source, name}
      |> Reader.stream(Report, native, [by: [dimension], model: model], &deadline/0)
      |> Enum.reduce(%{read | model: Names.model(model)}, &add(&1, &2, dimension, keep))
      |> cut(keep)
    end)
  end

  defp deadline, do: Deadline.new([timeout: @timeout], @timeout, {__MODULE__, :read, []})

  defp credited, do: %{touches: 0, cost: 0, by_model: %{}}

  defp add(%{unattributed: true} = row, read, _dimension, _keep) do
    %{read | unattributed: %{conversions: row.conversions, value_micros: row.value_micros}}
  end

  defp add(%{overflow: true} = row, read, _dimension, _keep) do
    %{
      read
      | overflow: credited(row, read.overflow || credited(), read.model),
        total: sum(row, read)
    }
  end

  defp add(row, read, dimension, keep) do
    read = %{read | total: sum(row, read)}
    value = Map.fetch!(row, dimension)

    if is_integer(keep) or is_map_key(keep, value) do
      credited = Map.get(read.rows, value, credited())
      rows = Map.put(read.rows, value, credited(row, credited, read.model))
      # Twice as many, so that they are sorted seldom.
      cut(%{read | rows: rows}, if(is_integer(keep), do: 2 * keep, else: keep), keep)
    else
      %{read | complete?: false}
    end
  end

  defp credited(row, credited, model) do
    credit = %{ppm: row.conversions_ppm, value: row.value_micros}

    %{
      touches: row.touches,
      cost: row.spend_micros,
      by_model: Map.put(credited.by_model, model, credit)
    }
  end

  defp sum(row, %{total: total, model: model}) do
    before = Map.get(total.by_model, model, %{ppm: 0, value: 0})
    credit = %{ppm: before.ppm + row.conversions_ppm, value: before.value + row.value_micros}
    first? = map_size(Map.delete(total.by_model, model)) == 0

    %{
      # Each model's report has them again.
      touches: if(first?, do: total.touches + row.touches, else: total.touches),
      cost: if(first?, do: total.cost + row.spend_micros, else: total.cost),
      by_model: Map.put(total.by_model, model, credit)
    }
  end

  defp cut(read, keep), do: cut(read, keep, keep)

  defp cut(read, most, keep) when is_integer(most) and map_size(read.rows) > most do
    rows =
      read.rows
      |> Enum.sort_by(fn {_value, %{by_model: by_model}} -> -by_model[read.model].ppm end)
      |> Enum.take(keep)

    %{read | rows: Map.new(rows), complete?: false}
  end

  defp cut(read, _most, _keep), do: read
end
