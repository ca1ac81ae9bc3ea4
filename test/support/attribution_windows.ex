defmodule AdTally.Test.AttributionWindows do
  @moduledoc "Attributions of one test each, and their windows as a sink gets them."

  alias AdTally.{Attribution, Conversion, Touch}
  alias AdTally.Test.MeterSinks.Forwarding

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  def begin, do: @begin

  @doc "Options of an attribution that sends its windows to the calling process."
  @spec options(keyword()) :: keyword()
  def options(more \\ []) do
    [
      name: Module.concat(__MODULE__, "Attribution#{System.unique_integer([:positive])}"),
      dimensions: [:campaign, :creative],
      touches: [click: 60 * @minute, view: 10 * @minute],
      models: [:last_touch, :linear],
      conversions: [purchase: :every, signup: :once_per_user],
      window: @minute,
      lateness: 0,
      clock: :events,
      sinks: [{Forwarding, to: self()}]
    ]
    |> Keyword.merge(more)
  end

  @doc "A click of `ann`, so many milliseconds after the begin, with other fields where they are given."
  @spec touch(integer(), keyword()) :: Touch.t()
  def touch(id, fields \\ []) do
    {after_begin, fields} = Keyword.pop(fields, :after, 0)
    fields = [id: id, at: @begin + after_begin] ++ fields
    struct!(%Touch{id: 0, user: "ann", at: 0, kind: :click, dimensions: {42, 7}}, fields)
  end

  @doc "A purchase of `ann`, likewise."
  @spec conversion(integer() | binary(), keyword()) :: Conversion.t()
  def conversion(order, fields \\ []) do
    {after_begin, fields} = Keyword.pop(fields, :after, 0)
    fields = [order: order, at: @begin + after_begin] ++ fields
    struct!(%Conversion{order: 0, user: "ann", at: 0, action: :purchase}, fields)
  end

  @doc "A window with so many touches, and a conversion for each."
  @spec window_of(pos_integer()) :: Attribution.Window.t()
  def window_of(touches) do
    window(fn name ->
      for id <- 1..touches do
        :ok = Attribution.touch(name, touch(id, user: id, dimensions: {id, "x"}, cost_micros: id))
        :ok = Attribution.convert(name, conversion(id, user: id, after: 9, value_micros: id))
      end
    end)
  end

  @doc "The only window of what a function does with the name of an attribution, which has ended by then."
  @spec window((atom() -> term()), keyword()) :: Attribution.Window.t()
  def window(fun, more \\ []) do
    options = options(more)
    {:ok, attribution} = Attribution.start_link(options)
    fun.(options[:name])
    GenServer.stop(attribution)
    receive do: ({:window, window} -> window)
  end
end
