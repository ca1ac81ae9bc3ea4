defmodule AdTally.Meter.ReservedNames do
  @moduledoc false
  # The names that dimensions and metrics cannot have, as they are fields in lines of sinks or rows of
  # reports, or columns that engines add to lines that they read. Reserved whichever sinks a meter has, so
  # that one can be added later. Compared without regard to case, because to most warehouses `Date` and
  # `date` are one column.

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
    :misfits,
    :reach_sketch
  ]

  # Flink's windows, DuckDB's files, what Spark makes of a line that is no JSON. Engines begin others of
  # theirs with `_`: ClickHouse `_path`, BigQuery `_FILE_NAME`.
  @engines [:window_start, :window_end, :window_time, :filename, :_corrupt_record]
  @engines_begin "_"
  @add_by_engines "engines add to lines that they read"

  @reports [:reach, :reach_low, :reach_high, :overflow]

  @doc "All of them, but for those that sinks add and those that begin with `_`."
  @spec all() :: [atom(), ...]
  def all, do: @lines ++ @engines ++ @reports

  @doc """
  Raises `ArgumentError` if a name is reserved, or in use twice. `of_sinks` are further ones, each with
  the sink that reserves it.
  """
  @spec check!([atom()], [atom()], [{atom(), sink :: module()}]) :: :ok
  def check!(dimensions, metrics, of_sinks) do
    reserved =
      for({name, sink} <- of_sinks, do: {folded(name), "#{inspect(sink)} adds to what it writes"}) ++
        for(name <- @lines, do: {folded(name), "sinks add to their lines"}) ++
        for(name <- @engines, do: {folded(name), @add_by_engines}) ++
        for(name <- @reports, do: {folded(name), "reports add to their rows"})

    reserved = Map.new(reserved)
    taken = dimensions ++ metrics ++ Enum.map(of_sinks, &elem(&1, 0))

    for {option, names} <- [dimensions: dimensions, metrics: metrics],
        name <- names,
        reason = reserved[folded(name)] || of_engines(name) do
      raise ArgumentError,
            "expected #{inspect(option)} to have no reserved name, and #{inspect(name)} is one that " <>
              "#{reason}: another name would be :#{another(name, taken)}"
    end

    unless all_differ?(dimensions ++ metrics) do
      raise ArgumentError,
            "expected :dimensions to have other names than the metrics, and no two names to differ " <>
              "in case only, got: #{inspect(dimensions)} and #{inspect(metrics)}"
    end

    :ok
  end

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
