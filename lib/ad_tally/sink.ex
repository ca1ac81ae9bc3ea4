defmodule AdTally.Sink do
  @moduledoc """
  Receives the closed windows of an `AdTally.Meter` or an `AdTally.Attribution`.

  A sink gets windows in the order in which they were closed, one at a time, in a process of its
  own. It returns `:ok` once it has stored the window durably. When it returns `{:error, reason}`,
  raises or exits, the same window is delivered again, after 100 ms at first and up to 30 s
  later; later windows wait. So a window may be delivered more than once. `window_id/1` identifies it: a
  sink that keeps one copy of each has every event once. With an `AdTally.Store`, a window that was being
  delivered when its node died comes again after the restart, under the same id.

      defmodule MyApp.BrokerSink do
        @behaviour AdTally.Sink

        @impl true
        def deliver(window, topic: topic) do
          rows = for {dimensions, totals} <- AdTally.Window.counters(window), do: {dimensions, totals}
          MyApp.Broker.publish(topic, AdTally.Sink.window_id(window), rows)
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
  `AdTally.Window.stream_counters/1`. The window of an attribution is an `AdTally.Attribution.Window`, with
  functions of its own: a sink of both matches on the struct.

  A meter or an attribution that is stopped waits for a sink as long as it makes progress: it takes a window, or reads
  rows that no earlier attempt has read. See `:flush` in `AdTally.Meter.start_link/1`.

  Configure it in the options of either as `{MyApp.BrokerSink, topic: "rollups"}`.
  `AdTally.Sink.Files` writes files. The guide [Warehouses](warehouse.md) has complete sinks for RabbitMQ and for
  S3-compatible stores, to be copied.
  """

  @typedoc "A window of a meter or of an attribution."
  @type window :: AdTally.Window.t() | AdTally.Attribution.Window.t()

  @doc "Stores a window."
  @callback deliver(window(), options :: keyword()) :: :ok | {:error, term()}

  @doc """
  Checks the sink's options when a meter or an attribution starts. Optional.

  Returns the options that `c:deliver/2` gets, as they are or with defaults, or what is wrong with
  them: then it does not start, and `AdTally.Meter.start_link/1` raises `ArgumentError` with
  that message. Options that hold credentials should not be put into the message. Do not check here
  what may be mended later, such as a disk that is not mounted yet: deliveries are retried.
  """
  @callback validate(options :: keyword()) ::
              {:ok, options :: keyword()} | {:error, message :: String.t()}

  @doc """
  Checks options that name dimensions or metrics, against those that there are. Optional.

  Gets the options as `c:validate/1` returned them, and returns `:ok` or what is wrong with them, as
  `c:validate/1` does.
  """
  @callback validate_names(options :: keyword(), names()) :: :ok | {:error, message :: String.t()}

  @typedoc "The names of a meter or of an attribution, in the order in which they were declared."
  @type names ::
          %{dimensions: [atom(), ...], metrics: [atom(), ...], reach_by: [atom()]}
          | %{
              dimensions: [atom(), ...],
              kinds: [atom(), ...],
              actions: [atom(), ...],
              models: [AdTally.Attribution.Window.model(), ...]
            }

  @doc """
  Names that the sink adds to rows, as fields or columns. Optional.

  A dimension or a metric of such a name is refused at the start. The names that lines of
  `AdTally.Sink.Files` and rows of `AdTally.Meter.report/2` or `AdTally.Attribution.report/2` have, and those that engines add to lines, are
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

  @doc """
  What tells a window from all others, however often it is delivered: the name of its meter or attribution,
  the node that this runs on, its start there (with a store its first one), and the window's number.
  """
  @spec window_id(window()) ::
          {name :: atom(), node(), epoch :: integer(), sequence :: pos_integer()}
  def window_id(%AdTally.Window{} = window),
    do: {window.meter, window.node, window.epoch, window.sequence}

  def window_id(%AdTally.Attribution.Window{} = window),
    do: {window.attribution, window.node, window.epoch, window.sequence}

  @optional_callbacks validate: 1, validate_names: 2, reserved_names: 1, target: 1
end
