defmodule AdTally.Web.Samples do
  @moduledoc false
  # The numbers of a snapshot that are kept as series, by their names.

  alias AdTally.Web.{Names, Roles}

  @typedoc "Its name, whether it is a total or a value, the unit in which it is shown, and the number."
  @type sample :: {of :: binary(), :total | :value, unit :: binary(), integer() | nil}

  @pacer_outcomes [:reserved, :paced, :no_budget, :unknown, :confirmed, :expired, :busy]
  @sums [:spent_micros, :target_micros, :reserved_micros, :leased_micros]

  @doc "Outcomes of a pacer that are kept."
  @spec pacer_outcomes() :: [atom()]
  def pacer_outcomes, do: @pacer_outcomes

  @doc "Those of a snapshot, the most important ones first."
  @spec of(map()) :: [sample()]
  def of(snapshot) do
    [
      {"total:memory_bytes", :value, "bytes", memory(snapshot)},
      for({name, meter} <- snapshot.meters, do: meter("meter:" <> Names.name(name), meter)),
      for({name, pacer} <- snapshot.pacers, do: pacer("pacer:" <> Names.name(name), pacer)),
      for({name, store} <- snapshot.stores, do: store("store:" <> Names.name(name), store)),
      for(
        {name, part} <- snapshot.attributions,
        do: attribution("attribution:" <> Names.name(name), part)
      ),
      for {kind, parts} <- tables(snapshot), {name, part} <- parts do
        of = "part:#{kind}:#{Names.name(name)}:memory_bytes"
        {of, :value, "bytes", part.memory_bytes}
      end
    ]
    |> List.flatten()
  end

  @doc "Tables by what one of them is called."
  @spec tables(map()) :: [{atom(), map()}]
  def tables(snapshot) do
    [
      counters: snapshot.counters,
      reach: snapshot.reach,
      frequency_cap: snapshot.frequency_caps,
      dedupe: snapshot.dedupes
    ]
  end

  @doc "The memory of everything, in bytes."
  @spec memory(map()) :: non_neg_integer()
  def memory(snapshot) do
    kinds = [:meters, :attributions, :pacers]
    parts = Enum.flat_map(kinds, &Map.values(snapshot[&1]))
    tables = for {_kind, parts} <- tables(snapshot), part <- Map.values(parts), do: part
    for part <- parts ++ tables, reduce: 0, do: (bytes -> bytes + part.memory_bytes)
  end

  defp meter(of, meter) do
    [
      for({outcome, count} <- meter.events, do: total(of, outcome, count)),
      for {metric, sum} <- meter.metrics do
        unit = if Roles.unit(metric) == "micros", do: "micros_per_second", else: "per_second"
        {"#{of}:metric:#{metric}", :total, unit, sum}
      end
      | windows(of, meter)
    ]
  end

  defp attribution(of, part) do
    [
      total(of, :touches, part.touches.received),
      total(of, :conversions, part.conversions.received)
      | windows(of, part)
    ]
  end

  defp windows(of, part) do
    waiting = part.sinks |> Map.values() |> Enum.map(& &1.waiting) |> Enum.sum()

    [
      {of <> ":lag_ms", :value, "ms", part.watermark_lag_ms},
      {of <> ":open_windows", :value, "windows", part.open_windows},
      {of <> ":memory_bytes", :value, "bytes", part.memory_bytes},
      {of <> ":sinks_waiting", :value, "windows", waiting}
    ]
  end

  defp store(of, store) do
    [
      {of <> ":lag_ms", :value, "ms", store.lag_ms},
      {of <> ":written_bytes", :total, "bytes_per_second", store.written_bytes}
    ]
  end

  defp pacer(of, pacer) do
    [
      for(outcome <- @pacer_outcomes, do: total(of, outcome, pacer.outcomes[outcome])),
      for(
        sum <- @sums,
        do: {"#{of}:#{sum}", :value, "micros", pacer.budgets[sum]}
      ),
      {of <> ":memory_bytes", :value, "bytes", pacer.memory_bytes}
    ]
  end

  defp total(of, name, count), do: {"#{of}:#{name}", :total, "per_second", count}
end
