defmodule AdTally.Store.Described do
  @moduledoc false
  # What a directory of a store has, in lines for a person: see `AdTally.Store.describe/1`.

  alias AdTally.Store.Server

  @doc "The lines."
  @spec lines(map(), Path.t()) :: [String.t()]
  def lines(described, dir) do
    bytes = described.files |> Enum.map(& &1.bytes) |> Enum.sum()

    [
      "#{dir}: #{Server.size(bytes)} in #{length(described.files)} files, opened #{described.opened} times",
      "A start reads it in about #{seconds(described.start_ms)}."
    ] ++
      torn(described.torn_bytes) ++
      ["" | parts(described.parts)] ++ ["" | files(described.files)] ++ damages(described.damages)
  end

  defp seconds(milliseconds) when milliseconds < 1_000, do: "#{milliseconds} ms"
  defp seconds(milliseconds), do: "#{Float.round(milliseconds / 1_000, 1)} s"

  defp torn(0), do: []

  defp torn(bytes) do
    [
      "The last #{Server.size(bytes)} are not complete: a store in use is writing them, or its VM died. The next start cuts them."
    ]
  end

  defp parts(parts) do
    rows =
      for part <- parts do
        entries = for {kind, count} <- Enum.sort(part.entries), count > 0, do: "#{kind} #{count}"
        [shown(part), Server.size(part.bytes), Enum.join(entries, ", ")]
      end

    table([["part", "size", "entries"] | rows])
  end

  # That of the store itself has the texts of atoms.
  defp shown(%{name: "", kind: _kind}), do: "(names)"
  defp shown(%{name: "Elixir." <> name, kind: kind}), do: "#{name} (#{kind})"
  defp shown(%{name: name, kind: kind}), do: ":#{name} (#{kind})"

  defp files(files) do
    rows = for file <- files, do: [file.name, Server.size(file.bytes), what(file)]
    table([["file", "size", "what"] | rows])
  end

  defp what(%{part: nil, from: from, to: to}) when to < from, do: "nothing yet"
  defp what(%{part: nil} = file), do: "intervals #{file.from} to #{file.to}"
  defp what(%{base?: true} = file), do: "#{file.part}, all up to interval #{file.to}"
  defp what(file), do: "#{file.part}, intervals #{file.from} to #{file.to}"

  defp damages([]), do: []
  defp damages(damages), do: ["", "Damaged:" | damages]

  defp table(rows) do
    widths =
      for column <- 0..1, do: rows |> Enum.map(&String.length(Enum.at(&1, column))) |> Enum.max()

    for [first, second, last] <- rows do
      [one, other] = widths
      line = String.pad_trailing(first, one) <> "  " <> String.pad_leading(second, other)
      String.trim_trailing("#{line}  #{last}")
    end
  end
end
