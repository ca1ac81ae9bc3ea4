# What test/judges/metrics/judge.py scrapes: one of everything, counting under load, with a meter that crashes now and
# then. Prints `ready PORT` and serves /metrics there; sends to the UDP port of STATSD_PORT. Ends with its input.
#
# Lines of its input: `quiet` stops the load and prints `quiet`, `crash` kills the meter and prints `crashed`.

alias AdTally.{
  Attribution,
  Conversion,
  Counters,
  Dedupe,
  Event,
  FrequencyCap,
  Meter,
  Pacer,
  Reach,
  Store,
  Touch
}

alias AdTally.Metrics.{Prometheus, StatsD}

Logger.configure(level: :error)
dir = Path.join(System.tmp_dir!(), "ad_tally_metrics_judge_#{System.pid()}")
port = "STATSD_PORT" |> System.fetch_env!() |> String.to_integer()

defmodule Judged.Sink do
  @behaviour AdTally.Sink
  @impl true
  def deliver(_window, _options), do: :ok
end

meter = fn name, options ->
  common = [
    name: name,
    dimensions: [:campaign],
    window: 1_000,
    lateness: 500,
    sinks: [{Judged.Sink, []}]
  ]

  {Meter,
   common ++
     [metrics: [:clicks, :spend_micros], dedupe: [window: 60_000, capacity: 100_000]] ++ options}
end

{:ok, _supervisor} =
  Supervisor.start_link(
    [
      {StatsD, port: port, interval: 500, tags: [env: "judge", zone: "é, b"]},
      {Store, name: Judged.Store, dir: dir},
      {Attribution,
       name: Judged.Attribution,
       dimensions: [:campaign],
       touches: [click: 604_800_000],
       conversions: [purchase: :every]},
      meter.(Judged.Ads, on_late: {Enum, :count}),
      meter.(Judged.Stored, store: Judged.Store),
      # Whatever a name has in it.
      meter.(:"a \"quoted\\name\"\nof two lines", []),
      # As text that of the module's name.
      meter.(:"Judged.Ads", []),
      {Counters, name: Judged.Counters, metrics: [:clicks]},
      {Reach, name: Judged.Reach},
      {FrequencyCap, name: Judged.Caps, capacity: 1_000},
      {Dedupe, name: Judged.Dedupe, window: 60_000, capacity: 1_000},
      {Pacer, name: Judged.Pacer}
    ],
    strategy: :one_for_one,
    max_restarts: 1_000
  )

for campaign <- 1..200, do: Pacer.put(Judged.Pacer, campaign, budget_micros: 1_000_000_000)

step = fn n ->
  at = System.system_time(:millisecond)

  event = %Event{
    id: n,
    at: at,
    dimensions: {rem(n, 50)},
    metrics: [clicks: 1, spend_micros: 1_250]
  }

  for name <- [Judged.Ads, Judged.Stored] do
    Meter.record_many(name, [event, event, %{event | id: -n, at: at - 60_000}])
  end

  Attribution.touch(Judged.Attribution, %Touch{
    id: n,
    user: rem(n, 100),
    at: at,
    kind: :click,
    dimensions: {rem(n, 50)}
  })

  Attribution.convert(Judged.Attribution, %Conversion{
    order: n,
    user: rem(n, 100),
    at: at,
    action: :purchase
  })

  Counters.add(Judged.Counters, n, :clicks)
  Reach.add(Judged.Reach, 42, n)
  FrequencyCap.admit(Judged.Caps, 42, rem(n, 10), [{3, 300_000}])
  Dedupe.first?(Judged.Dedupe, rem(n, 500))

  with {:ok, reservation} <- Pacer.reserve(Judged.Pacer, rem(n, 200) + 1, n, 300, at),
       do: Pacer.confirm(Judged.Pacer, reservation, 200, at)
end

load = fn load, n ->
  try do
    step.(n)
  rescue
    # The meter has just crashed.
    ArgumentError -> Process.sleep(1)
  end

  receive do
    {:stop, from} -> send(from, :stopped)
  after
    0 -> load.(load, n + 1)
  end
end

loading = spawn_link(fn -> load.(load, 1) end)

{:ok, listen} =
  :gen_tcp.listen(0, [
    :binary,
    ip: {127, 0, 0, 1},
    packet: :http_bin,
    active: false,
    reuseaddr: true
  ])

headers = fn headers, socket, accept ->
  case :gen_tcp.recv(socket, 0) do
    {:ok, {:http_header, _, :Accept, _, value}} -> headers.(headers, socket, value)
    {:ok, :http_eoh} -> accept
    {:ok, _other} -> headers.(headers, socket, accept)
    _closed -> accept
  end
end

answer = fn socket ->
  accept = headers.(headers, socket, nil)
  format = Prometheus.accepted(accept)
  {micros, text} = :timer.tc(fn -> IO.iodata_to_binary(Prometheus.render(format: format)) end)

  :gen_tcp.send(socket, [
    "HTTP/1.1 200 OK\r\ncontent-type: #{Prometheus.content_type(format)}\r\nx-micros: #{micros}\r\n",
    "content-length: #{byte_size(text)}\r\nconnection: close\r\n\r\n",
    text
  ])

  :gen_tcp.close(socket)
end

serve = fn serve ->
  {:ok, socket} = :gen_tcp.accept(listen)
  answer.(socket)
  serve.(serve)
end

spawn_link(fn -> serve.(serve) end)
{:ok, http} = :inet.port(listen)
IO.puts("ready #{http}")

for line <- IO.stream(:stdio, :line) do
  case String.trim(line) do
    "crash" ->
      AdTally.Test.Crashes.crash(Judged.Ads)
      IO.puts("crashed")

    "quiet" ->
      send(loading, {:stop, self()})

      receive do
        :stopped -> IO.puts("quiet")
      end
  end
end

File.rm_rf!(dir)
