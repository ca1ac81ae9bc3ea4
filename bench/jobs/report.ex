defmodule AdTally.Bench.Jobs.Report do
  @moduledoc false
  # Beside ETS tables of the same rows, which a fold groups, or which are listed first.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Contender, Group}
  alias AdTally.{Event, Meter}

  @sizes %{
    full: [rows: [10_000, 100_000, 1_000_000], rounds: 5],
    quick: [rows: [10_000, 100_000], rounds: 3],
    smoke: [rows: [500], rounds: 2]
  }
  @begin 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:impressions, :clicks, :spend_micros]
  @campaigns 200
  @top 100
  @fold ":ets.foldl, grouped by campaign"
  @list ":ets.tab2list, grouped by all dimensions"
  @plain_list ":ets.tab2list alone"

  @impl true
  def name, do: "report"

  @impl true
  def about, do: "reports by one dimension and by all of them"

  @impl true
  def groups(size) do
    size = @sizes[size]
    for rows <- size[:rows], do: group(rows, size[:rounds])
  end

  defp group(rows, rounds) do
    plain = meter(rows, "Plain", [])
    with_reach = meter(rows, "Reach", reach: [by: [:campaign]])
    table = table(rows)
    by_campaign = [expected_summary: expected(rows, &rem(&1, @campaigns))]
    by_all = [expected_summary: expected(rows, & &1)]
    one = "AdTally.Meter.report by campaign"
    all = [by: @dimensions]

    %Group{
      title: "Report of #{rows} rows, figures a row",
      unit: "row",
      rounds: rounds,
      contenders:
        Enum.map(
          [
            report(one, plain, [by: [:campaign]], [yardsticks: [@fold]] ++ by_campaign),
            report(
              "the same, with reach",
              with_reach,
              [by: [:campaign]],
              [yardsticks: [one, @fold]] ++ by_campaign
            ),
            ets(
              @fold,
              fn -> :ets.foldl(&fold(&1, elem(elem(&1, 0), 0), &2), %{}, table) end,
              by_campaign
            ),
            report(
              "AdTally.Meter.report by all dimensions",
              plain,
              all,
              [yardsticks: [@list, @plain_list]] ++ by_all
            ),
            report(
              "the same, the #{@top} with the highest spend",
              plain,
              all ++ [order_by: :spend_micros, limit: @top],
              yardsticks: [@fold],
              expected_summary: top(rows)
            ),
            stream(
              "AdTally.Meter.stream_report by all dimensions",
              plain,
              all,
              [yardsticks: [@list]] ++ by_all
            ),
            ets(
              @list,
              fn -> table |> :ets.tab2list() |> Enum.reduce(%{}, &fold(&1, elem(&1, 0), &2)) end,
              by_all
            ),
            ets(@plain_list, fn -> :ets.tab2list(table) end, by_all)
          ],
          &%{&1 | operations_per_input: rows}
        )
    }
  end

  ## What is there

  defp meter(rows, name, options) do
    name = Module.concat(__MODULE__, "#{name}#{rows}#{System.unique_integer([:positive])}")
    names = [name: name, dimensions: @dimensions, metrics: @metrics, clock: :events]
    {:ok, _meter} = Meter.start_link(names ++ [max_keys: rows] ++ options)

    1..rows
    |> Stream.map(&event/1)
    |> Stream.chunk_every(1_000)
    |> Enum.each(fn events ->
      %{overflow: 0, late: 0} = Meter.record_many(name, events)
    end)

    name
  end

  defp event(number) do
    {dimensions, impressions, clicks, spend} = row(number)
    metrics = [impressions: impressions, clicks: clicks, spend_micros: spend]
    %Event{at: @begin, dimensions: dimensions, user: number, metrics: metrics}
  end

  defp table(rows) do
    table = :ets.new(:bench, [:set, :public])
    Enum.each(1..rows, &:ets.insert(table, row(&1)))
    table
  end

  defp row(number),
    do: {{rem(number, @campaigns), "creative-#{number}", "us"}, 1, rem(number, 3), number}

  ## What is done with it

  defp report(label, meter, options, more),
    do: contender(label, fn -> Meter.report(meter, options) end, &rows/1, more)

  # As an export would: rows are taken as they come.
  defp stream(label, meter, options, more) do
    take = fn -> meter |> Meter.stream_report(options) |> rows() end
    contender(label, take, &Function.identity/1, more)
  end

  defp ets(label, act, more), do: contender(label, act, &rows/1, more)

  # What a group's contenders are called with is kept until its figures are shown, and no longer.
  defp contender(label, act, summary, more) do
    input = more[:expected_summary]
    Contender.new(label, [input], fn _input -> act.() end, [summary: summary] ++ more)
  end

  defp fold({_values, impressions, clicks, spend}, group, groups) do
    case groups do
      %{^group => {i, c, s}} -> %{groups | group => {i + impressions, c + clicks, s + spend}}
      _ -> Map.put(groups, group, {impressions, clicks, spend})
    end
  end

  ## What has to come out: how many groups, and their sums

  defp rows(rows), do: Enum.reduce(rows, {0, 0, 0, 0}, &sum/2)

  defp sum({_group, {i, c, s}}, sums), do: sum(i, c, s, sums)
  defp sum({_values, i, c, s}, sums), do: sum(i, c, s, sums)
  defp sum(%{impressions: i, clicks: c, spend_micros: s}, sums), do: sum(i, c, s, sums)
  defp sum(i, c, s, {rows, is, cs, ss}), do: {rows + 1, is + i, cs + c, ss + s}

  defp expected(rows, group) do
    groups = 1..rows |> Enum.uniq_by(group) |> length()
    {rows, impressions, clicks, spend} = 1..rows |> Enum.map(&row/1) |> rows()
    ^rows = impressions
    {groups, impressions, clicks, spend}
  end

  defp top(rows), do: max(rows - @top + 1, 1)..rows |> Enum.map(&row/1) |> rows()
end
