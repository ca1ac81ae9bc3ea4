defmodule AdTally.Window do
  @moduledoc """
  A closed window of an `AdTally.Meter`, as sinks get it. Its rows are read by the functions of this
  module.

    * `:start`, `:end` - Unix milliseconds; events are from `start` to just before `end`
    * `:sequence` - 1, 2, 3 and so on, in the order in which a meter's windows are closed
    * `:partial` - whether it was closed before its time, because the meter was stopped or by
      `AdTally.Meter.close/2`
    * `:meter`, `:node`, `:epoch` - which meter on which node, and which start of it (with a store, its first one): the same
      `{meter, node, epoch, sequence}` is the same window, however often it is delivered
    * `:dimensions`, `:metrics`, `:reach_by` - the names in its rows

  A sink that sends each window to a process, which then reads it:

      iex> defmodule Sending do
      ...>   @behaviour AdTally.Sink
      ...>
      ...>   @impl true
      ...>   def deliver(window, to: pid) do
      ...>     send(pid, {:closed, window})
      ...>     :ok
      ...>   end
      ...> end
      iex> options = [name: Closing, dimensions: [:campaign, :country], metrics: [:clicks], max_keys: 1]
      iex> options = options ++ [clock: :events, reach: [by: [:campaign]], sinks: [{Sending, to: self()}]]
      iex> {:ok, meter} = AdTally.Meter.start_link(options)
      iex> event = %AdTally.Event{at: 1_780_272_000_004, user: "ann", dimensions: {42, "us"}, metrics: [clicks: 1]}
      iex> :ok = AdTally.Meter.record(Closing, event)
      iex> :overflow = AdTally.Meter.record(Closing, %{event | dimensions: {43, "us"}})
      iex> GenServer.stop(meter)
      iex> window = receive(do: ({:closed, window} -> window))
      iex> {window.start, window.end, window.sequence, window.partial}
      {1_780_272_000_000, 1_780_272_060_000, 1, true}
      iex> AdTally.Window.counters(window)
      [{{42, "us"}, %{clicks: 1}}]
      iex> AdTally.Window.overflow(window)
      %{clicks: 1}
      iex> [{{42}, sketch}] = AdTally.Window.reach(window)
      iex> sketch |> AdTally.Sketch.estimate() |> Float.round(3)
      1.0
  """

  alias AdTally.{Counters, Native, Sketch}
  alias AdTally.Windows.Rows

  @enforce_keys [
    :native,
    :start,
    :end,
    :sequence,
    :partial,
    :meter,
    :node,
    :epoch,
    :dimensions,
    :metrics,
    :reach_by
  ]
  # `rows_read` counts the rows of each kind that were read, if a delivery has put a counter there.
  @counters 1
  @reach 2
  defstruct @enforce_keys ++ [rows_read: nil]

  @typedoc "A window. Do not rely on what `:native` and `:rows_read` are."
  @type t :: %__MODULE__{
          native: reference(),
          start: non_neg_integer(),
          end: pos_integer(),
          sequence: non_neg_integer(),
          partial: boolean(),
          meter: atom(),
          node: node(),
          epoch: integer(),
          dimensions: [atom(), ...],
          metrics: [atom(), ...],
          reach_by: [atom()],
          rows_read: :counters.counters_ref() | nil
        }

  @doc """
  The rows of its counters: the values of the dimensions and the totals by metric of each, in no
  particular order, but in the same one however often the window is read.

  Reads in steps that hold no scheduler. The list takes much more memory than the window does: read
  the rows of a large window by `stream_counters/1`.
  """
  @spec counters(t()) :: [{dimensions :: tuple(), Counters.totals()}]
  def counters(window), do: window |> stream_counters() |> Enum.to_list()

  @doc """
  The same rows as a lazy enumerable, which has a thousand of them or so in memory at a time.

      iex> defmodule Summing do
      ...>   @behaviour AdTally.Sink
      ...>
      ...>   @impl true
      ...>   def deliver(window, to: pid) do
      ...>     clicks = for {_campaign, totals} <- AdTally.Window.stream_counters(window), reduce: 0 do
      ...>       clicks -> clicks + totals.clicks
      ...>     end
      ...>
      ...>     send(pid, {:clicks, clicks})
      ...>     :ok
      ...>   end
      ...> end
      iex> options = [name: Summed, dimensions: [:campaign], metrics: [:clicks], clock: :events]
      iex> {:ok, meter} = AdTally.Meter.start_link(options ++ [sinks: [{Summing, to: self()}]])
      iex> for campaign <- 1..2_000 do
      ...>   event = %AdTally.Event{at: 1_780_272_000_004, dimensions: {campaign}, metrics: [clicks: 1]}
      ...>   :ok = AdTally.Meter.record(Summed, event)
      ...> end
      iex> GenServer.stop(meter)
      iex> receive(do: ({:clicks, clicks} -> clicks))
      2000
  """
  @spec stream_counters(t()) :: Enumerable.t()
  def stream_counters(window) do
    Rows.stream(window, @counters, fn ->
      {walk, _overflow} = Native.meter_counters(window.native)
      walk
    end)
  end

  @doc "Totals by metric of what had no row, because `:max_keys` rows were taken."
  @spec overflow(t()) :: Counters.totals()
  def overflow(window) do
    {_walk, overflow} = Native.meter_counters(window.native)
    overflow
  end

  @doc """
  Its sketches: the values of the dimensions of `:reach_by`, and the sketch of users, of each
  row. None where the meter has none. Read those of a large window by `stream_reach/1`.
  """
  @spec reach(t()) :: [{dimensions :: tuple(), Sketch.t()}]
  def reach(window), do: window |> stream_reach() |> Enum.to_list()

  @doc "The same sketches as a lazy enumerable, which has a few megabytes of them in memory at a time."
  @spec stream_reach(t()) :: Enumerable.t()
  def stream_reach(window) do
    Rows.stream(window, @reach, fn ->
      case Native.meter_reach(window.native) do
        nil -> nil
        {walk, _overflow} -> walk
      end
    end)
  end

  @doc """
  One sketch of the users whose key had no sketch of its own because `:max_keys` of `:reach` were
  taken, or `nil` where the meter has no sketches.
  """
  @spec reach_overflow(t()) :: Sketch.t() | nil
  def reach_overflow(window) do
    with {_walk, overflow} <- Native.meter_reach(window.native), do: overflow
  end
end
