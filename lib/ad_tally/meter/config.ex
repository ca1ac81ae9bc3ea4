defmodule AdTally.Meter.Config do
  @moduledoc false
  # The options of a meter, checked, and as native code takes them.

  alias AdTally.Meter.{Report, ReservedNames, Sinks}
  alias AdTally.{Named, Options}

  @options [
    :name,
    :dimensions,
    :metrics,
    :window,
    :lateness,
    :clock,
    :max_ahead,
    :reach,
    :dedupe,
    :max_keys,
    :seed,
    :max_open_windows,
    :sinks,
    :max_waiting,
    :retain,
    :flush,
    :on_late,
    :telemetry_interval,
    :warning_interval
  ]

  @most_dimensions 8

  def new!(options) do
    options = Options.known!(options, @options)
    name = name!(options)
    dimensions = names!(options, :dimensions, @most_dimensions)
    metrics = names!(options, :metrics, 16)
    sinks = options |> Keyword.get(:sinks, []) |> Sinks.new!()
    ReservedNames.check!(dimensions, metrics, Sinks.reserved_names(sinks))

    window = Options.milliseconds!(options, :window, 60_000)
    clock = clock!(options)
    max_ahead = max_ahead!(options, clock, window)
    lateness = lateness!(options)
    tick = window |> div(10) |> max(10) |> min(1_000)
    # With `clock: :events` the newest event moves the clock, and closes the windows before it.
    ahead = if max_ahead, do: max_ahead + tick, else: 0
    max_open_windows = max_open_windows!(options, div(lateness + ahead, window) + 2)
    max_keys = Options.max_keys!(options, 1_000_000)
    {reach_by, sketches} = within!(options, :reach, {[], nil}, &reach!(&1, dimensions, max_keys))
    Sinks.check_names!(sinks, %{dimensions: dimensions, metrics: metrics, reach_by: reach_by})

    %{
      name: name,
      dimensions: dimensions,
      metrics: metrics,
      clock: clock,
      times: {window, lateness, max_ahead, max_open_windows},
      names: {metrics, length(dimensions), max_keys},
      reach_by: reach_by,
      sketches: sketches,
      ids: within!(options, :dedupe, nil, &ids!/1),
      seed: Options.seed!(options),
      sinks: sinks,
      max_waiting: Options.count!(options, :max_waiting, 10_000),
      retain: Options.milliseconds!(options, :retain, 3_600_000),
      flush: Options.timer!(options, :flush, 4_000),
      on_late: on_late!(Keyword.get(options, :on_late)),
      telemetry_interval: Options.timer!(options, :telemetry_interval, 10_000),
      warning_interval: Options.timer!(options, :warning_interval, 60_000),
      tick: tick
    }
  end

  defp name!(options) do
    case Keyword.get(options, :name) do
      name when is_atom(name) and name not in [nil, true, false] -> Named.free!(name)
      other -> raise ArgumentError, "expected :name to be an atom, got: #{Options.shown(other)}"
    end
  end

  defp names!(options, option, most) do
    names = Keyword.get(options, option)

    if Options.distinct_atoms?(names, most) and Enum.all?(names, &name?/1) do
      names
    else
      raise ArgumentError,
            "expected #{inspect(option)} to be a list of one to #{most} different atoms, got: #{Options.shown(names)}"
    end
  end

  defp name?(name), do: is_atom(name) and name not in [nil, true, false]

  defp clock!(options) do
    case Keyword.get(options, :clock, :system) do
      clock when clock in [:system, :events] ->
        clock

      other ->
        raise ArgumentError,
              "expected :clock to be :system or :events, got: #{Options.shown(other)}"
    end
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

  defp lateness!(options) do
    if Keyword.get(options, :lateness) == 0,
      do: 0,
      else: Options.milliseconds!(options, :lateness, 300_000)
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

    places = by |> Report.places(dimensions) |> Enum.sort()
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
