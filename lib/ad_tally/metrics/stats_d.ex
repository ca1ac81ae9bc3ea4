defmodule AdTally.Metrics.StatsD do
  @moduledoc """
  Sends `AdTally.Metrics.snapshot/0` to a StatsD agent that takes tags, such as that of Datadog, as a child of a
  supervisor:

      children = [
        {AdTally.Metrics.StatsD, host: "127.0.0.1", port: 8125, tags: [env: "prod"]},
        {AdTally.Meter, name: MyApp.Ads, ...}
      ]

  It sends the growth of counters since its own start. So start it before the parts that it reports.

  Every `:interval` it reads a snapshot and sends a line for each counter that has grown, with by how much, and for each gauge.
  Nothing is sent for an event. Names are those of `AdTally.Metrics.Prometheus`, with `adtally.` in place of `adtally_` and
  without `_total`, and labels are tags:

      adtally.events:1207|c|#meter:MyApp.Ads,outcome:applied
      adtally.open_windows:6|g|#meter:MyApp.Ads

  Of a histogram there are `.count` and `.sum`, as counters. In tags, whatever is no letter, no digit and none of
  `_-:/.` becomes `_`.

  Lines are joined to packets. What the socket does not take is dropped, is counted in
  `adtally.statsd_dropped_packets`, and is logged, at most once a minute. Of counters nothing is lost by
  that: their next line has what the dropped one had. What the network loses is lost.
  """

  use GenServer

  require Logger

  alias AdTally.Metrics
  alias AdTally.Metrics.{Catalog, Parts, Prometheus, Snapshot}
  alias AdTally.Options

  @options [:host, :port, :socket, :interval, :tags, :max_packet, :top, :name]

  # What fits into an Ethernet frame with the headers of IPv6 and UDP and some more, and what agents read of a unix
  # socket: those that the client of Datadog has.
  @udp_packet 1_432
  @unix_packet 8_192

  # A unix socket takes some ten packets until the agent reads them. For how long a send waits for that, in
  # milliseconds, and between two attempts.
  @patience 500
  @pause 5

  @log_pause 60_000

  @doc """
  Starts it, linked to the calling process. As a child of a supervisor it is `{AdTally.Metrics.StatsD, options}`.

    * `:host`, `:port` - where the agent gets UDP. The host is a name or an address as text. Default: `"127.0.0.1"` and 8125
    * `:socket` - the path of the agent's unix socket for datagrams, in place of these
    * `:interval` - milliseconds between two sends, from 10 to 4,294,967,295. Default: 10,000
    * `:tags` - a keyword list of tags for all lines. Default: none
    * `:max_packet` - the most bytes of a packet. Default: 1,432, with `:socket` 8,192. A line that is longer is a packet of its own
    * `:top` - of how many campaigns of each meter there are lines, see `AdTally.Metrics.snapshot/0`. Default: 0
    * `:name` - of the process. Default: none

  What has grown since the last send is sent once more when it is stopped in order. Raises `ArgumentError` for options
  that are unknown or wrong.

      iex> {:ok, agent} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
      iex> {:ok, port} = :inet.port(agent)
      iex> {:ok, stats_d} = AdTally.Metrics.StatsD.start_link(port: port, tags: [env: "test"])
      iex> {:ok, _meter} = AdTally.Meter.start_link(name: Told, dimensions: [:campaign], metrics: [:clicks])
      iex> now = System.system_time(:millisecond)
      iex> AdTally.Meter.record(Told, %AdTally.Event{at: now, dimensions: {42}, metrics: [clicks: 1]})
      iex> GenServer.stop(stats_d)
      iex> {:ok, {_address, _port, packet}} = :gen_udp.recv(agent, 0, 1_000)
      iex> "adtally.events:1|c|#meter:Told,outcome:applied,env:test" in String.split(packet, "\\n")
      true
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    options = Options.known!(options, @options)
    config = config!(options)
    named = if options[:name], do: [name: options[:name]], else: []
    GenServer.start_link(__MODULE__, config, named)
  end

  @doc """
  The child specification. Its id is the `:name`, or this module.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    %{id: Keyword.get(options, :name) || __MODULE__, start: {__MODULE__, :start_link, [options]}}
  end

  defp config!(options) do
    to = to!(options)
    packet = if match?({:local, _path}, to), do: @unix_packet, else: @udp_packet

    %{
      to: to,
      top: Metrics.top!(options),
      interval: Options.timer!(options, :interval, 10_000, 10),
      max_packet: integer!(options, :max_packet, packet, 64),
      tags: tags!(Keyword.get(options, :tags, []))
    }
  end

  defp to!(options) do
    case Keyword.get(options, :socket) do
      nil ->
        {host!(Keyword.get(options, :host, "127.0.0.1")),
         port!(Keyword.get(options, :port, 8_125))}

      path when is_binary(path) and path != "" ->
        for given <- [:host, :port], Keyword.has_key?(options, given) do
          raise ArgumentError,
                "expected either :socket or :host and :port, got: :socket and #{inspect(given)}"
        end

        # What the system has room for.
        if byte_size(path) > 107 do
          raise ArgumentError,
                "expected :socket to be a path of at most 107 bytes, got one of #{byte_size(path)}"
        end

        {:local, path}

      other ->
        raise ArgumentError,
              "expected :socket to be the path of a unix socket, got: #{Options.shown(other)}"
    end
  end

  defp host!(host) when is_binary(host) and host != "", do: String.to_charlist(host)

  defp host!(other) do
    raise ArgumentError,
          "expected :host to be a name or an address as text, got: #{Options.shown(other)}"
  end

  defp port!(port) when port in 1..65_535, do: port

  defp port!(other) do
    raise ArgumentError, "expected :port to be from 1 to 65535, got: #{Options.shown(other)}"
  end

  defp integer!(options, name, default, least) do
    case Keyword.get(options, name, default) do
      number when is_integer(number) and number >= least ->
        number

      other ->
        raise ArgumentError,
              "expected #{inspect(name)} to be an integer of at least #{least}, got: #{Options.shown(other)}"
    end
  end

  defp tags!(tags) do
    unless Keyword.keyword?(tags) and Enum.all?(tags, fn {_tag, value} -> tag_value?(value) end) do
      raise ArgumentError,
            "expected :tags to be a keyword list of texts, atoms and integers, got: #{Options.shown(tags)}"
    end

    Enum.map(tags, fn {tag, value} -> tag(tag, to_string(value)) end)
  end

  defp tag_value?(value), do: is_binary(value) or is_atom(value) or is_integer(value)

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    {parts, _reading} = Parts.all()
    Snapshot.keep_top(parts, config.top)
    {:ok, wait(%{config: config, socket: nil, told: before(parts), dropped: 0, logged_at: nil})}
  end

  # What was counted before is not told: also what parts have that do not run now, and go on later.
  defp before(parts) do
    samples = parts |> Snapshot.totals() |> Catalog.totals()
    for {key, :counter, value} <- told(samples), into: %{}, do: {key, value}
  end

  @impl true
  def handle_info(:send, state), do: {:noreply, state |> flush() |> wait()}

  # A socket that was closed, and whatever else.
  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: flush(state)

  defp wait(state) do
    Process.send_after(self(), :send, state.config.interval)
    state
  end

  # Each packet that was sent makes what it has told, and no other does.
  defp flush(state) do
    state = Map.merge(state, %{give_up_at: milliseconds() + @patience, unopened: nil})

    state
    |> read()
    |> Enum.flat_map(&line(&1, state))
    |> packets(state.config.max_packet)
    |> Enum.reduce(state, &deliver/2)
    |> log()
  end

  # What there is to tell: the key is the name and the labels as they are. As tags two of them may be the same, and
  # each is told by how much it has grown by itself.
  defp read(state) do
    samples = state.config.top |> Metrics.with_top() |> Catalog.samples()
    told(samples) ++ [{["adtally.statsd_dropped_packets", []], :counter, state.dropped}]
  end

  defp told(samples) do
    for {metric, samples} <- samples,
        {labels, value} <- samples,
        told <- told(metric, labels, value),
        do: told
  end

  defp told(%{name: "adtally_" <> name} = metric, labels, value) do
    labels = Enum.zip(metric.labels, labels)
    key = &[IO.iodata_to_binary(["adtally." <> name | &1]), labels]

    case metric.type do
      :histogram -> [{key.(".count"), :counter, value.count}, {key.(".sum"), :counter, value.sum}]
      :counter -> [{key.(""), :counter, value}]
      _gauge_or_info -> [{key.(""), :gauge, value}]
    end
  end

  # As the client of Datadog does it.
  defp tag(name, value), do: String.replace("#{name}:#{value}", ~r"[^\w\-:/.]"u, "_")

  # The line, and what is told once it is sent.
  defp line({key, :gauge, value}, state), do: [{text(key, value, "|g", state), nil}]

  defp line({key, :counter, value}, state) do
    case value - Map.get(state.told, key, 0) do
      more when more > 0 -> [{text(key, more, "|c", state), {key, value}}]
      _nothing -> []
    end
  end

  defp text([name, labels], value, type, %{config: config}) do
    tags = for({label, value} <- labels, do: tag(label, value)) ++ config.tags
    tags = if tags == [], do: [], else: ["|#", Enum.intersperse(tags, ?,)]
    IO.iodata_to_binary([name, ?:, Prometheus.number(value), type, tags, ?\n])
  end

  # In their order, each as full as it can be.
  defp packets(lines, most) do
    Enum.chunk_while(
      lines,
      {[], 0},
      fn {text, _told} = line, {packet, size} ->
        if packet != [] and size + byte_size(text) > most,
          do: {:cont, Enum.reverse(packet), {[line], byte_size(text)}},
          else: {:cont, {[line | packet], size + byte_size(text)}}
      end,
      fn {packet, _size} -> {:cont, Enum.reverse(packet), nil} end
    )
    |> Enum.reject(&(&1 == []))
  end

  defp deliver(packet, state) do
    {answer, state} = packet |> Enum.map(&elem(&1, 0)) |> transmit(state)
    told = for {_text, told} <- packet, told != nil, into: %{}, do: told

    case answer do
      :ok -> %{state | told: Map.merge(state.told, told)}
      {:error, reason} -> Map.put(%{state | dropped: state.dropped + 1}, :reason, reason)
    end
  end

  # Opened when it is needed, and again after an error: an agent that is restarted has another socket. One that could not be
  # opened is tried again with the next flush: a resolver that does not answer would hold up each packet for seconds.
  defp transmit(text, %{socket: nil, unopened: nil} = state) do
    case open(state.config.to) do
      {:ok, socket} -> transmit(text, %{state | socket: socket})
      {:error, reason} -> {{:error, reason}, %{state | unopened: reason}}
    end
  end

  defp transmit(_text, %{socket: nil, unopened: reason} = state), do: {{:error, reason}, state}

  defp transmit(text, %{socket: socket} = state) do
    case send_to(socket, state.config.to, text) do
      :ok ->
        {:ok, state}

      # It is full, and the agent may read it soon. The next packets do not wait for one that does not.
      {:error, :eagain} ->
        if milliseconds() < state.give_up_at do
          Process.sleep(@pause)
          transmit(text, state)
        else
          {{:error, :eagain}, state}
        end

      {:error, reason} ->
        :gen_udp.close(socket)
        {{:error, reason}, %{state | socket: nil}}
    end
  end

  # Nobody answers. A name may have another address the next time.
  defp open({:local, _path}), do: :gen_udp.open(0, [:local, active: false])

  defp open({host, port}) do
    with {:ok, address} <- address(host),
         family = if(tuple_size(address) == 8, do: [:inet6], else: []),
         {:ok, socket} <- :gen_udp.open(0, [active: false] ++ family),
         do: with(:ok <- connect(socket, address, port), do: {:ok, socket})
  end

  defp address(host) do
    with {:error, _reason} <- :inet.getaddr(host, :inet), do: :inet.getaddr(host, :inet6)
  end

  # Connected, so that the system tells when nobody listens there.
  defp connect(socket, address, port) do
    with {:error, reason} <- :gen_udp.connect(socket, address, port) do
      :gen_udp.close(socket)
      {:error, reason}
    end
  end

  defp send_to(socket, {:local, _path} = to, text), do: :gen_udp.send(socket, to, 0, text)
  defp send_to(socket, _to, text), do: :gen_udp.send(socket, text)

  defp milliseconds, do: System.monotonic_time(:millisecond)

  defp log(state) do
    {reason, state} = Map.pop(state, :reason)
    now = milliseconds()

    if reason != nil and (state.logged_at == nil or now - state.logged_at >= @log_pause) do
      Logger.warning(
        "AdTally.Metrics.StatsD has dropped packets to #{shown(state.config.to)}, #{state.dropped} since it was " <>
          "started: #{:inet.format_error(reason)}"
      )

      %{state | logged_at: now}
    else
      state
    end
  end

  defp shown({:local, path}), do: inspect(path)
  defp shown({host, port}), do: "#{host}:#{port}"
end
