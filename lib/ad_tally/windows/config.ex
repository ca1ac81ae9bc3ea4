defmodule AdTally.Windows.Config do
  @moduledoc false
  # The options that a meter and an attribution have in common, checked.

  alias AdTally.{Named, Options}
  alias AdTally.Store.Part
  alias AdTally.Windows.Sinks

  @options [
    :name,
    :window,
    :lateness,
    :clock,
    :max_ahead,
    :seed,
    :sinks,
    :max_waiting,
    :retain,
    :flush,
    :telemetry_interval,
    :warning_interval,
    :store,
    :on_stop
  ]

  # Names of dimensions: more have no place in a key.
  @most_dimensions 8

  @doc "The names of these options."
  @spec options() :: [atom(), ...]
  def options, do: @options

  @doc "The names of options are checked already."
  @spec new!(keyword()) :: map()
  def new!(options) do
    window = Options.milliseconds!(options, :window, 60_000)
    clock = Options.one_of!(options, :clock, [:system, :events])
    store = Part.store!(options)

    %{
      name: name!(options),
      window: window,
      lateness: lateness!(options),
      clock: clock,
      max_ahead: max_ahead!(options, clock, window),
      seed: Options.seed!(options),
      sinks: options |> Keyword.get(:sinks, []) |> Sinks.new!(),
      max_waiting: Options.count!(options, :max_waiting, 10_000),
      retain: Options.milliseconds!(options, :retain, 3_600_000),
      flush: Options.timer!(options, :flush, 4_000),
      telemetry_interval: Options.timer!(options, :telemetry_interval, 10_000),
      warning_interval: Options.timer!(options, :warning_interval, 60_000),
      store: store,
      on_stop: on_stop!(options, store),
      # How often it is looked whether windows are to be closed.
      tick: window |> div(10) |> max(10) |> min(1_000)
    }
  end

  @doc "The names of dimensions."
  @spec dimensions!(keyword()) :: [atom(), ...]
  def dimensions!(options), do: names!(options, :dimensions, @most_dimensions)

  @doc "An option that is a list of names."
  @spec names!(keyword(), atom(), pos_integer()) :: [atom(), ...]
  def names!(options, option, most) do
    names = Keyword.get(options, option)

    if Options.distinct_atoms?(names, most) and Enum.all?(names, &name?/1) do
      names
    else
      raise ArgumentError,
            "expected #{inspect(option)} to be a list of one to #{most} different atoms, got: #{Options.shown(names)}"
    end
  end

  @doc "Whether it may be the name of something: `nil`, `true` and `false` say something else."
  @spec name?(term()) :: boolean()
  def name?(name), do: is_atom(name) and name not in [nil, true, false]

  defp name!(options) do
    name = Keyword.get(options, :name)

    if name?(name) do
      Named.free!(name)
    else
      raise ArgumentError, "expected :name to be an atom, got: #{Options.shown(name)}"
    end
  end

  # Without a store nothing goes on after a stop.
  defp on_stop!(options, nil) do
    if Keyword.get(options, :on_stop, :close) != :close do
      raise ArgumentError,
            "expected no :on_stop but :close without a :store: what is not closed is lost when it stops"
    end

    :close
  end

  defp on_stop!(options, _store), do: Options.one_of!(options, :on_stop, [:keep_open, :close])

  defp lateness!(options) do
    if Keyword.get(options, :lateness) == 0,
      do: 0,
      else: Options.milliseconds!(options, :lateness, 300_000)
  end

  defp max_ahead!(options, :system, window),
    do: Options.milliseconds!(options, :max_ahead, window)

  defp max_ahead!(options, :events, _window) do
    if Keyword.has_key?(options, :max_ahead) do
      raise ArgumentError,
            "expected no :max_ahead with clock: :events, where the newest event moves the clock: no event " <>
              "is ahead of it"
    end
  end
end
