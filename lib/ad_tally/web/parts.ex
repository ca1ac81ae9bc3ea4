defmodule AdTally.Web.Parts do
  @moduledoc false
  # Parts that run, by the text of their names.

  alias AdTally.{Attribution, Meter, Metrics, Named}
  alias AdTally.Web.{Names, Query, Series}

  require Named

  @kinds %{meters: "meter", attributions: "attribution", pacers: "pacer"}

  # In a message.
  @most_named 10

  @doc "The name of a part that was asked for, the first one where none was."
  @spec find(atom(), :meters | :attributions, binary() | nil) ::
          {:ok, atom(), info :: map(), all :: [atom()]} | {:error, 404, binary()}
  def find(web, kind, text) do
    with :error <- find_in(Series.snapshot(web), kind, text),
         # One that was started in this second.
         snapshot = Metrics.snapshot(),
         :error <- find_in(snapshot, kind, text),
         do: {:error, 404, none(@kinds[kind], text, snapshot[kind])}
  end

  defp find_in(snapshot, kind, text) do
    parts = Map.fetch!(snapshot, kind)
    names = Enum.sort_by(Map.keys(parts), &Names.name/1)

    case Enum.find(names, &(text == nil or Names.name(&1) == text)) do
      nil -> :error
      name -> {:ok, name, Map.fetch!(parts, name), names}
    end
  end

  defp none(kind, nil, _parts), do: "there is no #{kind} that runs: start one under a supervisor"

  defp none(kind, text, parts) do
    some = parts |> Map.keys() |> Enum.map(&Names.name/1) |> Enum.sort() |> Enum.take(@most_named)
    run = if some == [], do: "none does", else: "those that run are #{Enum.join(some, ", ")}"
    "there is no #{kind} named #{Query.shown(text)} that runs: #{run}"
  end

  @doc "The native table of a meter, and the name of the attribution that belongs to it."
  @spec meter!(atom()) :: {reference(), atom() | nil}
  def meter!(name) do
    case Named.fetch!(Meter, name) do
      {native, _late} -> {native, nil}
      {native, _late, attribution} -> {native, attribution}
    end
  end

  @doc "The native table of an attribution."
  @spec attribution!(atom()) :: reference()
  def attribution!(name), do: Named.fetch!(Attribution, name)
end
