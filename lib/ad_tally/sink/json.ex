defmodule AdTally.Sink.JSON do
  @moduledoc false
  # The JSON that rows need: members of a flat object that are integers, atoms and binaries. A JSON library
  # would be the only dependency.

  @base64 "base64:"

  @doc "A name, to be given to `member/2` any number of times."
  @spec name(atom()) :: binary()
  def name(name), do: name |> Atom.to_string() |> string() |> IO.iodata_to_binary()

  @doc "A member of an object as iodata."
  @spec member(name :: binary(), integer() | atom() | binary()) :: iodata()
  def member(name, value), do: [name, ?:, value(value)]

  @doc "A value: `nil`, `true` and `false` as JSON has them, other atoms as their text."
  @spec value(integer() | atom() | binary()) :: iodata()
  def value(value) when is_integer(value), do: Integer.to_string(value)
  def value(nil), do: "null"
  def value(true), do: "true"
  def value(false), do: "false"
  def value(value), do: text(value)

  @doc """
  A value as a string. Bytes that are no UTF-8 become `base64:` and their Base64. So does text that
  begins like that, so that it cannot be taken for such bytes.
  """
  @spec text(integer() | atom() | binary()) :: iodata()
  def text(value) when is_integer(value), do: [?", Integer.to_string(value), ?"]
  def text(value) when is_atom(value), do: value |> Atom.to_string() |> text()
  def text(@base64 <> _ = value), do: base64(value)
  def text(value), do: if(String.valid?(value), do: string(value), else: base64(value))

  defp base64(value), do: [?", @base64, Base.encode64(value), ?"]

  @doc "UTF-8 as a string."
  @spec string(binary()) :: iodata()
  def string(value), do: [?", escape(value, 0, 0, value), ?"]

  # Parts without an escape are sub-binaries and not copied.
  defp escape(<<byte, rest::binary>>, from, length, all) when byte in [?", ?\\] or byte < 0x20,
    do: [binary_part(all, from, length), escaped(byte) | escape(rest, from + length + 1, 0, all)]

  defp escape(<<_byte, rest::binary>>, from, length, all), do: escape(rest, from, length + 1, all)
  defp escape(<<>>, from, length, all), do: [binary_part(all, from, length)]

  defp escaped(?"), do: ~S(\")
  defp escaped(?\\), do: ~S(\\)
  defp escaped(?\n), do: ~S(\n)
  defp escaped(byte), do: [~S(\u00), byte |> Integer.to_string(16) |> String.pad_leading(2, "0")]
end
