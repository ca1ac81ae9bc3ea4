defmodule AdTally.Meter.Report do
  @moduledoc false
  # Rows of several windows, grouped by some dimensions. Read as they come, in steps, in the
  # process that asks.

  alias AdTally.{Native, Options, Sketch}

  def new(windows, config, options) do
    options = Options.known!(options, [:by, :from, :to])
    by = options |> Keyword.get(:by, config.dimensions) |> Options.subset!(:by, config.dimensions)
    from = Keyword.get(options, :from, 0)
    to = Keyword.get(options, :to, :infinity)
    # Any integer is less than an atom.
    windows = Enum.filter(windows, &(&1.start >= from and &1.start < to))

    rows = Enum.reduce(windows, %{}, &add_counters(&1, by, &2))
    has_reach? = config.reach_by != [] and by -- config.reach_by == []
    sketches = if has_reach?, do: Enum.reduce(windows, %{}, &add_sketches(&1, by, &2)), else: %{}

    for {values, totals} <- Enum.sort(rows) do
      by
      |> Enum.zip(values)
      |> Map.new()
      |> Map.merge(totals)
      |> with_reach(has_reach?, sketches[values])
    end
  end

  defp add_counters(window, by, rows) do
    places = places(by, window.dimensions)
    {walk, _overflow} = Native.meter_counters(window.native)

    each_row(&Native.counters_rows/2, walk, rows, fn {values, totals}, rows ->
      group = Enum.map(places, &elem(values, &1))
      Map.update(rows, group, totals, &Map.merge(&1, totals, fn _metric, a, b -> a + b end))
    end)
  end

  defp add_sketches(window, by, sketches) do
    places = places(by, window.reach_by)
    {walk, _overflow} = Native.meter_reach(window.native)

    each_row(&Native.reach_rows/2, walk, sketches, fn {values, sketch}, sketches ->
      Map.update(sketches, Enum.map(places, &elem(values, &1)), [sketch], &[sketch | &1])
    end)
  end

  def places(names, all), do: Enum.map(names, fn name -> Enum.find_index(all, &(&1 == name)) end)

  # Rows as they come, so that those of a large window are not all there at once.
  defp each_row(rows, walk, result, fun) do
    {more, some} = rows.(walk, [])
    result = Enum.reduce(some, result, fun)
    if more == :more, do: each_row(rows, walk, result, fun), else: result
  end

  defp with_reach(row, false, _sketches), do: row

  defp with_reach(row, true, nil),
    do: Map.merge(row, %{reach: 0.0, reach_low: 0.0, reach_high: 0.0})

  defp with_reach(row, true, sketches) do
    sketch = union(sketches)
    {low, high} = Sketch.bounds(sketch, 2)
    Map.merge(row, %{reach: Sketch.estimate(sketch), reach_low: low, reach_high: high})
  end

  defp union([sketch]), do: sketch

  defp union(sketches) do
    {:ok, sketch} = Sketch.union(sketches)
    sketch
  end
end
