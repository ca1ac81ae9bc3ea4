defmodule AdTally.Bench.MeterEvents do
  @moduledoc """
  Contenders that count events with an id of their own, two metrics and a user: 10,000 keys of
  three dimensions, 200 campaigns that users are counted of.

  Events are made in the loop, a hundred at a time, as a service makes them of what it reads from
  its broker: whole lists of them are larger than any cache, and reading those would be most of
  what is timed.

  Before each pass all ids are forgotten. In the end every event of every pass must have been
  counted.
  """

  alias AdTally.Bench.Contender
  alias AdTally.{Event, Meter}

  @begin 1_780_272_000_000
  @ids_window 600_000
  @year 31_536_000_000
  @batch 100
  @keys 10_000
  @campaigns 200
  @users 1_000_000
  # Room for a million ids a window, however many come.
  @ids 1_000_000
  @metrics [impressions: 1, spend_micros: 1_250]

  @typedoc "What an event is made of: a number, its dimensions and a user."
  @type seed :: {pos_integer(), tuple(), pos_integer()}

  @doc "What so many events are made of."
  @spec seeds(pos_integer()) :: [seed(), ...]
  def seeds(count) do
    :rand.seed(:exsss, 20_191_124)

    for n <- 1..count,
        key = :rand.uniform(@keys),
        do: {n, {rem(key, @campaigns), key, "us"}, user()}
  end

  defp user, do: 80_351_110_224_678_912 + :rand.uniform(@users)

  # With an id of 26 bytes that no other process makes in the same pass.
  defp event({n, dimensions, user}) do
    id = <<"01JEX5M3Z7QK8R", :erlang.phash2(self())::32, n::64>>
    %Event{id: id, at: @begin, dimensions: dimensions, user: user, metrics: @metrics}
  end

  defp event_list(seeds), do: Enum.map(seeds, &event/1)

  @doc "`AdTally.Meter.record/2`, one event after the other."
  @spec record(String.t(), [seed(), ...], keyword()) :: Contender.t()
  def record(label, seeds, options) do
    metering(
      label,
      seeds,
      fn name, events -> Enum.each(events, &Meter.record(name, &1)) end,
      options
    )
  end

  @doc "`AdTally.Meter.record_many/2`, a hundred events a call."
  @spec record_many(String.t(), [seed(), ...], keyword()) :: Contender.t()
  def record_many(label, seeds, options),
    do: metering(label, seeds, &Meter.record_many/2, options)

  # A meter that closes nothing, and ends with the job's process.
  defp metering(label, seeds, record, options) do
    count = length(seeds)
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"
    processes = Keyword.get(options, :processes, 1)

    {:ok, _meter} =
      Meter.start_link(
        name: name,
        dimensions: [:campaign, :creative, :country],
        metrics: [:impressions, :clicks, :conversions, :spend_micros],
        clock: :events,
        lateness: @year,
        reach: [by: [:campaign]],
        dedupe: [window: @ids_window, capacity: max(count * processes, @ids)]
      )

    passes = :counters.new(1, [])

    # A window and a half further on all ids that were there are forgotten.
    forget = fn ->
      :counters.add(passes, 1, 1)
      at = @begin + :counters.get(passes, 1) * div(3 * @ids_window, 2)
      :ok = Meter.record(name, %Event{id: {:mark, at}, at: at, dimensions: {0, 0, "mark"}})
    end

    check = fn passes ->
      %{applied: applied, received: received} = Meter.info(name).events
      # The marks are events as well. Of those that look alike to dedupe there are hardly any.
      expected = passes * count * processes + passes
      {{true, expected}, {(expected - applied) in 0..3, received}}
    end

    act = fn events -> record.(name, events) end
    contender(label, seeds, act, [{:prepare, forget}, {:check, check} | options])
  end

  @doc "`:ets.update_counter/3` on as many keys: one metric, and nothing else."
  @spec ets(String.t(), [seed(), ...], keyword()) :: Contender.t()
  def ets(label, seeds, options) do
    table = :ets.new(:bench, [:set, :public])
    keys = Enum.map(seeds, fn {_n, dimensions, _user} -> dimensions end)
    Enum.each(keys, &:ets.insert(table, {&1, 0}))
    count = fn key -> :ets.update_counter(table, key, {2, 1}) end
    counted = fn -> :ets.foldl(fn {_key, count}, sum -> sum + count end, 0, table) end
    check = fn passes -> {passes * length(keys), counted.()} end
    Contender.new(label, keys, count, [{:check, check} | options])
  end

  @doc """
  The same job but for users, as it is written with ETS: a table of ids that nobody cleans up, and
  a counter a metric.
  """
  @spec ets_job(String.t(), [seed(), ...], keyword()) :: Contender.t()
  def ets_job(label, seeds, options) do
    ids = :ets.new(:bench, [:set, :public, write_concurrency: true])
    rows = :ets.new(:bench, [:set, :public, write_concurrency: true])

    record = fn %Event{id: id, at: at, dimensions: dimensions, metrics: metrics} ->
      if :ets.insert_new(ids, {id}) do
        window = at - rem(at, 60_000)

        for {metric, amount} <- metrics do
          key = {window, dimensions, metric}
          :ets.update_counter(rows, key, {2, amount}, {key, 0})
        end

        :ok
      else
        :duplicate
      end
    end

    forget = fn -> :ets.delete_all_objects(ids) end

    count = fn ->
      :ets.foldl(
        fn {{_, _, metric}, sum}, all -> if(metric == :impressions, do: all + sum, else: all) end,
        0,
        rows
      )
    end

    check = fn passes -> {passes * length(seeds), count.()} end
    act = fn events -> Enum.each(events, record) end
    contender(label, seeds, act, [{:prepare, forget}, {:check, check} | options])
  end

  # The size of a batch divides the number of events.
  defp contender(label, seeds, act, options) do
    options = [{:operations_per_input, @batch}, {:make, &event_list/1} | options]
    Contender.new(label, Enum.chunk_every(seeds, @batch), act, options)
  end
end
