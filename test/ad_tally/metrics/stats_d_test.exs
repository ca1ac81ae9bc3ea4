defmodule AdTally.Metrics.StatsDTest do
  use ExUnit.Case, async: true

  @moduletag :capture_log

  alias AdTally.{Event, Meter}
  alias AdTally.Metrics.{Parts, StatsD}

  import AdTally.Test.{Crashes, Polling}

  doctest StatsD

  setup do
    name = :"stats_d_#{System.unique_integer([:positive])}"
    start_supervised!({Meter, name: name, dimensions: [:campaign], metrics: [:clicks]})
    {:ok, name: name}
  end

  defp udp do
    {:ok, agent} =
      :gen_udp.open(0, [
        :binary,
        ip: {127, 0, 0, 1},
        active: false,
        buffer: 65_536,
        recbuf: 1_000_000
      ])

    {:ok, port} = :inet.port(agent)
    {agent, port}
  end

  # Their paths must be short.
  defp path,
    do: Path.join(System.tmp_dir!(), "ad_tally_#{System.unique_integer([:positive])}.socket")

  defp unix(path \\ path()) do
    on_exit(fn -> File.rm(path) end)

    {:ok, agent} =
      :gen_udp.open(0, [:binary, active: false, buffer: 65_536, ifaddr: {:local, path}])

    {agent, path}
  end

  # Not by its timer, but when the test wants it.
  defp start(options), do: start_supervised!({StatsD, [interval: 3_600_000] ++ options})

  defp flush(stats_d) do
    send(stats_d, :send)
    :sys.get_state(stats_d)
  end

  defp packets(agent, packets \\ []) do
    case :gen_udp.recv(agent, 0, 50) do
      {:ok, {_from, _port, packet}} -> packets(agent, [packet | packets])
      {:error, :timeout} -> Enum.reverse(packets)
    end
  end

  defp lines(agent, name) do
    for packet <- packets(agent),
        line <- String.split(packet, "\n", trim: true),
        line =~ "meter:#{name}",
        do: line
  end

  defp record(name, count) do
    event = %Event{at: System.system_time(:millisecond), dimensions: {42}, metrics: [clicks: 1]}
    Meter.record_many(name, List.duplicate(event, count))
  end

  test "counters are told by how much they have grown, and gauges as they are", %{name: name} do
    {agent, port} = udp()
    record(name, 7)
    stats_d = start(port: port)
    record(name, 5)
    flush(stats_d)
    lines = lines(agent, name)
    assert "adtally.events:5|c|#meter:#{name},outcome:applied" in lines
    assert "adtally.open_windows:1|g|#meter:#{name}" in lines

    flush(stats_d)
    lines = lines(agent, name)
    refute Enum.any?(lines, &(&1 =~ "adtally.events"))
    assert "adtally.open_windows:1|g|#meter:#{name}" in lines

    record(name, 2)
    stop_supervised!(StatsD)
    assert "adtally.events:2|c|#meter:#{name},outcome:applied" in lines(agent, name)
  end

  test "a meter that crashes is counted on", %{name: name} do
    {agent, port} = udp()
    stats_d = start(port: port)
    record(name, 3)
    flush(stats_d)
    crash(name)
    record(name, 4)
    flush(stats_d)

    sent =
      for "adtally.events:" <> rest <- lines(agent, name),
          rest =~ "applied",
          do: rest |> Integer.parse() |> elem(0)

    assert sent == [3, 4]
  end

  test "packets are as full as they can be, and no line is in two of them", %{
    name: name
  } do
    {agent, path} = unix()
    stats_d = start(socket: path, max_packet: 200, tags: [env: "a b", zone: 7])
    record(name, 1)
    flush(stats_d)
    packets = packets(agent)
    assert length(packets) > 2
    assert Enum.all?(packets, &(byte_size(&1) <= 200 and String.ends_with?(&1, "\n")))
    lines = Enum.flat_map(packets, &String.split(&1, "\n", trim: true))

    assert Enum.all?(
             lines,
             &(&1 =~ ~r/\Aadtally\.[a-z_.]+:-?[0-9.]+\|[cg]\|#(?:[^,|]+,)*env:a_b,zone:7\z/)
           )

    for [packet, next] <- Enum.chunk_every(packets, 2, 1, :discard) do
      [first | _rest] = String.split(next, "\n")
      assert byte_size(packet) + byte_size(first) + 1 > 200
    end
  end

  test "what an agent that is away does not take is told once it is back", %{
    name: name
  } do
    path = path()
    stats_d = start(socket: path)
    record(name, 3)
    state = flush(stats_d)
    assert state.dropped > 0

    {agent, ^path} = unix(path)
    record(name, 4)
    flush(stats_d)
    packets = packets(agent)
    lines = Enum.flat_map(packets, &String.split(&1, "\n", trim: true))
    assert "adtally.events:7|c|#meter:#{name},outcome:applied" in lines
    assert "adtally.statsd_dropped_packets:#{state.dropped}|c" in lines
  end

  test "an agent that reads nothing holds nobody up, and gets it later", %{
    name: name
  } do
    {agent, path} = unix()
    stats_d = start(socket: path, max_packet: 64)
    record(name, 1)

    # Until its queue is full.
    state =
      Enum.reduce_while(1..100, nil, fn _, _ ->
        state = flush(stats_d)
        if state.dropped > 0, do: {:halt, state}, else: {:cont, state}
      end)

    assert state.dropped > 0
    record(name, 5)
    {micros, _state} = :timer.tc(fn -> flush(stats_d) end)
    assert micros < 5_000_000
    sent = lines(agent, name)
    flush(stats_d)
    sent = sent ++ lines(agent, name)

    counts =
      for "adtally.events:" <> rest <- sent,
          rest =~ "applied",
          do: rest |> Integer.parse() |> elem(0)

    assert Enum.sum(counts) == 6
  end

  test "a port where nobody listens is no reason to end", %{name: name} do
    {agent, port} = udp()
    :gen_udp.close(agent)
    stats_d = start(port: port)
    record(name, 1)
    for _ <- 1..3, do: flush(stats_d)
    assert Process.alive?(stats_d)
    assert :sys.get_state(stats_d).dropped > 0
  end

  test "a name without an address is looked up once in a flush, which drops all its packets", %{
    name: name
  } do
    stats_d = start(host: "a..b", max_packet: 64)
    record(name, 1)
    :erlang.trace_pattern({:inet, :getaddr, 2}, true, [:global])
    on_exit(fn -> :erlang.trace_pattern({:inet, :getaddr, 2}, false, [:global]) end)
    :erlang.trace(stats_d, true, [:call])

    for flush <- 1..2 do
      before = :sys.get_state(stats_d).dropped
      assert flush(stats_d).dropped > before + 1, "flush #{flush}"
      # As an address of either kind.
      delivered = :erlang.trace_delivered(stats_d)
      assert_receive {:trace_delivered, ^stats_d, ^delivered}
      assert looked_up(stats_d) == [:inet, :inet6]
    end
  end

  defp looked_up(pid) do
    receive do
      {:trace, ^pid, :call, {:inet, :getaddr, [~c"a..b", family]}} -> [family | looked_up(pid)]
    after
      0 -> []
    end
  end

  test "the longest interval that a timer can have is taken" do
    {_agent, port} = udp()
    stats_d = start_supervised!({StatsD, port: port, interval: 4_294_967_295})
    assert Process.alive?(stats_d)
  end

  test "options that are wrong are refused" do
    refused = fn options, message ->
      assert_raise ArgumentError, message, fn -> StatsD.start_link(options) end
    end

    refused.([hots: "a"], ~r/:hots/)
    refused.([host: ~c"a"], ~r/expected :host to be a name or an address as text/)
    refused.([port: 0], ~r/expected :port to be from 1 to 65535, got: 0/)
    refused.([socket: "/tmp/a", port: 1], ~r/either :socket or :host and :port/)
    refused.([socket: :a], ~r/expected :socket to be the path/)

    refused.(
      [socket: String.duplicate("a", 200)],
      ~r/expected :socket to be a path of at most 107 bytes/
    )

    for interval <- [9, 4_294_967_296] do
      refused.(
        [interval: interval],
        ~r/expected :interval to be milliseconds, an integer from 10 to 4294967295, got: #{interval}/
      )
    end

    refused.([max_packet: 1], ~r/expected :max_packet to be an integer of at least 64/)
    refused.([tags: ["a:b"]], ~r/expected :tags to be a keyword list/)
  end

  test "tags of names with other characters are as the client of Datadog has them" do
    name = :"a,b|c#d é\n#{System.unique_integer([:positive])}"
    start_supervised!({Meter, name: name, dimensions: [:campaign], metrics: [:clicks]}, id: name)
    {agent, port} = udp()
    stats_d = start(port: port)
    record(name, 1)
    flush(stats_d)
    text = String.replace(Atom.to_string(name), ~r/[,|#\n ]/, "_")
    assert "adtally.events:1|c|#meter:#{text},outcome:applied" in lines(agent, text)
  end

  test "names that are the same as tags are counted each by itself" do
    number = System.unique_integer([:positive])
    [one, other] = names = [:"same #{number}", :"same_#{number}"]

    for name <- names do
      options = [name: name, dimensions: [:campaign], metrics: [:clicks]]
      start_supervised!({Meter, options}, id: name)
    end

    {agent, port} = udp()
    stats_d = start(port: port)

    grown = fn ->
      flush(stats_d)

      for "adtally.events:" <> rest <- lines(agent, other),
          rest =~ "applied",
          do: Integer.parse(rest)
    end

    record(one, 3)
    record(other, 5)
    assert [{3, _}, {5, _}] = Enum.sort(grown.())
    assert grown.() == []
    record(one, 2)
    assert [{2, _}] = grown.()
  end

  test "what a meter that does not run at the start has counted before is not told later", %{
    name: name
  } do
    {agent, port} = udp()
    record(name, 7)
    stop_supervised!({Meter, name})
    # Its last totals are read once it has ended.
    await(fn -> Parts.watcher(name, Meter) == nil end)
    stats_d = start(port: port)
    start_supervised!({Meter, name: name, dimensions: [:campaign], metrics: [:clicks]})
    record(name, 2)
    flush(stats_d)
    assert [line] = for(line <- lines(agent, name), line =~ "adtally.events", do: line)
    assert line == "adtally.events:2|c|#meter:#{name},outcome:applied"
  end
end
