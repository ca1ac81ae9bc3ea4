defmodule AdTally.Web.Problems do
  @moduledoc false
  # What is wrong, and what to do about it. An error is lost or will be: a load balancer or an alert should know of it.
  # A warning is something to look at.

  alias AdTally.Web.{Config, Names, Overview, Series}

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

  @doc "Whether there is an error among them."
  @spec status([map()]) :: :ok | :failing
  def status(problems),
    do: if(Enum.any?(problems, &(&1.severity == "error")), do: :failing, else: :ok)

  @doc """
  Those of a snapshot. `peers` is what the process of each pacer says of other nodes, `nil` of one that has not answered
  within so many milliseconds.
  """
  @spec of(Config.t(), map(), [{atom(), map() | nil}], pos_integer()) :: [map()]
  def of(config, snapshot, peers, patience) do
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
      for({name, peers} <- peers, do: nodes(name, peers, patience))
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
      "see the log for the reason; its supervisor starts it again, unless that has given up"
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
      "see how long the disk takes for a write: a crash loses what is not written"
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
          "see the log for the reason; beyond :max_waiting the oldest windows are dropped"
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
          "because #{reason(outcome)}",
        advice(outcome, meter)
      )
    else
      []
    end
  end

  defp reason("late"), do: "they came too late"
  defp reason("future"), do: "their time is too far ahead"
  defp reason("no_window"), do: "too many windows are open"
  defp reason("refused"), do: "they are malformed"
  defp reason("busy"), do: "the store was busy"

  defp advice("late", meter) do
    "events come more than :lateness (#{div(meter.lateness_ms, 1_000)} s) after their time: find out why, or raise it"
  end

  defp advice("future", _meter),
    do: "compare the clock of whoever records with that of this machine"

  defp advice("no_window", _meter),
    do: "raise :max_open_windows, or find out which events have times so far apart"

  defp advice("refused", _meter),
    do: "AdTally.Meter.record/2 has raised for them: a warning in the log has an example"

  defp advice("busy", _meter),
    do: "see how long the disk takes for a write: the store has no room for more"

  defp nodes(name, nil, patience) do
    problem(
      "warning",
      "pacer",
      name,
      "its process has not answered within #{patience} ms",
      "see how busy this node is; reservations go on without it for as long as leases last"
    )
  end

  defp nodes(name, peers, _patience) do
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
          "#{names(peers.lost_nodes)} does not answer: of budgets that it coordinates only what is leased can be spent",
          "bring it back: no other node takes its place"
        )
      else
        []
      end,
      for {node, ms} <- Enum.sort(peers.clock_offsets) do
        side = if ms < 0, do: "behind", else: "ahead of"

        problem(
          "warning",
          "pacer",
          name,
          "the clock of #{Names.name(node)} is #{div(abs(ms), 1_000)} s #{side} this one",
          "synchronise clocks: periods begin and end by them"
        )
      end
    ]
  end

  defp names(nodes), do: nodes |> Enum.sort() |> Enum.map_join(", ", &Names.name/1)
end
