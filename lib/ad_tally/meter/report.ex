defmodule AdTally.Meter.Report do
  @moduledoc false
  # What a report is to have, and its rows: windows are read and grouped by native code, in steps.

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

  @doc "What a report is to have. The names of options were checked."
  @spec new!(map(), keyword()) :: t()
  def new!(config, options) do
    %{dimensions: dimensions, metrics: metrics, reach_by: reach_by} = config
    by = options |> Keyword.get(:by, dimensions) |> Options.subset!(:by, dimensions)
    where = options |> Keyword.get(:where, []) |> where!(dimensions)
    # A sketch cannot be filtered by a dimension that it is not kept by.
    has_reach? = reach_by != [] and (by ++ Keyword.keys(where)) -- reach_by == []

    filters = for {name, _values} <- where, do: {place(name, dimensions), place(name, reach_by)}

    %__MODULE__{
      from: time!(options, :from, 0),
      to: time!(options, :to, :infinity),
      groups: {by, places(by, dimensions), filters, if(has_reach?, do: places(by, reach_by))},
      allowed: Keyword.values(where),
      order: order!(options, metrics),
      limit: limit!(options)
    }
  end

  @doc "A report without windows yet, and native."
  @spec begin(t(), meter :: reference()) :: reference()
  def begin(report, native) do
    made = Native.meter_report_new(native, report.groups, report.order, report.limit)

    report.allowed
    |> Enum.with_index()
    |> Enum.each(fn {values, filter} ->
      Steps.each(values, &Native.meter_report_allow(made, filter, &1, &2))
    end)

    made
  end

  @doc """
  Reads windows, which come in lists. `time_left` is called before each step, and exits when there is
  none.
  """
  @spec read(reference(), Enumerable.t(), AdTally.Meter.Deadline.t()) :: :ok
  def read(made, windows, time_left),
    do: Enum.each(windows, fn some -> read_some(made, some, time_left) end)

  defp read_some(_made, [], _time_left), do: :ok

  defp read_some(made, windows, time_left) do
    time_left.()
    read_some(made, Native.meter_report_read(made, windows), time_left)
  end

  @doc "All rows, once windows were read."
  @spec rows(reference(), AdTally.Meter.Deadline.t(), [map()]) :: [map()]
  def rows(made, time_left, rows \\ []) do
    time_left.()

    case Native.meter_report_rows(made, rows) do
      {:more, rows} -> rows(made, time_left, rows)
      {:done, rows} -> Enum.reverse(rows)
    end
  end

  @doc "The next rows, as `Stream.resource/3` takes them."
  @spec some_rows(reference()) :: {[map()], reference()} | {:halt, reference()}
  def some_rows(made) do
    case Native.meter_report_rows(made, []) do
      {:done, []} -> {:halt, made}
      {_more_or_done, rows} -> {Enum.reverse(rows), made}
    end
  end

  def places(names, all), do: Enum.map(names, &place(&1, all))

  defp place(name, all), do: Enum.find_index(all, &(&1 == name))

  ## Options

  defp time!(options, name, default) do
    case Keyword.fetch(options, name) do
      :error -> default
      {:ok, time} -> checked_time!(name, time, milliseconds(time))
    end
  end

  defp checked_time!(_name, _time, milliseconds)
       when is_integer(milliseconds) and milliseconds >= 0,
       do: milliseconds

  # With wrong fields it may look like a good one, unless it is shown as a map.
  defp checked_time!(name, time, :wrong_fields), do: no_time!(name, Map.from_struct(time))
  defp checked_time!(name, time, _other), do: no_time!(name, time)

  # The first millisecond that is not before it: windows begin at whole ones.
  defp milliseconds(%DateTime{} = time) do
    -Integer.floor_div(-DateTime.to_unix(time, :microsecond), 1_000)
  rescue
    _error -> :wrong_fields
  end

  defp milliseconds(time), do: time

  defp no_time!(name, time) do
    raise ArgumentError,
          "expected #{inspect(name)} to be Unix milliseconds or a DateTime, from 1970 on, got: " <>
            Options.shown(time)
  end

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
        place(name, metrics) ||
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
