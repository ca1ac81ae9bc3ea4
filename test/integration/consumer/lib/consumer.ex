defmodule Consumer do
  # The supervision tree of a service whose numbers survive kill -9: the store first, then who writes to
  # it, then who takes messages.
  use Application

  @compile {:no_warn_undefined, [:amqp_channel, :amqp_connection]}

  @impl true
  def start(_type, _arguments) do
    System.fetch_env!("CLIENT") |> String.split(":") |> Enum.each(&Code.prepend_path/1)
    {:ok, _started} = Application.ensure_all_started(:amqp_client)
    dir = System.fetch_env!("DIR")

    meter = [
      name: Consumer.Ads,
      store: Consumer.Store,
      dimensions: [:campaign],
      metrics: [:impressions, :spend_micros],
      window: 5_000,
      lateness: 20_000,
      dedupe: [window: 600_000, capacity: 1_000_000, fingerprint_bits: 61],
      reach: [by: [:campaign]],
      sinks: [{AdTally.Sink.Files, dir: Path.join(dir, "rows")}]
    ]

    children = [
      {AdTally.Store, name: Consumer.Store, dir: Path.join(dir, "store")},
      {AdTally.Meter, meter}
      | for(number <- 1..3, do: Supervisor.child_spec({Consumer.Batches, number}, id: number))
    ]

    File.write!(Path.join(dir, "pid"), System.pid())
    Supervisor.start_link(children ++ [Consumer.Finish], strategy: :one_for_one)
  end

  # A channel of its own for each process.
  def channel do
    {:ok, params} = System.fetch_env!("URL") |> to_charlist() |> :amqp_uri.parse()
    {:ok, connection} = :amqp_connection.start(params)
    {:ok, channel} = :amqp_connection.open_channel(connection)
    channel
  end
end
