defmodule AdTally.Attribution.Report do
  @moduledoc false
  # What a report of an attribution is to have, and its rows: windows are read and grouped by native code, in
  # steps.

  @behaviour AdTally.Windows.Reader

  alias AdTally.{Native, Options}

  @enforce_keys [:from, :to, :dates, :by, :others, :model, :dated_by]
  defstruct @enforce_keys

  # What credit may be grouped by beside dimensions.
  @others [:kind, :action]

  @impl true
  def new!(%{dimensions: dimensions, models: models}, options) do
    by = options |> Keyword.get(:by, dimensions) |> Options.subset!(:by, dimensions ++ @others)

    %__MODULE__{
      # What is dated then may be in any window from then on: native code looks into all of them.
      from: 0,
      to: :infinity,
      dates: dates!(options),
      by: for(name <- by, name not in @others, do: {name, Options.place(name, dimensions)}),
      others: {:kind in by, :action in by},
      model: options |> model!(models) |> Options.place(models),
      dated_by: Options.one_of!(options, :dated_by, [:conversion, :touch])
    }
  end

  @doc "The times that are asked for."
  @spec dates!(keyword()) :: {non_neg_integer(), non_neg_integer() | :infinity}
  def dates!(options),
    do: {Options.time!(options, :from, 0), Options.time!(options, :to, :infinity)}

  defp model!(options, models) do
    model = Keyword.get(options, :model, hd(models))

    if model in models do
      model
    else
      raise ArgumentError,
            "expected :model to be one of :models, #{inspect(models)}, got: #{Options.shown(model)}"
    end
  end

  @impl true
  def begin(report, native) do
    %{by: by, others: others, model: model, dated_by: dated_by, dates: dates} = report
    Native.attribution_report_new(native, by, others, model, dated_by, dates)
  end

  @impl true
  defdelegate read(made, windows), to: Native, as: :attribution_report_read

  @impl true
  defdelegate rows(made, rows), to: Native, as: :attribution_report_rows

  @impl true
  defdelegate free(made), to: Native, as: :attribution_report_end
end
