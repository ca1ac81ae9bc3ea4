defmodule AdTally.Metrics.Snapshot do
  @moduledoc false
  # Reads what runs: of each part totals, gauges and what its process said of it. No process is asked.

  alias AdTally.Meter.Late
  alias AdTally.Metrics.{Parts, Top}
  alias AdTally.Native
  alias AdTally.Pacer.Peers
  alias AdTally.Windows.{Delivery, Memory}

  @kinds %{
    AdTally.Meter => :meters,
    AdTally.Attribution => :attributions,
    AdTally.Counters => :counters,
    AdTally.Reach => :reach,
    AdTally.FrequencyCap => :frequency_caps,
    AdTally.Dedupe => :dedupes,
    AdTally.Store => :stores,
    AdTally.Pacer => :pacers
  }

  @doc "Has the meters that run keep totals of so many campaigns from now on."
  @spec keep_top([Parts.t()], top :: 0..1_000) :: :ok
  def keep_top(parts, top) do
    for %{module: AdTally.Meter, state: :runs} = part <- parts, do: keep_campaigns(part, top)
    :ok
  end

  defp keep_campaigns(%{name: name, about: %{names: names}} = part, top) do
    Top.keep(name, Parts.native(part), names, top, part.base)
  rescue
    # It has ended meanwhile.
    ArgumentError -> :ok
  end

  @doc """
  What parts have that run, by kind and name, and the names of those that have ended meanwhile. Totals of campaigns are
  among it where they are shown.
  """
  @spec parts([Parts.t()], now :: non_neg_integer(), top? :: boolean()) :: {map(), [atom()]}
  def parts(parts, now, top?) do
    Enum.reduce(parts, {none(), []}, fn part, {read, gone} ->
      case read(part, now, top?) do
        {:ok, map} -> {put_in(read, [@kinds[part.module], part.name], map), gone}
        :gone -> {read, [part.name | gone]}
      end
    end)
  end

  @doc "What parts have counted, by kind and name, whether they run or not, and their crashes: totals and nothing else."
  @spec totals([Parts.t()]) :: map()
  def totals(parts) do
    none = Map.put(none(), :crashes, Parts.crashes(parts))

    Enum.reduce(parts, none, fn part, read ->
      totals = part |> Parts.totals() |> shape_totals(part.module)
      put_in(read, [@kinds[part.module], part.name], totals)
    end)
  end

  defp none, do: for({_module, kind} <- @kinds, into: %{}, do: {kind, %{}})

  defp read(part, now, top?) do
    native = Parts.native(part)
    totals = part |> Parts.totals() |> shown(top?) |> shape_totals(part.module)

    {:ok,
     part
     # After the totals: of one that has ended they can still be read, and these cannot.
     |> of(native, totals, Native.table_gauges(native), now)
     |> Map.put(:store, part.about[:store])}
  rescue
    ArgumentError -> :gone
  end

  defp shown(totals, true), do: totals
  defp shown(totals, false), do: Map.delete(totals, :top)

  defp of(%{module: AdTally.Meter} = part, native, totals, gauges, now) do
    open = Memory.open_windows(&Native.meter_open_bytes(native, &1))
    on_late = on_late(elem(part.value, 1), totals)

    totals
    |> windows(part, gauges, open, now)
    |> Map.put(:on_late, on_late)
    |> top(part)
  end

  defp of(%{module: AdTally.Attribution} = part, native, totals, gauges, now) do
    open = Memory.open_windows(&Native.attribution_open_bytes(native, &1))
    windows(totals, part, gauges, open, now)
  end

  defp of(%{module: AdTally.Pacer, about: about}, native, totals, gauges, _now) do
    others = %{
      budgets: Native.pacer_last_sums(native),
      faulty_nodes: Peers.faulty_nodes(about.peers)
    }

    totals |> Map.merge(gauges) |> Map.merge(others)
  end

  defp of(%{module: AdTally.Store} = part, _native, totals, gauges, _now),
    do: totals |> Map.merge(gauges) |> Map.put(:dir, part.about.dir)

  defp of(_table, _native, totals, gauges, _now), do: Map.merge(totals, gauges)

  # Totals as the snapshot has them.
  defp shape_totals(totals, AdTally.Meter) do
    totals
    |> Map.update!(:events, &received/1)
    |> Map.put_new(:sinks, %{})
    |> Map.put_new(:on_late, nil)
    |> values()
  end

  defp shape_totals(totals, AdTally.Attribution) do
    {counts, totals} = Map.pop!(totals, :counts)

    totals
    |> Map.merge(counts)
    |> Map.update!(:touches, &received/1)
    |> Map.update!(:conversions, &received/1)
    |> Map.put_new(:sinks, %{})
  end

  defp shape_totals(totals, _module), do: totals

  # Native code has each value as a key of one dimension.
  defp values(%{top: top} = totals) do
    values = Map.new(top.values, fn {{value}, totals} -> {value, totals} end)
    %{totals | top: %{top | values: values}}
  end

  defp values(totals), do: totals

  defp top(%{top: top} = meter, %{about: %{names: names}}) do
    about = %{dimension: Top.dimension(names), order_by: Top.metric(names)}
    %{meter | top: Map.merge(top, about)}
  end

  defp top(meter, _part), do: meter

  defp windows(totals, %{about: about}, gauges, open_bytes, now) do
    memory = Map.put(gauges.memory, :open_windows, open_bytes)

    totals
    |> Map.merge(gauges)
    |> Map.merge(%{
      memory: memory,
      memory_bytes: Memory.sum(memory),
      watermark_lag_ms: if(gauges.newest > 0, do: max(now - gauges.newest, 0)),
      sinks: sinks(about.counters, totals),
      names: about.names,
      clock: about.clock,
      lateness_ms: about.lateness
    })
  end

  # Totals of a sink that is not among them any more are kept, and not told.
  defp sinks(counters, totals) do
    for {[:sinks, name], counters, _names} <- counters, into: %{} do
      {name, counters |> Delivery.counted() |> Map.merge(totals.sinks[name])}
    end
  end

  defp on_late(nil, _totals), do: nil
  defp on_late(late, totals), do: Map.put(totals.on_late, :waiting, Late.waiting(late))

  defp received(outcomes),
    do: Map.put(outcomes, :received, outcomes |> Map.values() |> Enum.sum())
end
