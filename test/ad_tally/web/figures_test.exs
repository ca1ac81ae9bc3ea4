defmodule AdTally.Web.FiguresTest do
  use ExUnit.Case, async: true

  alias AdTally.Web.{Figures, Names, Query, Roles, Rows}

  @metrics [:impressions, :clicks, :purchases, :spend_micros, :revenue_micros, :likes]
  @roles Roles.of([], @metrics)

  defp row(amounts, credits \\ %{}),
    do: Figures.row(Map.new(amounts), {:key, 42}, @metrics, @roles, credits)

  test "figures follow from metrics by their roles" do
    row =
      row(
        impressions: 120_000,
        clicks: 4_800,
        purchases: 130,
        spend_micros: 162_000_000,
        revenue_micros: 810_000_000,
        likes: 3,
        reach: 40_112.4,
        reach_low: 38_829.0,
        reach_high: 41_437.0
      )

    assert {row.key, row.name} == {"i42", "42"}
    assert {row.impressions, row.clicks, row.ctr} == {120_000, 4_800, 0.04}
    assert {row.spend_micros, row.ecpm_micros, row.cpc_micros} == {162_000_000, 1_350_000, 33_750}

    assert row.by_model == %{
             "recorded" => %{
               conversions: 130,
               value_micros: 810_000_000,
               cpa_micros: 1_246_154,
               roas: 5.0
             }
           }

    assert row.reach == %{estimate: 40_112, lower: 38_829, upper: 41_437}
    assert row.frequency == Float.round(120_000 / 40_112, 6)
    assert row.metrics.likes == 3
  end

  test "what would be divided by 0 is not known, and no metric of a row is missing" do
    row = row(spend_micros: 5)
    assert row.metrics == Map.new(@metrics, &{&1, if(&1 == :spend_micros, do: 5, else: 0)})

    assert {row.ctr, row.ecpm_micros, row.cpc_micros, row.reach, row.frequency} ==
             {nil, nil, nil, nil, nil}

    assert row.by_model["recorded"] == %{
             conversions: 0,
             value_micros: 0,
             cpa_micros: nil,
             roas: 0.0
           }
  end

  test "a meter without such metrics has no such figures" do
    row = Figures.row(%{likes: 3}, nil, [:likes], Roles.of([], [:likes]), %{})
    assert row.key == nil and row.metrics == %{likes: 3} and row.by_model == %{}

    for name <- [
          :impressions,
          :clicks,
          :ctr,
          :spend_micros,
          :ecpm_micros,
          :cpc_micros,
          :frequency
        ],
        do: assert(Map.fetch!(row, name) == nil)
  end

  test "quotients are rounded to the nearest integer, exactly beyond what a float has" do
    assert for(of <- -5..5, do: Figures.divide(of, 2)) == [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3]
    assert Figures.divide(9_223_372_036_854_775_807, 300) == 30_744_573_456_182_586
    assert Figures.divide(1, 0) == nil
    assert Figures.divide(nil, 1) == nil
    assert Figures.divide(1, -1) == nil
  end

  test "conversions of a model are parts of one, and cost what they cost to the micro" do
    credits = %{"linear" => %{ppm: 333_333, value: 20_000_000}}
    %{"linear" => linear} = row([spend_micros: 5_000_000], credits).by_model
    assert linear.conversions == 0.333333
    assert linear.cpa_micros == round(5_000_000 * 1_000_000 / 333_333)
    assert linear.roas == 4.0
  end

  test "roles are guessed from usual names, and options name others where a meter has them" do
    assert Roles.of([], [:views, :click, :cost_micros, :spend]) == %{
             impressions: :views,
             clicks: :click,
             spend: :cost_micros
           }

    roles = Roles.new!(impressions: :served, clicks: nil)
    assert Roles.of(roles, [:views, :served, :clicks]) == %{impressions: :served}
    assert %{impressions: :views} = Roles.of(roles, [:views, :clicks])

    for wrong <- [[cost: :spend], [clicks: "clicks"], :roles, [clicks: :a, clicks: :b], %{}] do
      assert_raise ArgumentError, ~r/expected :roles to be a keyword list of metrics/, fn ->
        Roles.new!(wrong)
      end
    end
  end

  test "the campaign is the dimension that is named so, or the first one" do
    assert Roles.campaign(nil, [:country, :campaign]) == :campaign
    assert Roles.campaign(nil, [:country, :line_item]) == :line_item
    assert Roles.campaign(nil, [:country, :device]) == :country
    assert Roles.campaign(:device, [:campaign, :device]) == :device
    assert Roles.campaign(:device, [:country, :campaign]) == :campaign
  end

  test "a name of a part is that of a module without its begin, and no other part's" do
    for {atom, name} <- [
          {MyApp.Ads, "MyApp.Ads"},
          {:"MyApp.Ads", ":MyApp.Ads"},
          {:":MyApp.Ads", "::MyApp.Ads"},
          {:ads, "ads"},
          {:"ads@10.0.0.1", "ads@10.0.0.1"},
          {:"Elixir.my app", "Elixir.my app"},
          {:"Elixir.", "Elixir."},
          {:"Elixir", ":Elixir"},
          {:"Elixir.Elixir.MyApp", "Elixir.MyApp"}
        ],
        do: assert(Names.name(atom) == name)
  end

  test "a key tells values apart whose names are the same, and is read again" do
    values = [42, -1, 2 ** 80, "42", :"42", "<script>", "", <<0xFF, 0>>, nil, true, :"a b"]
    keys = Enum.map(values, &Names.key/1)
    assert length(Enum.uniq(keys)) == length(values)
    for {key, value} <- Enum.zip(keys, values), do: assert(Names.value(key) == {:ok, value})

    for wrong <- [
          "",
          "i",
          "i4x",
          "b*",
          "x42",
          "ano atom has this name",
          "i" <> String.duplicate("9", 9_999)
        ],
        do: assert(Names.value(wrong) == :error)
  end

  describe "rows" do
    @rows for {name, clicks, ctr} <- [{"b", 5, 0.5}, {"a", 7, nil}, {"C", 6, 0.7}],
              do: %{
                name: name,
                clicks: clicks,
                ctr: ctr,
                metrics: %{likes: -clicks},
                by_model: %{"linear" => %{conversions: clicks / 2}}
              }

    defp take(text) do
      {:ok, query} = Query.parse(text)

      with {:ok, order} <- Rows.order(query, ~w(clicks name ctr), ["linear"], [:likes]) do
        {rows, count} = Rows.take(@rows, order)
        {Enum.map(rows, & &1.name), count}
      end
    end

    test "come in order, those without a value last in either" do
      assert take("") == {["a", "C", "b"], 3}
      assert take("order=asc") == {["b", "C", "a"], 3}
      assert take("sort=name") == {["a", "b", "C"], 3}
      assert take("sort=name&order=desc") == {["C", "b", "a"], 3}
      assert take("sort=ctr") == {["C", "b", "a"], 3}
      assert take("sort=ctr&order=asc") == {["b", "C", "a"], 3}
      assert take("sort=metric:likes") == {["b", "C", "a"], 3}
      assert take("sort=conversions:linear") == {["a", "C", "b"], 3}
    end

    test "are searched by a part of the name, and cut after that" do
      assert take("search=c") == {["C"], 1}
      assert take("search=x") == {[], 0}
      assert take("limit=2") == {["a", "C"], 3}
    end

    test "are asked for by names that there are" do
      for {text, part} <- [
            {"sort=foo", "expected sort to be one of clicks, name, ctr, "},
            {"sort=conversions:first", "conversions:linear"},
            {"order=up", "expected order to be one of desc, asc, got"},
            {"sort=name&order=up", "expected order to be one of asc, desc, got"},
            {"limit=0", "expected limit to be an integer from 1 to 1000"},
            {"limit=1001", "expected limit to be an integer from 1 to 1000"}
          ] do
        assert {:error, 400, message} = take(text)
        assert message =~ part
      end
    end
  end
end
