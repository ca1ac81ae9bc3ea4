defmodule AdTally.Sink.Files.MeterLines do
  @moduledoc false
  # The lines of a meter's window.
  #
  #   counters   common, dimensions, metrics
  #   reach      common, dimensions of reach, sketch
  #   overflow   common, metrics, sketch

  @behaviour AdTally.Sink.Files.Lines

  alias AdTally.{Sketch, Window}
  alias AdTally.Sink.Files.{Lines, Types}
  alias AdTally.Sink.JSON

  @reach_sketch JSON.name(:reach_sketch)

  @impl true
  def kinds, do: [:counters, :reach, :overflow]

  @impl true
  def stream(:counters, window, types) do
    begin = Lines.begin(window)
    columns = Types.columns(window.dimensions, types)
    names = names(window)

    window
    |> Window.stream_counters()
    |> Stream.map(fn {values, totals} ->
      line = [begin | Types.members(columns, values)]

      for amounts <- parts(window, totals),
          do: [line, Lines.members(names, amounts) | "}\n"]
    end)
  end

  def stream(:reach, window, types) do
    begin = Lines.begin(window)
    columns = Types.columns(window.reach_by, types)

    window
    |> Window.stream_reach()
    |> Stream.map(fn {values, sketch} ->
      [begin, Types.members(columns, values), sketch_member(sketch) | "}\n"]
    end)
  end

  def stream(:overflow, window, _types) do
    totals = Window.overflow(window)
    sketch = Window.reach_overflow(window)
    users? = sketch != nil and Sketch.estimate(sketch) > 0.0

    if users? or Enum.any?(totals, fn {_metric, total} -> total != 0 end),
      do: overflow(window, totals, sketch, users?),
      else: []
  end

  # The sketch is in the first line of several.
  defp overflow(window, totals, sketch, users?) do
    begin = Lines.begin(window)
    names = names(window)
    none = if sketch, do: [?,, @reach_sketch | ":null"], else: []

    window
    |> parts(totals)
    |> Stream.transform(if(users?, do: sketch_member(sketch), else: none), fn amounts, sketch ->
      {[[begin, Lines.members(names, amounts), sketch | "}\n"]], none}
    end)
  end

  # In the order in which the metrics were declared, which a map does not have.
  defp names(window), do: Enum.map(window.metrics, &JSON.name/1)

  defp parts(window, totals),
    do: window.metrics |> Enum.map(&Map.fetch!(totals, &1)) |> Lines.parts()

  defp sketch_member(sketch),
    do: [?,, @reach_sketch, ?:, ?", Base.encode64(Sketch.to_binary(sketch)), ?"]
end
