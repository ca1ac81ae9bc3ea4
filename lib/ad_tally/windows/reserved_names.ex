defmodule AdTally.Windows.ReservedNames do
  @moduledoc false
  # The names that dimensions and metrics cannot have, as they are fields in lines of sinks or rows of
  # reports, or columns that engines add to lines that they read. Reserved whichever sinks there are, so
  # that one can be added later. Compared without regard to case, because to most warehouses `Date` and
  # `date` are one column.

  @typedoc "Whose names they are."
  @type part :: :meter | :attribution

  # `kind` is for a loader that puts the kinds of lines into one table.
  @lines [
    :kind,
    :meter,
    :node,
    :epoch,
    :sequence,
    :partial,
    :starts_at,
    :ends_at,
    :date,
    :misfits
  ]

  @lines_of %{
    meter: [:reach_sketch],
    attribution: [
      :model,
      :order_id,
      :action,
      :touch_id,
      :touched_at,
      :converted_at,
      :adjusted_at,
      :conversions_ppm,
      :value_micros,
      :truncated,
      :revision,
      :touches,
      :cost_micros
    ]
  }

  @reports_of %{
    meter: [:reach, :reach_low, :reach_high, :overflow],
    attribution: [:conversions, :spend_micros, :roas, :cpa_micros, :unattributed, :overflow]
  }

  # Flink's windows, DuckDB's files, what Spark makes of a line that is no JSON. Engines begin others of
  # theirs with `_`: ClickHouse `_path`, BigQuery `_FILE_NAME`.
  @engines [:window_start, :window_end, :window_time, :filename, :_corrupt_record]
  @engines_begin "_"
  @add_by_engines "engines add to lines that they read"

  @doc "All of them, but for those that sinks add and those that begin with `_`."
  @spec all(part()) :: [atom(), ...]
  def all(part), do: @lines ++ @lines_of[part] ++ @engines ++ @reports_of[part]

  @doc """
  Raises `ArgumentError` if a name is reserved, or in use twice. `names` are by option, `of_sinks` further
  reserved ones, each with the sink that reserves it.
  """
  @spec check!(part(), [{option :: atom(), [atom()]}], [{atom(), sink :: module()}]) :: :ok
  def check!(part, names, of_sinks) do
    reserved = reserved(part, of_sinks)
    all = Enum.flat_map(names, &elem(&1, 1))
    taken = all ++ Enum.map(of_sinks, &elem(&1, 0))

    for {option, names} <- names,
        name <- names,
        reason = reserved[folded(name)] || of_engines(name) do
      raise ArgumentError,
            "expected #{inspect(option)} to have no reserved name, and #{inspect(name)} is one that " <>
              "#{reason}: another name would be :#{another(name, taken)}"
    end

    unless all_differ?(all) do
      raise ArgumentError,
            "expected #{inspect(hd(Keyword.keys(names)))} to have #{differing(part)}, got: " <>
              Enum.map_join(names, " and ", &inspect(elem(&1, 1)))
    end

    :ok
  end

  defp reserved(part, of_sinks) do
    of_sinks =
      for {name, sink} <- of_sinks, do: {folded(name), "#{inspect(sink)} adds to what it writes"}

    [
      {@lines ++ @lines_of[part], "sinks add to their lines"},
      {@engines, @add_by_engines},
      {@reports_of[part], "reports add to their rows"}
    ]
    |> Enum.flat_map(fn {names, reason} -> Enum.map(names, &{folded(&1), reason}) end)
    |> then(&Map.new(of_sinks ++ &1))
  end

  defp differing(:meter),
    do: "other names than the metrics, and no two names to differ in case only"

  defp differing(:attribution), do: "no two names that differ in case only"

  defp of_engines(name) do
    if String.starts_with?(Atom.to_string(name), @engines_begin), do: @add_by_engines
  end

  defp all_differ?(names), do: names |> Enum.map(&folded/1) |> then(&(Enum.uniq(&1) == &1))

  defp folded(name), do: name |> Atom.to_string() |> String.downcase()

  # A string: no atom is made of a suggestion.
  defp another(name, taken) do
    taken = Enum.map(taken, &folded/1)
    first = "event_#{name |> folded() |> String.trim_leading(@engines_begin)}"

    Stream.iterate(2, &(&1 + 1))
    |> Stream.map(&"#{first}_#{&1}")
    |> then(&Stream.concat([first], &1))
    |> Enum.find(&(&1 not in taken))
  end
end
