defmodule AdTally.Telemetry.DefinitionsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Stores, only: [dir: 0, names: 1]

  alias AdTally.{Attribution, Meter, Named, Pacer, Store, Telemetry}
  alias AdTally.Telemetry.Definitions

  require Named

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

    for {kind, event, measurement, _tags, _unit} <- Definitions.all() do
      assert %{^event => measured} = rows
      assert measured =~ "`#{measurement}`" or in_text?(kind, event)
    end
  end

  # Counts of an attribution, and outcomes of a pacer's calls, are not in the table.
  defp in_text?(_kind, [:ad_tally, :attribution, :events]), do: true
  defp in_text?(kind, event), do: {kind, event} == {:sum, [:ad_tally, :pacer, :tick]}

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

  # The sums of an event.
  defp sums(event),
    do: for({:sum, ^event, measurement, _tags, _unit} <- Definitions.all(), do: measurement)

  # Only with a store may any be busy, but what an event has does not depend on that.
  for {where, in_store?} <- [{"without a store", false}, {"with a store", true}] do
    test "the counts of a meter and of an attribution #{where} are those of their events",
         context do
      %{store: store, meter: meter, attribution: attribution} = names(context)
      in_store = if unquote(in_store?), do: [store: store], else: []
      if in_store != [], do: start_supervised!({Store, name: store, dir: dir()})

      options = [name: meter, dimensions: [:page], metrics: [:views]]
      start_supervised!({Meter, options ++ in_store})
      {native, _late} = Named.fetch!(Meter, meter)
      assert Enum.sort(sums([:ad_tally, :meter, :events])) == measured(Meter.Source, native)
      # As in info/2, which has those that there may be.
      counts = Meter.info(meter).events |> Map.keys()
      assert :busy in counts == unquote(in_store?)
      assert Enum.uniq([:busy | counts]) |> Enum.sort() == measured(Meter.Source, native)

      options = [dimensions: [:page], touches: [click: 1_000], conversions: [purchase: :every]]
      start_supervised!({Attribution, [name: attribution] ++ options ++ in_store})
      native = Named.fetch!(Attribution, attribution)
      measured = measured(Attribution.Source, native)
      assert Enum.sort(sums([:ad_tally, :attribution, :events])) == measured
    end
  end

  test "the counts of a pacer's ticks are its outcomes", context do
    name = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: name, clock: :manual})
    outcomes = Pacer.info(name).outcomes |> Map.keys()
    assert Enum.sort(sums([:ad_tally, :pacer, :tick])) == Enum.sort(outcomes)
  end

  # The names of what its event of counts has.
  defp measured(source, native) do
    counts = native |> source.info() |> source.counts()
    counts |> source.measurements() |> Map.keys() |> Enum.sort()
  end
end
