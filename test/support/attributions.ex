defmodule AdTally.Test.Attributions do
  @moduledoc """
  An attribution of clicks and views by campaign whose clock is its events, which no time closes anything of
  unless a test says so, and whose windows of a minute are sent to the test.
  """

  import ExUnit.Callbacks, only: [start_supervised!: 2]

  alias AdTally.{Attribution, Conversion, Touch}

  defmodule Telling do
    @moduledoc "Sends `{:window, window, rows of credits, rows of touches}` to `:to`, rows as tuples."

    @behaviour AdTally.Sink

    @impl true
    def deliver(window, to: pid) do
      credits = window |> Attribution.Window.credits() |> Enum.map(&credit/1)
      touches = window |> Attribution.Window.touches() |> Enum.map(&touches/1)
      send(pid, {:window, window, credits, touches})
      :ok
    end

    defp credit(row) do
      {row.model, row.order, row.action, row.kind, row.touch, row.dimensions, row.touched_at,
       row.converted_at, row.adjusted_at, row.conversions_ppm, row.value_micros, row.truncated,
       row.revision}
    end

    defp touches(row), do: {row.dimensions, row.kind, row.touches, row.cost_micros}
  end

  @minute 60_000
  @hour 60 * @minute
  @year 31_536_000_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  @doc "A name of the test's own, for `setup`."
  def own_name(context), do: [name: Module.concat(context.module, "Attribution#{context.line}")]

  def start(name, options \\ []) do
    defaults = [
      name: name,
      dimensions: [:campaign],
      touches: [click: 24 * @hour, view: @hour],
      models: [:last_touch, :linear],
      conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
      clock: :events,
      window: @minute,
      lateness: @year,
      sinks: [{Telling, to: self()}]
    ]

    start_supervised!({Attribution, Keyword.merge(defaults, options)}, id: name)
  end

  @doc "Starts one with a name of its own, which it returns."
  def start_another(options) do
    name = Module.concat(__MODULE__, "Attribution#{System.unique_integer([:positive])}")
    start(name, options)
    name
  end

  @doc "A click of a user at so many seconds from the begin, with other fields where they are given."
  def touch(id, user, seconds, fields \\ []) do
    struct!(
      %Touch{id: id, user: user, at: at(seconds), kind: :click, dimensions: {42}},
      fields
    )
  end

  @doc "A purchase of a user at so many seconds from the begin."
  def conversion(order, user, seconds, fields \\ []) do
    struct!(%Conversion{order: order, user: user, at: at(seconds), action: :purchase}, fields)
  end

  @doc "The time so many seconds from the begin."
  def at(seconds), do: @begin + 1_000 * seconds

  @doc "`%{touch => credit}` of an order under a model."
  def credited(name, order, model \\ :linear) do
    for credit <- Attribution.credits(name, order)[model],
        into: %{},
        do: {credit.touch, credit.credit_micros}
  end

  @doc "The windows that were delivered so far, in their order, each with its rows of credits and of touches."
  def delivered(windows \\ []) do
    receive do
      {:window, window, credits, touches} -> delivered([{window, credits, touches} | windows])
    after
      0 -> Enum.reverse(windows)
    end
  end
end
