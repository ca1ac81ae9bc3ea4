defmodule AdTally.Test.Kills.Lines do
  @moduledoc "What `AdTally.Sink.Files` wrote in a run of `AdTally.Test.Kills`."

  alias AdTally.Test.{JSON, SinkFiles}

  @doc "Impressions, clicks and spend of all windows, by campaign and creative."
  def counters(dir) do
    dir
    |> SinkFiles.paths(:counters)
    |> Task.async_stream(&file/1, ordered: false, timeout: :infinity)
    |> Enum.reduce(%{}, fn {:ok, rows}, sums -> Enum.reduce(rows, sums, &add/2) end)
  end

  defp file(path) do
    for line <- File.stream!(path, [:compressed]),
        do: line |> String.trim_trailing("\n") |> JSON.decode!() |> row()
  end

  defp row(columns) do
    columns = Map.new(columns)

    {{columns["campaign"], columns["creative"]},
     Enum.map(["impressions", "clicks", "spend_micros"], &columns[&1])}
  end

  defp add({key, numbers}, sums),
    do:
      Map.update(
        sums,
        key,
        numbers,
        &Enum.zip_with(&1, numbers, fn one, other -> one + other end)
      )
end
