defmodule AdTally.Sink.Files.Lines do
  @moduledoc false
  # The lines of a window, by kind: flat JSON objects that all have the same members in the same order.
  #
  #   counters   common, dimensions, metrics
  #   reach      common, dimensions of reach, sketch
  #   overflow   common, metrics, sketch

  alias AdTally.{Sketch, Window}
  alias AdTally.Sink.Files.Types
  alias AdTally.Sink.JSON

  @type kind :: :counters | :reach | :overflow

  @reach_sketch JSON.name(:reach_sketch)
  @least -0x8000_0000_0000_0000
  @most 0x7FFF_FFFF_FFFF_FFFF

  @doc "The lines of a kind as a lazy enumerable of iodata, none if there is nothing of that kind."
  @spec stream(kind(), Window.t(), Types.types()) :: Enumerable.t()
  def stream(:counters, window, types) do
    begin = begin(window)
    columns = Types.columns(window.dimensions, types)
    metrics = metrics(window)

    window
    |> Window.stream_counters()
    |> Stream.map(fn {values, totals} ->
      line = [begin | Types.members(columns, values)]
      for amounts <- parts(metrics, totals), do: [line, members(metrics, amounts) | "}\n"]
    end)
  end

  def stream(:reach, window, types) do
    begin = begin(window)
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
    begin = begin(window)
    metrics = metrics(window)
    none = if sketch, do: [?,, @reach_sketch | ":null"], else: []

    metrics
    |> parts(totals)
    |> Stream.transform(if(users?, do: sketch_member(sketch), else: none), fn amounts, sketch ->
      {[[begin, members(metrics, amounts), sketch | "}\n"]], none}
    end)
  end

  # What all lines of a window begin with.
  defp begin(window) do
    common = [
      meter: inspect(window.meter),
      node: window.node,
      epoch: window.epoch,
      sequence: window.sequence,
      partial: window.partial,
      starts_at: window.start,
      ends_at: window.end
    ]

    members = for {name, value} <- common, do: name |> JSON.name() |> JSON.member(value)
    IO.iodata_to_binary([?{ | Enum.intersperse(members, ?,)])
  end

  # In the order in which the metrics were declared, which a map does not have.
  defp metrics(window), do: for(metric <- window.metrics, do: {metric, JSON.name(metric)})

  defp members(metrics, amounts),
    do:
      Enum.zip_with(metrics, amounts, fn {_, name}, amount -> [?,, JSON.member(name, amount)] end)

  # The amounts of one line, or of several where a total is not within 64 bits: no engine has a longer
  # integer that another one has too.
  defp parts(metrics, totals) do
    amounts = for {metric, _name} <- metrics, do: Map.fetch!(totals, metric)
    if Enum.all?(amounts, &(&1 == within(&1))), do: [amounts], else: split(amounts)
  end

  defp split(amounts) do
    Stream.unfold(amounts, fn left ->
      if Enum.any?(left, &(&1 != 0)) do
        part = Enum.map(left, &within/1)
        {part, Enum.zip_with(left, part, &(&1 - &2))}
      end
    end)
  end

  defp within(amount) when amount > @most, do: @most
  defp within(amount) when amount < @least, do: @least
  defp within(amount), do: amount

  defp sketch_member(sketch),
    do: [?,, @reach_sketch, ?:, ?", Base.encode64(Sketch.to_binary(sketch)), ?"]
end
