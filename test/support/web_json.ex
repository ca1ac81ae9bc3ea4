defmodule AdTally.Test.WebJSON do
  @moduledoc """
  Reads JSON as RFC 8259 has it: objects as maps, which may have no name twice, arrays as lists.
  """

  @spec decode!(iodata()) :: term()
  def decode!(text) do
    {value, rest} = text |> IO.iodata_to_binary() |> skip() |> value()
    "" = skip(rest)
    value
  end

  defp value("null" <> rest), do: {nil, rest}
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("\"" <> rest), do: string(rest, [])
  defp value("[" <> rest), do: elements(skip(rest), [])
  defp value("{" <> rest), do: members(skip(rest), %{})

  defp value(text) do
    [number] = Regex.run(~r/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/, text)
    rest = binary_part(text, byte_size(number), byte_size(text) - byte_size(number))

    case Integer.parse(number) do
      {integer, ""} ->
        {integer, rest}

      _other ->
        {float, ""} = Float.parse(number)
        {float, rest}
    end
  end

  defp elements("]" <> rest, []), do: {[], rest}

  defp elements(text, elements) do
    {value, rest} = value(text)

    case skip(rest) do
      "," <> rest -> elements(skip(rest), [value | elements])
      "]" <> rest -> {Enum.reverse([value | elements]), rest}
    end
  end

  defp members("}" <> rest, members) when members == %{}, do: {members, rest}

  defp members("\"" <> rest, members) do
    {name, rest} = string(rest, [])
    ":" <> rest = skip(rest)
    {value, rest} = rest |> skip() |> value()
    false = is_map_key(members, name)
    members = Map.put(members, name, value)

    case skip(rest) do
      "," <> rest -> members(skip(rest), members)
      "}" <> rest -> {members, rest}
    end
  end

  defp string("\"" <> rest, parts), do: {parts |> Enum.reverse() |> IO.iodata_to_binary(), rest}

  defp string("\\u" <> <<digits::binary-4, rest::binary>>, parts),
    do: string(rest, [<<String.to_integer(digits, 16)::utf8>> | parts])

  defp string("\\" <> <<byte, rest::binary>>, parts) when byte in ~c(\"\\/),
    do: string(rest, [byte | parts])

  defp string(<<char::utf8, rest::binary>>, parts) when char >= 0x20,
    do: string(rest, [<<char::utf8>> | parts])

  defp skip(<<space, rest::binary>>) when space in ~c( \t\r\n), do: skip(rest)
  defp skip(rest), do: rest
end
