defmodule AdTally.Demo.Reach do
  @moduledoc """
  Unique reach beside exact counts: of the real log, and of generated pairs of
  campaign and user.

  Generated pairs are drawn twice from the same seeds: by one process a scheduler, to
  be added as they come, and by a single one, which marks the users of the largest
  campaigns in a bit map and so knows how many there are.
  """

  import Bitwise

  alias AdTally.Demo.{Log, Progress, Text}
  alias AdTally.{Reach, Sketch}

  # Four standard errors at the default precision of 12.
  @allowed 4 * 1.039 / 64

  @campaigns 1_000
  @users 2_000_000
  @largest 10
  # Campaigns by share: a random number chooses one of as many places.
  @places 1 <<< 16
  @step 10_000

  @type row :: %{
          key: term(),
          exact: non_neg_integer(),
          estimate: float(),
          low: float(),
          high: float()
        }

  @doc "The segments of users by policy and campaign, and of all of them together."
  @spec log([Log.impression()], pos_integer()) :: [row()]
  def log(impressions, processes) do
    reach = Reach.new()

    impressions
    |> Enum.chunk_every(div(length(impressions), processes) + 1)
    |> Enum.map(&Task.async(fn -> Enum.each(&1, fn event -> add(reach, event) end) end))
    |> Task.await_many(:infinity)

    segments = Enum.group_by(impressions, &{&1.policy, &1.campaign}, & &1.segment)
    keys = Enum.sort(Map.keys(segments))
    sketches = Enum.map(keys, &Reach.sketch(reach, &1))
    {:ok, all} = Sketch.union(sketches)
    everyone = Enum.map(impressions, & &1.segment)

    rows =
      for {key, sketch} <- Enum.zip(keys, sketches), do: row(key, unique(segments[key]), sketch)

    rows ++ [row({"all", "together"}, unique(everyone), all)]
  end

  defp add(reach, event),
    do: :ok = Reach.add(reach, {event.policy, event.campaign}, event.segment)

  defp unique(users), do: users |> MapSet.new() |> MapSet.size()

  defp row(key, exact, sketch) do
    {low, high} = Sketch.bounds(sketch, 2)
    %{key: key, exact: exact, estimate: Sketch.estimate(sketch), low: low, high: high}
  end

  @doc "Adds that many generated pairs: the rows of the largest campaigns, and the table's numbers."
  @spec generated(pos_integer()) :: %{
          events: pos_integer(),
          microseconds: pos_integer(),
          rows: [row()],
          info: map()
        }
  def generated(events) do
    reach = Reach.new()
    places = places()
    shares = shares(events, System.schedulers_online())
    done = :counters.new(1, [:write_concurrency])
    begin = System.monotonic_time(:microsecond)

    shares
    |> Enum.map(fn {process, share} ->
      Task.async(fn -> add_drawn(reach, places, seed(process), share, done) end)
    end)
    |> Progress.await(done, events, "AdTally.Reach")

    microseconds = System.monotonic_time(:microsecond) - begin
    exact = exact(places, shares)

    rows =
      for campaign <- 1..@largest,
          sketch = Reach.sketch(reach, campaign),
          do: row(campaign, exact[campaign], sketch)

    %{events: events, microseconds: max(microseconds, 1), rows: rows, info: Reach.info(reach)}
  end

  defp add_drawn(_reach, _places, _state, 0, _done), do: :ok

  defp add_drawn(reach, places, state, left, done) do
    {campaign, user, state} = draw(places, state)
    :ok = Reach.add(reach, campaign, user)
    if rem(left, @step) == 0, do: :counters.add(done, 1, @step)
    add_drawn(reach, places, state, left - 1, done)
  end

  # Of the largest campaigns: a bit for each of their users, and how many are set.
  defp exact(places, shares) do
    marks = :atomics.new(div(@largest * @users, 64) + 1, signed: false)
    counts = :counters.new(@largest, [])
    for {process, share} <- shares, do: mark(marks, counts, places, seed(process), share)
    Map.new(1..@largest, &{&1, :counters.get(counts, &1)})
  end

  defp mark(_marks, _counts, _places, _state, 0), do: :ok

  defp mark(marks, counts, places, state, left) do
    {campaign, user, state} = draw(places, state)

    if campaign <= @largest do
      at = (campaign - 1) * @users + user
      {word, bit} = {(at >>> 6) + 1, 1 <<< (at &&& 63)}

      if (:atomics.get(marks, word) &&& bit) == 0 do
        :atomics.add(marks, word, bit)
        :counters.add(counts, campaign, 1)
      end
    end

    mark(marks, counts, places, state, left - 1)
  end

  # A campaign of Zipf's law and one of all users. :rand.mwc59/1, because drawing would
  # otherwise take longer than adding.
  defp draw(places, state) do
    state = :rand.mwc59(state)
    number = :rand.mwc59_value(state)
    {elem(places, number &&& @places - 1), rem(number >>> 16, @users), state}
  end

  defp seed(process), do: :rand.mwc59_seed(20_191_124 + process)

  # The k-th campaign has as many places as Zipf's law gives it events, and at least one.
  defp places do
    total = 1..@campaigns |> Enum.map(&(1 / &1)) |> Enum.sum()

    1..@campaigns
    |> Stream.flat_map(&List.duplicate(&1, ceil(@places / &1 / total)))
    |> Enum.take(@places)
    |> List.to_tuple()
  end

  defp shares(events, processes) do
    for process <- 1..processes,
        do:
          {process,
           div(events, processes) + if(process <= rem(events, processes), do: 1, else: 0)}
  end

  @doc "The rows whose estimates are off by more than four standard errors, a sentence each."
  @spec differences([row()]) :: [String.t()]
  def differences(rows) do
    for row <- rows,
        abs(row.estimate - row.exact) > @allowed * row.exact,
        do:
          "#{inspect(row.key)}: estimated #{Text.integer(round(row.estimate))}, " <>
            "exact #{Text.integer(row.exact)}"
  end

  @doc "A table of rows; `head` names the columns of a key."
  @spec table([row()], [String.t()]) :: String.t()
  def table(rows, head) do
    lines =
      for row <- rows do
        names = row.key |> List.wrap() |> Enum.flat_map(&names/1)
        error = :erlang.float_to_binary(100 * (row.estimate / row.exact - 1), decimals: 2)
        counts = for number <- [row.exact, round(row.estimate)], do: Text.integer(number)
        bounds = "#{Text.integer(floor(row.low))} to #{Text.integer(ceil(row.high))}"
        names ++ counts ++ [error <> " %", bounds]
      end

    Text.table(head ++ ["exact", "estimate", "error", "95 % bounds"], lines, length(head))
  end

  defp names(key) when is_tuple(key), do: Tuple.to_list(key)
  defp names(key), do: [to_string(key)]
end
