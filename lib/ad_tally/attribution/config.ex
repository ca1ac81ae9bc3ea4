defmodule AdTally.Attribution.Config do
  @moduledoc false
  # The options of an attribution, checked, and as native code takes them.

  alias AdTally.Attribution.Shape
  alias AdTally.Options
  alias AdTally.Store.Part
  alias AdTally.Windows
  alias AdTally.Windows.{ReservedNames, Sinks}

  @options Windows.Config.options() ++
             [
               :dimensions,
               :touches,
               :prevail,
               :models,
               :conversions,
               :touches_per_user,
               :users,
               :orders,
               :adjustable_for,
               :collapse,
               :max_keys
             ]

  # As in native/ad_tally_core/src/attribution/types.rs: a kind has three bits in an entry, an action six.
  @most_kinds 8
  @most_actions 64
  @most_models 8
  @most_touches 255
  # Dimensions of a touch are a number of 24 bits.
  @most_keys 16_777_214
  @longest_lookback 0x7FFF_FFFF_FFFF
  @days_30 30 * 24 * 3_600_000

  @countings [:every, :once_per_user, :once_per_touch]
  @models [:last_touch, :first_touch, :linear, :position_based]

  @spec new!(keyword()) :: Windows.config()
  def new!(options) do
    options = Options.known!(options, @options)

    {common, config} = options |> Windows.Config.new!() |> Map.split([:window, :max_ahead, :seed])

    dimensions = Windows.Config.dimensions!(options)
    reserved = Sinks.reserved_names(config.sinks)
    ReservedNames.check!(:attribution, [dimensions: dimensions], reserved)

    touches = touches!(options)
    conversions = conversions!(options)
    models = models!(options)
    times = {common.window, config.lateness, common.max_ahead}
    kinds = Keyword.keys(touches)
    actions = Keyword.keys(conversions)
    names = %{dimensions: dimensions, kinds: kinds, actions: actions, models: models}
    Sinks.check_names!(config.sinks, names)
    attributed = {length(dimensions), touches, conversions, models}
    table = {times, attributed, kept(options), common.seed}
    {shape, rules} = Shape.new(common.window, names, conversions)

    Map.merge(config, %{
      source: AdTally.Attribution.Source,
      table: table,
      part: Part.new!(config.store, {AdTally.Attribution, config.name}, shape, rules, table),
      names: names
    })
  end

  # What is kept, and how it is read.
  defp kept(options) do
    {
      Options.boolean!(options, :prevail, true),
      Options.one_of!(options, :collapse, [nil, :consecutive]) == :consecutive,
      Options.integer!(options, :touches_per_user, 16, @most_touches),
      Options.count!(options, :users, 1_000_000),
      Options.count!(options, :orders, 1_000_000),
      Options.milliseconds!(options, :adjustable_for, @days_30),
      Options.integer!(options, :max_keys, 100_000, @most_keys)
    }
  end

  defp touches!(options) do
    touches = Keyword.get(options, :touches)

    if names_with?(touches, @most_kinds, &lookback?/1) do
      touches
    else
      raise ArgumentError,
            "expected :touches to be one to #{@most_kinds} kinds of touches, the strongest first, each once and " <>
              "with its lookback in milliseconds, an integer from 1 to #{@longest_lookback}, such as " <>
              "[click: :timer.hours(24 * 7), view: :timer.hours(24)], got: #{Options.shown(touches)}"
    end
  end

  defp lookback?(lookback), do: is_integer(lookback) and lookback in 1..@longest_lookback

  defp conversions!(options) do
    conversions = Keyword.get(options, :conversions)

    if names_with?(conversions, @most_actions, &(&1 in @countings)) do
      conversions
    else
      raise ArgumentError,
            "expected :conversions to be one to #{@most_actions} actions, each once and with which of its " <>
              "conversions count, :every, :once_per_user or :once_per_touch, such as [purchase: :every], " <>
              "got: #{Options.shown(conversions)}"
    end
  end

  defp models!(options) do
    models = Keyword.get(options, :models, [:last_touch])

    if Options.distinct?(models, @most_models, &model?/1) do
      models
    else
      raise ArgumentError,
            "expected :models to be a list of one to #{@most_models} different models, of " <>
              "#{Enum.map_join(@models, ", ", &inspect/1)} and {:time_decay, half_life} with milliseconds, an " <>
              "integer from 1 to #{@longest_lookback}, got: #{Options.shown(models)}"
    end
  end

  defp model?({:time_decay, half_life}), do: lookback?(half_life)
  defp model?(model), do: model in @models

  # Whether it is a keyword list of names, each once, with values that pass.
  defp names_with?(list, most, value?) do
    Options.distinct?(list, most, &match?({_name, _value}, &1)) and
      Enum.all?(list, fn {name, value} -> Windows.Config.name?(name) and value?.(value) end) and
      Options.distinct_atoms?(Keyword.keys(list), most)
  end
end
