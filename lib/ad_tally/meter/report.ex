defmodule AdTally.Meter.Report do
  @moduledoc false
  # What a report is to have: windows are grouped by native code.

  @behaviour AdTally.Windows.Reader

  alias AdTally.{Native, Options, Steps}

  @enforce_keys [:from, :to, :groups, :allowed, :order, :limit]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          from: non_neg_integer(),
          to: non_neg_integer() | :infinity,
          # as `Native.meter_report_new/4` takes them
          groups: tuple(),
          order: non_neg_integer() | nil,
          limit: pos_integer() | nil,
          # a list of values for each dimension that is filtered by
          allowed: [[AdTally.Meter.value()]]
        }

  @most 0xFFFF_FFFF_FFFF_FFFF

  @impl true
  @spec new!(map(), keyword()) :: t()
  def new!(names, options) do
    %{dimensions: dimensions, metrics: metrics, reach_by: reach_by} = names
    by = options |> Keyword.get(:by, dimensions) |> Options.subset!(:by, dimensions)
    where = options |> Keyword.get(:where, []) |> where!(dimensions)
    # A sketch cannot be filtered by a dimension that it is not kept by.
    has_reach? = reach_by != [] and Enum.all?(by ++ Keyword.keys(where), &(&1 in reach_by))

    filters =
      for {name, _values} <- where,
          do: {Options.place(name, dimensions), Options.place(name, reach_by)}

    %__MODULE__{
      from: Options.time!(options, :from, 0),
      to: Options.time!(options, :to, :infinity),
      groups:
        {by, Options.places(by, dimensions), filters,
         if(has_reach?, do: Options.places(by, reach_by))},
      allowed: Keyword.values(where),
      order: order!(options, metrics),
      limit: limit!(options)
    }
  end

  @impl true
  def begin(report, native) do
    made = Native.meter_report_new(native, report.groups, report.order, report.limit)

    report.allowed
    |> Enum.with_index()
    |> Enum.each(fn {values, filter} ->
      Steps.each(values, &Native.meter_report_allow(made, filter, &1, &2))
    end)

    made
  end

  @impl true
  defdelegate read(made, windows), to: Native, as: :meter_report_read

  @impl true
  defdelegate rows(made, rows), to: Native, as: :meter_report_rows

  @impl true
  defdelegate free(made), to: Native, as: :meter_report_end

  @doc "The next frame of its groups, for another node, or nil."
  @spec frame(reference()) :: binary() | nil
  defdelegate frame(made), to: Native, as: :meter_report_frame

  @doc "Takes a frame of another node's report: whether there are more, or what is wrong with it."
  @spec take(reference(), binary()) ::
          :more
          | :done
          | {:error, byte :: non_neg_integer(), field :: String.t(), reason :: String.t()}
  defdelegate take(made, frame), to: Native, as: :meter_report_take

  @doc "Adds the groups of another report of the same options, which has none afterwards."
  @spec merge(reference(), reference()) :: :ok
  def merge(made, other) do
    case Native.meter_report_merge(made, other) do
      :more -> merge(made, other)
      :done -> :ok
    end
  end

  ## Options

  defp where!(where, dimensions) do
    names = if Keyword.keyword?(where), do: Keyword.keys(where), else: [nil]

    unless Enum.uniq(names) == names and names -- dimensions == [] do
      raise ArgumentError,
            "expected :where to be a keyword list of dimensions, of #{inspect(dimensions)}, each once and " <>
              "with its value or a list of values, got: #{Options.shown(where)}"
    end

    for {name, values} <- where do
      values = if is_list(values) and not List.improper?(values), do: values, else: [values]

      with other when other != nil <- Enum.find_index(values, &(not value?(&1))) do
        raise ArgumentError,
              "expected #{inspect(name)} in :where to be an integer, a binary, an atom or a list of " <>
                "those, as dimensions are, got: #{Options.shown(Enum.at(values, other))}"
      end

      {name, values}
    end
  end

  defp value?(value), do: is_integer(value) or is_binary(value) or is_atom(value)

  defp order!(options, metrics) do
    case Keyword.fetch(options, :order_by) do
      :error ->
        nil

      {:ok, name} ->
        Options.place(name, metrics) ||
          raise ArgumentError,
                "expected :order_by to be one of the metrics, #{inspect(metrics)}, got: #{Options.shown(name)}"
    end
  end

  defp limit!(options) do
    case Keyword.fetch(options, :limit) do
      :error ->
        nil

      {:ok, limit} when is_integer(limit) and limit > 0 ->
        min(limit, @most)

      {:ok, other} ->
        raise ArgumentError,
              "expected :limit to be a number of groups, an integer from 1 on, got: #{Options.shown(other)}"
    end
  end
end
