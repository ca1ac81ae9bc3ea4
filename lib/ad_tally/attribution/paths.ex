defmodule AdTally.Attribution.Paths do
  @moduledoc false
  # Paths with what came of them, read by native code, and as lines for packages that model them.

  @behaviour AdTally.Windows.Reader

  alias AdTally.Attribution.Report
  alias AdTally.{Native, Options}

  @enforce_keys [:from, :to, :dates, :places]
  defstruct @enforce_keys

  @header "path,total_conversions,total_conversion_value,total_null\n"
  @micros 1_000_000

  @impl true
  def new!(%{dimensions: dimensions}, options) do
    by = options |> Keyword.get(:by, dimensions) |> Options.subset!(:by, dimensions)

    if by == [],
      do: raise(ArgumentError, "expected :by to have a dimension of #{inspect(dimensions)}")

    # Conversions of that time may be in any window, as those of a report.
    %__MODULE__{
      from: 0,
      to: :infinity,
      dates: Report.dates!(options),
      places: Options.places(by, dimensions)
    }
  end

  @impl true
  def begin(%{places: places, dates: dates}, native),
    do: Native.attribution_paths_new(native, places, dates)

  @impl true
  defdelegate read(made, windows), to: Native, as: :attribution_paths_read

  @impl true
  defdelegate rows(made, rows), to: Native, as: :attribution_paths_rows

  @impl true
  defdelegate free(made), to: Native, as: :attribution_paths_end

  @doc "See `AdTally.Attribution.path_lines/1`."
  @spec lines(Enumerable.t()) :: Enumerable.t()
  def lines(paths) do
    paths
    |> Stream.map(fn %{path: path} = row ->
      steps = Enum.map_join(path, " > ", &step/1)
      "#{steps},#{row.conversions},#{units(row.value_micros)},#{row.non_conversions}\n"
    end)
    |> then(&Stream.concat([@header], &1))
  end

  defp step(nil), do: "(overflow)"

  defp step(dimensions) do
    dimensions
    |> Tuple.to_list()
    |> Enum.map_join(
      "/",
      &(&1 |> to_string() |> URI.encode(fn byte -> URI.char_unreserved?(byte) end))
    )
  end

  # Exact, of any size.
  defp units(micros) do
    sign = if micros < 0, do: "-", else: ""
    rest = micros |> abs() |> rem(@micros) |> Integer.to_string() |> String.pad_leading(6, "0")
    "#{sign}#{micros |> abs() |> div(@micros)}.#{rest}"
  end
end
