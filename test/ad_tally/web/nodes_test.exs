defmodule AdTally.Web.NodesTest do
  # It makes this VM a node.
  use ExUnit.Case, async: false

  @moduletag :capture_log

  alias AdTally.{Event, Meter, Web}
  alias AdTally.Test.{Nodes, WebJSON}

  @begin 1_780_272_000_000

  defp get(query) do
    query = URI.encode_query([{"meter", "AdTally.Web.NodesTest.Ads"} | query])

    {200, _headers, body} =
      Web.response("GET", "/api/campaigns", query, [], name: __MODULE__.Page)

    WebJSON.decode!(body)
  end

  test "campaigns are those of all nodes where that is asked for, and a node that is missing is named" do
    Nodes.with_peers(2, fn here, [there, other] ->
      options = [
        name: __MODULE__.Ads,
        dimensions: [:campaign],
        metrics: [:impressions, :spend_micros],
        clock: :events,
        reach: [by: [:campaign]]
      ]

      different = Keyword.put(options, :metrics, [:impressions, :clicks])
      Nodes.start_tree(there, [{Meter, options}])
      Nodes.start_tree(other, [{Meter, different}])
      start_supervised!({Meter, options})
      start_supervised!({Web, name: __MODULE__.Page, port: false})

      for {node, user} <- [{here, "ann"}, {there, "ben"}, {there, "ann"}] do
        event = %Event{
          at: @begin,
          user: user,
          dimensions: {42},
          metrics: [impressions: 1, spend_micros: 1_000]
        }

        :ok = :erpc.call(node, Meter, :record, [__MODULE__.Ads, event])
      end

      this = get([])
      assert [%{"impressions" => 1, "reach" => %{"estimate" => 1}}] = this["rows"]
      assert {this["nodes"], this["missing_nodes"]} == {[Atom.to_string(here)], []}

      all = get(nodes: "all")

      assert [%{"impressions" => 3, "ecpm_micros" => 1_000_000, "frequency" => 1.5} = row] =
               all["rows"]

      assert row["reach"]["estimate"] == 2
      assert all["total"]["spend_micros"] == 3_000
      assert Enum.sort(all["nodes"]) == Enum.sort([Atom.to_string(here), Atom.to_string(there)])
      assert [%{"node" => missing, "reason" => reason}] = all["missing_nodes"]
      assert missing == Atom.to_string(other)
      assert reason =~ "metrics"
    end)
  end
end
