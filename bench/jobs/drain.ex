defmodule AdTally.Bench.Jobs.Drain do
  @moduledoc false
  # Beside ETS' tab2list and delete_all_objects, which lose what others add
  # between the two calls: what ETS has that comes nearest.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Contender, Group, Keys}
  alias AdTally.Counters

  @sizes %{
    full: [rows: 1_000_000, rounds: 5],
    quick: [rows: 100_000, rounds: 3],
    smoke: [rows: 500, rounds: 2]
  }
  @ets ":ets.tab2list and delete_all_objects"

  @impl true
  def name, do: "drain"

  @impl true
  def about, do: "takes a million rows of three metrics out of a table"

  @impl true
  def groups(size) do
    size = @sizes[size]
    rows = size[:rows]
    numbered = Keys.distinct(rows).inserted |> Enum.zip(1..rows)

    # Each pass has to see every row once, with the amounts that went in.
    options = [
      operations_per_input: rows,
      expected_summary: {rows, rows, div(rows * (rows + 1), 2)}
    ]

    [
      %Group{
        title: "Drain of #{rows} rows, figures a row",
        unit: "row",
        rounds: size[:rounds],
        contenders: [ad_tally(numbered, rows, options), ets(numbered, options)]
      }
    ]
  end

  defp ad_tally(numbered, rows, options) do
    counters = Counters.new(metrics: [:impressions, :clicks, :spend_micros], max_keys: rows)

    fill = fn ->
      Enum.each(numbered, fn {key, number} ->
        Counters.add(counters, key, :impressions)
        Counters.add(counters, key, :spend_micros, number)
      end)
    end

    summary = fn drained ->
      Enum.reduce(drained, {0, 0, 0}, fn {_key, totals}, sums ->
        %{impressions: impressions, clicks: 0, spend_micros: spend} = totals
        sum(sums, impressions, spend)
      end)
    end

    left = fn _passes -> {0, Counters.info(counters).keys} end
    drain = fn _input -> Counters.drain(counters) end

    Contender.new(
      "AdTally.Counters.drain",
      [:drain],
      drain,
      [prepare: fill, summary: summary, check: left, yardsticks: [@ets]] ++ options
    )
  end

  defp ets(numbered, options) do
    table = :ets.new(:bench, [:set, :public])

    fill = fn ->
      Enum.each(numbered, fn {key, number} -> :ets.insert(table, {key, 1, 0, number}) end)
    end

    summary = fn rows ->
      Enum.reduce(rows, {0, 0, 0}, fn {_key, impressions, 0, spend}, sums ->
        sum(sums, impressions, spend)
      end)
    end

    drain = fn _input ->
      rows = :ets.tab2list(table)
      :ets.delete_all_objects(table)
      rows
    end

    left = fn _passes -> {0, :ets.info(table, :size)} end

    Contender.new(
      @ets,
      [:drain],
      drain,
      [prepare: fill, summary: summary, check: left] ++ options
    )
  end

  defp sum({rows, impressions, spend}, more_impressions, more_spend) do
    {rows + 1, impressions + more_impressions, spend + more_spend}
  end
end
