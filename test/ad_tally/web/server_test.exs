defmodule AdTally.Web.ServerTest do
  # A live server, asked by clients of all kinds.
  use ExUnit.Case, async: true

  @moduletag :capture_log

  import AdTally.Test.Polling, only: [await: 1, await: 2]
  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter, Web}
  alias AdTally.Test.WebJSON

  setup context do
    name = Module.concat(__MODULE__, "Page#{context.line}")
    options = [name: name, port: 0] ++ Map.get(context, :options, [])
    page = start_supervised!({Web, options})
    address = Web.address(name)
    [name: name, page: page, address: address, port: URI.parse(address).port]
  end

  # As httpc has it: status, headers and body.
  defp request(method, address, headers \\ []) do
    headers = for {name, value} <- headers, do: {to_charlist(name), to_charlist(value)}
    address = to_charlist(address)

    request =
      if method in [:post, :put],
        do: {address, headers, ~c"text/plain", "abc"},
        else: {address, headers}

    # From OTP 29 on, httpc asks :public_key for options of TLS unless it is given some, and nothing else here needs that.
    options = [timeout: 20_000, autoredirect: false, ssl: []]

    {:ok, {{_version, status, _reason}, headers, body}} =
      :httpc.request(method, request, options, body_format: :binary)

    {status, Map.new(headers, fn {name, value} -> {to_string(name), to_string(value)} end), body}
  end

  defp connect(port) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false, packet: :raw])
    socket
  end

  # What a server answers to bytes, until it closes.
  defp exchange(port, bytes) do
    socket = connect(port)
    :ok = :gen_tcp.send(socket, bytes)
    read(socket, "")
  end

  defp read(socket, answer) do
    case :gen_tcp.recv(socket, 0, 20_000) do
      {:ok, bytes} -> read(socket, answer <> bytes)
      {:error, reason} when reason in [:closed, :econnreset] -> answer
    end
  end

  @closing "host: localhost\r\nconnection: close\r\n\r\n"

  test "every answer has the headers that keep a page to itself", %{address: address} do
    for {path, status} <- [{"api/overview", 200}, {"nothing", 404}, {"api/series", 200}] do
      assert {^status, headers, body} = request(:get, address <> path)
      assert headers["content-security-policy"] =~ "default-src 'self'"
      assert headers["x-content-type-options"] == "nosniff"
      assert headers["referrer-policy"] == "no-referrer"
      assert headers["x-frame-options"] == "DENY"
      assert headers["cache-control"] == "no-store"
      assert headers["content-type"] == "application/json; charset=utf-8"
      assert headers["content-length"] == Integer.to_string(byte_size(body))
    end
  end

  test "HEAD has the headers of GET, and no body", %{address: address, port: port} do
    {200, get, body} = request(:get, address <> "api/series")
    answer = exchange(port, "HEAD /api/series HTTP/1.1\r\n" <> @closing)
    assert [head, ""] = String.split(answer, "\r\n\r\n", parts: 2)
    assert head =~ ~r/\AHTTP\/1.1 200 /
    assert head =~ ~r/content-type: application\/json; charset=utf-8/i
    assert [_all, length] = Regex.run(~r/content-length: (\d+)/i, head)
    assert abs(String.to_integer(length) - byte_size(body)) < 500
    assert get["content-length"] == Integer.to_string(byte_size(body))
    # A connection goes on after it.
    both =
      "HEAD /api/series HTTP/1.1\r\nhost: localhost\r\n\r\nGET /api/series HTTP/1.1\r\n" <>
        @closing

    assert [_head, _get, body] = port |> exchange(both) |> String.split("\r\n\r\n")
    assert %{"names" => _names} = WebJSON.decode!(body)
  end

  test "a file that a client has already comes without a body and without a length", context do
    %{name: name, address: address, port: port} = context
    assert {200, %{"etag" => etag}, _body} = request(:get, address <> "app.js")

    for method <- ["GET", "HEAD"] do
      headers = [{"host", "localhost"}, {"if-none-match", etag}]
      assert {304, headers, ""} = Web.response(method, "/app.js", "", headers, name: name)
      assert {"etag", etag} in headers
      refute List.keymember?(headers, "content-length", 0)
      refute List.keymember?(headers, "transfer-encoding", 0)

      # A connection goes on after it.
      both =
        "#{method} /app.js HTTP/1.1\r\nhost: localhost\r\nif-none-match: #{etag}\r\n\r\n" <>
          "GET /api/series HTTP/1.1\r\n" <> @closing

      assert [head, next, body] = port |> exchange(both) |> String.split("\r\n\r\n")
      assert head =~ ~r/\AHTTP\/1.1 304 /
      assert head =~ etag
      refute head =~ ~r/^(content-length|transfer-encoding):/im
      assert next =~ ~r/\AHTTP\/1.1 200 /
      assert %{"names" => _names} = WebJSON.decode!(body)
    end

    assert {304, _headers, ""} = request(:get, address <> "app.js", [{"if-none-match", etag}])
  end

  test "what would change something is refused, with what would not", %{
    address: address,
    port: port
  } do
    for method <- [:post, :put, :delete, :options, :trace],
        {status, headers, _body} = request(method, address <> "api/overview"),
        status != 501 do
      assert status == 405
      assert headers["allow"] == "GET, HEAD"
    end

    assert {405, _headers, _body} = request(:post, address <> "api/overview")
    assert exchange(port, "BREW / HTTP/1.1\r\n" <> @closing) =~ ~r/\AHTTP\/1.1 501 /
  end

  test "a page of somebody else, whose name leads here, reads nothing", %{port: port} do
    for host <- [
          "evil.example",
          "evil.example:#{port}",
          "localhost.evil.example",
          "127.0.0.1.evil.example",
          ""
        ] do
      answer =
        exchange(port, "GET /api/overview HTTP/1.1\r\nhost: #{host}\r\nconnection: close\r\n\r\n")

      assert answer =~ ~r/\AHTTP\/1.1 403 /
      refute answer =~ "meters"
    end

    for host <- ["localhost", "127.0.0.1:#{port}", "LOCALHOST:80", "[::1]:#{port}"] do
      answer =
        exchange(port, "GET /api/overview HTTP/1.1\r\nhost: #{host}\r\nconnection: close\r\n\r\n")

      assert answer =~ ~r/\AHTTP\/1.1 200 /
    end

    # The oldest clients have none.
    assert exchange(port, "GET /api/overview HTTP/1.0\r\n\r\n") =~ ~r/\AHTTP\/1.\d 403 /

    assert exchange(port, "GET /api/overview HTTP/1.1\r\nconnection: close\r\n\r\n") =~
             ~r/\AHTTP\/1.1 400 /
  end

  test "no path leads out of the page", %{port: port} do
    for path <- [
          "/../mix.exs",
          "/%2e%2e/mix.exs",
          "/..%2fmix.exs",
          "/..%5cmix.exs",
          "//etc/passwd",
          "/etc/passwd",
          "/index.html/../../../etc/passwd",
          "/app.js%00.html",
          "/api/../../../../etc/passwd",
          "/priv/web/app.js",
          "/LICENSE-uPlot",
          "/.gitignore"
        ] do
      answer = exchange(port, "GET #{path} HTTP/1.1\r\n" <> @closing)
      assert [_all, status] = Regex.run(~r/\AHTTP\/1.1 (\d+) /, answer)
      assert status in ["404", "400", "403"], "#{path}: #{answer}"
      refute answer =~ "root:"
      refute answer =~ "defmodule"
    end
  end

  test "malformed percent-encodings and queries of any size are refused", %{port: port} do
    for {query, statuses} <- [
          {"of=%zz", ["400"]},
          {"of=%", ["400"]},
          {"of=%ff", ["400"]},
          {String.duplicate("of=a&", 33), ["400"]},
          {String.duplicate("a", 9_000), ["414"]},
          {String.duplicate("a", 1_000_000), ["414", "413"]}
        ] do
      answer = exchange(port, "GET /api/series?#{query} HTTP/1.1\r\n" <> @closing)
      assert [_all, status] = Regex.run(~r/\AHTTP\/1.1 (\d+) /, answer)
      assert status in statuses
      assert byte_size(answer) < 2_000
    end

    # Decoded once, not twice.
    answer = exchange(port, "GET /api/series?of=a%2541%26b HTTP/1.1\r\n" <> @closing)
    assert [_head, body] = String.split(answer, "\r\n\r\n")
    assert [%{"of" => "a%41&b", "unit" => nil}] = WebJSON.decode!(body)["series"]
  end

  test "headers and bodies that are too large are refused", %{port: port} do
    header = "x: #{String.duplicate("a", 20_000)}\r\n"

    assert exchange(port, "GET /api/series HTTP/1.1\r\n" <> header <> @closing) =~
             ~r/\AHTTP\/1.1 413 /

    answer =
      exchange(port, "POST /api/series HTTP/1.1\r\ncontent-length: 1000000000\r\n" <> @closing)

    assert answer =~ ~r/\AHTTP\/1.1 413 /
  end

  test "bytes that are no request end their connection, and nothing else", %{
    port: port,
    address: address
  } do
    for bytes <- [
          "\r\n\r\n",
          "GET\r\n\r\n",
          <<0xFF, 0xFE, "\r\n\r\n">>,
          "GET / HTTP/9.9\r\n\r\n",
          "\0"
        ] do
      socket = connect(port)
      :gen_tcp.send(socket, bytes)
      :gen_tcp.close(socket)
    end

    assert {200, _headers, _body} = request(:get, address <> "api/series")
  end

  test "a client that sends a letter a second, or nothing, keeps nobody else waiting", %{
    port: port,
    address: address
  } do
    slow = for _ <- 1..50, do: connect(port)
    for socket <- slow, do: :ok = :gen_tcp.send(socket, "GET /api/ser")
    assert {200, _headers, _body} = request(:get, address <> "api/series")
    # They are still there: the answer did not have to wait until they were cut off.
    assert for(socket <- slow, do: :gen_tcp.recv(socket, 0, 0)) |> Enum.uniq() == [
             {:error, :timeout}
           ]

    Enum.each(slow, &:gen_tcp.close/1)
  end

  test "more connections than are served get an answer, and others come later", %{
    port: port,
    address: address
  } do
    sockets = for _ <- 1..300, do: connect(port)

    # Of what is not there, which takes no time: whoever sends nothing for fifteen seconds is cut off.
    answers =
      for socket <- sockets do
        :gen_tcp.send(socket, "GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")

        case :gen_tcp.recv(socket, 0, 20_000) do
          {:ok, "HTTP/1.1 " <> <<status::binary-3, _rest::binary>>} -> status
          {:error, reason} -> reason
        end
      end

    # Most of 128. How many depends on how soon httpd counts those that it has accepted, and who is refused counts for a
    # moment too.
    assert Enum.count(answers, &(&1 == "404")) in 32..128
    assert Enum.uniq(answers) -- ["404", "503", :closed] == []
    Enum.each(sockets, &:gen_tcp.close/1)
    await(fn -> match?({200, _headers, _body}, request(:get, address <> "api/series")) end)
  end

  test "its address is logged when it starts, and a port that is taken is said to be", %{
    port: port
  } do
    log =
      capture_log(fn ->
        start_supervised!({Web, name: __MODULE__.Logged, port: 0})
      end)

    assert log =~ "AdTally.Web.ServerTest.Logged is at #{Web.address(__MODULE__.Logged)}"

    assert {:error, {{:shutdown, {:failed_to_start_child, _child, reason}}, _spec}} =
             start_supervised({Web, name: __MODULE__.Taken, port: port})

    assert reason =~ "expected port #{port} of 127.0.0.1 to be free"
  end

  test "it listens on the port that it is given" do
    # One that was free a moment ago.
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1}, reuseaddr: true)
    {:ok, port} = :inet.port(socket)
    :ok = :gen_tcp.close(socket)
    start_supervised!({Web, name: __MODULE__.Given, port: port})
    assert Web.address(__MODULE__.Given) == "http://127.0.0.1:#{port}/"
    assert {200, _headers, _body} = request(:get, Web.address(__MODULE__.Given) <> "api/series")
  end

  @tag :slow
  test "a client that does not read is cut off, and keeps nobody else waiting", %{
    port: port,
    address: address
  } do
    options = [:binary, active: false, recbuf: 4_096, send_timeout: 100]
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, options)

    # A thousand answers of a quarter of a megabyte are more than all buffers take.
    of = Enum.map_join(1..32, "&", &"of=meter:#{&1}")
    request = "GET /api/series?step=60&#{of} HTTP/1.1\r\nhost: localhost\r\n\r\n"
    Enum.all?(1..1_000, fn _nth -> :gen_tcp.send(socket, request) == :ok end)
    assert {200, _headers, _body} = request(:get, address <> "api/series")
    await(fn -> :gen_tcp.send(socket, request) not in [:ok, {:error, :timeout}] end, 60_000)
    assert {200, _headers, _body} = request(:get, address <> "api/series")
  end

  test "it listens on IPv6 as well, where the machine has it" do
    options = [name: __MODULE__.Six, port: 0, ip: {0, 0, 0, 0, 0, 0, 0, 1}]

    case start_supervised({Web, options}) do
      {:ok, _page} ->
        address = Web.address(__MODULE__.Six)
        assert address =~ ~r"\Ahttp://\[::1\]:\d+/\z"
        %{port: port} = URI.parse(address)
        ip = {0, 0, 0, 0, 0, 0, 0, 1}
        {:ok, socket} = :gen_tcp.connect(ip, port, [:binary, :inet6, active: false])
        :ok = :gen_tcp.send(socket, "GET /api/series HTTP/1.1\r\n" <> @closing)
        assert read(socket, "") =~ ~r/\AHTTP\/1.1 200 /

      {:error, {{:shutdown, {:failed_to_start_child, _child, reason}}, _spec}} ->
        assert reason =~ "to be an address of this machine"
    end
  end

  @tag options: [token: "0123456789abcdef"]
  test "a token works over the wire", %{address: address, port: port} do
    assert {401, _headers, _body} = request(:get, address <> "api/overview")
    bearer = [{"Authorization", "Bearer 0123456789abcdef"}]
    assert {200, _headers, _body} = request(:get, address <> "api/overview", bearer)
    assert {200, headers, _body} = request(:get, address <> "?token=0123456789abcdef")
    [cookie | _attributes] = String.split(headers["set-cookie"], ";")
    assert cookie =~ "ad_tally_"
    assert {200, _headers, _body} = request(:get, address <> "api/overview", [{"Cookie", cookie}])

    assert exchange(port, "GET /api/overview HTTP/1.1\r\nCOOKIE: #{cookie}\r\n" <> @closing) =~
             " 200 "
  end

  test "a meter that stops is gone from the page, and the page goes on", %{
    address: address,
    name: page
  } do
    name = Module.concat(page, Meter)
    options = [name: name, dimensions: [:campaign], metrics: [:clicks]]
    start_supervised!({Meter, options}, id: name)
    text = name |> Atom.to_string() |> String.trim_leading("Elixir.")
    at = System.system_time(:millisecond)
    :ok = Meter.record(name, %Event{at: at, dimensions: {"<script>"}, metrics: [clicks: 1]})

    assert {200, _headers, body} = request(:get, address <> "api/campaigns?meter=" <> text)
    refute body =~ "<script>"
    assert [%{"name" => "<script>", "key" => key}] = WebJSON.decode!(body)["rows"]

    assert {200, _headers, body} =
             request(:get, address <> "api/campaign?meter=#{text}&key=#{key}")

    assert WebJSON.decode!(body)["row"]["clicks"] == 1

    stop_supervised!(name)
    await(fn -> match?({404, _, _}, request(:get, address <> "api/campaigns?meter=" <> text)) end)
    {404, _headers, body} = request(:get, address <> "api/campaigns?meter=" <> text)
    assert WebJSON.decode!(body)["message"] =~ "there is no meter named \"#{text}\" that runs"
    assert {200, _headers, body} = request(:get, address <> "api/overview")
    refute text in Enum.map(WebJSON.decode!(body)["meters"], & &1["name"])
    assert {200, _headers, _body} = request(:get, address <> "api/series")
  end

  test "what crashes within it is started again", %{address: address, name: name} do
    for child <- [AdTally.Web.Series.table(name), AdTally.Web.Reports.server(name)] do
      pid = Process.whereis(child)
      Process.exit(pid, :kill)

      await(fn ->
        Process.whereis(child) not in [nil, pid] and
          match?({200, _headers, _body}, request(:get, address <> "api/overview"))
      end)
    end
  end
end
