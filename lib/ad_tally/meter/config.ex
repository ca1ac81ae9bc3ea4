defmodule AdTally.Meter.Config do
  @moduledoc false
  # The options of a meter, checked, and as native code takes them.

  alias AdTally.{Attribution, Named, Options, Windows}
  alias AdTally.Meter.{Shape, Source}
  alias AdTally.Store.Part
  alias AdTally.Windows.{ReservedNames, Sinks}

  require Named

  @options Windows.Config.options() ++
             [
               :dimensions,
               :metrics,
               :reach,
               :dedupe,
               :max_keys,
               :max_open_windows,
               :on_late,
               :attribution
             ]

  # Milliseconds in which an attribution says what its dimensions are.
  @asking 5_000

  def new!(options) do
    options = Options.known!(options, @options)
    config = Windows.Config.new!(options)
    {common, config} = Map.split(config, [:window, :max_ahead, :seed])
    %{window: window, max_ahead: max_ahead, seed: seed} = common
    lateness = config.lateness
    dimensions = Windows.Config.dimensions!(options)
    metrics = Windows.Config.names!(options, :metrics, 16)
    names = [dimensions: dimensions, metrics: metrics]
    ReservedNames.check!(:meter, names, Sinks.reserved_names(config.sinks))

    # With `clock: :events` the newest event moves the clock, and closes the windows before it.
    ahead = if max_ahead, do: max_ahead + config.tick, else: 0
    max_open_windows = max_open_windows!(options, div(lateness + ahead, window) + 2)
    max_keys = Options.max_keys!(options, 1_000_000)
    {reach_by, sketches} = within!(options, :reach, {[], nil}, &reach!(&1, dimensions, max_keys))
    names = %{dimensions: dimensions, metrics: metrics, reach_by: reach_by}
    Sinks.check_names!(config.sinks, names)
    times = {window, lateness, max_ahead, max_open_windows}
    counters = {metrics, length(dimensions), max_keys}
    ids = within!(options, :dedupe, nil, &ids!/1)

    on_late = on_late!(Keyword.get(options, :on_late))

    # Last, because other processes are asked.
    {attribution, touches} =
      within!(
        options,
        :attribution,
        {nil, nil},
        &attribution!(&1, dimensions, metrics, config.store)
      )

    table = {times, counters, sketches, ids, touches, seed}
    {shape, rules} = Shape.new(window, names, sketches, ids)

    Map.merge(config, %{
      source: Source,
      table: table,
      part: Part.new!(config.store, {AdTally.Meter, config.name}, shape, rules, table),
      attribution: attribution,
      names: names,
      on_late: on_late
    })
  end

  # At least as many as events that are neither late nor too far ahead can open.
  defp max_open_windows!(options, least) do
    default = max(10_000, least)
    given? = Keyword.has_key?(options, :max_open_windows)
    most = if given?, do: Options.count!(options, :max_open_windows, default), else: default

    if most < least do
      raise ArgumentError,
            "expected :max_open_windows to be at least #{least}, which :window, :lateness and :max_ahead " <>
              "ask for, got: #{most}"
    end

    most
  end

  # An option that is a keyword list. An error names the option, as the meter has others of the same names,
  # and does not show the list, which may have a secret.
  defp within!(options, name, nothing, check) do
    case Keyword.get(options, name, false) do
      false ->
        nothing

      options when is_list(options) ->
        within!(name, fn -> check.(options) end)

      _other ->
        raise ArgumentError, "expected #{inspect(name)} to be false or a keyword list of options"
    end
  end

  defp within!(name, check) do
    check.()
  rescue
    error in ArgumentError ->
      reraise ArgumentError, [message: "in #{inspect(name)}: #{error.message}"], __STACKTRACE__
  end

  defp reach!(options, dimensions, max_keys) do
    options = Options.known!(options, [:by, :precision, :max_keys, :secret])
    by = options |> Keyword.get(:by) |> Options.subset!(:by, dimensions)

    if by == [],
      do: raise(ArgumentError, "expected :by to have a dimension of #{inspect(dimensions)}")

    places = by |> Options.places(dimensions) |> Enum.sort()
    precision = Options.precision!(options, 12)
    max_keys = Options.max_keys!(options, max_keys)

    {Enum.map(places, &Enum.at(dimensions, &1)),
     {places, precision, max_keys, Options.secret!(options)}}
  end

  defp ids!(options) do
    options = Options.known!(options, [:window, :capacity, :fingerprint_bits])
    window = Options.milliseconds!(options, :window, 600_000)
    capacity = Options.count!(options, :capacity, 1_000_000)
    {window, capacity, Options.one_of!(options, :fingerprint_bits, [28, 61]) == 61}
  end

  # Its name, and what of an event is its touch's: where its dimensions are, and the metric that is the cost.
  defp attribution!(options, dimensions, metrics, store) do
    options = Options.known!(options, [:name, :cost])
    name = Keyword.get(options, :name)

    unless Windows.Config.name?(name) do
      raise ArgumentError,
            "expected :name to be the name of an AdTally.Attribution, an atom, got: #{Options.shown(name)}"
    end

    Named.fetch!(Attribution, name)
    named = Windows.Server.call({Attribution.Source, name}, :names, @asking)
    %{dimensions: own} = named

    unless own -- dimensions == [] do
      raise ArgumentError,
            "expected the dimensions of #{inspect(name)}, #{inspect(own)}, to be among those of the meter, " <>
              inspect(dimensions)
    end

    check_store!(name, named[:store], store)
    {name, {Options.places(own, dimensions), cost!(Keyword.get(options, :cost), metrics)}}
  end

  # An event and its touch are one record: both are stored, or neither.
  defp check_store!(_name, store, store), do: :ok

  defp check_store!(name, other, store) do
    raise ArgumentError,
          "expected the :store of #{inspect(name)} to be that of the meter, #{inspect(store)}, got: #{inspect(other)}"
  end

  defp cost!(nil, _metrics), do: nil

  defp cost!(cost, metrics) do
    Options.place(cost, metrics) ||
      raise ArgumentError,
            "expected :cost to be one of the metrics #{inspect(metrics)}, got: #{Options.shown(cost)}"
  end

  defp on_late!(nil), do: nil

  defp on_late!({module, function} = late) when is_atom(module) and is_atom(function) do
    if Code.ensure_loaded?(module) and function_exported?(module, function, 1),
      do: late,
      else: no_function!(late)
  end

  defp on_late!(other), do: no_function!(other)

  defp no_function!(other) do
    raise ArgumentError,
          "expected :on_late to be {module, function} of a function of one argument, got: " <>
            Options.shown(other)
  end
end
