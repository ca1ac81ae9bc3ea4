defmodule AdTally.Bench.MeterEvents do
  @moduledoc """
  Contenders that count events with an id of their own, two metrics and a user: 10,000 keys of
  three dimensions. Users are counted of campaigns. There are 200, all passes count in one window,
  and each campaign soon has seen thousands of a million users (`:dense`); or every key is a
  campaign of its own, every pass counts in a window that begins empty, and no campaign sees a user
  twice (`:sparse`).

  Events, and the keys of the yardstick, are made of their numbers in the loop, a hundred at a time,
  as a service makes them of what it reads from its broker. A list of a million of them, even of
  what they are made of, is larger than any cache: reading that would be most of what is timed, and
  would push out what is to be measured.

  Before each pass all ids are forgotten. In the end every event of every pass must have been
  counted.
  """

  import Bitwise

  alias AdTally.Bench.{Contender, Stores}
  alias AdTally.{Event, Meter}

  # Absent unless somebody put it there.
  @compile {:no_warn_undefined, :hyper}

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

  defp dimensions(n, campaigns \\ @campaigns) do
    key = rem(mixed(n), @keys)
    {rem(key, campaigns), key, "us"}
  end

  defp event(n), do: event(n, @begin, dimensions(n), rem(mixed(n + 0x5A5A5A5), @users))

  # The user too is one that no other process has.
  defp sparse_event(n, at),
    do: event(n, at, dimensions(n, @keys), :erlang.phash2(self(), 1 <<< 20) <<< 32 ||| n)

  # With an id of 26 bytes that no other process makes in the same pass.
  defp event(n, at, dimensions, user) do
    id = <<"01JEX5M3Z7QK8R", :erlang.phash2(self())::32, n::64>>
    user = 80_351_110_224_678_912 + user
    %Event{id: id, at: at, dimensions: dimensions, user: user, metrics: @metrics}
  end

  # A number below 2^28 that looks random, without one that is no small integer on the way.
  defp mixed(n) do
    n = band(n * 0x1B873593, 0xFFFFFFF)
    n = band(bxor(n, n >>> 13) * 0x19D699A5, 0xFFFFFFF)
    bxor(n, n >>> 14)
  end

  defp numbers(first), do: first..(first + @batch - 1)
  defp event_list(first), do: Enum.map(numbers(first), &event/1)
  defp key_list(first), do: Enum.map(numbers(first), &dimensions/1)

  @doc """
  `AdTally.Meter.record/2`, one event after the other; `:users` is `:dense` or `:sparse`, and `:store` whether
  the meter has one.
  """
  @spec record(String.t(), pos_integer(), keyword()) :: Contender.t()
  def record(label, count, options) do
    metering(
      label,
      count,
      fn name, events -> Enum.each(events, &Meter.record(name, &1)) end,
      options
    )
  end

  @doc "`AdTally.Meter.record_many/2`, a hundred events a call."
  @spec record_many(String.t(), pos_integer(), keyword()) :: Contender.t()
  def record_many(label, count, options),
    do: metering(label, count, &Meter.record_many/2, options)

  # A meter that closes nothing, and ends with the job's process.
  defp metering(label, count, record, options) do
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"
    processes = Keyword.get(options, :processes, 1)
    {users, options} = Keyword.pop(options, :users, :dense)
    {store, options} = Stores.pop(options)

    {:ok, _meter} =
      Meter.start_link(
        Stores.option(store) ++
          [
            name: name,
            dimensions: [:campaign, :creative, :country],
            metrics: [:impressions, :clicks, :conversions, :spend_micros],
            clock: :events,
            lateness: @year,
            reach: [by: [:campaign]],
            dedupe: [window: @ids_window, capacity: max(count * processes, @ids)]
          ]
      )

    passes = :counters.new(1, [])

    # A window and a half further on all ids that were there are forgotten.
    at = fn -> @begin + :counters.get(passes, 1) * div(3 * @ids_window, 2) end

    forget = fn ->
      :counters.add(passes, 1, 1)
      at = at.()
      :ok = Meter.record(name, %Event{id: {:mark, at}, at: at, dimensions: {0, 0, "mark"}})
      Stores.empty(store)
    end

    check = fn passes ->
      %{applied: applied, received: received} = Meter.info(name).events

      # The marks are events as well. To dedupe one in eleven million or more looks like another one.
      expected = passes * count * processes + passes
      {{true, expected}, {(expected - applied) in 0..8, received}}
    end

    act = fn events -> record.(name, events) end
    # A minute after the mark, whose window has that.
    sparse = fn first -> Enum.map(numbers(first), &sparse_event(&1, at.() + 60_000)) end
    make = if users == :sparse, do: sparse, else: &event_list/1
    options = [make: make, prepare: forget, check: check] ++ options
    contender(label, count, act, options)
  end

  @doc "`:ets.update_counter/3` on as many keys: one metric, and nothing else."
  @spec ets(String.t(), pos_integer(), keyword()) :: Contender.t()
  def ets(label, count, options) do
    table = :ets.new(:bench, [:set, :public])
    for n <- 1..count, do: :ets.insert(table, {dimensions(n), 0})
    add = fn keys -> Enum.each(keys, &:ets.update_counter(table, &1, {2, 1})) end
    counted = fn -> :ets.foldl(fn {_key, count}, sum -> sum + count end, 0, table) end
    check = fn passes -> {passes * count, counted.()} end
    contender(label, count, add, [{:make, &key_list/1}, {:check, check} | options])
  end

  @doc """
  The same job but for users, as it is written with ETS: a table of ids that nobody cleans up, and
  a counter a metric.
  """
  @spec ets_job(String.t(), pos_integer(), keyword()) :: Contender.t()
  def ets_job(label, count, options) do
    {record, forget, counted} = in_ets()
    check = fn passes -> {passes * count, counted.()} end
    contender(label, count, record, [{:prepare, forget}, {:check, check} | options])
  end

  @doc """
  The same job with users: a process that has a filter of the library hyper for each campaign is
  sent them. It is waited for after each list of events, or it would fall behind without bound.
  """
  @spec hyper_job(String.t(), pos_integer(), keyword()) :: Contender.t()
  def hyper_job(label, count, options) do
    {record, forget, counted} = in_ets()
    {:ok, filters} = Agent.start_link(fn -> %{} end)

    act = fn events ->
      record.(events)
      for event <- events, do: Agent.cast(filters, __MODULE__, :show, [event])
      Agent.get(filters, &map_size/1)
    end

    users =
      1..count
      |> Enum.map(&event/1)
      |> Enum.uniq_by(&{elem(&1.dimensions, 0), &1.user})
      |> length()

    seen = fn filters -> filters |> Map.values() |> Enum.map(&:hyper.card/1) |> Enum.sum() end

    check = fn passes ->
      {{passes * count, true}, {counted.(), abs(Agent.get(filters, seen) / users - 1) < 0.02}}
    end

    contender(label, count, act, [{:prepare, forget}, {:check, check} | options])
  end

  # What records a list of events, what forgets all ids, and how many events were counted.
  defp in_ets do
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

    impressions = fn
      {{_window, _dimensions, :impressions}, sum}, all -> all + sum
      _row, all -> all
    end

    {&Enum.each(&1, record), fn -> :ets.delete_all_objects(ids) end,
     fn -> :ets.foldl(impressions, 0, rows) end}
  end

  @doc false
  def show(filters, %Event{dimensions: dimensions, user: user}) do
    campaign = elem(dimensions, 0)
    filter = filters[campaign] || :hyper.new(12)
    Map.put(filters, campaign, :hyper.insert(Integer.to_string(user), filter))
  end

  @doc "Whether the library hyper is on the code path."
  @spec hyper?() :: boolean()
  def hyper?, do: Code.ensure_loaded?(:hyper)

  # The size of a batch divides the number of events.
  defp contender(label, count, act, options) do
    firsts = Enum.to_list(1..count//@batch)
    options = Keyword.merge([operations_per_input: @batch, make: &event_list/1], options)
    Contender.new(label, firsts, act, options)
  end
end
