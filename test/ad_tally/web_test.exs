defmodule AdTally.WebTest do
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.{Event, Meter, Web}

  doctest AdTally.Web

  describe "options" do
    defp wrong(options) do
      assert_raise(ArgumentError, fn -> Web.start_link(options) end).message
    end

    test "say what would have been right" do
      for {options, message} <- [
            {[port: -1], "expected :port to be an integer from 0 to 65535"},
            {[port: "4040"], "expected :port to be an integer from 0 to 65535"},
            {[ip: "127.0.0.1"], "expected :ip to be an address as a tuple"},
            {[hosts: ["a:80"]], "expected :hosts to be a list of names without port"},
            {[hosts: "a"], "expected :hosts to be a list of names"},
            {[roles: [price: :a]], "expected :roles to be a keyword list of metrics"},
            {[campaign: "campaign"], "expected :campaign to be the name of a dimension"},
            {[top: 1_001], "expected :top to be from 0 to 1000"},
            {[name: "web"], "expected :name to be an atom"},
            {[ports: 1], "unknown or repeated options [:ports]"},
            {:options, "expected a keyword list of options"}
          ] do
        assert wrong(options) =~ message
      end
    end

    test "need a token where others than this machine can come" do
      for ip <- [{0, 0, 0, 0}, {10, 0, 0, 7}, {0, 0, 0, 0, 0, 0, 0, 0}] do
        assert wrong(ip: ip) =~
                 "expected a :token of at least 16 bytes where :ip is not of this machine alone"
      end

      for token <- ["0123456789abcde", String.duplicate("a", 1_025), :token, "0123456789abcde\n"] do
        message = wrong(ip: {0, 0, 0, 0}, token: token)
        assert message =~ "expected :token"
        refute message =~ "0123456789"
      end
    end

    test "a mistake in them does not show the token" do
      refute wrong([{:token, "0123456789abcdef"} | :improper]) =~ "0123456789"
    end
  end

  test "campaigns are among the metrics where that is asked for" do
    options = [name: WebTestTop, dimensions: [:campaign], metrics: [:clicks], clock: :events]
    start_supervised!({Meter, options})
    [without, with_top] = for top <- [0, 2], do: :"WebTestTop#{top}"
    start_supervised!({Web, name: without, port: false})
    start_supervised!({Web, name: with_top, port: false, top: 2})

    metrics = fn name ->
      "GET" |> Web.response("/metrics", "", [], name: name) |> elem(2) |> IO.iodata_to_binary()
    end

    refute metrics.(without) =~ ~s(adtally_campaign_metric_total{meter="WebTestTop")
    # Those that come from now on have a place, and keep it.
    metrics.(with_top)
    :ok = Meter.record(WebTestTop, %Event{at: 1_000, dimensions: {42}, metrics: [clicks: 3]})
    Meter.close(WebTestTop)

    line =
      ~s(\nadtally_campaign_metric_total{meter="WebTestTop",campaign="42",metric="clicks"} 3\n)

    assert metrics.(with_top) =~ line
  end

  test "a page that does not run is not asked" do
    assert_raise ArgumentError,
                 ~r/there is no AdTally.Web named Nobody that runs: start it/,
                 fn ->
                   Web.response("GET", "/", "", [], name: Nobody)
                 end

    assert_raise ArgumentError, ~r/there is no AdTally.Web named "x" that runs/, fn ->
      Web.response("GET", "/", "", [], name: "x")
    end
  end

  test "two pages of one VM are apart" do
    start_supervised!({Web, name: __MODULE__.One, port: 0})
    start_supervised!({Web, name: __MODULE__.Two, port: 0})
    assert Web.address(__MODULE__.One) != Web.address(__MODULE__.Two)
  end

  test "Prometheus gets the format that it asks for" do
    start_supervised!({Web, name: __MODULE__.Scraped, port: false})
    get = fn headers -> Web.response("GET", "/metrics", "", headers, name: __MODULE__.Scraped) end

    assert {200, headers, text} = get.([])
    assert {"content-type", "text/plain; version=0.0.4; charset=utf-8"} in headers
    assert IO.iodata_to_binary(text) =~ ~r/^adtally_build_info\{.*\} 1$/m
    accept = {"accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    assert {200, headers, text} = get.([{"accept", "*/*"}, accept])
    type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {"content-type", type} in headers
    assert text |> IO.iodata_to_binary() |> String.ends_with?("# EOF\n")
  end

  test "files of the page have types and tags, and come once" do
    start_supervised!({Web, name: __MODULE__.Files, port: false})
    get = fn path, headers -> Web.response("GET", path, "", headers, name: __MODULE__.Files) end

    for name <- File.ls!("priv/web") -- ["LICENSE-uPlot"],
        path = if(name == "index.html", do: "/", else: "/" <> name) do
      assert {200, headers, body} = get.(path, [])
      assert File.read!(Path.join("priv/web", name)) == IO.iodata_to_binary(body)
      {"etag", etag} = List.keyfind(headers, "etag", 0)
      assert etag =~ ~r/\A"[\w-]+"\z/
      assert {304, again, ""} = get.(path, [{"if-none-match", ~s("other", W/#{etag})}])
      assert {"etag", etag} in again
      assert {200, _headers, _body} = get.(path, [{"if-none-match", ~s("other")}])
      {"content-type", type} = List.keyfind(headers, "content-type", 0)
      assert type =~ ~r"\A(text/(html|css|javascript); charset=utf-8|image/svg\+xml)\z"
    end
  end
end
