defmodule AdTally.Web.AccessTest do
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.Test.WebJSON
  alias AdTally.Web

  @token "0123456789abcdef"

  setup context do
    name = Module.concat(__MODULE__, "Page#{context.line}")
    start_supervised!({Web, [name: name, port: false] ++ Map.get(context, :options, [])})
    [name: name]
  end

  defp get(name, path, headers \\ [], query \\ ""),
    do: Web.response("GET", path, query, headers, name: name)

  defp status(name, path, headers \\ [], query \\ ""),
    do: name |> get(path, headers, query) |> elem(0)

  describe "with a token" do
    @describetag options: [token: @token]

    test "nothing is answered without it, whatever is asked, and it says what to send", %{
      name: name
    } do
      for path <- ["/", "/metrics", "/api/overview", "/app.js", "/nothing", "/api/health"] do
        assert {401, headers, body} = get(name, path)
        assert {"www-authenticate", "Bearer"} in headers
        assert IO.iodata_to_binary(body) =~ "authorization: Bearer TOKEN"
        refute IO.iodata_to_binary(body) =~ @token
      end
    end

    test "a wrong one is none, whatever its length", %{name: name} do
      for wrong <- [
            "",
            "0",
            "0123456789abcdeF",
            @token <> "0",
            "0123456789abcde",
            @token <> @token
          ] do
        assert status(name, "/api/overview", [{"authorization", "Bearer " <> wrong}]) == 401
        assert status(name, "/api/overview", [{"cookie", "ad_tally_page=" <> wrong}]) == 401
        assert status(name, "/api/overview", [], "token=" <> wrong) == 401
      end

      assert status(name, "/api/overview", [{"authorization", "Basic " <> @token}]) == 401
      assert status(name, "/api/overview", [{"authorization", @token}]) == 401
      assert status(name, "/api/overview", [{"x-token", @token}]) == 401
    end

    test "it is taken from a header, in whatever case its scheme is", %{name: name} do
      for scheme <- ["Bearer", "bearer", "BEARER"],
          do:
            assert(
              status(name, "/api/overview", [{"authorization", "#{scheme} #{@token}"}]) == 200
            )
    end

    test "once in the address it sets a cookie, which is enough from then on", %{name: name} do
      assert {200, headers, body} = get(name, "/", [], "token=#{@token}")
      {"set-cookie", cookie} = List.keyfind(headers, "set-cookie", 0)
      [pair | attributes] = String.split(cookie, "; ")
      assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
      # The browser goes on without the token in the address.
      assert IO.iodata_to_binary(body) =~ ~s(http-equiv="refresh" content="0;url=./")
      refute IO.iodata_to_binary(body) =~ @token

      assert status(name, "/api/overview", [{"cookie", pair}]) == 200
      assert status(name, "/api/overview", [{"cookie", "a=b; #{pair} ; c=d"}]) == 200
      assert status(name, "/api/overview", [{"cookie", "a=b"}, {"cookie", pair}]) == 200

      assert status(name, "/api/overview", [{"cookie", String.replace(pair, "page", "4040")}]) ==
               401

      assert {200, again, _body} = get(name, "/api/overview", [{"cookie", pair}])
      refute List.keymember?(again, "set-cookie", 0)
    end

    test "an answer to a program with the token in its address is the answer", %{name: name} do
      assert {200, headers, body} = get(name, "/api/overview", [], "a=b&token=#{@token}")
      assert List.keymember?(headers, "set-cookie", 0)
      assert %{"meters" => _meters} = WebJSON.decode!(body)
    end

    test "a load balancer may know whether all is well, and no more", %{name: name} do
      # Other tests have parts that crash.
      assert {status, _headers, body} = get(name, "/health")
      assert status in [200, 503]
      assert Map.keys(WebJSON.decode!(body)) == ["status"]

      assert {_status, _headers, body} =
               get(name, "/health", [{"authorization", "Bearer #{@token}"}])

      assert Map.keys(WebJSON.decode!(body)) == ["problems", "status"]
    end
  end

  describe "with hosts" do
    @describetag options: [hosts: ["Ads.example.com", "[fe80::1]"]]

    test "it is answered by these, in any case and on any port, and by no other", %{name: name} do
      for host <- ["ads.example.com", "ADS.example.com:8080", "[fe80::1]:80", "[FE80::1]"],
          do: assert(status(name, "/api/series", [{"host", host}]) == 200)

      for headers <- [
            [],
            [{"host", ""}],
            [{"host", "evil.example"}],
            [{"host", "ads.example.com.evil.example"}],
            [{"host", "ads.example.com"}, {"host", "evil.example"}],
            [{"host", "[fe80::1].evil.example"}]
          ] do
        assert {403, _headers, body} = get(name, "/api/series", headers)

        assert WebJSON.decode!(body)["message"] =~
                 "expected the host to be one of ads.example.com"
      end
    end
  end

  test "without a server the host is that of whoever asks this", %{name: name} do
    assert status(name, "/api/series") == 200
    assert status(name, "/api/series", [{"host", "evil.example"}]) == 200
  end
end
