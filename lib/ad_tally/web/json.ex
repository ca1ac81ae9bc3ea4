defmodule AdTally.Web.JSON do
  @moduledoc false
  # Terms as JSON for the page and for whoever else asks: maps, lists, numbers, atoms and binaries.
  #
  # What users put into dimensions is in it. A string is safe inside of a <script> as well: "<", ">" and "&" are
  # escaped, and so are U+2028 and U+2029, which end a line of a script.

  # A JSON number is a float of 64 bits for a browser, which has every integer up to here.
  @exact 0x1F_FFFF_FFFF_FFFF

  @doc """
  A term as JSON. Integers that a browser would round become strings; bytes that are no UTF-8 become `base64:` and
  their Base64, as in the files of sinks.
  """
  @spec encode(term()) :: iodata()
  def encode(integer) when is_integer(integer) and integer in -@exact..@exact,
    do: Integer.to_string(integer)

  def encode(integer) when is_integer(integer), do: [?", Integer.to_string(integer), ?"]
  def encode(float) when is_float(float), do: Float.to_string(float)
  def encode(nil), do: "null"
  def encode(true), do: "true"
  def encode(false), do: "false"
  def encode(atom) when is_atom(atom), do: atom |> Atom.to_string() |> encode()

  def encode(binary) when is_binary(binary) do
    if String.valid?(binary),
      do: string(binary),
      else: [~s("base64:), Base.encode64(binary), ?"]
  end

  def encode([]), do: "[]"
  def encode([first | rest]), do: [?[, encode(first), elements(rest)]

  def encode(map) when is_map(map) do
    case Enum.sort(Map.to_list(map)) do
      [] -> "{}"
      [first | rest] -> [?{, member(first), members(rest)]
    end
  end

  defp elements([]), do: [?]]
  defp elements([element | rest]), do: [?,, encode(element) | elements(rest)]

  defp members([]), do: [?}]
  defp members([member | rest]), do: [?,, member(member) | members(rest)]

  defp member({name, value}) when is_atom(name),
    do: [string(Atom.to_string(name)), ?:, encode(value)]

  defp member({name, value}) when is_binary(name), do: [encode(name), ?:, encode(value)]

  defp string(value), do: [?", escape(value, 0, 0, value), ?"]

  # Parts without an escape are sub-binaries and not copied.
  defp escape(<<byte, rest::binary>>, from, length, all)
       when byte < 0x20 or byte in [?", ?\\, ?<, ?>, ?&, 0x7F],
       do: [
         binary_part(all, from, length),
         escaped(byte) | escape(rest, from + length + 1, 0, all)
       ]

  # U+2028 and U+2029.
  defp escape(<<0xE2, 0x80, byte, rest::binary>>, from, length, all) when byte in [0xA8, 0xA9] do
    [
      binary_part(all, from, length),
      if(byte == 0xA8, do: ~S(\u2028), else: ~S(\u2029))
      | escape(rest, from + length + 3, 0, all)
    ]
  end

  defp escape(<<_byte, rest::binary>>, from, length, all), do: escape(rest, from, length + 1, all)
  defp escape(<<>>, from, length, all), do: [binary_part(all, from, length)]

  defp escaped(?"), do: ~S(\")
  defp escaped(?\\), do: ~S(\\)
  defp escaped(byte), do: [~S(\u00), byte |> Integer.to_string(16) |> String.pad_leading(2, "0")]
end
