defmodule AdTally.Sink do
  @moduledoc """
  Who receives the closed windows of an `AdTally.Meter`.

  A sink is given windows in their order, one at a time, in a process of its own. It answers
  `:ok` when it has the window for good. When it answers `{:error, reason}`, raises or exits,
  the same window is delivered again, after 100 ms at first and up to 30 s later, and the ones
  after it wait. So a window may come more than once: the same `{node, epoch, sequence}` is the
  same window, and a sink that keeps one of each has every event once.

      defmodule MyApp.BrokerSink do
        @behaviour AdTally.Sink

        @impl true
        def deliver(window, topic: topic) do
          rows = for {dimensions, totals} <- AdTally.Window.counters(window), do: {dimensions, totals}
          MyApp.Broker.publish(topic, {window.node, window.epoch, window.sequence}, rows)
        end
      end

  It is named in the meter's options as `{MyApp.BrokerSink, topic: "rollups"}`.
  `AdTally.Sink.Files` writes files.
  """

  @doc "Takes a window."
  @callback deliver(AdTally.Window.t(), options :: keyword()) :: :ok | {:error, term()}
end
