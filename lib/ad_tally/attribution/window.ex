defmodule AdTally.Attribution.Window do
  @moduledoc """
  A closed window of an `AdTally.Attribution`, as sinks get it. Its rows are read by the functions of this
  module.

    * `:start`, `:end` - Unix milliseconds
    * `:sequence` - 1, 2, 3 and so on, in the order in which an attribution's windows are closed
    * `:partial` - whether it was closed before its time, because the attribution was stopped or by
      `AdTally.Attribution.close/2`
    * `:attribution`, `:node`, `:epoch` - which attribution on which node, and which start of it (with a store, its first one): the same
      `{attribution, node, epoch, sequence}` is the same window, however often it is delivered, see
      `AdTally.Sink.window_id/1`
    * `:dimensions`, `:kinds`, `:actions`, `:models` - the names in its rows

  A window has the credits of its conversions, which are final. It also has those of late conversions and of
  adjustments that came while it was the first open window at or after their time. So a closed window never
  changes, and sums of `value_micros` over all windows are net of refunds. And it has the touches of its own
  time, with what they have cost.

  A sink that sends each window to a process, which then reads it:

      iex> defmodule SendingCredits do
      ...>   @behaviour AdTally.Sink
      ...>
      ...>   @impl true
      ...>   def deliver(window, to: pid) do
      ...>     send(pid, {:closed, window})
      ...>     :ok
      ...>   end
      ...> end
      iex> options = [name: Earning, dimensions: [:campaign], touches: [click: 604_800_000], clock: :events]
      iex> options = options ++ [conversions: [purchase: :every], max_keys: 1, sinks: [{SendingCredits, to: self()}]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: at, kind: :click, dimensions: {42}, cost_micros: 3}
      iex> order = %AdTally.Conversion{order: "o-9", user: "ann", at: at + 60, action: :purchase, value_micros: 5}
      iex> :ok = AdTally.Attribution.touch(Earning, click)
      iex> :ok = AdTally.Attribution.touch(Earning, %{click | id: 8, user: "ben", dimensions: {43}})
      iex> :ok = AdTally.Attribution.convert(Earning, order)
      iex> :ok = AdTally.Attribution.close(Earning)
      iex> window = receive(do: ({:closed, window} -> window))
      iex> {Earning, _node, _epoch, 1} = AdTally.Sink.window_id(window)
      iex> AdTally.Sink.Files.kinds(window)
      [:credits, :touches]
      iex> for row <- AdTally.Attribution.Window.credits(window), do: {row.order, row.dimensions, row.value_micros}
      [{"o-9", {42}, 5}]
      iex> AdTally.Attribution.Window.touches(window)
      [%{dimensions: {42}, kind: :click, touches: 1, cost_micros: 3}]
      iex> AdTally.Attribution.Window.touches_overflow(window)
      [%{kind: :click, touches: 1, cost_micros: 3}]
  """

  alias AdTally.Native
  alias AdTally.Windows.Rows

  @enforce_keys [
    :native,
    :start,
    :end,
    :sequence,
    :partial,
    :attribution,
    :node,
    :epoch,
    :dimensions,
    :kinds,
    :actions,
    :models
  ]
  # `rows_read` counts the rows of each kind that were read, if a delivery has put a counter there.
  @credits 1
  @touches 2
  defstruct @enforce_keys ++ [rows_read: nil]

  @typedoc "A window. Do not rely on what `:native` and `:rows_read` are."
  @type t :: %__MODULE__{
          native: reference(),
          start: non_neg_integer(),
          end: pos_integer(),
          sequence: non_neg_integer(),
          partial: boolean(),
          attribution: atom(),
          node: node(),
          epoch: integer(),
          dimensions: [atom(), ...],
          kinds: [atom(), ...],
          actions: [atom(), ...],
          models: [model(), ...],
          rows_read: :counters.counters_ref() | nil
        }

  @typedoc "A model, as in the options of the attribution."
  @type model :: atom() | {:time_decay, half_life :: pos_integer()}

  @typedoc """
  What a touch is credited with for a conversion, by a model.

    * `:model`, `:order`, `:action` - by which model, for which conversion
    * `:touch`, `:kind`, `:dimensions`, `:touched_at` - which touch. All four are `nil` if the conversion
      has no eligible touch. `:dimensions` alone is `nil` if there were more different ones than `:max_keys`
    * `:converted_at` - the time of the conversion
    * `:adjusted_at` - the time of a restatement or retraction in a row of such a change, otherwise `nil`
    * `:conversions_ppm` - the share of the conversion, in millionths: those of all its touches add up to
      1,000,000. 0 in a row of a restatement, and less than 0 in that of a retraction
    * `:value_micros` - the part of its value; in a row of a change, by how much it changes
    * `:truncated` - whether more touches than were kept may have been eligible
    * `:revision` - which revision of the conversion's credits this is
  """
  @type credit :: %{
          model: model(),
          order: integer() | binary(),
          action: atom(),
          kind: atom() | nil,
          touch: integer() | nil,
          dimensions: tuple() | nil,
          touched_at: non_neg_integer() | nil,
          converted_at: non_neg_integer(),
          adjusted_at: non_neg_integer() | nil,
          conversions_ppm: integer(),
          value_micros: integer(),
          truncated: boolean(),
          revision: pos_integer()
        }

  @doc """
  Its credits, in no particular order, but in the same one however often the window is read.

  Reads in steps that hold no scheduler. The list takes much more memory than the window does: read the
  rows of a large window by `stream_credits/1`.
  """
  @spec credits(t()) :: [credit()]
  def credits(window), do: window |> stream_credits() |> Enum.to_list()

  @doc "The same rows as a lazy enumerable, which has a thousand of them or so in memory at a time."
  @spec stream_credits(t()) :: Enumerable.t()
  def stream_credits(window) do
    window
    |> Rows.stream(@credits, fn -> Native.attribution_window_credits(window.native) end)
    |> Stream.map(&credit/1)
  end

  defp credit(
         {model, order, action, kind, touch, dimensions, touched_at, converted_at, adjusted_at,
          conversions_ppm, value_micros, truncated, revision}
       ) do
    %{
      model: model,
      order: order,
      action: action,
      kind: kind,
      touch: touch,
      dimensions: dimensions,
      touched_at: touched_at,
      converted_at: converted_at,
      adjusted_at: adjusted_at,
      conversions_ppm: conversions_ppm,
      value_micros: value_micros,
      truncated: truncated,
      revision: revision
    }
  end

  @typedoc "The touches of some dimensions and a kind, and what they have cost."
  @type touches :: %{
          dimensions: tuple(),
          kind: atom(),
          touches: pos_integer(),
          cost_micros: non_neg_integer()
        }

  @doc """
  Its touches and what they have cost, by dimensions and kind, in no particular order, but in the same one
  however often the window is read. Duplicates, late touches and those too far ahead are not among them.
  """
  @spec touches(t()) :: [touches()]
  def touches(window), do: window |> stream_touches() |> Enum.to_list()

  @doc "The same rows as a lazy enumerable, which has a thousand of them or so in memory at a time."
  @spec stream_touches(t()) :: Enumerable.t()
  def stream_touches(window) do
    window
    |> Rows.stream(@touches, fn ->
      {walk, _overflow} = Native.attribution_window_touches(window.native)
      walk
    end)
    |> Stream.map(fn {dimensions, kind, touches, cost} ->
      %{dimensions: dimensions, kind: kind, touches: touches, cost_micros: cost}
    end)
  end

  @doc """
  Touches by kind that have no row, because `:max_keys` rows were taken, and what they have cost. If a cost
  would make that of a row exceed 64 bits, it is here too, without its touch.
  """
  @spec touches_overflow(t()) :: [
          %{kind: atom(), touches: non_neg_integer(), cost_micros: non_neg_integer()}
        ]
  def touches_overflow(window) do
    {_walk, overflow} = Native.attribution_window_touches(window.native)

    for {kind, touches, cost} <- overflow,
        do: %{kind: kind, touches: touches, cost_micros: cost}
  end
end
