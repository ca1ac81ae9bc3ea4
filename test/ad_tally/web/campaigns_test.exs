defmodule AdTally.Web.CampaignsTest do
  # Campaigns, one campaign, and attribution, against what was recorded.
  use ExUnit.Case, async: true

  @moduletag :capture_log

  import AdTally.Test.Polling, only: [await: 1]

  alias AdTally.{Attribution, Conversion, Event, FrequencyCap, Meter, Pacer, Web}
  alias AdTally.Test.WebJSON
  alias AdTally.Web.Series

  @begin 1_780_272_000_000
  @minute 60_000

  setup context do
    page = Module.concat(__MODULE__, "Page#{context.line}")
    names = Map.new([Ads, Attribution, Pacer, Caps], &{&1, Module.concat(page, &1)})

    attribution = [
      name: names[Attribution],
      dimensions: [:campaign],
      clock: :events,
      touches: [click: 600 * @minute],
      models: [:last_touch, :first_touch, {:time_decay, 604_800_000}],
      conversions: [purchase: :every]
    ]

    meter = [
      name: names[Ads],
      dimensions: [:campaign, :creative, :country],
      metrics: [:impressions, :clicks, :purchases, :spend_micros, :likes],
      clock: :events,
      reach: [by: [:campaign], precision: 14],
      attribution: [name: names[Attribution], cost: :spend_micros]
    ]

    start_supervised!({Attribution, attribution})
    meter = Keyword.merge(meter, Map.get(context, :meter, []))
    start_supervised!({Meter, meter})
    page_options = Map.get(context, :page, [])
    start_supervised!({Web, [name: page, port: false] ++ page_options})
    [page: page, names: names, ads: names[Ads], meter: text(names[Ads])]
  end

  defp text(name), do: name |> Atom.to_string() |> String.replace_prefix("Elixir.", "")

  defp get(page, path, query, status \\ 200) do
    query = URI.encode_query(query)
    assert {^status, _headers, body} = Web.response("GET", path, query, [], name: page)
    WebJSON.decode!(body)
  end

  defp record(ads, campaign, fields \\ []) do
    event =
      struct!(
        %Event{at: @begin, dimensions: {campaign, 7, "us"}, metrics: [impressions: 1]},
        fields
      )

    Meter.record(ads, event)
  end

  defp click(ads, campaign, id, user, cost) do
    :ok =
      record(ads, campaign,
        id: id,
        user: user,
        touch: :click,
        metrics: [clicks: 1, spend_micros: cost]
      )
  end

  # What an answer has of a part of this test: the pages of all tests show those of all others, too.
  defp own(parts, name), do: Enum.find(parts, &(&1["name"] == text(name)))

  defp names(answer), do: Enum.map(answer["rows"], & &1["name"])

  test "a row has what was recorded, and what follows from it", %{
    ads: ads,
    page: page,
    meter: meter
  } do
    for user <- 1..100,
        do: record(ads, 42, user: user, metrics: [impressions: 10, spend_micros: 1_000, likes: 2])

    click(ads, 42, 1, 1, 50_000)
    record(ads, 43)

    answer = get(page, "/api/campaigns", meter: meter)
    assert answer["meter"] == meter
    assert meter in answer["meters"]
    assert answer["dimension"] == "campaign"
    assert answer["since"] == @begin and answer["until"] == @begin + @minute
    assert {answer["count"], answer["truncated"]} == {2, false}

    assert [
             %{"key" => "impressions", "role" => "impressions", "unit" => "count"},
             %{"key" => "clicks", "role" => "clicks"},
             %{"key" => "purchases", "role" => "conversions"},
             %{"key" => "spend_micros", "role" => "spend", "unit" => "micros"},
             %{"key" => "likes", "role" => nil, "unit" => "count"}
           ] = answer["columns"]

    assert [row, other] = answer["rows"]
    assert {row["key"], row["name"], other["key"]} == {"i42", "42", "i43"}
    assert row["metrics"]["likes"] == 200
    assert {row["impressions"], row["clicks"], row["ctr"]} == {1_000, 1, 0.001}

    assert {row["spend_micros"], row["ecpm_micros"], row["cpc_micros"]} ==
             {150_000, 150_000, 150_000}

    assert row["reach"]["lower"] <= 100 and row["reach"]["upper"] >= 100
    assert row["frequency"] == Float.round(1_000 / row["reach"]["estimate"], 6)
    total = answer["total"]
    assert {total["key"], total["impressions"], total["spend_micros"]} == {nil, 1_001, 150_000}
    assert total["reach"]["estimate"] == 100
  end

  test "conversions are those of the meter and those of each model, with their cost", context do
    %{ads: ads, page: page, meter: meter, names: names} = context
    click(ads, 42, 1, "ann", 300_000)
    click(ads, 43, 2, "ann", 100_000)
    record(ads, 42, metrics: [purchases: 2])

    order = %Conversion{
      order: 1,
      user: "ann",
      at: @begin,
      action: :purchase,
      value_micros: 900_000
    }

    :ok = Attribution.convert(names[Attribution], order)

    answer = get(page, "/api/campaigns", meter: meter)
    assert answer["models"] == ["recorded", "last_touch", "first_touch", "time_decay:604800000"]
    assert answer["attribution"] == text(names[Attribution])
    [first, last] = answer["rows"]

    assert first["by_model"] == %{
             "recorded" => %{
               "conversions" => 2,
               "value_micros" => nil,
               "cpa_micros" => 150_000,
               "roas" => nil
             },
             "first_touch" => %{
               "conversions" => 1.0,
               "value_micros" => 900_000,
               "cpa_micros" => 300_000,
               "roas" => 3.0
             },
             "last_touch" => %{
               "conversions" => 0.0,
               "value_micros" => 0,
               "cpa_micros" => nil,
               "roas" => 0.0
             },
             "time_decay:604800000" => %{
               "conversions" => 0.5,
               "value_micros" => 450_000,
               "cpa_micros" => 600_000,
               "roas" => 1.5
             }
           }

    assert last["by_model"]["last_touch"]["roas"] == 9.0
    assert answer["total"]["by_model"]["first_touch"]["value_micros"] == 900_000

    by_model = get(page, "/api/campaigns", meter: meter, sort: "conversions:last_touch")
    assert names(by_model) == ["43", "42"]

    decayed = get(page, "/api/campaigns", meter: meter, sort: "roas:time_decay:604800000")
    assert decayed["sort"] == "roas:time_decay:604800000"
    assert names(decayed) == ["43", "42"]
    campaign = get(page, "/api/campaign", meter: meter, key: "i42")
    assert campaign["models"] == answer["models"]
    assert campaign["row"]["by_model"] == first["by_model"]

    attribution = get(page, "/api/attribution", name: text(names[Attribution]))
    assert attribution["models"] == ["last_touch", "first_touch", "time_decay:604800000"]
    assert names(attribution) == ["43", "42"]
    [row | _rows] = attribution["rows"]
    assert {row["touches"], row["cost_micros"]} == {1, 100_000}
    assert row["by_model"]["last_touch"] == last["by_model"]["last_touch"]
    assert attribution["total"]["cost_micros"] == 400_000
    assert attribution["total"]["by_model"]["first_touch"]["conversions"] == 1.0
    assert attribution["unattributed"] == nil
  end

  test "rows are sorted and searched by the server, before they are cut", context do
    %{ads: ads, page: page, meter: meter} = context

    for i <- 1..300,
        do: record(ads, "Ad #{i}", metrics: [impressions: i, spend_micros: 1_000 - i])

    answer = get(page, "/api/campaigns", meter: meter, sort: "impressions", limit: 2)
    assert names(answer) == ["Ad 300", "Ad 299"]
    assert {answer["count"], answer["truncated"], answer["limit"]} == {300, true, 2}
    assert names(get(page, "/api/campaigns", meter: meter, limit: 1)) == ["Ad 1"]
    answer = get(page, "/api/campaigns", meter: meter, search: "aD 29", sort: "name")
    assert names(answer) == ["Ad 29" | for(i <- 290..299, do: "Ad #{i}")]
    assert answer["total"]["impressions"] == 45_150
    answer = get(page, "/api/campaigns", [meter: meter, sort: "price"], 400)
    assert answer["message"] =~ "expected sort to be one of spend, name, impressions"
    assert answer["message"] =~ "metric:likes"
  end

  @tag meter: [max_keys: 3, reach: [by: [:campaign], max_keys: 3]]
  test "what had no room is in the total, whose users are not known", context do
    %{ads: ads, page: page, meter: meter} = context
    for i <- 1..5, do: record(ads, i, user: i)
    answer = get(page, "/api/campaigns", meter: meter)
    assert length(answer["rows"]) == 3
    assert answer["overflow"]["impressions"] == 2
    assert answer["total"]["impressions"] == 5
    assert answer["total"]["reach"] == nil
  end

  test "amounts beyond 2^53 are exact, as text", %{ads: ads, page: page, meter: meter} do
    amount = 9_007_199_254_740_993
    record(ads, 42, metrics: [spend_micros: amount, clicks: 2])
    [row] = get(page, "/api/campaigns", meter: meter)["rows"]
    assert row["spend_micros"] == "9007199254740993"
    assert row["metrics"]["spend_micros"] == "9007199254740993"
    assert row["cpc_micros"] == 4_503_599_627_370_497
  end

  @tag page: [roles: [impressions: :likes, conversions: nil], campaign: :creative]
  test "options say what the metrics are, and which dimension is the campaign", context do
    %{ads: ads, page: page, meter: meter} = context
    record(ads, 42, metrics: [likes: 200, clicks: 3])
    answer = get(page, "/api/campaigns", meter: meter)
    assert answer["dimension"] == "creative"
    # The attribution knows no creatives.
    assert {answer["models"], answer["attribution"]} == {[], nil}

    assert [%{"key" => "i7", "impressions" => 200, "ctr" => 0.015, "reach" => nil}] =
             answer["rows"]
  end

  test "names of campaigns are text, whatever is in them", %{ads: ads, page: page, meter: meter} do
    values = [
      "<script>alert(1)</script>",
      "</script>",
      "a\u2028b",
      <<0xFF>>,
      "",
      :atom,
      1,
      "1",
      :"1"
    ]

    for value <- values, do: :ok = record(ads, value)
    query = URI.encode_query(meter: meter)
    {200, _headers, body} = Web.response("GET", "/api/campaigns", query, [], name: page)
    refute IO.iodata_to_binary(body) =~ ~r/[<>\x{2028}]/u
    rows = WebJSON.decode!(body)["rows"]
    assert length(rows) == length(values)
    assert length(Enum.uniq_by(rows, & &1["key"])) == length(values)

    for row <- rows do
      answer = get(page, "/api/campaign", meter: meter, key: row["key"])
      assert answer["row"]["key"] == row["key"]
      assert answer["row"]["name"] == row["name"]
      assert answer["row"]["impressions"] == 1
    end
  end

  test "a name of 65,536 bytes is cut, and has no page of its own", context do
    %{ads: ads, page: page, meter: meter} = context
    lengths = [1_000, 4_096, 4_097, 60_000]

    for length <- lengths,
        do: :ok = record(ads, String.duplicate("ä", div(length, 2)) <> "#{length}")

    for length <- lengths, do: :ok = record(ads, String.duplicate(<<0xFF>>, length))
    rows = get(page, "/api/campaigns", meter: meter)["rows"]
    assert length(Enum.uniq_by(rows, & &1["key"])) == 8
    assert Enum.max(for row <- rows, do: String.length(row["name"])) == 1_001
    assert (String.duplicate("ä", 500) <> "1000") in Enum.map(rows, & &1["name"])

    statuses =
      for row <- rows do
        query = URI.encode_query(meter: meter, key: row["key"])
        {status, _headers, body} = Web.response("GET", "/api/campaign", query, [], name: page)
        {status, WebJSON.decode!(body)}
      end

    assert Enum.count(statuses, &match?({200, %{"row" => _row}}, &1)) == 3
    assert [message] = Enum.uniq(for {404, %{"message" => message}} <- statuses, do: message)
    assert message =~ "too long for a page of its own"
  end

  describe "one campaign" do
    test "has its row, others by dimension, how it came in time, and no other's budget",
         context do
      %{ads: ads, page: page, meter: meter, names: names} = context
      start_supervised!({Pacer, name: names[Pacer]})
      :ok = Pacer.put(names[Pacer], 43, budget_micros: 5_000)
      await(fn -> is_map_key(Series.snapshot(page).pacers, names[Pacer]) end)

      for minute <- 0..3, user <- 1..(10 * (minute + 1)) do
        at = @begin + minute * @minute
        dimensions = {42, rem(user, 2), if(user == 1, do: "ca", else: "us")}
        record(ads, 42, at: at, user: user, dimensions: dimensions)
        record(ads, 43, at: at)
      end

      answer = get(page, "/api/campaign", meter: meter, key: "i42")
      assert answer["row"]["impressions"] == 100
      assert Enum.map(answer["by"], & &1["dimension"]) == ["creative", "country"]
      [creatives, countries] = answer["by"]

      assert for(row <- creatives["rows"], do: {row["name"], row["impressions"]}) |> Enum.sort() ==
               [{"0", 50}, {"1", 50}]

      assert for(row <- countries["rows"], do: {row["name"], row["impressions"]}) |> Enum.sort() ==
               [{"ca", 4}, {"us", 96}]

      windows = answer["windows"]
      assert windows["begin"] == for(minute <- 0..3, do: @begin + minute * @minute)
      assert windows["until"] == @begin + 4 * @minute
      assert windows["metrics"]["impressions"] == [10, 20, 30, 40]
      # Users until then, who are the same ones again.
      assert windows["reach"]["at"] == for(minute <- 1..4, do: @begin + minute * @minute)
      assert windows["reach"]["estimate"] == [10, 20, 30, 40]
      # Pacers of other tests may have a campaign 42, and this one has another.
      assert own(answer["pacers"], names[Pacer]) == nil
      other = get(page, "/api/campaign", meter: meter, key: "i43")

      assert %{"error" => nil, "status" => %{"budget_micros" => 5_000, "spent_micros" => 0}} =
               own(other["pacers"], names[Pacer])
    end

    test "of very many windows has some sixty points, which add up", %{
      ads: ads,
      page: page,
      meter: meter
    } do
      for minute <- 0..499, do: record(ads, 42, at: @begin + minute * @minute, user: minute)
      windows = get(page, "/api/campaign", meter: meter, key: "i42")["windows"]
      assert length(windows["begin"]) in 50..60
      assert Enum.sum(windows["metrics"]["impressions"]) == 500
      assert length(windows["reach"]["at"]) in 6..9
      assert List.last(windows["reach"]["estimate"]) in 490..510
      assert List.last(windows["reach"]["at"]) == windows["until"]
    end

    test "has its budget, as each pacer has it, and how caps have decided", context do
      %{ads: ads, page: page, meter: meter, names: names} = context
      start_supervised!({Pacer, name: names[Pacer]})
      start_supervised!({FrequencyCap, name: names[Caps], capacity: 1_000})
      :ok = Pacer.put(names[Pacer], 42, budget_micros: 5_000)
      at = System.system_time(:millisecond)
      {:ok, reservation} = Pacer.reserve(names[Pacer], 42, "r-1", 3_000, at)
      :ok = Pacer.confirm(names[Pacer], reservation, 1_200, at)
      for _ <- 1..3, do: FrequencyCap.admit(names[Caps], 42, "ann", [{1, 3_600_000}], at)
      record(ads, 42)

      shown = fn kind, part ->
        answer = get(page, "/api/campaign", meter: meter, key: "i42")
        own(answer[kind], names[part])
      end

      sampled = fn field ->
        points = get_in(shown.("pacers", Pacer), ["curve", field]) || []
        points |> Enum.filter(& &1) |> List.last()
      end

      # It is sampled from when it was looked at.
      await(fn -> {sampled.("spent_micros"), sampled.("pass")} == {1_200, 1.0} end)
      status = shown.("pacers", Pacer)["status"]

      assert {status["spent_micros"], status["budget_micros"], status["pass"]} ==
               {1_200, 5_000, 1.0}

      await(fn -> match?(%{"denied" => 2}, shown.("caps", Caps)) end)

      assert %{"denied_by_rounding" => 0, "refused" => 0, "of" => "all campaigns"} =
               shown.("caps", Caps)
    end

    test "that there is not is not found, and says what would be", %{
      page: page,
      meter: meter,
      ads: ads
    } do
      record(ads, 42)

      assert get(page, "/api/campaign", [meter: meter, key: "i7"], 404)["message"] =~
               "nothing of campaign \"7\""

      assert get(page, "/api/campaign", [meter: meter, key: "7"], 404)["message"] =~
               "no campaign with the key"

      assert get(page, "/api/campaign", [meter: meter], 400)["message"] =~ "expected a key"
    end
  end

  test "a meter and an attribution that do not run are named with those that do", %{
    page: page,
    meter: meter
  } do
    assert get(page, "/api/campaigns", [meter: "Nobody"], 404)["message"] =~
             ~s(no meter named "Nobody" that runs)

    assert get(page, "/api/attribution", [name: "Nobody"], 404)["message"] =~
             "no attribution named"

    answer = get(page, "/api/campaigns", meter: meter)
    assert {answer["rows"], answer["since"], answer["until"]} == {[], nil, nil}
    assert answer["total"]["impressions"] == 0
  end
end
