defmodule AdTally do
  @moduledoc """
  Measures paid promotions inside an Elixir service.

  The state lives in Rust behind a NIF, and any process calls it directly: there
  is no server process that events have to pass through.

    * `AdTally.Meter` - the one call for each event: deduplicated, counted and shown to sketches, in
      windows of event time that are closed exactly and handed to an `AdTally.Sink`
    * `AdTally.Counters` - keyed 64-bit counters, several metrics a key: add, read,
      drain
    * `AdTally.Reach` - how many different users each key has seen: a keyed table of
      HyperLogLog sketches
    * `AdTally.FrequencyCap` - how often a user may be shown something: caps over rolling
      windows, decided and counted as one step, see [Frequency caps](frequency_caps.html)
    * `AdTally.Dedupe` - whether an event is here for the first time, or was delivered again
    * `AdTally.Sketch` - one such sketch as a value: estimate, bounds, union, overlap,
      and the bytes that data warehouses read

  How it is built, and why: the guide [Architecture](architecture.html). How right the
  estimates are: [Accuracy](accuracy.html).
  """
end
