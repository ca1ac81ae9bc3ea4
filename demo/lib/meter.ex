defmodule AdTally.Demo.Meter do
  @moduledoc """
  The real log through frequency caps and a supervised meter, every row delivered twice within
  three minutes, from several processes, and what came out beside plain maps.

  An impression that a cap would have withheld is counted, because it was one, and counted as
  withheld too.
  """

  alias AdTally.Demo.{Caps, Text}
  alias AdTally.{Event, Meter, Sink, Window}

  @name AdTally.Demo.Ads
  @types [policy: :string, campaign: :string, item: :integer, position: :integer]
  @window 3_600_000
  # How far apart in time the processes are at most: they wait for each other that often.
  @slice 1_800_000
  @shuffled 180_000
  @seed 20_191_124
  # Four standard errors at the default precision of 12.
  @allowed 4 * 1.039 / 64

  defmodule Keeping do
    @moduledoc "Sends what it gets to a process, with all rows."

    @behaviour Sink

    @impl true
    def deliver(window, to: pid) do
      send(pid, {:closed, window, Window.counters(window), Window.reach(window)})
      :ok
    end
  end

  @type result :: %{
          report: [map()],
          exact: %{list() => non_neg_integer()},
          outcomes: %{Meter.outcome() => non_neg_integer()},
          info: map(),
          windows: pos_integer(),
          partial: non_neg_integer(),
          wrong: [String.t()],
          dir: Path.t()
        }

  @doc "Replays the log as the caps have decided it, from so many processes, and writes files into a directory."
  @spec replay([Caps.decided()], pos_integer(), Path.t()) :: result()
  def replay(decided, processes, dir) do
    options = [
      name: @name,
      dimensions: [:policy, :campaign, :item, :position],
      metrics: [:impressions, :withheld, :clicks],
      window: @window,
      lateness: 2 * @slice,
      clock: :events,
      reach: [by: [:policy, :campaign]],
      dedupe: [window: 2 * @slice, capacity: 10_000],
      retain: 86_400_000,
      # A week in a second: most windows wait for the disk when the meter is stopped.
      flush: 600_000,
      sinks: [{Sink.Files, dir: dir, types: @types}, {Keeping, to: self()}]
    ]

    {:ok, supervisor} = Supervisor.start_link([{Meter, options}], strategy: :one_for_one)
    events = decided |> Enum.with_index() |> Enum.map(&event/1)
    outcomes = events |> delivered() |> record(processes)
    report = Meter.report(@name, by: [:policy, :campaign])
    info = Meter.info(@name)
    Supervisor.stop(supervisor)
    closed = closed([])

    %{
      report: report,
      exact:
        unique(events, fn event -> [elem(event.dimensions, 0), elem(event.dimensions, 1)] end),
      outcomes: Enum.frequencies(outcomes),
      info: info,
      windows: length(closed),
      partial: Enum.count(closed, fn {window, _counters, _reach} -> window.partial end),
      wrong: wrong_counts(closed, events) ++ wrong_reach(closed, events),
      dir: dir
    }
  end

  defp event({{impression, withheld?}, number}) do
    %{policy: policy, campaign: campaign, item: item, position: position} = impression

    %Event{
      id: number,
      at: impression.at,
      dimensions: {policy, campaign, item, position},
      user: impression.segment,
      metrics: [impressions: 1, withheld: one(withheld?), clicks: one(impression.clicked?)]
    }
  end

  defp one(true), do: 1
  defp one(false), do: 0

  # Both copies of every event arrive within three minutes.
  defp delivered(events) do
    :rand.seed(:exsss, @seed)

    (events ++ events)
    |> Enum.map(&{&1.at + :rand.uniform(@shuffled), &1})
    |> Enum.sort_by(&elem(&1, 0))
    |> Enum.chunk_by(fn {arrives, _event} -> div(arrives, @slice) end)
  end

  defp record(slices, processes) do
    Enum.flat_map(slices, fn slice ->
      slice
      |> Enum.map(&elem(&1, 1))
      |> Enum.chunk_every(div(length(slice), processes) + 1)
      |> Enum.map(&Task.async(fn -> Enum.map(&1, fn event -> Meter.record(@name, event) end) end))
      |> Task.await_many(:infinity)
      |> Enum.concat()
    end)
  end

  defp closed(windows) do
    receive do
      {:closed, window, counters, reach} -> closed([{window, counters, reach} | windows])
    after
      0 -> Enum.reverse(windows)
    end
  end

  defp start(event), do: event.at - rem(event.at, @window)

  defp wrong_counts(closed, events) do
    counted =
      for {window, counters, _reach} <- closed,
          {values, totals} <- counters,
          do: {{window.start, values}, totals}

    expected =
      events
      |> Enum.group_by(&{start(&1), &1.dimensions})
      |> Map.new(fn {key, events} ->
        [clicks, withheld] =
          for metric <- [:clicks, :withheld],
              do: events |> Enum.map(& &1.metrics[metric]) |> Enum.sum()

        {key, %{impressions: length(events), withheld: withheld, clicks: clicks}}
      end)

    missing = Map.keys(expected) -- Enum.map(counted, &elem(&1, 0))
    wrong = for {key, totals} <- counted, expected[key] != totals, do: key
    for key <- missing ++ wrong, do: "row #{inspect(key)} is not that of plain maps"
  end

  defp wrong_reach(closed, events) do
    exact =
      unique(events, fn event ->
        [start(event) | Enum.take(Tuple.to_list(event.dimensions), 2)]
      end)

    for {window, _counters, reach} <- closed,
        {values, sketch} <- reach,
        users = exact[[window.start | Tuple.to_list(values)]],
        abs(AdTally.Sketch.estimate(sketch) - users) > @allowed * users + 0.01,
        do: "reach of #{inspect(values)} at #{window.start} is not #{users}"
  end

  defp unique(events, by) do
    events
    |> Enum.group_by(by, & &1.user)
    |> Map.new(fn {key, users} -> {key, users |> MapSet.new() |> MapSet.size()} end)
  end

  @doc "What is wrong with the totals of a report, and with what became of the events."
  @spec differences(result(), pos_integer(), non_neg_integer()) :: [String.t()]
  def differences(result, impressions, withheld) do
    sums =
      for %{policy: policy, campaign: campaign} = row <- result.report,
          exact = result.exact[[policy, campaign]],
          not (row.reach_low <= exact and exact <= row.reach_high) and
            abs(row.reach - exact) > @allowed * exact,
          do: "reach of #{policy} #{campaign} is #{row.reach}, not #{exact}"

    outcomes = %{ok: impressions, duplicate: impressions}

    [counted, held] =
      for metric <- [:impressions, :withheld],
          do: result.report |> Enum.map(& &1[metric]) |> Enum.sum()

    result.wrong ++
      sums ++
      if(result.outcomes == outcomes, do: [], else: ["outcomes: #{inspect(result.outcomes)}"]) ++
      if(counted == impressions, do: [], else: ["#{counted} impressions in the report"]) ++
      if(held == withheld, do: [], else: ["#{held} withheld in the report, not #{withheld}"])
  end

  @doc "The report as text."
  @spec table(result()) :: String.t()
  def table(result) do
    rows =
      for row <- result.report do
        exact = result.exact[[row.policy, row.campaign]]
        rate = :erlang.float_to_binary(100 * row.clicks / row.impressions, decimals: 2)

        reach =
          for estimate <- [row.reach, row.reach_low, row.reach_high],
              do: Text.integer(round(estimate))

        counts = Enum.map([row.impressions, row.withheld, row.clicks], &Text.integer/1)
        [row.policy, row.campaign] ++ counts ++ [rate <> " %"] ++ reach ++ [Text.integer(exact)]
      end

    head = ~w(policy campaign impressions withheld clicks CTR reach from to exact)
    Text.table(head, rows, 2)
  end
end
