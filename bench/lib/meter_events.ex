defmodule AdTally.Bench.MeterEvents do
  @moduledoc """
  Contenders that count events with an id of their own, two metrics and a user: 10,000 keys of
  three dimensions, 200 campaigns that users are counted of.

  Before each pass all ids are forgotten. In the end every event of every pass must have been
  counted.
  """

  alias AdTally.Bench.{Contender, Redeliveries}
  alias AdTally.{Event, Meter}

  @begin 1_780_272_000_000
  @ids_window 600_000
  @year 31_536_000_000
  @keys 10_000
  @campaigns 200
  @users 1_000_000
  # Room for a million ids a window, however many come.
  @ids 1_000_000
  @metrics [impressions: 1, spend_micros: 1_250]

  @doc "So many events."
  @spec events(pos_integer()) :: [Event.t(), ...]
  def events(count) do
    ids = Redeliveries.ids(count)
    for id <- ids, key = :rand.uniform(@keys), do: event(id, {rem(key, @campaigns), key, "us"})
  end

  defp event(id, dimensions) do
    user = 80_351_110_224_678_912 + :rand.uniform(@users)
    %Event{id: id, at: @begin, dimensions: dimensions, user: user, metrics: @metrics}
  end

  @doc "`AdTally.Meter.record/2`."
  @spec record(String.t(), [Event.t(), ...], keyword()) :: Contender.t()
  def record(label, events, options),
    do: metering(label, events, length(events), &Meter.record/2, options)

  @doc "`AdTally.Meter.record_many/2`, `size` events a call; `size` divides their number."
  @spec record_many(String.t(), [Event.t(), ...], pos_integer(), keyword()) :: Contender.t()
  def record_many(label, events, size, options) do
    lists = Enum.chunk_every(events, size)
    options = [{:operations_per_input, size} | options]
    metering(label, lists, length(events), &Meter.record_many/2, options)
  end

  # A meter that closes nothing, and ends with the job's process.
  defp metering(label, inputs, count, record, options) do
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"

    {:ok, _meter} =
      Meter.start_link(
        name: name,
        dimensions: [:campaign, :creative, :country],
        metrics: [:impressions, :clicks, :conversions, :spend_micros],
        clock: :events,
        lateness: @year,
        reach: [by: [:campaign]],
        dedupe: [window: @ids_window, capacity: max(count, @ids)]
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
      processes = Keyword.get(options, :processes, 1)
      expected = passes * count

      # Of those that look alike to dedupe there are hardly any. With two processes each comes twice.
      {{true, true},
       {(expected + passes - applied) in 0..3, received == expected * processes + passes}}
    end

    act = fn input -> record.(name, input) end
    Contender.new(label, inputs, act, [{:prepare, forget}, {:check, check} | options])
  end

  @doc "`:ets.update_counter/3` on as many keys: one metric, and nothing else."
  @spec ets(String.t(), [Event.t(), ...], keyword()) :: Contender.t()
  def ets(label, events, options) do
    table = :ets.new(:bench, [:set, :public])
    for %{dimensions: key} <- events, do: :ets.insert(table, {key, 0})
    keys = Enum.map(events, & &1.dimensions)
    count = fn key -> :ets.update_counter(table, key, {2, 1}) end
    counted = fn -> :ets.foldl(fn {_key, count}, sum -> sum + count end, 0, table) end
    check = fn passes -> {passes * length(keys), counted.()} end
    Contender.new(label, keys, count, [{:check, check} | options])
  end

  @doc """
  The same job but for users, as it is written with ETS: a table of ids that nobody cleans up, and
  a counter a metric.
  """
  @spec ets_job(String.t(), [Event.t(), ...], keyword()) :: Contender.t()
  def ets_job(label, events, options) do
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

    check = fn passes -> {passes * length(events), count.()} end
    Contender.new(label, events, record, [{:prepare, forget}, {:check, check} | options])
  end
end
