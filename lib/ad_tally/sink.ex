defmodule AdTally.Sink do
  @moduledoc """
  Receives the closed windows of an `AdTally.Meter`.

  A sink gets windows in the order in which they were closed, one at a time, in a process of its
  own. It returns `:ok` once it has stored the window durably. When it returns `{:error, reason}`,
  raises or exits, the meter delivers the same window again, after 100 ms at first and up to 30 s
  later; later windows wait. So a window may be delivered more than once. `{meter, node, epoch, sequence}`
  identifies it: a sink that keeps one copy of each has every event once.

      defmodule MyApp.BrokerSink do
        @behaviour AdTally.Sink

        @impl true
        def deliver(window, topic: topic) do
          rows = for {dimensions, totals} <- AdTally.Window.counters(window), do: {dimensions, totals}
          MyApp.Broker.publish(topic, {window.meter, window.node, window.epoch, window.sequence}, rows)
        end

        @impl true
        def validate(options) do
          case options do
            [topic: topic] when is_binary(topic) -> {:ok, options}
            _ -> {:error, "expected only topic: and a binary"}
          end
        end

        @impl true
        def reserved_names(_options), do: [:tenant]
      end

  `AdTally.Window.counters/1` returns all rows at once. Read a window that may be large by
  `AdTally.Window.stream_counters/1`.

  A meter that is stopped waits for a sink as long as it makes progress: it takes a window, or reads
  rows that no earlier attempt has read. See `:flush` in `AdTally.Meter.start_link/1`.

  Configure it in the meter's options as `{MyApp.BrokerSink, topic: "rollups"}`.
  `AdTally.Sink.Files` writes files. The guide [Warehouses](warehouse.md) has complete sinks for RabbitMQ and for
  S3-compatible stores, to be copied.
  """

  @doc "Stores a window."
  @callback deliver(AdTally.Window.t(), options :: keyword()) :: :ok | {:error, term()}

  @doc """
  Checks the sink's options when a meter starts. Optional.

  Returns the options that `c:deliver/2` gets, as they are or with defaults, or what is wrong with
  them: then the meter does not start, and `AdTally.Meter.start_link/1` raises `ArgumentError` with
  that message. Options that hold credentials should not be put into the message. Do not check here
  what may be mended later, such as a disk that is not mounted yet: deliveries are retried.
  """
  @callback validate(options :: keyword()) ::
              {:ok, options :: keyword()} | {:error, message :: String.t()}

  @doc """
  Checks options that name dimensions or metrics, against those of the meter. Optional.

  Gets the options as `c:validate/1` returned them, and returns `:ok` or what is wrong with them, as
  `c:validate/1` does.
  """
  @callback validate_names(options :: keyword(), names()) :: :ok | {:error, message :: String.t()}

  @typedoc "The names of a meter, in the order in which they were declared."
  @type names :: %{dimensions: [atom(), ...], metrics: [atom(), ...], reach_by: [atom()]}

  @doc """
  Names that the sink adds to rows, as fields or columns. Optional.

  A dimension or a metric of such a name is refused when the meter starts. The names that lines of
  `AdTally.Sink.Files` and rows of `AdTally.Meter.report/2` have, and those that engines add to lines, are
  reserved in any case.
  """
  @callback reserved_names(options :: keyword()) :: [atom()]

  @doc """
  What the sink writes to, as any term: a directory, a topic. Optional.

  Two sinks of one module with the same target are refused, because each would write over what the other
  has written, or a second time. Gets the options as `c:validate/1` returned them. Without it the options
  are the target.
  """
  @callback target(options :: keyword()) :: term()

  @optional_callbacks validate: 1, validate_names: 2, reserved_names: 1, target: 1
end
