defmodule AdTally.Web.Overview do
  @moduledoc false
  # Everything that runs, of the last snapshot, with rates of the last seconds.

  alias AdTally.Web.{Config, Health, Names, Roles, Samples, Series}

  # Seconds that a rate is over. Metrics are known of closed windows, which close every so often.
  @seconds 5
  @window_seconds 110

  @doc "The answer to a request."
  @spec answer(Config.t()) :: map()
  def answer(config) do
    snapshot = Series.snapshot(config.name)
    parts = fn kind, part -> for named <- Enum.sort(snapshot[kind]), do: part.(named, config) end

    %{
      at: snapshot.at,
      node: Names.name(snapshot.node),
      version: snapshot.version,
      schedulers: snapshot.schedulers,
      meters: parts.(:meters, &meter/2),
      attributions: parts.(:attributions, &attribution/2),
      pacers: parts.(:pacers, &pacer/2),
      stores: stores(snapshot),
      parts: tables(snapshot),
      memory_bytes: Samples.memory(snapshot),
      missing: Enum.map(snapshot.missing, &Names.name/1)
    }
  end

  defp meter({name, meter}, config) do
    of = "meter:" <> Names.name(name)
    names = meter.names.metrics

    windows(name, meter)
    |> Map.merge(%{
      rate: rates(config, of, Map.keys(meter.events)),
      totals: meter.events,
      metrics:
        for column <- Roles.columns(names, Roles.of(config.roles, names)) do
          total =
            Map.get(meter.metrics, column.key, 0) - Map.get(meter.corrections, column.key, 0)

          rate = Series.rate(config.name, "#{of}:metric:#{column.key}", @window_seconds)
          Map.merge(column, %{total: total, rate: rate})
        end,
      # A meter that ran before under this name may have had others.
      excluded: Map.new(meter.excluded, fn {why, sums} -> {why, Map.take(sums, names)} end),
      on_late: meter.on_late
    })
  end

  defp attribution({name, part}, config) do
    of = "attribution:" <> Names.name(name)

    windows(name, part)
    |> Map.merge(%{rate: rates(config, of, [:touches, :conversions])})
    |> Map.merge(Map.take(part, [:touches, :conversions, :attributed, :unattributed, :repeated]))
  end

  defp windows(name, part) do
    %{
      name: Names.name(name),
      newest: if(part.newest > 0, do: part.newest),
      lag_ms: part.watermark_lag_ms,
      open_windows: part.open_windows,
      closed_windows: part[:closed_windows],
      memory: part.memory,
      memory_bytes: part.memory_bytes,
      store: part.store && Names.name(part.store),
      sinks: sinks(part)
    }
  end

  @doc "The sinks of a part."
  @spec sinks(map()) :: [map()]
  def sinks(part), do: for({name, sink} <- Enum.sort(part.sinks), do: Map.put(sink, :name, name))

  defp rates(config, of, names),
    do: Map.new(names, &{&1, Series.rate(config.name, "#{of}:#{&1}", @seconds)})

  defp pacer({name, pacer}, config) do
    of = "pacer:" <> Names.name(name)

    name
    |> Health.pacer(Health.peers(name))
    |> Map.merge(%{
      campaigns: pacer.campaigns,
      coordinated: pacer.coordinated,
      outcomes: pacer.outcomes,
      rate: rates(config, of, Samples.pacer_outcomes()),
      budgets: pacer.budgets,
      memory_bytes: pacer.memory_bytes,
      store: pacer.store && Names.name(pacer.store)
    })
  end

  @doc "The stores of a snapshot."
  @spec stores(map()) :: [map()]
  def stores(snapshot) do
    shown = [
      :lag_ms,
      :lag_bytes,
      :busy,
      :error,
      :errors,
      :written_bytes,
      :files,
      :last_sync_us,
      :compaction_errors,
      :dropped_bytes
    ]

    for {name, store} <- Enum.sort(snapshot.stores) do
      store
      |> Map.take(shown)
      |> Map.merge(%{
        name: Names.name(name),
        bytes: store.segment_bytes + store.run_bytes + store.base_bytes
      })
    end
  end

  defp tables(snapshot) do
    for {kind, parts} <- Samples.tables(snapshot), {name, part} <- Enum.sort(parts) do
      %{
        kind: kind,
        name: Names.name(name),
        memory_bytes: part.memory_bytes,
        store: part.store && Names.name(part.store),
        figures: figures(Map.drop(part, [:memory_bytes, :store]))
      }
    end
  end

  # Those of a map within one have both names.
  defp figures(part) do
    for {name, value} <- part,
        {name, number} <- if(is_map(value), do: inner(name, value), else: [{name, value}]),
        is_number(number),
        into: %{},
        do: {name, number}
  end

  defp inner(name, map), do: for({inner, value} <- map, do: {"#{name}_#{inner}", value})
end
