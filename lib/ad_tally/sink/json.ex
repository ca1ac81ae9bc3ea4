defmodule AdTally.Sink.JSON do
  @moduledoc false
  # The JSON that rows need: members of a flat object that are integers, atoms and binaries. A JSON library
  # would be the only dependency.

  @doc "A name, to be given to `member/2` any number of times."
  @spec name(atom()) :: binary()
  def name(name), do: name |> Atom.to_string() |> string() |> IO.iodata_to_binary()

  @doc "A member of an object as iodata."
  @spec member(name :: binary(), integer() | atom() | binary()) :: iodata()
  def member(name, value), do: [name, ?:, value(value)]

  defp value(value) when is_integer(value), do: Integer.to_string(value)

  defp value(value) when value in [nil, true, false],
    do: if(value == nil, do: "null", else: "#{value}")

  defp value(value) when is_atom(value), do: value |> Atom.to_string() |> string()

  defp value(value) when is_binary(value) do
    if String.valid?(value),
      do: string(value),
      else: [~s({"base64":), string(Base.encode64(value)), ?}]
  end

  defp string(value), do: [?", escape(value, 0, 0, value), ?"]

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
