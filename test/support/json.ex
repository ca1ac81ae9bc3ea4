defmodule AdTally.Test.JSON do
  @moduledoc """
  Reads a line of JSON: objects of strings, integers, booleans and null, as strictly as RFC 8259 has
  them. An object is a list of members in their order, so that a name that is there twice is seen.
  """

  @spec decode!(binary()) :: [{String.t(), term()}] | term()
  def decode!(text) do
    {value, ""} = value(text)
    value
  end

  defp value("{}" <> rest), do: {[], rest}
  defp value("{" <> rest), do: members(rest, [])
  defp value("\"" <> rest), do: string(rest, "")
  defp value("null" <> rest), do: {nil, rest}
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}

  defp value(text) do
    [digits] = Regex.run(~r/^-?(?:0|[1-9]\d*)(?![.eE])/, text)

    {String.to_integer(digits),
     binary_part(text, byte_size(digits), byte_size(text) - byte_size(digits))}
  end

  defp members("\"" <> rest, members) do
    {name, ":" <> rest} = string(rest, "")
    {value, rest} = value(rest)
    members = [{name, value} | members]

    case rest do
      "," <> rest -> members(rest, members)
      "}" <> rest -> {Enum.reverse(members), rest}
    end
  end

  defp string("\"" <> rest, read), do: {read, rest}

  defp string(<<?\\, ?u, digits::binary-size(4), rest::binary>>, read),
    do: string(rest, read <> <<String.to_integer(digits, 16)::utf8>>)

  defp string(<<?\\, byte, rest::binary>>, read) do
    escaped = %{
      ?" => ?",
      ?\\ => ?\\,
      ?/ => ?/,
      ?b => ?\b,
      ?f => ?\f,
      ?n => ?\n,
      ?r => ?\r,
      ?t => ?\t
    }

    string(rest, read <> <<Map.fetch!(escaped, byte)>>)
  end

  defp string(<<char::utf8, rest::binary>>, read) when char >= 0x20,
    do: string(rest, <<read::binary, char::utf8>>)
end
