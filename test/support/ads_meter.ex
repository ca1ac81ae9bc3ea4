defmodule AdTally.Test.AdsMeter do
  @moduledoc """
  A meter of ads by campaign, creative and country, whose clock is its events and whose windows of a
  minute are sent to the test.
  """

  import ExUnit.Callbacks, only: [start_supervised!: 2]

  alias AdTally.{Event, Meter}
  alias AdTally.Test.MeterSinks.Telling

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  @doc "A name of the test's own, for `setup`."
  def own_name(context), do: [name: Module.concat(context.module, "Meter#{context.line}")]

  def start(name, options \\ []) do
    defaults = [
      name: name,
      dimensions: [:campaign, :creative, :country],
      metrics: [:impressions, :clicks, :spend_micros],
      clock: :events,
      reach: [by: [:campaign]],
      dedupe: [window: 100 * @minute, capacity: 100_000, fingerprint_bits: 61],
      sinks: [{Telling, to: self()}]
    ]

    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
  end

  @doc "An impression at the begin of a window, with other fields where they are given."
  def event(fields \\ []) do
    struct!(
      %Event{at: @begin, dimensions: {42, 7, "us"}, metrics: [impressions: 1]},
      fields
    )
  end

  @doc "The windows that were delivered so far, in their order, with their counters and sketches."
  def delivered(windows \\ []) do
    receive do
      {:window, window, counters, reach} -> delivered([{window, counters, reach} | windows])
    after
      0 -> Enum.reverse(windows)
    end
  end
end
