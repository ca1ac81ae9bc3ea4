defmodule AdTally.Test.NaiveReport do
  @moduledoc """
  `AdTally.Meter.report/2` as anybody would write it: every row of every window becomes a term, and
  rows are grouped by maps. For a meter in which nothing is recorded or closed meanwhile.
  """

  alias AdTally.{Meter, Named, Native, Sketch, Steps}
  alias AdTally.Windows.{Retained, Server}

  require Named

  @doc "The rows of a report. Options are right, and times are milliseconds."
  @spec report(atom(), keyword()) :: [map()]
  def report(name, options) do
    {config, retained, _sequence} = Server.call({Meter.Source, name}, :report, 5_000)
    by = Keyword.get(options, :by, config.dimensions)

    where =
      for {name, values} <- options[:where] || [],
          into: %{},
          do: {name, if(is_list(values), do: values, else: [values])}

    asked = Enum.uniq(by ++ Map.keys(where))
    has_reach? = config.reach_by != [] and asked -- config.reach_by == []

    report = %{
      by: by,
      where: where,
      dimensions: config.dimensions,
      metrics: config.metrics,
      reach_by: if(has_reach?, do: config.reach_by)
    }

    nothing = %{rows: %{}, sketches: %{}, no_room: MapSet.new(), overflow: %{}, users: []}
    all = name |> windows(retained, options) |> Enum.reduce(nothing, &add(&1, report, &2))

    groups =
      all.rows
      |> Enum.sort_by(fn {values, totals} ->
        {options[:order_by] && -totals[options[:order_by]], values}
      end)
      |> Enum.map(fn {values, totals} -> group(values, totals, all, report) end)

    Enum.take(groups, options[:limit] || length(groups)) ++ overflow(all, report)
  end

  defp windows(name, retained, options) do
    {native, _late} = Named.fetch!(Meter, name)
    {from, to} = {options[:from] || 0, options[:to] || :infinity}
    gone = fn -> raise "the meter has ended" end

    open = for {start, _end, _rows, window} <- open(native, from), start < to, do: window

    (retained |> Retained.stream(from, to, gone) |> Enum.concat() |> Enum.map(& &1.native)) ++
      open
  end

  defp open(native, from) do
    case Native.meter_open(native, from) do
      [] -> []
      some -> some ++ open(native, some |> List.last() |> elem(1))
    end
  end

  defp add(window, report, all) do
    {walk, overflow} = Native.meter_counters(window)

    rows =
      for {values, totals} <- Steps.collect(walk),
          values = named(report.dimensions, values),
          meets?(values, report),
          do: {values, totals}

    all = %{all | overflow: sum(all.overflow, overflow)}

    all =
      for {values, totals} <- rows, reduce: all do
        all ->
          group = Enum.map(report.by, &values[&1])
          %{all | rows: Map.update(all.rows, group, totals, &sum(&1, totals))}
      end

    if report.reach_by, do: add_users(all, window, rows, report), else: all
  end

  defp add_users(all, window, rows, report) do
    {walk, overflow} = Native.meter_reach(window)

    sketches =
      for {values, sketch} <- Steps.collect(walk),
          into: %{},
          do: {named(report.reach_by, values), sketch}

    by_group = fn values -> Enum.map(report.by, &values[&1]) end

    all =
      for {values, sketch} <- sketches, meets?(values, report), reduce: all do
        all ->
          %{all | sketches: Map.update(all.sketches, by_group.(values), [sketch], &[sketch | &1])}
      end

    if Sketch.estimate(overflow) == 0.0 do
      all
    else
      # A key without a sketch may have users there.
      without =
        for {values, _totals} <- rows,
            not is_map_key(sketches, Map.take(values, report.reach_by)),
            into: all.no_room,
            do: by_group.(values)

      %{all | no_room: without, users: [overflow | all.users]}
    end
  end

  defp named(names, values), do: names |> Enum.zip(Tuple.to_list(values)) |> Map.new()

  # `1 == 1.0`, but no dimension is a float.
  defp meets?(values, report),
    do: Enum.all?(report.where, fn {name, allowed} -> values[name] in allowed end)

  defp sum(totals, more), do: Map.merge(totals, more, fn _metric, a, b -> a + b end)

  defp group(values, totals, all, report) do
    row = report.by |> Enum.zip(values) |> Map.new() |> Map.merge(totals)

    cond do
      report.reach_by == nil -> row
      values in all.no_room -> Map.merge(row, %{reach: nil, reach_low: nil, reach_high: nil})
      true -> Map.merge(row, reach(all.sketches[values] || []))
    end
  end

  defp overflow(%{overflow: overflow, users: users}, report) do
    cond do
      users == [] and Enum.all?(overflow, fn {_metric, total} -> total == 0 end) -> []
      report.reach_by == nil -> [Map.put(overflow, :overflow, true)]
      true -> [overflow |> Map.put(:overflow, true) |> Map.merge(reach(users))]
    end
  end

  defp reach([]), do: %{reach: 0.0, reach_low: 0.0, reach_high: 0.0}

  defp reach(sketches) do
    {:ok, sketch} = Sketch.union(sketches)
    {low, high} = Sketch.bounds(sketch, 2)
    %{reach: Sketch.estimate(sketch), reach_low: low, reach_high: high}
  end
end
