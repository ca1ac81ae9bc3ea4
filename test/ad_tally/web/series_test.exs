defmodule AdTally.Web.SeriesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling, only: [await: 1]

  alias AdTally.{Event, Meter, Pacer}
  alias AdTally.Test.WebJSON
  alias AdTally.Web
  alias AdTally.Web.{Config, Names, Ring, Series}

  setup context do
    name = Module.concat(__MODULE__, "Page#{context.line}")
    start_supervised!({Series, Config.new!(name: name, port: false)})
    [name: name]
  end

  defp meter(page, word) do
    name = Module.concat(page, word)
    options = [name: name, dimensions: [:campaign], metrics: [:clicks]]
    start_supervised!({Meter, options}, id: name)
    {name, "meter:#{Names.name(name)}"}
  end

  defp points(name, of, step \\ 1) do
    {begin, [{^of, unit, points}]} = Series.points(name, [of], step)
    {begin, unit, points}
  end

  test "what was recorded is in the rates of the next seconds, once", %{name: name} do
    {meter, of} = meter(name, Meter)
    series = "#{of}:applied"
    await(fn -> {series, "per_second"} in Series.names(name) end)
    event = %Event{at: System.system_time(:millisecond), dimensions: {42}, metrics: [clicks: 1]}
    recorded = :counters.new(1, [])

    # Again and again: a sample that is a second late leaves a gap, with no rates at both of its sides.
    await(fn ->
      :ok = Meter.record(meter, event)
      :counters.add(recorded, 1, 1)
      grown(name, series) > 0
    end)

    assert grown(name, series) in 1..:counters.get(recorded, 1)
    assert Series.rate(name, series, 110) > 0
    {begin, "per_second", points} = points(name, series)
    assert length(points) == 120
    assert abs(begin + 119 - System.system_time(:second)) <= 5
    await(fn -> name |> points("#{of}:open_windows") |> elem(2) |> List.last() == 1 end)
  end

  # By how much a total has grown, of its rates and the times between samples.
  defp grown(name, series) do
    {times, _begun} = :ets.lookup_element(Series.table(name), :times, 2)
    {begin, "per_second", points} = points(name, series)

    for {rate, second} <- Enum.with_index(points, begin), rate != nil, reduce: 0.0 do
      sum -> sum + rate * (Ring.get(times, 1, second) - Ring.get(times, 1, second - 1)) / 1_000
    end
    |> round()
  end

  test "minutes have 1,440 points, the last of which is of this minute", %{name: name} do
    {begin, "bytes", points} = points(name, "total:memory_bytes", 60)
    assert length(points) == 1_440
    assert rem(begin, 60) == 0
    assert begin + 1_439 * 60 <= System.system_time(:second) + 1
    assert begin + 1_441 * 60 >= System.system_time(:second)
  end

  test "a name of nothing has points that are not known", %{name: name} do
    assert {_begin, nil, points} = points(name, "meter:Nobody:applied")
    assert points == List.duplicate(nil, 120)
  end

  test "a part that has ended has no further points, and one of its name goes on", %{name: name} do
    {meter, of} = meter(name, Meter)
    series = "#{of}:memory_bytes"
    await(fn -> name |> points(series) |> elem(2) |> List.last() != nil end)
    stop_supervised!(meter)
    await(fn -> name |> points(series) |> elem(2) |> List.last() == nil end)
    assert {_begin, "bytes", points} = points(name, series)
    assert Enum.any?(points)
    {^meter, ^of} = meter(name, Meter)
    await(fn -> name |> points(series) |> elem(2) |> List.last() != nil end)
  end

  test "the budget of a campaign that is looked at is sampled", %{name: name} do
    pacer = Module.concat(name, Pacer)
    start_supervised!({Pacer, name: pacer})
    :ok = Pacer.put(pacer, "<script>", budget_micros: 5_000_000)
    Series.watch(name, pacer, "<script>")
    at = System.system_time(:millisecond)
    {:ok, reservation} = Pacer.reserve(pacer, "<script>", 1, 1_000, at)
    :ok = Pacer.confirm(pacer, reservation, 700, at)
    series = pacer |> Series.of_campaign("<script>") |> Map.new()

    await(fn -> name |> points(series.spent_micros) |> elem(2) |> List.last() == 700 end)
    # The next one of the same sample, perhaps a moment later.
    await(fn -> name |> points(series.pass) |> elem(2) |> List.last() == 1.0 end)
    assert {_begin, "ratio", _points} = points(name, series.pass)
  end

  test "a campaign of a pacer may be a tuple", %{name: name} do
    pacer = Module.concat(name, TuplePacer)
    start_supervised!({Pacer, name: pacer})
    campaign = {1, :summer, "creative-7"}
    :ok = Pacer.put(pacer, campaign, budget_micros: 5_000_000)
    Series.watch(name, pacer, campaign)
    series = pacer |> Series.of_campaign(campaign) |> Map.new()
    await(fn -> name |> points(series.spent_micros) |> elem(2) |> List.last() == 0 end)
    assert Names.shown(campaign) == "{1, summer, creative-7}"
    assert {200, _headers, _body} = Web.response("GET", "/api/health", "", [], name: name)
    assert {200, _headers, _body} = Web.response("GET", "/api/overview", "", [], name: name)
  end

  test "names are asked for by the page, with what they are", %{name: name} do
    assert {200, _headers, body} = Web.response("GET", "/api/series", "", [], name: name)
    answer = WebJSON.decode!(body)
    assert answer["steps"] == %{"1" => 120, "60" => 1_440}
    assert %{"of" => "total:memory_bytes", "unit" => "bytes"} in answer["names"]

    assert {400, _headers, _body} =
             Web.response("GET", "/api/series", "of=a&step=2", [], name: name)
  end
end
