defmodule AdTally.Web.Health do
  @moduledoc false
  # What is wrong, and what to do about it. An error is lost or will be: a load balancer or an alert should know of it.
  # A warning is something to look at.

  alias AdTally.{Named, Native, Pacer}
  alias AdTally.Web.{Config, Names, Overview, Reports, Series}

  require Named

  # Windows that a sink is behind by, and attempts in a row at which it has failed.
  @behind 10
  @failing 3

  # A store writes ten times a second, or once.
  @slow_ms 5_000
  @stuck_ms 30_000

  # More than half of the last events are in no window.
  @share 0.5
  @seconds 60
  @least 1.0

  # A pacer's process answers at once, or something is wrong with it.
  @patience 200

  @most_campaigns 10_000

  @doc "The answer to a request of the page."
  @spec answer(Config.t()) :: map()
  def answer(config) do
    snapshot = Series.snapshot(config.name)
    peers = for name <- Enum.sort(Map.keys(snapshot.pacers)), do: {name, peers(name)}
    problems = problems(config, snapshot, peers)

    %{
      at: snapshot.at,
      status: status(problems),
      problems: problems,
      windows:
        windows(snapshot, :meters, "meter") ++ windows(snapshot, :attributions, "attribution"),
      stores: Overview.stores(snapshot),
      pacers: for({name, peers} <- peers, do: pacer(name, peers)),
      leases: leases(config, snapshot),
      missing: Enum.map(snapshot.missing, &Names.name/1)
    }
  end

  @doc "Status and problems."
  @spec check(Config.t()) :: {:ok | :failing, [map()]}
  def check(config) do
    snapshot = Series.snapshot(config.name)
    peers = for name <- Enum.sort(Map.keys(snapshot.pacers)), do: {name, peers(name)}
    problems = problems(config, snapshot, peers)
    {status(problems), problems}
  end

  defp status(problems),
    do: if(Enum.any?(problems, &(&1.severity == "error")), do: :failing, else: :ok)

  defp problems(config, snapshot, peers) do
    List.flatten([
      for(name <- snapshot.missing, do: missing(name)),
      for({name, store} <- Enum.sort(snapshot.stores), do: store(name, store)),
      for(
        kind <- [:meters, :attributions],
        {name, part} <- Enum.sort(snapshot[kind]),
        sink <- Overview.sinks(part),
        do: sink(config, name, kind, sink)
      ),
      for({name, meter} <- Enum.sort(snapshot.meters), do: events(config, name, meter)),
      for({name, peers} <- peers, do: nodes(name, peers))
    ])
  end

  defp problem(severity, kind, name, what, to_do),
    do: %{severity: severity, kind: kind, name: Names.name(name), what: what, do: to_do}

  defp missing(name) do
    problem(
      "error",
      "part",
      name,
      "it has crashed and does not run, or still reads its state from its store",
      "look into the log for why; its supervisor starts it again, unless that has given up"
    )
  end

  defp store(name, %{error: error}) when error != nil do
    problem(
      "error",
      "store",
      name,
      "the disk refuses what is written: #{error}",
      "free space on its volume, or look at the disk: nothing is lost until the process ends, and a crash would " <>
        "lose what is not written"
    )
  end

  defp store(name, %{lag_ms: lag}) when lag >= @slow_ms do
    problem(
      if(lag >= @stuck_ms, do: "error", else: "warning"),
      "store",
      name,
      "what was recorded #{div(lag, 1_000)} s ago is not on disk yet",
      "look at how long writes of the disk take: a crash loses what is not written"
    )
  end

  defp store(_name, _store), do: []

  defp sink(config, name, kind, sink) do
    series =
      "#{if kind == :meters, do: "meter", else: "attribution"}:#{Names.name(name)}:sinks_waiting"

    failing? = Map.get(sink, :failures, 0) >= @failing
    grows? = sink.waiting >= @behind and not falls?(config, series)

    cond do
      failing? or grows? ->
        how = if failing?, do: ", and it has failed #{sink.failures} times in a row", else: ""

        problem(
          if(failing? and grows?, do: "error", else: "warning"),
          "sink",
          name,
          "#{sink.waiting} windows wait for #{sink.name}#{how}",
          "look into the log for why it fails; beyond :max_waiting the oldest windows are dropped"
        )

      true ->
        []
    end
  end

  # After a time without its target a sink catches up.
  defp falls?(config, series) do
    {_begin, [{_name, _unit, points}]} = Series.points(config.name, [series], 1)

    case points |> Enum.take(-div(@seconds, 6)) |> Enum.filter(& &1) do
      [first | _] = known -> List.last(known) < first
      [] -> false
    end
  end

  defp events(config, name, meter) do
    of = "meter:#{Names.name(name)}:"
    rate = fn outcome -> Series.rate(config.name, of <> outcome, @seconds) || 0.0 end
    received = rate.("received")
    lost = for outcome <- ~w(late future no_window refused busy), do: {outcome, rate.(outcome)}
    share = lost |> Enum.map(&elem(&1, 1)) |> Enum.sum()

    if received >= @least and share > received * @share do
      {outcome, _most} = Enum.max_by(lost, &elem(&1, 1))

      problem(
        "warning",
        "meter",
        name,
        "#{round(100 * share / received)} % of the events of the last minute were not counted, most of them " <>
          "because they were #{outcome}",
        advice(outcome, meter)
      )
    else
      []
    end
  end

  defp advice("late", meter) do
    "events come more than :lateness (#{div(meter.lateness_ms, 1_000)} s) after their time: find out why, or raise it"
  end

  defp advice("future", _meter),
    do: "compare the clock of whoever records with that of this machine"

  defp advice("no_window", _meter),
    do: "raise :max_open_windows, or find out whose times are spread so wide"

  defp advice("refused", _meter),
    do: "AdTally.Meter.record/2 has raised for them: the warning in the log has an example"

  defp advice("busy", _meter), do: "the store has no room, because the disk does not keep up"

  ## Pacers

  @doc "What the process of a pacer says of other nodes, `nil` if it does not answer."
  @spec peers(atom()) :: map() | nil
  def peers(name) do
    {_info, peers} = GenServer.call(name, :info, @patience)
    peers
  catch
    :exit, _reason -> nil
  end

  @doc "The same as the page has it."
  @spec pacer(atom(), map() | nil) :: map()
  def pacer(name, peers) do
    peers = peers || %{lost_nodes: [], disagreeing_nodes: [], clock_offsets: %{}}

    %{
      name: Names.name(name),
      lost_nodes: Enum.map(peers.lost_nodes, &Names.name/1),
      disagreeing_nodes: Enum.map(peers.disagreeing_nodes, &Names.name/1),
      clock_offsets: Map.new(peers.clock_offsets, fn {node, ms} -> {Names.name(node), ms} end)
    }
  end

  defp nodes(name, nil) do
    problem(
      "warning",
      "pacer",
      name,
      "its process has not answered within #{@patience} ms",
      "look at the load of this node; reservations go on without it for the seconds that leases last"
    )
  end

  defp nodes(name, peers) do
    [
      if peers.disagreeing_nodes != [] do
        problem(
          "error",
          "pacer",
          name,
          "#{names(peers.disagreeing_nodes)} has other :nodes, another :seed or another version: nothing is leased",
          "start all nodes with the same options"
        )
      else
        []
      end,
      if peers.lost_nodes != [] do
        problem(
          "warning",
          "pacer",
          name,
          "#{names(peers.lost_nodes)} does not answer: budgets that it coordinates are spent no further than leased",
          "bring it back: no other node takes its place"
        )
      else
        []
      end,
      for {node, ms} <- Enum.sort(peers.clock_offsets) do
        problem(
          "warning",
          "pacer",
          name,
          "the clock of #{Names.name(node)} is #{div(ms, 1_000)} s ahead of this one",
          "synchronise clocks: periods begin and end by them"
        )
      end
    ]
  end

  defp names(nodes), do: nodes |> Enum.sort() |> Enum.map_join(", ", &Names.name/1)

  # What nodes hold of the budgets that this node coordinates. Of very many campaigns only the first ones are read.
  defp leases(config, snapshot) do
    names = snapshot.pacers |> Map.keys() |> Enum.sort()
    make = fn -> {:ok, Enum.flat_map(names, &leased/1)} end

    case Reports.get(config.name, {:leases, names}, make, :only, fn made, _at, _took -> made end) do
      {:ok, leases} -> leases
      {:error, _status, _message} -> []
    end
  end

  defp leased(name) do
    native = Named.fetch!(Pacer, name)

    native
    |> leased(Native.pacer_campaigns(native, 0), 0, %{})
    |> Enum.map(fn {node, {campaigns, micros}} ->
      %{
        pacer: Names.name(name),
        node: Names.name(node),
        campaigns: campaigns,
        micros: micros
      }
    end)
    |> Enum.sort_by(& &1.node)
  rescue
    # It has ended meanwhile.
    ArgumentError -> []
  end

  defp leased(native, {next, some}, read, nodes) do
    nodes =
      for {_campaign, status} <- some, {node, micros} <- status.nodes, reduce: nodes do
        nodes -> Map.update(nodes, node, {1, micros}, fn {n, sum} -> {n + 1, sum + micros} end)
      end

    read = read + length(some)

    if next == :done or read >= @most_campaigns,
      do: nodes,
      else: leased(native, Native.pacer_campaigns(native, next), read, nodes)
  end

  defp windows(snapshot, kind, text) do
    for {name, part} <- Enum.sort(snapshot[kind]) do
      sum = fn field -> part.sinks |> Map.values() |> Enum.map(& &1[field]) |> Enum.sum() end

      %{
        kind: text,
        name: Names.name(name),
        open_windows: part.open_windows,
        closed_windows: part[:closed_windows],
        newest: if(part.newest > 0, do: part.newest),
        lag_ms: part.watermark_lag_ms,
        waiting: sum.(:waiting),
        dropped: sum.(:dropped),
        failed: sum.(:failed)
      }
    end
  end
end
