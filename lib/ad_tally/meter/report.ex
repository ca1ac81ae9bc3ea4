defmodule AdTally.Meter.Report do
  @moduledoc false
  # The rows of several windows, grouped by some dimensions. They are read in steps.

  alias AdTally.{Native, Options, Sketch}

  @enforce_keys [:from, :to, :by, :places, :where, :reach_by, :sketch_places, :sketch_where]
  defstruct @enforce_keys ++ [:reach_places, :time_left]

  @doc "What a report is to have. The names of options were checked."
  def new!(config, options) do
    %{dimensions: dimensions, reach_by: reach_by} = config
    by = options |> Keyword.get(:by, dimensions) |> Options.subset!(:by, dimensions)
    where = options |> Keyword.get(:where, []) |> where!(dimensions)
    # A sketch cannot be filtered by a dimension that it is not kept by.
    has_reach? = reach_by != [] and (by ++ Keyword.keys(where)) -- reach_by == []

    %__MODULE__{
      from: time!(options, :from, 0),
      to: time!(options, :to, :infinity),
      by: by,
      places: places(by, dimensions),
      where: conditions(where, dimensions),
      reach_by: if(has_reach?, do: reach_by, else: []),
      reach_places: if(has_reach?, do: places(reach_by, dimensions)),
      sketch_places: if(has_reach?, do: places(by, reach_by)),
      sketch_where: if(has_reach?, do: conditions(where, reach_by))
    }
  end

  @doc "The rows of a report over windows. `time_left` is called before each step, and exits when there is none."
  def of(%__MODULE__{} = report, windows, time_left) do
    report = %{report | time_left: time_left}
    nothing = %{rows: %{}, sketches: %{}, overflow: %{}, overflow_sketches: {0, []}, no_room: %{}}
    all = Enum.reduce(windows, nothing, &add(&1, report, &2))
    groups = for {values, totals} <- Enum.sort(all.rows), do: group(values, totals, all, report)
    groups ++ overflow(all, report)
  end

  def places(names, all), do: Enum.map(names, fn name -> Enum.find_index(all, &(&1 == name)) end)

  ## Options

  defp time!(options, name, default) do
    case Keyword.fetch(options, name) do
      :error -> default
      {:ok, time} -> checked_time!(name, time, milliseconds(time))
    end
  end

  defp checked_time!(_name, _time, milliseconds)
       when is_integer(milliseconds) and milliseconds >= 0,
       do: milliseconds

  # With wrong fields it may look like a good one, unless it is shown as a map.
  defp checked_time!(name, time, :wrong_fields), do: no_time!(name, Map.from_struct(time))
  defp checked_time!(name, time, _other), do: no_time!(name, time)

  # The first millisecond that is not before it: windows begin at whole ones.
  defp milliseconds(%DateTime{} = time) do
    -Integer.floor_div(-DateTime.to_unix(time, :microsecond), 1_000)
  rescue
    _error -> :wrong_fields
  end

  defp milliseconds(time), do: time

  defp no_time!(name, time) do
    raise ArgumentError,
          "expected #{inspect(name)} to be Unix milliseconds or a DateTime, from 1970 on, got: " <>
            Options.shown(time)
  end

  defp where!(where, dimensions) do
    names = if Keyword.keyword?(where), do: Keyword.keys(where), else: [nil]

    unless Enum.uniq(names) == names and names -- dimensions == [] do
      raise ArgumentError,
            "expected :where to be a keyword list of dimensions, of #{inspect(dimensions)}, each once and " <>
              "with its value or a list of values, got: #{Options.shown(where)}"
    end

    for {name, values} <- where do
      values = if is_list(values) and not List.improper?(values), do: values, else: [values]

      with other when other != nil <- Enum.find_index(values, &(not value?(&1))) do
        raise ArgumentError,
              "expected #{inspect(name)} in :where to be an integer, a binary, an atom or a list of " <>
                "those, as dimensions are, got: #{Options.shown(Enum.at(values, other))}"
      end

      {name, values}
    end
  end

  defp value?(value), do: is_integer(value) or is_binary(value) or is_atom(value)

  # The index of each dimension in the key, and the values it may have.
  defp conditions(where, all) do
    for {name, values} <- where,
        do: {Enum.find_index(all, &(&1 == name)), Map.new(values, &{&1, true})}
  end

  ## Windows

  # Counters first: a key that has a row and no sketch afterwards had no room for one.
  defp add(window, report, all) do
    report.time_left.()
    {walk, overflow} = Native.meter_counters(window.native)
    {rows, keys} = each_row(&Native.counters_rows/2, walk, {all.rows, %{}}, report, &add_row/3)
    add_sketches(%{all | rows: rows, overflow: sum(all.overflow, overflow)}, window, keys, report)
  end

  defp add_row({values, totals}, {rows, keys} = result, report) do
    if meets?(values, report.where) do
      group = at(values, report.places)

      keys =
        if report.reach_places,
          do: Map.put(keys, at(values, report.reach_places), group),
          else: keys

      {Map.update(rows, group, totals, &sum(&1, totals)), keys}
    else
      result
    end
  end

  defp add_sketches(all, _window, _keys, %{reach_by: []}), do: all

  defp add_sketches(all, window, keys, report) do
    {walk, overflow} = Native.meter_reach(window.native)

    {sketches, without} =
      each_row(&Native.reach_rows/2, walk, {all.sketches, keys}, report, &add_sketch/3)

    if nobody?(overflow) do
      %{all | sketches: sketches}
    else
      # A key without a sketch may have users there. How many of them is not known.
      no_room =
        Enum.reduce(without, all.no_room, fn {_key, group}, no_room ->
          Map.put(no_room, group, true)
        end)

      overflow_sketches = gather(overflow, all.overflow_sketches)
      %{all | sketches: sketches, no_room: no_room, overflow_sketches: overflow_sketches}
    end
  end

  defp add_sketch({values, sketch}, {sketches, without} = result, report) do
    if meets?(values, report.sketch_where) do
      group = at(values, report.sketch_places)
      sketches = Map.update(sketches, group, {1, [sketch]}, &gather(sketch, &1))
      {sketches, Map.delete(without, Tuple.to_list(values))}
    else
      result
    end
  end

  defp meets?(values, conditions),
    do: Enum.all?(conditions, fn {place, allowed} -> is_map_key(allowed, elem(values, place)) end)

  defp at(values, places), do: Enum.map(places, &elem(values, &1))

  defp sum(totals, more), do: Map.merge(totals, more, fn _metric, a, b -> a + b end)

  # Some rows at a time, so that those of a large window are not all in memory at once.
  defp each_row(rows, walk, result, report, fun) do
    report.time_left.()
    {more, some} = rows.(walk, [])
    result = Enum.reduce(some, result, &fun.(&1, &2, report))
    if more == :more, do: each_row(rows, walk, result, report, fun), else: result
  end

  # Sketches of many windows are merged from time to time, so that they are not all in memory at once.
  @most_sketches 64

  defp gather(sketch, {@most_sketches, sketches}), do: {2, [sketch, union(sketches)]}
  defp gather(sketch, {count, sketches}), do: {count + 1, [sketch | sketches]}

  ## Rows of the report

  defp group(values, totals, all, report) do
    row = report.by |> Enum.zip(values) |> Map.new() |> Map.merge(totals)

    cond do
      report.reach_by == [] -> row
      is_map_key(all.no_room, values) -> with_reach(row, nil, nil, nil)
      true -> with_reach(row, Map.get(all.sketches, values, {0, []}))
    end
  end

  defp overflow(all, report) do
    {count, _sketches} = all.overflow_sketches

    cond do
      count == 0 and Enum.all?(all.overflow, fn {_metric, total} -> total == 0 end) -> []
      report.reach_by == [] -> [Map.put(all.overflow, :overflow, true)]
      true -> [all.overflow |> Map.put(:overflow, true) |> with_reach(all.overflow_sketches)]
    end
  end

  defp with_reach(row, {0, []}), do: with_reach(row, 0.0, 0.0, 0.0)

  defp with_reach(row, {_count, sketches}) do
    sketch = union(sketches)
    {low, high} = Sketch.bounds(sketch, 2)
    with_reach(row, Sketch.estimate(sketch), low, high)
  end

  defp with_reach(row, reach, low, high),
    do: Map.merge(row, %{reach: reach, reach_low: low, reach_high: high})

  defp nobody?(sketch), do: Sketch.estimate(sketch) == 0.0

  defp union([sketch]), do: sketch

  defp union(sketches) do
    {:ok, sketch} = Sketch.union(sketches)
    sketch
  end
end
