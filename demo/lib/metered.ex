defmodule AdTally.Demo.Metered do
  @moduledoc """
  Generated events once each, of every fiftieth a copy: through an `AdTally.Meter` with unique
  users, and with tables of ETS, one of ids and one of counters by window, without users.

  Event time goes through ten minutes. All sums and the number of copies are checked, and the
  estimate of users.
  """

  alias AdTally.{Event, Meter}
  alias AdTally.Demo.{Text, Workers}

  @name AdTally.Demo.Metered
  @metrics [:impressions, :clicks, :spend_micros]
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000
  @span 600_000
  @window 60_000
  @copied 50
  @users 1_000_000
  # Four standard errors at the default precision of 12.
  @allowed 4 * 1.039 / 64

  @type result :: %{
          label: String.t(),
          microseconds: pos_integer(),
          sums: %{atom() => integer()},
          copies: non_neg_integer(),
          bytes: pos_integer()
        }

  @doc "Runs both ways with the same events."
  @spec run(pos_integer()) :: map()
  def run(events) do
    work = Workers.work(events)
    {ours, users} = ours(work, events)

    %{
      events: events,
      processes: length(work),
      expected: Workers.expected(work),
      copies: div(events - 1, @copied) + 1,
      exact_users: min(events, @users),
      users: users,
      ours: ours,
      ets: ets(work, events)
    }
  end

  defp ours(work, events) do
    {:ok, supervisor} = Supervisor.start_link([{Meter, options(events)}], strategy: :one_for_one)

    time =
      Workers.measure(work, "AdTally.Meter", fn event, number ->
        event = event(event, number, events)
        :ok = Meter.record(@name, event)
        if rem(number, @copied) == 0, do: :duplicate = Meter.record(@name, event)
      end)

    [row] = Meter.report(@name, by: [])
    %{events: %{duplicate: copies}, memory_bytes: bytes} = Meter.info(@name)
    Supervisor.stop(supervisor)
    sums = Map.take(row, @metrics)

    {%{label: "AdTally.Meter", microseconds: time, sums: sums, copies: copies, bytes: bytes},
     Map.take(row, [:reach, :reach_low, :reach_high])}
  end

  # Processes go through event time each for itself, so no window is closed before all are done. Of
  # ids told apart by 61 bits none is taken for another one.
  defp options(events) do
    [
      name: @name,
      dimensions: [:campaign, :creative],
      metrics: @metrics,
      window: @window,
      lateness: @span,
      clock: :events,
      reach: [by: [:campaign]],
      dedupe: [window: @span, capacity: events, fingerprint_bits: 61]
    ]
  end

  defp event({key, clicked?, spend}, number, events) do
    metrics = [impressions: 1, spend_micros: spend]

    %Event{
      id: number,
      at: at(number, events),
      dimensions: key,
      user: rem(number, @users),
      metrics: if(clicked?, do: [{:clicks, 1} | metrics], else: metrics)
    }
  end

  defp at(number, events), do: @begin + div(number * @span, events)

  defp ets(work, events) do
    ids = :ets.new(:ids, [:set, :public, write_concurrency: true])
    rows = :ets.new(:rows, [:set, :public, write_concurrency: true])
    copies = :counters.new(1, [:write_concurrency])

    time =
      Workers.measure(work, "ETS, no users", fn event, number ->
        at = at(number, events)
        record(ids, rows, copies, event, number, at)
        if rem(number, @copied) == 0, do: record(ids, rows, copies, event, number, at)
      end)

    bytes = (:ets.info(ids, :memory) + :ets.info(rows, :memory)) * :erlang.system_info(:wordsize)

    add = fn {_key, impressions, clicks, spend}, {all_impressions, all_clicks, all_spend} ->
      {all_impressions + impressions, all_clicks + clicks, all_spend + spend}
    end

    {impressions, clicks, spend} = :ets.foldl(add, {0, 0, 0}, rows)
    Enum.each([ids, rows], &:ets.delete/1)
    sums = %{impressions: impressions, clicks: clicks, spend_micros: spend}
    copies = :counters.get(copies, 1)
    %{label: "ETS, no users", microseconds: time, sums: sums, copies: copies, bytes: bytes}
  end

  # All metrics of a row in one call: as good as ETS can.
  defp record(ids, rows, copies, {key, clicked?, spend}, id, at) do
    if :ets.insert_new(ids, {id}) do
      key = {at - rem(at, @window), key}
      clicks = if clicked?, do: 1, else: 0
      :ets.update_counter(rows, key, [{2, 1}, {3, clicks}, {4, spend}], {key, 0, 0, 0})
    else
      :counters.add(copies, 1, 1)
    end
  end

  @doc "What is not as it was generated, a sentence each."
  @spec differences(map()) :: [String.t()]
  def differences(run) do
    sums = Workers.differences([run.ours, run.ets], run.expected)

    copies =
      for result <- [run.ours, run.ets],
          result.copies != run.copies,
          do:
            "#{result.label} knew #{Text.integer(result.copies)} copies, there were #{Text.integer(run.copies)}"

    users =
      if abs(run.users.reach - run.exact_users) > @allowed * run.exact_users + 0.01,
        do: [
          "estimated were #{Text.integer(round(run.users.reach))} users, there were #{Text.integer(run.exact_users)}"
        ],
        else: []

    sums ++ copies ++ users
  end

  @doc "A table of both."
  @spec table(map()) :: String.t()
  def table(run), do: Workers.table(run, [run.ours, run.ets])
end
