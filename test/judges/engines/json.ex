defmodule AdTally.Engines.JSON do
  @moduledoc "JSON of maps, lists, text, numbers, booleans and nil, for expected.json."

  @spec encode(term()) :: iodata()
  def encode(map) when is_map(map) do
    members = for {name, value} <- map, do: [text(to_string(name)), ?:, encode(value)]
    [?{, Enum.intersperse(members, ",\n"), ?}]
  end

  def encode(list) when is_list(list),
    do: [?[, list |> Enum.map(&encode/1) |> Enum.intersperse(",\n"), ?]]

  def encode(nil), do: "null"
  def encode(value) when is_boolean(value) or is_number(value), do: "#{value}"
  def encode(value) when is_atom(value), do: value |> Atom.to_string() |> text()
  def encode(value) when is_binary(value), do: text(value)

  # All but plain ASCII as \uXXXX: this must not share a fault with the sink's own JSON.
  defp text(value) do
    escaped =
      for <<unit::16 <- :unicode.characters_to_binary(value, :utf8, :utf16)>>, into: "" do
        if unit in 0x20..0x7E and unit not in [?", ?\\],
          do: <<unit>>,
          else: "\\u" <> (unit |> Integer.to_string(16) |> String.pad_leading(4, "0"))
      end

    [?", escaped, ?"]
  end
end
