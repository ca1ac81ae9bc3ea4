defmodule AdTally.Guides.RabbitSinkTest do
  # Runs by test/integration/brokers.sh, which looks for what it needs.
  use ExUnit.Case

  @compile {:no_warn_undefined, [:amqp_channel, :amqp_connection, :amqp_uri]}

  alias AdTally.Meter
  alias AdTally.Sink.Files
  alias AdTally.Test.MeterSinks.Forwarding
  alias AdTally.Test.{AttributionWindows, LogLines, RabbitMQ, SentLines}

  @moduletag :brokers
  @moduletag :tmp_dir
  @moduletag :capture_log
  @sink MyApp.RabbitSink
  @exchange "rollups"
  @kinds ["counters", "reach", "overflow"]
  @rows 60_000

  setup_all do
    RabbitMQ.load_client()
    SentLines.define(@sink)
  end

  setup %{tmp_dir: dir} do
    rabbit = RabbitMQ.new(dir)
    on_exit(fn -> RabbitMQ.stop(rabbit) end)
    log = LogLines.start("has not taken window")
    on_exit(fn -> LogLines.stop(log) end)
    {:ok, rabbit: rabbit}
  end

  test "a window waits for a broker, its exchange and its queues", %{rabbit: rabbit} do
    sink = {@sink, exchange: @exchange, url: fn -> RabbitMQ.url(rabbit) end}
    start_supervised!({Meter, SentLines.meter(Waiting, 1_000, sink)})
    SentLines.record(Waiting, 1_000, 3)
    assert Meter.close(Waiting, 500) == {:error, :timeout}
    LogLines.await(:warning, "econnrefused")
    assert %{sinks: [%{delivered: 0, waiting: 3, dropped: 0}]} = Meter.info(Waiting)

    RabbitMQ.start(rabbit)
    assert Meter.close(Waiting, 500) == {:error, :timeout}
    LogLines.await(:warning, "no exchange 'rollups'")

    channel = channel(rabbit)
    declare_exchange(channel)
    assert Meter.close(Waiting, 500) == {:error, :timeout}
    LogLines.await(:warning, "NO_ROUTE")

    # One that takes no more than a message.
    for kind <- @kinds, do: declare_queue(channel, kind, 1)
    assert Meter.close(Waiting, 500) == {:error, :timeout}
    LogLines.await(:warning, "{:not_confirmed, false}")
    refused = for kind <- @kinds, message <- taken(channel, kind), do: message
    assert refused != []

    for kind <- @kinds do
      :amqp_channel.call(channel, {:"queue.delete", 0, kind, false, false, false})
      declare_queue(channel, kind)
    end

    assert Meter.close(Waiting, 60_000) == :ok
    messages = for kind <- @kinds, message <- taken(channel, kind), do: message
    assert length(messages) == length(Enum.uniq_by(messages, &elem(&1, 0)))
    assert %{sinks: [%{delivered: 3, waiting: 0}]} = Meter.info(Waiting)
    messages |> lines() |> SentLines.assert_reported(Waiting)
    # The refused attempt had the same parts.
    assert refused -- messages == []
  end

  test "a broker that is killed in the middle of a window", %{rabbit: rabbit} do
    RabbitMQ.start(rabbit)
    channel = channel(rabbit)
    declare_exchange(channel)
    for kind <- @kinds, do: declare_queue(channel, kind)

    # The line holds after more than the first fifty parts, for whose confirms the sink waits.
    port = holding_proxy(rabbit.port, bytes_of_parts(75))
    url = :atomics.new(1, [])
    :atomics.put(url, 1, port)
    sink = {@sink, exchange: @exchange, url: fn -> RabbitMQ.url(rabbit, :atomics.get(url, 1)) end}
    start_supervised!({Meter, SentLines.meter(Killed, @rows, sink)})
    SentLines.record(Killed, @rows, 1)
    assert Meter.close(Killed, 1) == {:error, :timeout}
    assert_receive :held
    RabbitMQ.kill(rabbit)
    :atomics.put(url, 1, rabbit.port)
    LogLines.await(:warning, "closed")

    RabbitMQ.start(rabbit)
    assert Meter.close(Killed, 60_000) == :ok
    channel = channel(rabbit)
    messages = for kind <- @kinds, message <- taken(channel, kind), do: message
    kept = Enum.uniq_by(messages, &elem(&1, 0))
    # The first fifty were confirmed before the line held: the kill has lost none of them.
    assert length(messages) - length(kept) >= 50
    assert Enum.uniq(messages) == kept
    kept |> lines() |> SentLines.assert_reported(Killed)
  end

  test "the window of an attribution is sent as that of a meter", %{rabbit: rabbit} do
    RabbitMQ.start(rabbit)
    channel = channel(rabbit)
    declare_exchange(channel)
    for kind <- ["credits", "touches"], do: declare_queue(channel, kind)
    window = AttributionWindows.window_of(1_000)
    options = [exchange: @exchange, url: fn -> RabbitMQ.url(rabbit) end]
    assert apply(@sink, :deliver, [window, options]) == :ok

    for kind <- [:credits, :touches] do
      messages = taken(channel, "#{kind}")
      # As the guide's sink parts them.
      assert for({_part, lines} <- messages, do: lines) ==
               window |> Files.chunks(kind, bytes: 100_000) |> Enum.to_list()

      for {{{_kind, headers}, _lines}, part} <- Enum.with_index(messages) do
        assert headers == %{
                 "meter" => inspect(window.attribution),
                 "node" => "#{node()}",
                 "epoch" => window.epoch,
                 "sequence" => 1,
                 "part" => part
               }
      end
    end
  end

  # What the first parts of the window take.
  defp bytes_of_parts(count) do
    start_supervised!({Meter, SentLines.meter(Measured, @rows, {Forwarding, to: self()})})
    SentLines.record(Measured, @rows, 1)
    :ok = Meter.close(Measured)
    assert_received {:window, window}

    parts =
      window |> Files.chunks(:counters, bytes: 100_000) |> Enum.map(&byte_size(:zlib.gzip(&1)))

    assert length(parts) > 100
    parts |> Enum.take(count) |> Enum.sum()
  end

  defp channel(rabbit) do
    {:ok, params} = rabbit |> RabbitMQ.url() |> to_charlist() |> :amqp_uri.parse()
    {:ok, connection} = :amqp_connection.start(params)
    {:ok, channel} = :amqp_connection.open_channel(connection)
    channel
  end

  defp declare_exchange(channel) do
    declare = {:"exchange.declare", 0, @exchange, "direct", false, true, false, false, false, []}
    {:"exchange.declare_ok"} = :amqp_channel.call(channel, declare)
  end

  # Durable; with a most number of messages it refuses further ones.
  defp declare_queue(channel, kind, most \\ nil) do
    arguments =
      if most,
        do: [{"x-max-length", :long, most}, {"x-overflow", :longstr, "reject-publish"}],
        else: []

    declare = {:"queue.declare", 0, kind, false, true, false, false, false, arguments}
    {:"queue.declare_ok", ^kind, 0, 0} = :amqp_channel.call(channel, declare)
    bind = {:"queue.bind", 0, kind, @exchange, kind, false, []}
    {:"queue.bind_ok"} = :amqp_channel.call(channel, bind)
  end

  # All messages of a queue: {{which part of which window}, lines} of each.
  defp taken(channel, kind) do
    case :amqp_channel.call(channel, {:"basic.get", 0, kind, true}) do
      {{:"basic.get_ok", _tag, _redelivered, @exchange, ^kind, _left},
       {:amqp_msg, properties, payload}} ->
        {:P_basic, _type, "gzip", headers, 2, _, _, _, _, _, _, ^kind, _, _, _} = properties

        [
          {{kind, Map.new(headers, fn {name, _type, value} -> {name, value} end)},
           :zlib.gunzip(payload)}
          | taken(channel, kind)
        ]

      {:"basic.get_empty", _cluster} ->
        []
    end
  end

  defp lines(messages), do: for({{kind, _headers}, lines} <- messages, do: {kind, lines})

  # Passes one connection on, of what is sent so many bytes, and then :held is sent to the test.
  defp holding_proxy(to, bytes) do
    test = self()
    {:ok, listening} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listening)

    proxy =
      spawn_link(fn ->
        {:ok, client} = :gen_tcp.accept(listening)
        {:ok, server} = :gen_tcp.connect({127, 0, 0, 1}, to, [:binary, active: false])

        spawn_link(fn ->
          pass(server, client, :infinity)
          :gen_tcp.close(client)
        end)

        pass(client, server, bytes)
        send(test, :held)
        Process.sleep(:infinity)
      end)

    :ok = :gen_tcp.controlling_process(listening, proxy)
    port
  end

  defp pass(_from, _to, bytes) when bytes <= 0, do: :ok

  defp pass(from, to, bytes) do
    with {:ok, some} <- :gen_tcp.recv(from, 0),
         :ok <- :gen_tcp.send(to, some),
         do: pass(from, to, if(bytes == :infinity, do: bytes, else: bytes - byte_size(some)))
  end
end
