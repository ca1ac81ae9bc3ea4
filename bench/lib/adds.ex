defmodule AdTally.Bench.Adds do
  @moduledoc """
  Contenders that add to keys which already have a row of three metrics.

  Each has a table of its own, which is looked at in the end: every key must have
  got the same number of adds, and no other key may be there.
  """

  alias AdTally.Bench.{Contender, Keys, Scaling}
  alias AdTally.Counters

  @ets ":ets.update_counter"
  @ets_write_concurrency ":ets.update_counter, write_concurrency"

  @metrics [:impressions, :clicks, :spend_micros]

  # A table for each contender: a row on which processes have met is kept
  # differently from then on, and that must not slow down the single one.
  @doc "For `AdTally.Bench.Scaling`: our adds beside those of ETS, to the same keys."
  @spec subjects(Keys.t()) :: [Scaling.subject(), ...]
  def subjects(keys) do
    [
      {"AdTally.Counters.add", &ad_tally(&1, keys, &2)},
      {@ets, &ets(&1, keys, &2)},
      {@ets_write_concurrency, &ets_write_concurrency(&1, keys, &2)}
    ]
  end

  @doc "`AdTally.Counters.add/3`, an add a call."
  @spec ad_tally(String.t(), Keys.t(), keyword()) :: Contender.t()
  def ad_tally(label, keys, options) do
    counters = counters(keys)
    add = fn key -> Counters.add(counters, key, :impressions) end
    counting(label, keys, keys.visited, add, counter_of(counters), expecting_ok(options))
  end

  @doc "`AdTally.Counters.add_many/2`, `size` adds a call; `size` divides the number of visits."
  @spec ad_tally_many(String.t(), Keys.t(), pos_integer(), keyword()) :: Contender.t()
  def ad_tally_many(label, keys, size, options) do
    counters = counters(keys)
    lists = keys.visited |> Enum.map(&{&1, :impressions, 1}) |> Enum.chunk_every(size)
    add = fn items -> Counters.add_many(counters, items) end
    options = [{:operations_per_input, size} | expecting_ok(options)]
    counting(label, keys, lists, add, counter_of(counters), options)
  end

  @doc "`:ets.update_counter/3` on a public set."
  @spec ets(String.t(), Keys.t(), keyword()) :: Contender.t()
  def ets(label, keys, options), do: ets(label, keys, [], options)

  @doc "The same with `write_concurrency`."
  @spec ets_write_concurrency(String.t(), Keys.t(), keyword()) :: Contender.t()
  def ets_write_concurrency(label, keys, options) do
    ets(label, keys, [write_concurrency: true], options)
  end

  defp ets(label, keys, table_options, options) do
    table = :ets.new(:bench, [:set, :public | table_options])
    Enum.each(keys.inserted, &:ets.insert(table, {&1, 0, 0, 0}))
    add = fn key -> :ets.update_counter(table, key, {2, 1}) end

    counted = fn keys ->
      {:ets.info(table, :size), Enum.map(keys, &:ets.lookup_element(table, &1, 2))}
    end

    counting(label, keys, keys.visited, add, counted, options)
  end

  defp counters(keys) do
    counters = Counters.new(metrics: @metrics, max_keys: length(keys.inserted))
    Enum.each(keys.inserted, &Counters.add(counters, &1, :impressions, 0))
    counters
  end

  defp counter_of(counters) do
    fn keys ->
      {Counters.info(counters).keys, Enum.map(keys, &Counters.get(counters, &1, :impressions))}
    end
  end

  defp expecting_ok(options),
    do: [summary: &Function.identity/1, expected_summary: :ok] ++ options

  defp counting(label, keys, inputs, add, counted, options) do
    contender = Contender.new(label, inputs, add, options)
    key_count = length(keys.inserted)
    adds_per_key = div(Contender.operations(contender), key_count)

    check = fn passes ->
      {rows, totals} = counted.(keys.inserted)
      adds = passes * adds_per_key
      {{key_count, {adds, adds}}, {rows, Enum.min_max(totals)}}
    end

    %{contender | check: check}
  end
end
