defmodule AdTally.Metrics do
  @moduledoc """
  What meters, attributions, tables, stores and pacers of this VM have counted, and how they are: one plain map,
  and what monitoring systems read of it.

    * `snapshot/0` - the map, and `snapshot/1` - those of several nodes
    * `AdTally.Metrics.Prometheus` - text for Prometheus and OpenMetrics
    * `AdTally.Metrics.StatsD` - a child of a supervisor that sends to a StatsD or DogStatsD agent
    * `AdTally.Telemetry.metrics/0` - definitions for `Telemetry.Metrics`

  All of them are those that have a name and run. A table without a name is nowhere in it.

  ## Totals never fall

  Numbers that count something are cumulative since the start of the VM. When a process crashes or is stopped, and
  another one of the same name starts, its numbers go on from those of the one before. (The numbers of
  `AdTally.Meter.info/2` begin with the process.) So the difference of two snapshots is what has happened in between,
  whatever was restarted. Calls in the last moment of a process that is killed may be missing.

  Where a metric gets amounts below 0, as corrections, two numbers tell of it, which never fall either: `:metrics`
  and `:corrections`. What was counted is their difference. `:excluded` has the net amounts instead.

  ## What it costs

  A snapshot reads numbers that are counted anyway. It asks no process, so none can make it wait, and nothing is
  added to `AdTally.Meter.record/2`. It takes some ten microseconds for each name, and about one for each open window.

  With `top: n`, closing a window takes longer, by some 100 ns for each of its rows.

  What is not read, because that would take a look at the rows: what is counted in open windows, by metric
  (`AdTally.Meter.report/2` has that), and how many ids a table for deduplication has (`AdTally.Dedupe.info/1`).
  """

  alias AdTally.Metrics.{Parts, Snapshot}
  alias AdTally.{Nodes, Options}

  @version Mix.Project.config()[:version]

  @typedoc "What one part has: see `snapshot/0`."
  @type part :: %{atom() => term()}

  @typedoc "Parts by their names."
  @type parts :: %{atom() => part()}

  @typedoc "What `snapshot/0` returns."
  @type snapshot :: %{
          at: pos_integer(),
          node: node(),
          version: String.t(),
          schedulers: pos_integer(),
          meters: parts(),
          attributions: parts(),
          counters: parts(),
          reach: parts(),
          frequency_caps: parts(),
          dedupes: parts(),
          stores: parts(),
          pacers: parts(),
          missing: [atom()],
          crashes: %{atom() => non_neg_integer()}
        }

  @doc """
  Everything that has a name and runs in this VM.

      %{
        at: 1_780_272_000_004,
        node: :ads@example,
        version: "#{@version}",
        schedulers: 8,
        meters: %{MyApp.Ads => %{...}},
        attributions: %{},
        counters: %{},
        reach: %{},
        frequency_caps: %{MyApp.Caps => %{...}},
        dedupes: %{},
        stores: %{MyApp.Store => %{...}},
        pacers: %{},
        missing: [],
        crashes: %{MyApp.Ads => 0, MyApp.Caps => 0, MyApp.Store => 1}
      }

  `:at` is the time in Unix milliseconds. `:missing` are names of parts that should run and do not: their process
  has crashed and none of that name has started since, or it reads its state from its store. They are in none of
  the maps until they run again, and their totals go on then.

  `:crashes` * has a number for each name that ever ran: how many of its processes ended without being stopped, or because
  their store was stopped. A supervisor usually starts the next one before a snapshot finds the name missing, so
  watch this number. Crashes during a start are not counted.

  Totals are marked with a *, all other numbers rise and fall. `:store` is the name of the store that keeps a part,
  or `nil`.

  ## A meter

    * `:events` * - events `:received`, and of those `:applied`, `:duplicate`, `:late`, `:future`, `:no_window`,
      `:overflow`, `:refused`, and with a store `:busy`, as in `AdTally.Meter.info/2`
    * `:metrics` *, `:corrections` * - by metric, what closed windows have: sums of those windows whose total is above 0, and
      of those whose total is below 0, as a number above 0
    * `:excluded` - by `:duplicate`, `:late`, `:future` and `:no_window`, and by metric: amounts of events in no window
    * `:closed_windows` * - how many windows were closed
    * `:open_windows` - how many are open
    * `:newest` - the newest time of an event that was counted, 0 if none was
    * `:watermark_lag_ms` - how far that is behind the system's time, `nil` if none was counted
    * `:memory` - bytes by `:ids`, `:open_windows` and `:closed_windows`; the last are those that reports still read or
      that a sink has still to take. `:memory_bytes` - their sum
    * `:sinks` - a map with the sink's module, as a string such as `"AdTally.Sink.Files"`; a second one of the
      same module is `"AdTally.Sink.Files 2"`. Each has `:delivered` *, `:failed` *, `:dropped` *, `:waiting`, and
      `:failures`, how often it has failed since it last took a window
    * `:on_late` - `:handed` *, `:failed` *, `:dropped` * and `:waiting`, or `nil` without that option
    * `:names` - a map with `:dimensions` and `:metrics`, the names in the order of the configuration, and `:reach`
    * `:clock`, `:lateness_ms`, `:store` - of its configuration
    * `:top` - where somebody has asked for it, see below: a map with `:dimension`, `:order_by`, `:values` *, a map from campaigns to
      their totals by metric, and `:others` *, the totals of all others together

  ## An attribution

  `:touches` *, `:conversions` * and `:adjustments` * by outcome, the first two with `:received`; `:attributed` *,
  `:unattributed` *, `:repeated` *, `:revised` *, `:finalised_early` *, `:evicted_touches` *, `:evicted_users` *,
  `:evicted_orders` *, `:overflow` *, `:linked` *, `:forgotten` *; `:excluded`, `:users`, `:kept_touches`, `:orders` and `:keys`,
  all as in `AdTally.Attribution.info/2`. `:memory` has `:users`, `:orders`, `:keys`, `:open_windows` and
  `:closed_windows`. `:open_windows`, `:newest`, `:watermark_lag_ms`, `:memory_bytes`, `:sinks`, `:names`, `:clock`,
  `:lateness_ms` and `:store` are as those of a meter.

  ## Tables

    * of `AdTally.Counters` and `AdTally.Reach`: `:keys`, `:max_keys`, `:memory_bytes`, `:store`
    * of `AdTally.FrequencyCap`: `:denials` * by `:rule`, `:rounding`, `:future`, `:too_old`, `:full` and `:busy`;
      `:pairs`, `:load`, `:stash`, `:memory_bytes`, `:store`. What was admitted is not counted
    * of `AdTally.Dedupe`: `:duplicates` *, `:forgotten` *, `:future` *, `:memory_bytes`, `:store`

  ## A store

  `:records` *, `:busy` *, `:intervals` *, `:written_bytes` *, `:syncs` *, `:errors` *, `:compactions` *, `:compaction_errors` *,
  `:compacted_bytes` *, `:torn_bytes` *, `:dropped_bytes` *; `:lag_ms`, `:lag_bytes`, `:error`, `:last_sync_us`, `:files`,
  `:segment_bytes`, `:run_bytes`, `:base_bytes` and `:opened`, as in `AdTally.Store.info/1`; `:dir`, its directory. `:sync_times` * is a
  histogram of how long writes took with their `fdatasync`: `:count`, `:sum_us`, and `:buckets`, a map from microseconds to how
  many took at most that.

  ## A pacer

  `:outcomes` * of calls on this node, as in `AdTally.Pacer.info/1`; `:campaigns`, `:coordinated`, `:memory_bytes`, `:store`.
  `:faulty_nodes` are the numbers of other nodes that do not answer (`:lost`), have other options (`:disagreeing`), or have a
  `:clock` that differs, as of the last second. `:budgets` are sums over all campaigns whose coordinator this node is:
  `:campaigns`, `:budget_micros`, `:spent_micros`, `:reserved_micros`, `:leased_micros`, `:target_micros`,
  `:overspent_micros` and `:presumed_micros`, each as `AdTally.Pacer.status/2` has it of one. A campaign counts as it
  was when a node last reported it, which each node does every second, or at the last tick.

  ## Campaigns

  Once `AdTally.Metrics.Prometheus.render/1` or `AdTally.Metrics.StatsD` was asked for `top: n`, each meter has totals of
  campaigns as well, of n at most, and of all others together. The largest n that was ever asked for applies to
  everybody, except those who ask for 0, who get none. The campaigns are the values of the dimension `:campaign`, `:campaign_id`, `:line_item` or
  `:ad_group`, whichever there is first of these, or else of the first dimension. Those with the highest spend get a place:
  with the highest total of `:spend_micros`, `:cost_micros`, `:spent_micros` or `:media_cost_micros`, or else of the first metric
  that has `spend` or `cost` in its name, or else of the first one.

  Only windows that close after that are counted. When one closes, its largest campaigns get the places that are free, and
  keep them until the VM ends, over restarts of the meter too. What a campaign had before it got its place stays with the
  others. So no total falls, and there are never more than n. They are not the largest campaigns of today: for those
  there is `AdTally.Meter.report/2`.

      iex> {:ok, _meter} = AdTally.Meter.start_link(name: Snapped, dimensions: [:campaign], metrics: [:clicks])
      iex> now = System.system_time(:millisecond)
      iex> click = %AdTally.Event{at: now, dimensions: {42}, metrics: [clicks: 1]}
      iex> AdTally.Meter.record(Snapped, click)
      iex> AdTally.Meter.close(Snapped)
      iex> %{meters: %{Snapped => meter}} = AdTally.Metrics.snapshot()
      iex> {meter.events.received, meter.metrics, meter.closed_windows}
      {1, %{clicks: 1}, 1}
  """
  @spec snapshot() :: snapshot()
  def snapshot, do: read(Parts.all(), true)

  @doc false
  # What somebody shows who was asked for so many campaigns: has every meter keep totals of them from now on. With 0 there
  # are none, whoever else has asked for some.
  @spec with_top(0..1_000) :: snapshot()
  def with_top(top) do
    {parts, _reading} = all = Parts.all()
    Snapshot.keep_top(parts, top)
    read(all, top > 0)
  end

  defp read({parts, reading}, top?) do
    now = System.system_time(:millisecond)
    {read, gone} = parts |> Enum.filter(&(&1.state == :runs)) |> Snapshot.parts(now, top?)
    crashed = for %{state: :crashed, name: name} <- parts, do: name

    Map.merge(read, %{
      at: System.system_time(:millisecond),
      node: node(),
      version: @version,
      schedulers: System.schedulers_online(),
      missing: (crashed ++ reading ++ gone) |> Enum.uniq() |> Enum.sort(),
      crashes: Parts.crashes(parts)
    })
  end

  @doc """
  The snapshots of several nodes.

    * `:nodes` - `:all`, for this node and those that it is connected to, or a list of nodes. Default: `:all`
    * `:timeout` - for how many milliseconds they may take, or `:infinity`. Default: 5,000

  Returns `%{nodes: snapshots, missing: missing}`: a map from node to snapshot, and `{node, reason}` of each node that has
  none in that map. The reason is a sentence, as in `AdTally.Meter.report/2` over nodes. Raises `ArgumentError` for an option that is
  unknown or wrong.

      iex> %{nodes: nodes, missing: []} = AdTally.Metrics.snapshot(nodes: [node()])
      iex> nodes[node()].version == AdTally.Metrics.snapshot().version
      true
  """
  @spec snapshot(nodes: :all | [node()], timeout: timeout()) :: %{
          nodes: %{node() => snapshot()},
          missing: [{node(), reason :: String.t()}]
        }
  def snapshot(options) do
    options = Options.known!(options, [:nodes, :timeout])
    nodes = options |> Keyword.get(:nodes, :all) |> Nodes.nodes!()
    timeout = Options.timeout!(options, 5_000)

    ask = fn node ->
      {:ok, if(node == node(), do: snapshot(), else: Nodes.call(node, __MODULE__, :snapshot, []))}
    end

    {snapshots, missing} = nodes |> Nodes.ask(__MODULE__, timeout, ask) |> Nodes.split()
    %{nodes: Map.new(snapshots), missing: missing}
  end

  # More series than that are a table and no metrics.
  @most_top 1_000

  @doc false
  # The option `:top`, for all that have it.
  @spec top!(keyword()) :: 0..1_000
  def top!(options) do
    case Keyword.get(options, :top, 0) do
      top when top in 0..@most_top ->
        top

      other ->
        raise ArgumentError,
              "expected :top to be from 0 to #{@most_top}, got: #{Options.shown(other)}"
    end
  end
end
