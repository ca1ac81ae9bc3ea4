defmodule AdTally.Metrics.Catalog do
  @moduledoc false
  # Every metric once: what it is called, what it is, and how it is read from a snapshot. Prometheus, StatsD and the
  # guide's table are made of it.
  #
  # Names are those of Prometheus, without the `_total` of counters: base units, which are the end of the name, and
  # `_micros` for money, as a currency has no base unit.

  alias AdTally.Metrics

  @enforce_keys [:name, :type, :of, :labels, :help, :read]
  defstruct [:unit | @enforce_keys]

  @typedoc "Of a counter or a gauge a number. Of a histogram how many took at most how long, and all together."
  @type value ::
          number()
          | %{
              buckets: [{ends :: float(), non_neg_integer()}],
              count: non_neg_integer(),
              sum: float()
            }

  @typedoc """
    * `:name`, `:unit`, `:help` - as Prometheus has them; the unit is `nil` where it counts something
    * `:type` - `:counter`, whose number never falls, `:gauge`, `:histogram`, or `:info`
    * `:of` - the parts of the snapshot that have it, or `:all` for the snapshot itself
    * `:labels` - their names. Of a part the first one is its own name
    * `:read` - what a part has: the values of the other labels, and the number. `nil` is left out
  """
  @type t :: %__MODULE__{
          name: String.t(),
          unit: String.t() | nil,
          type: :counter | :gauge | :histogram | :info,
          of: atom(),
          labels: [atom()],
          help: String.t(),
          read: (map() -> [{[atom() | String.t()], value() | nil}])
        }

  @doc "All metrics, in their order."
  @spec all() :: [t()]
  def all, do: vm() ++ meters() ++ attributions() ++ tables() ++ stores() ++ pacers()

  @doc "What a snapshot has of each metric, in their order: the values of its labels, as text, and the number."
  @spec samples(Metrics.snapshot()) :: [{t(), [{[String.t()], value()}]}]
  def samples(snapshot) do
    parts = for {kind, %{} = parts} <- snapshot, into: %{}, do: {kind, named(parts)}
    for metric <- all(), do: {metric, samples(metric, parts, snapshot)}
  end

  @doc "The same of what never falls, and so of parts of which only totals are known."
  @spec totals(%{atom() => Metrics.parts()}) :: [{t(), [{[String.t()], value()}]}]
  def totals(parts) do
    parts = for {kind, parts} <- parts, into: %{}, do: {kind, named(parts)}

    for metric <- all(),
        metric.type in [:counter, :histogram],
        do: {metric, samples(metric, parts, %{})}
  end

  defp samples(%{of: :all, read: read}, _parts, snapshot), do: texts(read.(snapshot), [])

  defp samples(%{of: of, read: read}, parts, _snapshot) do
    Enum.flat_map(Map.fetch!(parts, of), fn {name, part} -> texts(read.(part), [name]) end)
  end

  defp texts(values, names) do
    for {labels, value} <- values, value != nil, do: {names ++ Enum.map(labels, &text/1), value}
  end

  defp text(text) when is_binary(text), do: text
  defp text(atom), do: Atom.to_string(atom)

  defp named(parts),
    do: parts |> Enum.map(fn {name, part} -> {name(name), part} end) |> Enum.sort_by(&elem(&1, 0))

  @doc """
  The name of a part as text: that of a module without `Elixir`. Two parts with the same text would be one series, so
  an atom whose text is that of a module has a colon before it.
  """
  @spec name(atom()) :: String.t()
  def name(atom) do
    case Atom.to_string(atom) do
      "Elixir." <> module = text -> if module?(module), do: module, else: text
      ":" <> _rest = text -> ":" <> text
      text -> if module?(text), do: ":" <> text, else: text
    end
  end

  defp module?(text), do: text =~ ~r/\A[A-Z]\w*(\.[A-Z]\w*)*\z/

  ## The VM

  defp vm do
    [
      %__MODULE__{
        name: "adtally_build",
        type: :info,
        of: :all,
        labels: [:version],
        help: "The version of AdTally.",
        read: fn snapshot -> [{[snapshot.version], 1}] end
      },
      %__MODULE__{
        name: "adtally_missing_parts",
        type: :gauge,
        of: :all,
        labels: [],
        help:
          "Meters, tables, stores and pacers that have crashed and do not run again, or read their state from a store.",
        read: fn snapshot -> [{[], length(snapshot.missing)}] end
      },
      counter(
        {:crashes, :part},
        "adtally_crashes",
        &one/1,
        "Processes that had started and ended without being stopped, or because their store was stopped."
      )
    ]
  end

  ## Meters

  defp meters do
    of = {:meters, :meter}

    [
      counter(
        of,
        "adtally_events",
        :outcome,
        &outcomes(&1.events),
        "Events by what became of them."
      ),
      counter(
        of,
        "adtally_metric",
        :metric,
        &by(&1.metrics),
        "Sum of a metric over closed windows, of those whose total is above 0."
      ),
      counter(
        of,
        "adtally_metric_corrections",
        :metric,
        &by(&1.corrections),
        "Sum of a metric over closed windows, of those whose total is below 0, as a number above 0."
      ),
      counter(
        of,
        "adtally_campaign_metric",
        [:campaign, :metric],
        &campaigns/1,
        "Sum of a metric over closed windows by campaign, of as many campaigns as top says. All others are summed up as other."
      )
    ] ++
      windows(of, "adtally") ++
      [
        counter(
          of,
          "adtally_closed_windows",
          &one(&1.closed_windows),
          "Windows that were closed."
        ),
        counter(
          of,
          "adtally_late_events",
          :result,
          &late/1,
          "Late events that were handed to the function of on_late, had failed there, or were dropped because too many waited."
        ),
        gauge(
          of,
          "adtally_late_waiting_events",
          &one(&1.on_late[:waiting]),
          "Late events that wait for the function of on_late."
        )
      ]
  end

  # Values that are the same as text are one: 7 and "7".
  defp campaigns(%{top: %{values: values, others: others}}) do
    [{"other", others} | Enum.map(values, fn {value, totals} -> {label(value), totals} end)]
    |> Enum.flat_map(fn {campaign, totals} ->
      for {metric, total} <- totals, do: {[campaign, metric], total}
    end)
    |> Enum.reduce(%{}, fn {labels, total}, sums ->
      Map.update(sums, labels, total, &(&1 + total))
    end)
    |> Enum.sort()
  end

  defp campaigns(_meter), do: []

  defp label(value) when is_integer(value), do: Integer.to_string(value)
  defp label(value) when is_atom(value), do: Atom.to_string(value)
  # Labels are text, and a value may be any bytes.
  defp label(value), do: if(String.valid?(value), do: value, else: inspect(value))

  defp late(%{on_late: nil}), do: []
  defp late(%{on_late: late}), do: late |> Map.take([:handed, :failed, :dropped]) |> by()

  # What meters and attributions have.
  defp windows(of, prefix) do
    [
      gauge(
        of,
        "#{prefix}_open_windows",
        &one(&1.open_windows),
        "Windows that are open and have events."
      ),
      gauge(
        of,
        "#{prefix}_newest_event_timestamp_seconds",
        "seconds",
        &one(if &1.newest > 0, do: &1.newest / 1_000),
        "The newest time of an event that was counted."
      ),
      gauge(
        of,
        "#{prefix}_watermark_lag_seconds",
        "seconds",
        &one(&1.watermark_lag_ms && &1.watermark_lag_ms / 1_000),
        "How far the newest event that was counted is behind the system's time."
      ),
      gauge(
        of,
        "#{prefix}_memory_bytes",
        "bytes",
        :part,
        &by(&1.memory),
        "Memory by what it is for."
      ),
      counter(
        of,
        "#{prefix}_sink_windows",
        [:sink, :result],
        &sinks(&1, [:delivered, :failed, :dropped]),
        "Windows that a sink took, attempts that failed, and windows that were dropped because too many waited."
      ),
      gauge(
        of,
        "#{prefix}_sink_waiting_windows",
        [:sink],
        &sinks(&1, :waiting),
        "Closed windows that a sink has still to take."
      ),
      gauge(
        of,
        "#{prefix}_sink_failures",
        [:sink],
        &sinks(&1, :failures),
        "How often a sink has failed since it last took a window."
      )
    ]
  end

  defp sinks(part, results) when is_list(results),
    do:
      for(
        {name, sink} <- Enum.sort(part.sinks),
        result <- results,
        do: {[name, result], sink[result]}
      )

  defp sinks(part, what), do: for({name, sink} <- Enum.sort(part.sinks), do: {[name], sink[what]})

  ## Attributions

  @settled [:attributed, :unattributed, :repeated]
  @evicted [touches: :evicted_touches, users: :evicted_users, orders: :evicted_orders]

  defp attributions do
    of = {:attributions, :attribution}
    prefix = "adtally_attribution"

    [
      counter(
        of,
        "#{prefix}_touches",
        :outcome,
        &outcomes(&1.touches),
        "Touches by what became of them."
      ),
      counter(
        of,
        "#{prefix}_conversions",
        :outcome,
        &outcomes(&1.conversions),
        "Conversions by what became of them when they came."
      ),
      counter(
        of,
        "#{prefix}_adjustments",
        :outcome,
        &by(&1.adjustments),
        "Adjustments of conversions by what became of them."
      ),
      counter(
        of,
        "#{prefix}_final_conversions",
        :result,
        &by(Map.take(&1, @settled)),
        "Conversions that are final, with a touch or without one, or that do not count because another one does."
      ),
      counter(
        of,
        "#{prefix}_revisions",
        &one(&1.revised),
        "How often touches that came out of order have changed the credits of a provisional conversion."
      ),
      counter(
        of,
        "#{prefix}_finalised_early",
        &one(&1.finalised_early),
        "Conversions that became final before their window was closed, because too many orders were known."
      ),
      counter(
        of,
        "#{prefix}_evictions",
        :what,
        fn part -> for {what, key} <- @evicted, do: {[what], part[key]} end,
        "Touches, users and orders that were forgotten before their time, because there were too many."
      ),
      counter(
        of,
        "#{prefix}_overflow_touches",
        &one(&1.overflow),
        "Touches whose dimensions had no room."
      ),
      counter(of, "#{prefix}_links", &one(&1.linked), "How often two users were made one."),
      counter(
        of,
        "#{prefix}_forgotten_users",
        &one(&1.forgotten),
        "How often a user was forgotten on request."
      ),
      gauge(of, "#{prefix}_users", &one(&1.users), "Users that have touches or conversions."),
      gauge(of, "#{prefix}_kept_touches", &one(&1.kept_touches), "Touches that are kept."),
      gauge(of, "#{prefix}_orders", &one(&1.orders), "Orders that are known."),
      gauge(of, "#{prefix}_keys", &one(&1.keys), "Different dimensions of touches.")
    ] ++ windows(of, prefix)
  end

  ## Tables

  defp tables do
    caps = {:frequency_caps, :table}
    dedupe = {:dedupes, :table}

    keys({:counters, :table}, "adtally_counters") ++
      keys({:reach, :table}, "adtally_reach") ++
      [
        counter(
          caps,
          "adtally_cap_denials",
          :reason,
          &by(&1.denials),
          "Events that a table of caps did not admit."
        ),
        gauge(
          caps,
          "adtally_cap_pairs",
          &one(&1.pairs),
          "Pairs of scope and user that have events."
        ),
        gauge(
          caps,
          "adtally_cap_load_ratio",
          "ratio",
          &one(&1.load),
          "The part of its entries that a table of caps uses."
        ),
        gauge(
          caps,
          "adtally_cap_overflow_buckets",
          &one(&1.stash),
          "Overflow buckets that a table of caps uses."
        ),
        memory(caps, "adtally_cap"),
        counter(
          dedupe,
          "adtally_dedupe_duplicates",
          &one(&1.duplicates),
          "Ids that were there before."
        ),
        counter(
          dedupe,
          "adtally_dedupe_forgotten_ids",
          &one(&1.forgotten),
          "Ids that were forgotten before their time, because there were too many: their copies count again."
        ),
        counter(
          dedupe,
          "adtally_dedupe_future_ids",
          &one(&1.future),
          "Ids of a time too far ahead."
        ),
        memory(dedupe, "adtally_dedupe")
      ]
  end

  defp keys(of, prefix) do
    [
      gauge(of, "#{prefix}_keys", &one(&1.keys), "Keys of the table."),
      gauge(of, "#{prefix}_max_keys", &one(&1.max_keys), "The most keys that the table takes."),
      memory(of, prefix)
    ]
  end

  defp memory(of, prefix),
    do: gauge(of, "#{prefix}_memory_bytes", "bytes", &one(&1.memory_bytes), "Memory.")

  ## Stores

  defp stores do
    of = {:stores, :store}

    [
      counter(of, "adtally_store_records", &one(&1.records), "Records that are on disk."),
      counter(
        of,
        "adtally_store_commits",
        &one(&1.intervals),
        "Intervals that were written and synced."
      ),
      counter(
        of,
        "adtally_store_written_bytes",
        "bytes",
        &one(&1.written_bytes),
        "Bytes of intervals that were written."
      ),
      counter(of, "adtally_store_syncs", &one(&1.syncs), "Calls of sync that were answered."),
      counter(
        of,
        "adtally_store_busy",
        &one(&1.busy),
        "How often a call was answered busy, because the disk does not keep up."
      ),
      counter(
        of,
        "adtally_store_errors",
        &one(&1.errors),
        "How often the disk has refused something."
      ),
      counter(
        of,
        "adtally_store_compactions",
        &one(&1.compactions),
        "How often files were merged."
      ),
      counter(
        of,
        "adtally_store_compaction_errors",
        &one(&1.compaction_errors),
        "How often files could not be merged."
      ),
      counter(
        of,
        "adtally_store_compacted_bytes",
        "bytes",
        &one(&1.compacted_bytes),
        "Bytes that merging files has written."
      ),
      counter(
        of,
        "adtally_store_torn_bytes",
        "bytes",
        &one(&1.torn_bytes),
        "Bytes that were being written when the VM died, and were cut at the start."
      ),
      counter(
        of,
        "adtally_store_dropped_bytes",
        "bytes",
        &one(&1.dropped_bytes),
        "Bytes that the store was opened without, because they are damaged."
      ),
      %__MODULE__{
        name: "adtally_store_fsync_duration_seconds",
        unit: "seconds",
        type: :histogram,
        of: :stores,
        labels: [:store],
        help: "How long intervals took to be written and synced.",
        read: fn part -> [{[], histogram(part.sync_times)}] end
      },
      gauge(
        of,
        "adtally_store_durable_lag_seconds",
        "seconds",
        &one(&1.lag_ms / 1_000),
        "For how long the oldest of what is not on disk has waited."
      ),
      gauge(
        of,
        "adtally_store_waiting_bytes",
        "bytes",
        &one(&1.lag_bytes),
        "Bytes that are not on disk."
      ),
      gauge(
        of,
        "adtally_store_failing",
        &one(if &1.error, do: 1, else: 0),
        "1 while the disk refuses something."
      ),
      gauge(of, "adtally_store_files", &one(&1.files), "Files of the directory."),
      gauge(
        of,
        "adtally_store_disk_bytes",
        "bytes",
        :of,
        &[{["segments"], &1.segment_bytes}, {["runs"], &1.run_bytes}, {["bases"], &1.base_bytes}],
        "Size of the directory: files that were appended to, what was merged from them once, and completely."
      )
    ]
  end

  defp histogram(times) do
    buckets = for {micros, count} <- Enum.sort(times.buckets), do: {micros / 1_000_000, count}
    %{buckets: buckets, count: times.count, sum: times.sum_us / 1_000_000}
  end

  ## Pacers

  @budgets [
    budget_micros: {"adtally_budget_micros", "Budgets of the periods that time is in"},
    spent_micros: {"adtally_budget_spent_micros", "What was spent in these periods"},
    reserved_micros: {"adtally_budget_reserved_micros", "What reservations hold"},
    leased_micros: {"adtally_budget_leased_micros", "What nodes have leased beside that"},
    target_micros: {"adtally_budget_target_micros", "What should be spent by now"},
    overspent_micros:
      {"adtally_budget_overspent_micros", "What was confirmed too late or above its price"},
    presumed_micros:
      {"adtally_budget_presumed_micros",
       "What counts as spent, because a crash may have lost that it was"}
  ]

  defp pacers do
    of = {:pacers, :pacer}

    [
      counter(
        of,
        "adtally_pacer_calls",
        :outcome,
        &by(&1.outcomes),
        "Calls on this node by what came of them."
      ),
      gauge(of, "adtally_pacer_campaigns", &one(&1.campaigns), "Campaigns that this node knows."),
      gauge(
        of,
        "adtally_pacer_coordinated_campaigns",
        &one(&1.coordinated),
        "Campaigns whose coordinator this node is, with those that were deleted lately."
      ),
      gauge(
        of,
        "adtally_pacer_faulty_nodes",
        :fault,
        &by(&1.faulty_nodes),
        "Other nodes that do not answer, that have other options, or whose clock differs."
      ),
      memory(of, "adtally_pacer")
    ] ++
      for {key, {name, help}} <- @budgets do
        gauge(
          of,
          name,
          &one(&1.budgets[key]),
          "#{help}, of all campaigns whose coordinator this node is."
        )
      end
  end

  ## How they are written here

  defp counter(of, name, read, help), do: metric(:counter, of, name, nil, [], read, help)

  defp counter(of, name, unit, read, help) when is_binary(unit),
    do: metric(:counter, of, name, unit, [], read, help)

  defp counter(of, name, labels, read, help),
    do: metric(:counter, of, name, nil, List.wrap(labels), read, help)

  defp gauge(of, name, read, help), do: metric(:gauge, of, name, nil, [], read, help)

  defp gauge(of, name, unit, read, help) when is_binary(unit),
    do: metric(:gauge, of, name, unit, [], read, help)

  defp gauge(of, name, labels, read, help),
    do: metric(:gauge, of, name, nil, List.wrap(labels), read, help)

  defp gauge(of, name, unit, label, read, help),
    do: metric(:gauge, of, name, unit, [label], read, help)

  defp metric(type, {of, label}, name, unit, labels, read, help) do
    %__MODULE__{
      name: name,
      unit: unit,
      type: type,
      of: of,
      labels: [label | labels],
      help: help,
      read: read
    }
  end

  defp one(value), do: [{[], value}]

  defp by(values), do: for({name, value} <- Enum.sort(values), do: {[name], value})

  # Without their sum.
  defp outcomes(values), do: values |> Map.delete(:received) |> by()
end
