defmodule AdTally.Sink.Files.Tables do
  @moduledoc false
  # The columns of each kind of lines, as options of a meter or an attribution and of the sink make them.

  alias AdTally.{Options, Sink}
  alias AdTally.Windows.ReservedNames
  alias AdTally.Sink.Files.Types

  @typedoc "`:any` is what a dimension may be that has no type."
  @type type :: :text | :integer | :boolean | :any | :sketch

  @type column :: {name :: String.t(), type(), :required | :nullable}

  @common [
    meter: :text,
    node: :text,
    epoch: :integer,
    sequence: :integer,
    partial: :boolean,
    starts_at: :integer,
    ends_at: :integer
  ]

  # Of lines of an attribution, what is before their dimensions and after them.
  @credit [
    model: :text,
    order_id: :text,
    action: :text,
    kind: {:nullable, :text},
    touch_id: {:nullable, :integer}
  ]
  @credited [
    touched_at: {:nullable, :integer},
    converted_at: :integer,
    adjusted_at: {:nullable, :integer},
    conversions_ppm: :integer,
    value_micros: :integer,
    truncated: :boolean,
    revision: :integer
  ]
  @spend [overflow: :boolean, touches: :integer, cost_micros: :integer]

  @doc "The columns by kind, and the directory of the files if there is one in the options."
  @spec new!(keyword()) :: {%{Sink.Files.kind() => [column()]}, Path.t() | nil}
  def new!(options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError,
            "expected a keyword list of options of a meter or an attribution, got: #{Options.shown(options)}"
    end

    sink = Keyword.merge(of_sinks(options), Keyword.take(options, [:types, :dir]))
    dimensions = names!(options, :dimensions)
    types = sink |> Keyword.get(:types, []) |> Types.check!(dimensions)

    tables =
      if Keyword.has_key?(options, :touches),
        do: of_attribution(dimensions, types),
        else: of_meter(options, dimensions, types)

    {tables, sink[:dir]}
  end

  defp of_attribution(dimensions, types) do
    ReservedNames.check!(:attribution, [dimensions: dimensions], [])
    %{credits: credits(dimensions, types), touches: touches(dimensions, types)}
  end

  defp of_meter(options, dimensions, types) do
    metrics = names!(options, :metrics)
    ReservedNames.check!(:meter, [dimensions: dimensions, metrics: metrics], [])
    tables(dimensions, metrics, reach_by!(options, dimensions), types)
  end

  # As the meter has them: of one kind at least, and each once.
  defp names!(options, option) do
    names = Keyword.get(options, option)

    if Options.distinct_atoms?(names, 16) do
      names
    else
      raise ArgumentError,
            "expected #{inspect(option)} to be the list of the meter's, got: #{Options.shown(names)}"
    end
  end

  # In the order of the dimensions.
  defp reach_by!(options, dimensions) do
    case Keyword.get(options, :reach, false) do
      false ->
        []

      reach ->
        by = if Keyword.keyword?(reach), do: Keyword.get(reach, :by)
        by = Options.subset!(by, :by, dimensions)
        Enum.filter(dimensions, &(&1 in by))
    end
  end

  defp of_sinks(options) do
    with sinks when is_list(sinks) <- Keyword.get(options, :sinks),
         {Sink.Files, options} <- List.keyfind(sinks, Sink.Files, 0),
         do: options,
         else: (_none -> [])
  end

  defp credits(dimensions, types),
    do: fixed(@common ++ @credit) ++ columns(dimensions, types) ++ fixed(@credited)

  defp touches(dimensions, types),
    do: fixed(@common ++ [kind: :text]) ++ columns(dimensions, types) ++ fixed(@spend)

  defp tables(dimensions, metrics, reach_by, types) do
    metrics = for name <- metrics, do: {name, :integer}
    counters = fixed(@common) ++ columns(dimensions, types) ++ fixed(metrics)
    overflow = fixed(@common ++ metrics)

    case reach_by do
      [] ->
        %{counters: counters, overflow: overflow}

      _some ->
        %{
          counters: counters,
          reach: fixed(@common) ++ columns(reach_by, types) ++ [sketch(:required)],
          overflow: overflow ++ [sketch(:nullable)]
        }
    end
  end

  defp columns(dimensions, types) do
    misfits = if types == [], do: [], else: [column(:misfits, :text, :nullable)]
    for(name <- dimensions, do: column(name, type(types[name]), :nullable)) ++ misfits
  end

  defp type(nil), do: :any
  defp type(:string), do: :text
  defp type(:integer), do: :integer

  defp fixed(columns) do
    for {name, type} <- columns do
      case type do
        {:nullable, type} -> column(name, type, :nullable)
        type -> column(name, type, :required)
      end
    end
  end

  defp sketch(need), do: column(:reach_sketch, :sketch, need)

  defp column(name, type, need), do: {Atom.to_string(name), type, need}
end
