defmodule AdTally.Sink.Files.Tables do
  @moduledoc false
  # The columns of each kind of lines, as options of a meter and of the sink make them.

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

  @doc "The columns by kind, and the directory of the files if there is one in the options."
  @spec new!(keyword()) :: {%{Sink.Files.kind() => [column()]}, Path.t() | nil}
  def new!(options) do
    unless Keyword.keyword?(options) do
      raise ArgumentError,
            "expected a keyword list of options of a meter, got: #{Options.shown(options)}"
    end

    dimensions = names!(options, :dimensions)
    metrics = names!(options, :metrics)
    ReservedNames.check!(:meter, [dimensions: dimensions, metrics: metrics], [])
    reach_by = reach_by!(options, dimensions)
    sink = Keyword.merge(of_sinks(options), Keyword.take(options, [:types, :dir]))
    types = sink |> Keyword.get(:types, []) |> Types.check!(dimensions)
    {tables(dimensions, metrics, reach_by, types), sink[:dir]}
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

  defp tables(dimensions, metrics, reach_by, types) do
    common = for {name, type} <- @common, do: column(name, type, :required)
    metrics = for name <- metrics, do: column(name, :integer, :required)
    counters = common ++ columns(dimensions, types) ++ metrics
    overflow = common ++ metrics

    case reach_by do
      [] ->
        %{counters: counters, overflow: overflow}

      _some ->
        %{
          counters: counters,
          reach: common ++ columns(reach_by, types) ++ [sketch(:required)],
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

  defp sketch(need), do: column(:reach_sketch, :sketch, need)

  defp column(name, type, need), do: {Atom.to_string(name), type, need}
end
