defmodule AdTally.Telemetry.DefinitionsTest do
  use ExUnit.Case, async: true

  alias AdTally.Telemetry
  alias AdTally.Telemetry.Definitions

  # The library is no dependency, so this has its functions, unless it is there.
  unless Code.ensure_loaded?(Elixir.Telemetry.Metrics) do
    defmodule Elixir.Telemetry.Metrics do
      @moduledoc false
      for kind <- [:counter, :sum, :last_value, :summary] do
        def unquote(kind)(name, options),
          do: Map.new([kind: unquote(kind), name: name] ++ options)
      end
    end
  end

  # Rows of the table of events: their measurements and metadata. Below it counts by outcome are named.
  defp documented do
    {:docs_v1, _, _, _, %{"en" => doc}, _, _} = Code.fetch_docs(Telemetry)

    for line <- String.split(doc, "\n"), String.starts_with?(line, "| "), reduce: {%{}, nil} do
      {rows, event} ->
        case String.split(line, "|", trim: true) do
          [" `[" <> _ = name, measured, _metadata] ->
            event = name |> String.trim() |> String.trim("`") |> Code.eval_string() |> elem(0)
            {Map.put(rows, event, measured), event}

          [_same, measured, _metadata] ->
            {if(event, do: Map.update!(rows, event, &(&1 <> measured)), else: rows), event}

          _head ->
            {rows, event}
        end
    end
    |> elem(0)
  end

  test "each is of an event that there is, with a measurement that it has" do
    rows = documented()
    assert map_size(rows) > 20

    for {_kind, event, measurement, _tags, _unit} <- Definitions.all() do
      assert %{^event => measured} = rows
      # Counts of an attribution are named in the text.
      assert measured =~ "`#{measurement}`" or event == [:ad_tally, :attribution, :events]
    end
  end

  test "names differ, and durations are told in milliseconds" do
    metrics = Telemetry.metrics()
    names = for metric <- metrics, do: {metric.name, metric.tags}
    assert names == Enum.uniq(names)
    assert %{kind: :sum, tags: [:meter]} = find(metrics, [:ad_tally, :meter, :events, :applied])
    assert %{kind: :counter} = find(metrics, [:ad_tally, :sink, :failed, :count])
    closed = find(metrics, [:ad_tally, :window, :closed, :duration])
    assert %{kind: :summary, unit: {:native, :millisecond}, tags: [:part]} = closed
    assert closed.tag_values.(%{attribution: A, start: 1}).part == A
    assert closed.tag_values.(%{meter: M}).part == M
  end

  defp find(metrics, name), do: Enum.find(metrics, &(&1.name == name))

  test "the counts of a meter and of an attribution are those of their events" do
    measured = fn event ->
      for {:sum, ^event, measurement, _tags, _unit} <- Definitions.all(), do: measurement
    end

    {:ok, _meter} =
      AdTally.Meter.start_link(name: __MODULE__.Ads, dimensions: [:campaign], metrics: [:clicks])

    counts = AdTally.Meter.info(__MODULE__.Ads).events |> Map.keys()
    assert Enum.sort(measured.([:ad_tally, :meter, :events])) == Enum.sort(counts)

    options = [dimensions: [:campaign], touches: [click: 1_000], conversions: [purchase: :every]]
    {:ok, _attribution} = AdTally.Attribution.start_link([{:name, __MODULE__.Credits} | options])
    require AdTally.Named
    native = AdTally.Named.fetch!(AdTally.Attribution, __MODULE__.Credits)
    source = AdTally.Attribution.Source
    counts = native |> source.info() |> source.counts() |> source.measurements() |> Map.keys()
    assert Enum.sort(measured.([:ad_tally, :attribution, :events])) == Enum.sort(counts)
  end
end
