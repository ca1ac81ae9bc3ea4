defmodule AdTally.Test.Kills.Oracle do
  @moduledoc """
  What a run of `AdTally.Test.Kills` must have come to: all items of complete rounds, each once.
  """

  alias AdTally.{Sketch, Touch}
  alias AdTally.Test.Kills.{Lines, Plan, Service}
  alias AdTally.Test.NaiveAttribution

  @window 10_000
  @metrics [:impressions, :clicks, :spend_micros]
  # All items of so many rounds are in memory at a time. Users are of two.
  @at_once 50

  @doc "What differs, as texts."
  def differences(seed, dir, run) do
    found = read(dir)
    groups = 0..div(run.rounds - 1, @at_once)

    compared =
      groups
      |> Task.async_stream(&compared(seed, rounds(&1, run), Map.get(found, &1, [])),
        timeout: :infinity
      )
      |> Enum.map(fn {:ok, compared} -> compared end)

    others =
      for {group, _parts} <- found,
          group not in groups,
          do: "windows of rounds #{group * @at_once} and later"

    events = sum(Enum.flat_map(compared, & &1.events))
    lines = compare("lines of files", events, Lines.counters(Service.lines_dir(dir)))
    sent = compared |> Enum.map(& &1.sent) |> Enum.sum()
    differences = Enum.flat_map(compared, & &1.differences)
    conflicts(dir) ++ differences ++ others ++ lines ++ counters(seed, sent, run) ++ caps(run)
  end

  # Rounds beside the parts of windows that are of them, and what all of them together are to be compared with.
  defp compared(seed, rounds, found) do
    sent = for round <- rounds, do: for(worker <- workers(), do: Plan.items(seed, round, worker))
    # An item that is sent by two workers is there once.
    items = for workers <- sent, do: workers |> Enum.concat() |> Enum.uniq()
    found = for binary <- found, do: :erlang.binary_to_term(binary)

    %{
      differences: meter(items, found) ++ attribution(items, found),
      events: items |> events() |> Enum.to_list(),
      sent: sent |> Enum.map(&count_events/1) |> Enum.sum()
    }
  end

  defp workers, do: 0..(Plan.workers() - 1)

  defp count_events(workers), do: Enum.count(Enum.concat(workers), &match?({:event, _event}, &1))

  defp rounds(group, run),
    do: (group * @at_once)..(min((group + 1) * @at_once, run.rounds) - 1)

  # The parts of windows by groups of rounds, as binaries.
  defp read(dir) do
    dir = Service.windows_dir(dir)

    parts =
      for name <- File.ls!(dir),
          not String.ends_with?(name, [".part", ".conflict"]),
          {group, part} <-
            dir |> Path.join(name) |> File.read!() |> :erlang.binary_to_term() |> parts(),
          do: {group, :erlang.term_to_binary(part)}

    Enum.group_by(parts, &elem(&1, 0), &elem(&1, 1))
  end

  defp parts({:meter, start, _rows, _reach} = window), do: [{group(Plan.round_at(start)), window}]

  # A later adjustment is of its order's rounds.
  defp parts({:attribution, start, rows, touches}) do
    own = group(Plan.round_at(start))

    groups =
      Enum.group_by(rows, fn row ->
        if row.adjusted_at, do: group(Plan.round_of(row.order)), else: own
      end)

    for {group, rows} <- Map.put_new(groups, own, []),
        do: {group, {:attribution, start, rows, if(group == own, do: touches, else: [])}}
  end

  defp group(round), do: div(round, @at_once)

  defp conflicts(dir) do
    for path <- Path.wildcard(Path.join(Service.windows_dir(dir), "*.conflict")),
        do: "a window was delivered twice with other rows: #{path}"
  end

  # Counters without ids: of what was not on disk when the service ended, events that are sent again may be counted
  # twice, and of the round that is not complete some are.
  defp counters(seed, least, run) do
    incomplete = for worker <- workers(), do: Plan.items(seed, run.rounds, worker)
    unsynced = Plan.workers() * Plan.longest_batch() * (run.killed + run.stopped)
    most = least + count_events(incomplete) + unsynced

    if run.counted in least..most,
      do: [],
      else: ["counters of #{run.counted} events, not of #{least} to #{most}"]
  end

  defp events(items) do
    sum(
      for items <- items,
          {:event, event} <- items,
          do: {event.dimensions, Enum.map(@metrics, &event.metrics[&1])}
    )
  end

  # Counters and reach

  defp meter(rounds, found) do
    events = for items <- rounds, {:event, event} <- items, do: event

    counters =
      sum(
        for event <- events do
          {{start(event.at), event.dimensions}, Enum.map(@metrics, &event.metrics[&1])}
        end
      )

    users =
      events
      |> Enum.group_by(fn event -> {start(event.at), {elem(event.dimensions, 0)}} end, & &1.user)
      |> Map.new(fn {key, users} ->
        {key, Sketch.to_binary(Sketch.from_users(Enum.uniq(users)))}
      end)

    found_counters =
      sum(
        for {:meter, start, rows, _reach} <- found,
            {dimensions, sums} <- rows,
            do: {{start, dimensions}, metrics(sums)}
      )

    found_users =
      for(
        {:meter, start, _rows, reach} <- found,
        {key, sketch} <- reach,
        do: {{start, key}, sketch}
      )
      |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
      |> Map.new(fn {key, sketches} -> {key, united(sketches)} end)

    compare("counters", counters, found_counters) ++ compare("reach", users, found_users)
  end

  defp metrics(sums) when is_map(sums),
    do: Enum.map(@metrics, &sums[&1])

  defp metrics(sums) when is_list(sums), do: metrics(Map.new(sums))

  defp united([sketch]), do: sketch

  defp united(sketches),
    do: sketches |> Enum.map(&Sketch.from_binary!/1) |> Sketch.union() |> Sketch.to_binary()

  defp start(at), do: at - rem(at, @window)

  # Credits and spend

  # Users of different blocks have nothing to do with each other, so that each has a naive
  # attribution of its own.
  defp attribution(rounds, found) do
    blocks =
      rounds
      |> Enum.with_index()
      |> Enum.group_by(fn {_, round} -> Plan.block(round) end, &elem(&1, 0))

    naive =
      blocks
      |> Task.async_stream(fn {_block, rounds} -> naive(rounds) end, timeout: :infinity)
      |> Enum.map(fn {:ok, state} -> state end)

    credits =
      count(
        for state <- naive,
            {window, rows} <- NaiveAttribution.rows_by_window(state),
            row <- rows do
          # Revisions depend on the order in which touches came.
          {window * @window, Tuple.delete_at(row, 12)}
        end
      )

    spend =
      sum(
        for state <- naive,
            {{window, key, kind}, {touches, cost}} <- NaiveAttribution.spend(state),
            do: {{window * @window, key, kind}, [touches, cost]}
      )

    found_credits =
      count(
        for {:attribution, start, rows, _touches} <- found,
            row <- rows,
            do: {start, credit(row)}
      )

    found_spend =
      sum(
        for {:attribution, start, _rows, touches} <- found,
            row <- touches,
            do: {{start, row.dimensions, row.kind}, [row.touches, row.cost_micros]}
      )

    compare("credits", credits, found_credits) ++ compare("spend", spend, found_spend)
  end

  defp credit(row) do
    {row.model, row.order, row.action, row.kind, row.touch, row.dimensions, row.touched_at,
     row.converted_at, row.adjusted_at, row.conversions_ppm, row.value_micros, row.truncated}
  end

  defp naive(rounds) do
    Enum.reduce(rounds, NaiveAttribution.new(Service.attribution_options()), fn items, state ->
      touches = for {:event, %{touch: touch} = event} when touch != nil <- items, do: touch(event)

      state =
        Enum.reduce(touches, state, fn touch, state ->
          elem(NaiveAttribution.touch(state, touch), 1)
        end)

      conversions = for {:conversion, one} <- items, do: one

      state =
        Enum.reduce(conversions, state, fn one, state ->
          elem(NaiveAttribution.convert(state, one), 1)
        end)

      adjusted = fn {:adjust, order, change, at}, state ->
        case NaiveAttribution.adjust(state, order, change, at), do: ({:ok, state} -> state)
      end

      state =
        items |> Enum.filter(&match?({:adjust, _, _, _}, &1)) |> Enum.reduce(state, adjusted)

      NaiveAttribution.close(state)
    end)
  end

  defp touch(event) do
    %Touch{
      id: event.id,
      user: event.user,
      at: event.at,
      kind: event.touch,
      dimensions: {elem(event.dimensions, 0)},
      cost_micros: event.metrics[:spend_micros]
    }
  end

  # Caps

  # Where what was let through was on disk before it was shown, no rule is ever passed. Elsewhere
  # by no more than what was let through and not on disk when the service was killed.
  defp caps(run) do
    for {{scope, user, {max, window}, _cycle} = pair, shown} <- run.shown,
        lost = Map.get(run.lost, pair, 0),
        # Where it is too long ago, nobody asks.
        count = Map.get(run.counts, pair, min(shown, max)),
        shown > max + lost or count < shown - lost or count > max do
      "#{inspect(scope)} of #{inspect(user)} was let through #{shown} times, of which #{lost} " <>
        "may be lost, and is counted #{count} times: at most #{max} in #{inspect(window)}"
    end
  end

  # Maps

  defp sum(rows) do
    Enum.reduce(rows, %{}, fn {key, numbers}, sums ->
      Map.update(
        sums,
        key,
        numbers,
        &Enum.zip_with(&1, numbers, fn one, other -> one + other end)
      )
    end)
  end

  defp count(rows), do: Enum.frequencies(rows)

  defp compare(_what, same, same), do: []

  defp compare(what, expected, found) do
    keys = Enum.uniq(Map.keys(expected) ++ Map.keys(found))
    keys = Enum.reject(keys, &(expected[&1] == found[&1]))

    for key <- Enum.take(Enum.sort(keys), 5) do
      "#{what}, of #{length(keys)} that differ: #{inspect(key)} is #{inspect(found[key])}, " <>
        "not #{inspect(expected[key])}"
    end
  end
end
