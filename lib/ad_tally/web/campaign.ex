defmodule AdTally.Web.Campaign do
  @moduledoc false
  # One campaign: its row, the same by each other dimension, how it came in time, and its budgets.

  alias AdTally.{Meter, Named, Native, Pacer}
  alias AdTally.Meter.Source
  alias AdTally.Web.{Campaigns, Figures, Names, Parts, Query, Reports, Series, Spans}

  require Named

  # Rows by another dimension.
  @most 50
  # Points of curves: each is a report of its own, and those of reach read all windows before them.
  @most_points 60
  @most_reach_points 8

  @timeout 30_000

  # Another node may have to be asked.
  @patience 1_000

  @doc "The answer to a request."
  @spec answer(AdTally.Web.Config.t(), Query.t()) ::
          {:ok, map()} | {:error, pos_integer(), binary()}
  def answer(config, query) do
    with {:ok, shape, _meters} <- Campaigns.shape(config, Query.get(query, "meter")),
         {:ok, value} <- value(Query.get(query, "key")),
         {:ok, made} <- report(config, shape, value) do
      now = %{pacers: pacers(config, value), caps: caps(config)}
      {:ok, Map.merge(made, now)}
    end
  end

  defp value(nil), do: {:error, 400, "expected a key, as rows of api/campaigns have it"}

  defp value(text) do
    case Names.value(text) do
      {:ok, value} ->
        {:ok, value}

      :long ->
        {:error, 404, "the name of this campaign is too long for a page of its own"}

      :error ->
        {:error, 404,
         "there is no campaign with the key #{Query.shown(text)}: expected one that rows of api/campaigns have"}
    end
  end

  defp report(config, shape, value) do
    answer = fn made, at, took ->
      shape
      |> Campaigns.described()
      |> Map.delete(:dimensions)
      |> Map.merge(made)
      |> Map.merge(%{at: at, took_ms: took})
    end

    Reports.get(
      config.name,
      {:campaign, shape, value},
      fn -> Campaigns.reporting(fn -> make(shape, value) end) |> known(value) end,
      :only,
      answer
    )
  end

  # `nil` is what could not be found.
  defp known({:ok, nil}, value) do
    {:error, 404,
     "nothing of campaign #{Query.shown(Names.shown(value))} is in the windows that are open or retained"}
  end

  defp known(made, _value), do: made

  defp make(shape, value) do
    %{meter: meter, dimension: dimension} = shape
    {native, _attribution} = Parts.meter!(meter)
    {starts, until} = Spans.of({Source, meter}, native)
    where = [{dimension, value}]

    with [row | _overflow] <- rows(meter, by: [dimension], where: where) do
      credits = Campaigns.credits(shape, %{value => true})

      %{
        since: List.first(starts),
        until: until,
        row: Campaigns.row(row, shape, credits.rows),
        by: for(other <- shape.dimensions -- [dimension], do: by(shape, where, other)),
        windows: windows(shape, where, starts, until)
      }
    else
      [] -> nil
    end
  end

  defp rows(meter, options) do
    meter
    |> Meter.report([{:timeout, @timeout} | options])
    |> Enum.reject(&Campaigns.overflow?/1)
  end

  defp by(shape, where, dimension) do
    order = shape.roles[:spend] || shape.roles[:impressions] || hd(shape.metrics)
    options = [by: [dimension], where: where, order_by: order, limit: @most + 1]
    rows = rows(shape.meter, options)

    %{
      dimension: dimension,
      count: min(length(rows), @most),
      truncated: length(rows) > @most,
      rows:
        for row <- Enum.take(rows, @most) do
          Figures.row(row, {:key, Map.fetch!(row, dimension)}, shape.metrics, shape.roles, %{})
        end
    }
  end

  ## In time

  defp windows(shape, where, starts, until) do
    # As many windows each, so that there are not too many points.
    spans = starts |> Enum.chunk_every(div(length(starts) - 1, @most_points) + 1) |> spans(until)

    sums =
      for {from, to} <- spans do
        shape.meter |> rows(by: [], where: where, from: from, to: to) |> List.first() || %{}
      end

    %{
      begin: Enum.map(spans, &elem(&1, 0)),
      until: until,
      metrics:
        Map.new(shape.metrics, fn metric ->
          {metric, Enum.map(sums, &Map.get(&1, metric, 0))}
        end),
      reach: reach(shape, where, spans)
    }
  end

  defp spans([], _until), do: []
  defp spans([[from | _]], until), do: [{from, until}]

  defp spans([[from | _], [to | _] = next | rest], until),
    do: [{from, to} | spans([next | rest], until)]

  # Users until then, not those of one window. Fewer points, evenly spread, with the last one.
  defp reach(shape, where, spans) do
    every = div(length(spans) - 1, @most_reach_points) + 1

    ends =
      spans
      |> Enum.reverse()
      |> Enum.take_every(every)
      |> Enum.reverse()
      |> Enum.map(&elem(&1, 1))

    bounds =
      for to <- ends,
          [row] <- [rows(shape.meter, by: [shape.dimension], where: where, to: to)],
          %{reach: reach} when reach != nil <- [
            Figures.row(row, nil, shape.metrics, shape.roles, %{})
          ],
          do: {to, reach}

    if bounds != [] do
      %{
        at: Enum.map(bounds, &elem(&1, 0)),
        estimate: for({_at, reach} <- bounds, do: reach.estimate),
        lower: for({_at, reach} <- bounds, do: reach.lower),
        upper: for({_at, reach} <- bounds, do: reach.upper)
      }
    end
  end

  ## Budgets and caps

  # Those pacers that know a campaign of this key. They are read anew for every answer.
  defp pacers(config, value) do
    names = config.name |> Series.snapshot() |> Map.fetch!(:pacers) |> Map.keys() |> Enum.sort()

    for name <- names, {:ok, status} <- [status(name, value)] do
      Series.watch(config.name, name, value)
      Map.merge(%{name: Names.name(name)}, status) |> Map.put(:curve, curve(config, name, value))
    end
  end

  defp status(name, value) do
    native = Named.fetch!(Pacer, name)
    coordinator = Native.pacer_coordinator(native, value)

    answer =
      if coordinator == node(),
        do: Native.pacer_status(native, value),
        else: asked(name, coordinator, value)

    case answer do
      %{} = status -> {:ok, %{status: shown(status), error: nil}}
      {:error, :unknown} -> :none
      _other -> {:ok, unreachable(coordinator)}
    end
  rescue
    ArgumentError -> :none
  end

  defp asked(name, coordinator, value) do
    GenServer.call({name, coordinator}, {:of, value, :status}, @patience)
  catch
    :exit, _reason -> :unreachable
  end

  defp unreachable(coordinator) do
    %{status: nil, error: "#{coordinator}, the coordinator of this budget, does not answer"}
  end

  defp shown(status) do
    nodes = for {node, micros} <- status.nodes, do: %{node: Names.name(node), micros: micros}
    %{status | nodes: Enum.sort_by(nodes, & &1.node)}
  end

  # By the minute, once there are some.
  defp curve(config, name, value) do
    {fields, series} = name |> Series.of_campaign(value) |> Enum.unzip()
    curve(config, fields, series, 60) || curve(config, fields, series, 1)
  end

  defp curve(config, fields, series, step) do
    {begin, points} = Series.points(config.name, series, step)
    known = for {_name, _unit, points} <- points, do: Enum.find_index(points, &(&1 != nil))
    from = Enum.min(known)

    if is_integer(from) and enough?(points, step) do
      curves = for {_name, _unit, points} <- points, do: Enum.drop(points, from)

      fields
      |> Enum.zip(curves)
      |> Map.new()
      |> Map.merge(%{step: step, begin: begin + from * step})
    end
  end

  defp enough?(points, 60),
    do: Enum.any?(points, fn {_name, _unit, points} -> Enum.count(points, & &1) > 2 end)

  defp enough?(_points, 1), do: true

  # A table of caps counts denials of all campaigns together.
  defp caps(config) do
    for {name, cap} <- Enum.sort(Series.snapshot(config.name).frequency_caps) do
      denials = cap.denials
      refused = denials |> Map.drop([:rule, :rounding]) |> Map.values() |> Enum.sum()

      %{
        name: Names.name(name),
        denied: denials.rule,
        denied_by_rounding: denials.rounding,
        refused: refused,
        of: "all campaigns"
      }
    end
  end
end
