defmodule AdTally.Window do
  @moduledoc """
  A window of an `AdTally.Meter`, as sinks get it: its place in time, and its rows when they
  are asked for.

    * `:start`, `:end` - Unix milliseconds; events are from `start` to just before `end`
    * `:sequence` - 1, 2, 3 and so on, in the order in which a meter's windows are closed
    * `:partial` - whether it was closed before its time, because the meter was stopped
    * `:meter`, `:node`, `:epoch` - which meter on which node, and which start of it: the same
      `{node, epoch, sequence}` is the same window, however often it is delivered
    * `:dimensions`, `:metrics`, `:reach_by` - the names in its rows

  A sink that sends windows to a process, and what is in one:

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

  alias AdTally.{Counters, Native, Sketch, Steps}

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
  defstruct @enforce_keys

  @typedoc "A window. What `:native` is, is not to be relied on."
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
          reach_by: [atom()]
        }

  @doc """
  Its counters: the dimensions' values and the totals by metric of each row.

  Works in steps that hold no scheduler.
  """
  @spec counters(t()) :: [{dimensions :: tuple(), Counters.totals()}]
  def counters(window) do
    {walk, _overflow} = Native.meter_counters(window.native)
    Steps.collect(&Native.counters_rows/2, walk)
  end

  @doc "What had no row because `:max_keys` were taken: totals by metric."
  @spec overflow(t()) :: Counters.totals()
  def overflow(window) do
    {_walk, overflow} = Native.meter_counters(window.native)
    overflow
  end

  @doc """
  Its sketches: the values of the dimensions of `:reach_by`, and the sketch of users, of each
  row. None where the meter has none.
  """
  @spec reach(t()) :: [{dimensions :: tuple(), Sketch.t()}]
  def reach(window) do
    case Native.meter_reach(window.native) do
      nil -> []
      {walk, _overflow} -> Steps.collect(&Native.reach_rows/2, walk)
    end
  end
end
