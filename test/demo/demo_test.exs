defmodule AdTally.DemoTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  for file <-
        ~w(text log progress replay events workers generated reach caps meter service killed metered credits
          attribution attributed paced paced_killed),
      do: Code.require_file("../../demo/lib/#{file}.ex", __DIR__)

  alias AdTally.Test.SinkFiles

  alias AdTally.Demo.{
    Attributed,
    Attribution,
    Caps,
    Credits,
    Generated,
    Killed,
    Log,
    Meter,
    Metered,
    Paced,
    PacedKilled,
    Reach,
    Replay,
    Text
  }

  setup_all do
    impressions = Log.impressions()
    %{impressions: impressions, counted: Replay.count(impressions, 8)}
  end

  test "the log is what its description says", %{impressions: impressions} do
    assert length(impressions) == 60_000
    assert Enum.count(impressions, & &1.clicked?) == 287
  end

  test "impressions and clicks by policy and campaign are those of the description",
       %{counted: counted} do
    clicks = %{
      {"bts", "all"} => 42,
      {"bts", "men"} => 69,
      {"bts", "women"} => 46,
      {"random", "all"} => 38,
      {"random", "men"} => 46,
      {"random", "women"} => 46
    }

    for {key, clicks} <- clicks,
        do: assert(counted[key] == %{impressions: 10_000, clicks: clicks})
  end

  test "every row equals the count with plain maps", %{impressions: log, counted: counted} do
    assert Replay.differences(counted, Replay.expected(log)) == []
  end

  test "a row that is off by one, missing or too much is named", %{counted: counted} do
    key = {"bts", "men"}
    off = put_in(counted[key].clicks, 70)
    assert Replay.differences(off, counted) == [{key, off[key], counted[key]}]
    assert [{^key, nil, _row}] = Replay.differences(Map.delete(counted, key), counted)
    assert [{:extra, _row, nil}] = Replay.differences(Map.put(counted, :extra, %{}), counted)
  end

  test "differences are explained key by key, ten at most", %{counted: counted} do
    key = {"bts", "men"}
    off = put_in(counted[key].clicks, 70)

    assert off |> Replay.differences(counted) |> Replay.explain() ==
             "  #{inspect(key)}: counted #{inspect(off[key])}, expected #{inspect(counted[key])}"

    lines = %{} |> Replay.differences(counted) |> Replay.explain() |> String.split("\n")
    assert length(lines) == 11
    assert List.last(lines) == "  and #{map_size(counted) - 10} more"
  end

  @tag :tmp_dir
  @tag timeout: 600_000
  test "of the log delivered twice the meter counts every row once", %{
    impressions: log,
    tmp_dir: dir
  } do
    caps = Caps.replay(log)
    result = Meter.replay(caps.decided, 8, dir)
    withheld = caps.withheld |> Map.values() |> Enum.sum()
    assert caps.wrong == [] and withheld > 10_000
    assert Meter.differences(result, 60_000, withheld) == []
    assert [difference] = Meter.differences(result, 60_000, withheld + 1)
    assert difference =~ "withheld in the report"
    assert result.outcomes == %{ok: 60_000, duplicate: 60_000}

    for kind <- [:counters, :reach],
        do: assert(length(SinkFiles.paths(dir, kind)) == result.windows)

    assert SinkFiles.paths(dir, :overflow) == []
    assert result.windows > 100

    # The hour of the last event, and that before it, which late events may still come for.
    assert result.partial in 1..2
    rows = SinkFiles.rows(dir, :counters)
    assert Enum.all?(rows, &({"misfits", nil} in &1))
    assert rows |> Enum.map(&:proplists.get_value("impressions", &1)) |> Enum.sum() == 60_000
    assert Meter.table(result) =~ ~r/bts +men +10,000 +[0-9,]+ +69 +0.69 %/
  end

  @tag :tmp_dir
  @tag timeout: 600_000
  test "of a service that is killed in the middle of the log every row is counted once", %{
    impressions: log,
    tmp_dir: dir
  } do
    result = Killed.replay(log, 2, dir)
    assert result.counted == Killed.expected(log)
    assert result.kills == 2 and result.sent in 240..242
    assert Killed.table(result) =~ ~r/bts +men +10,000 +69/
  end

  @tag timeout: 600_000
  test "three campaigns spend their budgets over the day of the log, each at its pace", %{
    impressions: log
  } do
    result = Paced.replay(log)
    assert Paced.differences(result) == []
    assert length(result.hours) == 24
    assert result.hours |> Enum.map(&elem(&1, 0)) |> Enum.sum() == 60_000
    assert Map.keys(result.confirms) == [:ok]

    for {campaign, outcomes} <- result.outcomes do
      assert outcomes |> Map.delete(:unpaid) |> Map.values() |> Enum.sum() == 20_000
      assert outcomes.capped > 1_000 and outcomes.paced > 5_000
      assert result.spent[campaign] == result.total[campaign]
      assert result.spent[campaign] in 4_900_000..5_000_000
    end

    assert Paced.hours(result) =~ ~r/^24:00 +4,467 +4\.9\d\d +5\.000 /m
    assert Paced.outcomes(result) =~ ~r/^all +with the traffic +4,\d{3} /m

    # What would be wrong is said.
    [{user, [{"men", _user, at} | _]} | _] =
      Enum.to_list(
        Enum.group_by(result.shown, &elem(&1, 1), fn {_, user, at} -> {"men", user, at} end)
      )

    often = for n <- 0..2, do: {"men", user, at + n}
    off = %{result | shown: often, confirms: %{{:error, :expired} => 7}}
    off = put_in(off.total["all"], 5_000_001)

    assert [
             "all: booked are 5.000, ads have cost 4.9" <> _,
             "men was shown to " <> _,
             "7 confirms were {:error, :expired}"
           ] = Paced.differences(off)
  end

  @tag :tmp_dir
  @tag timeout: 600_000
  test "budgets are not exceeded by a service that is killed while it spends them", %{
    impressions: log,
    tmp_dir: dir
  } do
    result = PacedKilled.replay(log, 2, dir)
    assert PacedKilled.differences(result) == []
    assert result.starts == 3

    for {_campaign, row} <- result.campaigns do
      assert row.cost <= row.spent + row.presumed
      assert row.spent + row.presumed <= 4_000_000
      assert row.cost > 3_880_000
    end

    assert PacedKilled.table(result) =~ ~r/^women +[23],\d{3} +4\.000 +3\.[89]/m
    off = put_in(result.campaigns["men"].cost, 4_000_001)
    assert ["men has 4.000 of 4.000, which is too much" | _] = PacedKilled.differences(off)
  end

  test "generated events are counted exactly, by both ways" do
    capture_io(fn -> send(self(), {:run, Generated.run(120_001)}) end)
    assert_received {:run, run}
    assert run.expected.impressions == 120_001
    assert run.ours.sums == run.expected
    assert run.ets.sums == run.expected
    assert Generated.differences(run) == []
    assert Generated.table(run) =~ "AdTally.Counters"

    off = put_in(run.ets.sums.clicks, 0)
    assert [difference] = Generated.differences(off)
    assert difference =~ ~r/^:ets.update_counter counted 0 clicks, generated were 1,\d{3}$/
  end

  test "generated events are counted once each by a meter and in ETS" do
    capture_io(fn -> send(self(), {:run, Metered.run(120_001)}) end)
    assert_received {:run, run}
    assert run.expected.impressions == 120_001
    assert {run.ours.sums, run.ours.copies} == {run.expected, 2_401}
    assert {run.ets.sums, run.ets.copies} == {run.expected, 2_401}
    assert run.exact_users == 120_001
    assert Metered.differences(run) == []
    assert Metered.table(run) =~ "AdTally.Meter"

    off = put_in(run.ours.copies, 0)
    off = put_in(off.users.reach, 1.0)

    assert ["AdTally.Meter knew 0 copies" <> _, "estimated were 1 users" <> _] =
             Metered.differences(off)
  end

  @tag timeout: 600_000
  test "each click is credited to the impressions that its segment had seen", %{impressions: log} do
    result = Attribution.replay(log, 8)
    expected = Attribution.expected(log)
    assert {result.impressions, result.clicks} == {60_000, 287}
    assert Attribution.differences(result, expected) == []
    assert Map.keys(result.credits) -- Attribution.models() == []

    # All have a touch, as the clicked impression is one itself, and the last one.
    for model <- Attribution.models() do
      credits = Map.values(result.credits[model])
      assert credits |> Enum.map(&elem(&1, 0)) |> Enum.sum() == 287_000_000
      assert credits |> Enum.map(&elem(&1, 1)) |> Enum.sum() == 287 * 330_000
    end

    assert Attribution.table(result) =~ ~r/bts +men +69.00 /

    [{dimensions, {parts, value}} | _] = Enum.to_list(expected[:linear])
    off = put_in(expected[:linear][dimensions], {parts + 1, value})
    assert [difference] = Attribution.differences(result, off)
    assert difference =~ ":linear has credited #{inspect(dimensions)}"
  end

  test "credits of a list are those of the formulas" do
    path = [{3_000, :a}, {1_000, :b}, {0, :c}]
    linear = [a: {333_333, 33}, b: {333_333, 33}, c: {333_334, 34}]
    assert Credits.of(path, :linear, 100) == linear

    assert Credits.of(path, :position_based, 100) == [
             a: {400_000, 40},
             b: {200_000, 20},
             c: {400_000, 40}
           ]

    # An eighth, a half and one: of 1,625 parts.
    decay = [a: {76_923, 125}, b: {307_692, 500}, c: {615_385, 1_000}]
    assert Credits.of(path, {:time_decay, 1_000}, 1_625) == decay

    assert Credits.sums(linear ++ [a: {1, 1}, d: {0, 0}]) == %{
             a: {333_334, 34},
             b: {333_333, 33},
             c: {333_334, 34}
           }
  end

  @tag timeout: 600_000
  test "generated conversions are credited to the touches of their users" do
    capture_io(fn -> send(self(), {:run, Attributed.run(50_000)}) end)
    assert_received {:run, run}
    assert {run.touches, run.conversions, run.users} == {50_000, 1_000, 10_000}
    expected = Attributed.expected(run)
    assert Attributed.differences(run, expected) == []
    assert Attributed.table(run) =~ ~r/events a second +[0-9,]+/
    # Some have no touch in reach, and most have one.
    assert {unattributed, _value} = expected[:linear][nil]
    assert unattributed in 1_000_000..500_000_000

    assert [difference] =
             Attributed.differences(put_in(run.credits[:linear][nil], {1, 1}), expected)

    assert difference =~ ":linear has credited campaign nil with {1, 1}"
  end

  test "unique segments are those of the description", %{impressions: impressions} do
    rows = Reach.log(impressions, 8)

    exact = %{
      {"bts", "all"} => 253,
      {"bts", "men"} => 238,
      {"bts", "women"} => 212,
      {"random", "all"} => 240,
      {"random", "men"} => 230,
      {"random", "women"} => 205,
      {"all", "together"} => 337
    }

    assert Map.new(rows, &{&1.key, &1.exact}) == exact
    assert Map.new(rows, &{&1.key, round(&1.estimate)}) == exact
    assert Reach.differences(rows) == []
    assert Reach.table(rows, ["policy", "campaign"]) =~ ~r/bts +all +253 +253 +0.00 % +253 to 254/
  end

  test "users of generated campaigns are counted exactly, and estimated near that" do
    capture_io(fn -> send(self(), {:run, Reach.generated(300_001)}) end)
    assert_received {:run, run}
    assert length(run.rows) == 10
    assert Reach.differences(run.rows) == []
    # The largest gets an eighth of the events, and few of its users come twice.
    [largest | _] = run.rows
    assert_in_delta largest.exact, 300_001 / 7.5, 3_000
    assert run.info.keys > 900

    off = Map.update!(largest, :estimate, &(&1 * 1.1))
    assert [difference] = Reach.differences([off | tl(run.rows)])
    assert difference =~ ~r/^1: estimated 4\d,\d{3}, exact \d\d,\d{3}$/
  end

  test "numbers have separators" do
    assert Enum.map([0, 999, 1_000, -1_234_567], &Text.integer/1) ==
             ["0", "999", "1,000", "-1,234,567"]
  end
end
