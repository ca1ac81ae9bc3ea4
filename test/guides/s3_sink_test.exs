defmodule AdTally.Guides.S3SinkTest do
  # Runs by test/integration/brokers.sh, which looks for what it needs.
  use ExUnit.Case

  alias AdTally.Meter
  alias AdTally.Sink.Files
  alias AdTally.Test.MeterSinks.Forwarding
  alias AdTally.Test.{AttributionWindows, LogLines, Moto, RabbitMQ, SentLines}

  # It is no application that AdTally needs, and of OTP all the same.
  @compile {:no_warn_undefined, :public_key}

  @moduletag :brokers
  @moduletag :tmp_dir
  @moduletag :capture_log
  @sink MyApp.S3Sink

  setup_all do
    Moto.load_client()
    SentLines.define(@sink)
  end

  setup do
    log = LogLines.start("has not taken window")
    on_exit(fn -> LogLines.stop(log) end)
    [port] = RabbitMQ.free_ports(1)
    {:ok, port: port}
  end

  defp start(port, dir, tls \\ []) do
    moto = Moto.start(port, dir, tls)
    on_exit(fn -> Moto.stop(moto) end)
    moto
  end

  defp options(port, dir, options \\ []) do
    defaults = [
      dir: Path.join(dir, "sp[oo]l"),
      url: "http://localhost:#{port}/ads/roll%20ups",
      region: "eu-central-1",
      credentials: fn -> {"AKIDEXAMPLE", "secret", nil} end
    ]

    Keyword.merge(defaults, options)
  end

  test "a window waits for a store, its bucket and a key that is right", %{
    tmp_dir: dir,
    port: port
  } do
    keys = :persistent_term
    keys.put(__MODULE__, {"AKIDEXAMPLE", "wrong", nil})
    types = [creative: :string]
    options = options(port, dir, types: types, credentials: fn -> keys.get(__MODULE__) end)
    start_supervised!({Meter, SentLines.meter(Put, 1_000, {@sink, options})})
    SentLines.record(Put, 1_000, 3)
    assert Meter.close(Put, 500) == {:error, :timeout}
    LogLines.await(:warning, "econnrefused")
    assert %{sinks: [%{delivered: 0, waiting: 3, dropped: 0}]} = Meter.info(Put)

    moto = start(port, dir)
    [id, secret] = Moto.user(moto)
    Moto.check_signatures(moto, true)
    assert Meter.close(Put, 500) == {:error, :timeout}
    LogLines.await(:warning, "InvalidAccessKeyId")

    keys.put(__MODULE__, {id, "wrong", nil})
    assert Meter.close(Put, 500) == {:error, :timeout}
    LogLines.await(:warning, "SignatureDoesNotMatch")

    keys.put(__MODULE__, {id, secret, nil})
    assert Meter.close(Put, 500) == {:error, :timeout}
    LogLines.await(:warning, "NoSuchBucket")

    Moto.check_signatures(moto, false)
    Moto.create_bucket(moto, "ads")
    Moto.check_signatures(moto, true)
    assert Meter.close(Put, 60_000) == :ok
    objects = Moto.objects(moto, "ads")
    assert map_size(objects) == 9

    assert objects |> Map.keys() |> Enum.map(&Path.dirname/1) |> Enum.uniq() |> Enum.sort() ==
             folders()

    objects |> lines() |> SentLines.assert_reported(Put)

    assert for({"counters", text} <- lines(objects), do: text)
           |> Enum.all?(&(&1 =~ ~s("misfits":null)))

    assert for(
             kind <- File.ls!(options[:dir]),
             date <- File.ls!(Path.join(options[:dir], kind)),
             file <- File.ls!(Path.join([options[:dir], kind, date])),
             do: file
           ) == []

    # With the token of a role.
    [id, secret, token] = Moto.role(moto)
    Moto.check_signatures(moto, true)
    window = window()
    {:ok, options} = apply(@sink, :validate, [options])
    keys.put(__MODULE__, {id, secret, "wrong"})
    assert {:error, {_status, answer, _url}} = apply(@sink, :deliver, [window, options])
    assert answer =~ "InvalidToken"
    keys.put(__MODULE__, {id, secret, token})
    assert apply(@sink, :deliver, [window, options]) == :ok
  end

  test "a window replaces its own objects, and what was left is put as well", %{
    tmp_dir: dir,
    port: port
  } do
    moto = start(port, dir)
    Moto.create_bucket(moto, "ads")
    {:ok, options} = apply(@sink, :validate, [options(port, dir)])
    [left, window] = [window(), window()]
    :ok = Files.deliver(left, options[:files])
    assert apply(@sink, :deliver, [window, options]) == :ok
    objects = Moto.objects(moto, "ads")
    assert map_size(objects) == 6
    assert apply(@sink, :deliver, [window, options]) == :ok
    assert Map.keys(Moto.objects(moto, "ads")) == Map.keys(objects)

    assert :ok = Files.deliver(left, dir: Path.join(dir, "files"))
    files = Path.wildcard(Path.join(dir, "files/**/*.gz"))
    assert length(files) == 3

    for file <- files do
      key = "roll ups/" <> Path.relative_to(file, Path.join(dir, "files"))
      assert objects[key] == File.read!(file)
    end
  end

  test "the window of an attribution is put as that of a meter", %{tmp_dir: dir, port: port} do
    moto = start(port, dir)
    Moto.create_bucket(moto, "ads")
    {:ok, options} = apply(@sink, :validate, [options(port, dir)])
    window = AttributionWindows.window_of(100)
    assert apply(@sink, :deliver, [window, options]) == :ok

    assert moto |> Moto.objects("ads") |> lines() |> Map.new() ==
             for(
               kind <- [:credits, :touches],
               into: %{},
               do: {"#{kind}", window |> Files.chunks(kind) |> Enum.join()}
             )
  end

  test "no other certificate than one of a trusted authority for the host's name is taken", %{
    tmp_dir: dir,
    port: port
  } do
    [authority, certificate, key] =
      for name <- ["authority", "certificate", "key"], do: Path.join(dir, name)

    # By OTP, for localhost.
    names = {:Extension, {2, 5, 29, 17}, false, [dNSName: ~c"localhost"]}
    strong = [key: {:rsa, 2_048, 65_537}, digest: :sha256]
    chain = %{root: strong, intermediates: [], peer: [{:extensions, [names]} | strong]}
    made = :public_key.pkix_test_data(chain)
    write_pem(authority, {:Certificate, hd(made[:cacerts])})
    write_pem(certificate, {:Certificate, made[:cert]})
    write_pem(key, made[:key])

    start(port, dir, certificate: certificate, key: key)

    deliver = fn host, more ->
      {:ok, options} =
        apply(@sink, :validate, [options(port, dir, [url: "https://#{host}:#{port}/ads"] ++ more)])

      apply(@sink, :deliver, [window(), options])
    end

    trusted = [ssl: [cacertfile: authority]]
    assert {:error, {404, answer, _url}} = deliver.("localhost", trusted)
    assert answer =~ "NoSuchBucket"
    assert {:error, {reason, _url}} = deliver.("127.0.0.1", trusted)
    assert inspect(reason) =~ "hostname_check_failed"
    assert {:error, {reason, _url}} = deliver.("localhost", [])
    assert inspect(reason) =~ "unknown_ca"
  end

  defp write_pem(path, {type, der}),
    do: File.write!(path, :public_key.pem_encode([{type, der, :not_encrypted}]))

  test "a store that does not answer", %{tmp_dir: dir} do
    {:ok, listening} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listening)
    {:ok, options} = apply(@sink, :validate, [options(port, dir, timeout: 500)])
    delivery = Task.async(fn -> apply(@sink, :deliver, [window(), options]) end)
    {:ok, socket} = :gen_tcp.accept(listening)
    [head, body] = socket |> received("") |> String.split("\r\n\r\n", parts: 2)
    hash = Base.encode16(:crypto.hash(:sha256, body), case: :lower)
    assert head =~ "x-amz-content-sha256: #{hash}\r\n"
    assert head =~ "content-length: #{byte_size(body)}\r\n"
    assert {:error, {:timeout, _url}} = Task.await(delivery, :infinity)
  end

  # All that comes until nothing does for a while.
  defp received(socket, before) do
    case :gen_tcp.recv(socket, 0, 200) do
      {:ok, more} -> received(socket, before <> more)
      {:error, :timeout} -> before
    end
  end

  test "options that are missing, or of another meter", %{tmp_dir: dir} do
    assert {:error, "it needs [:region, :credentials]"} =
             apply(@sink, :validate, [[dir: dir, url: "http://localhost"]])

    assert {:error, reason} = apply(@sink, :validate, [Keyword.delete(options(1, dir), :dir)])
    assert reason =~ "dir:"

    sink = {@sink, options(1, dir, types: [country: :string])}

    assert_raise ArgumentError, ~r/country/, fn ->
      Meter.start_link(SentLines.meter(Bad, 10, sink))
    end
  end

  defp folders do
    for kind <- ["counters", "overflow", "reach"],
        date <- ["2026-11-28", "2026-11-29"],
        do: "roll ups/#{kind}/date=#{date}"
  end

  # A window of a meter of its own.
  defp window do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    {:ok, meter} = name |> SentLines.meter(100, {Forwarding, to: self()}) |> Meter.start_link()
    SentLines.record(name, 100, 1)
    GenServer.stop(meter)
    assert_received {:window, window}
    window
  end

  defp lines(objects) do
    for {"roll ups/" <> key, bytes} <- objects,
        do: {key |> Path.split() |> hd(), :zlib.gunzip(bytes)}
  end
end
