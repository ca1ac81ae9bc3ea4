defmodule AdTally.Web.Query do
  @moduledoc false
  # The query of a request: names and values, and what is expected of a value.

  @enforce_keys [:pairs]
  defstruct @enforce_keys

  @type t :: %__MODULE__{pairs: [{name :: binary(), value :: binary()}]}

  # Longer than any that the page asks with: 32 names of series.
  @most_bytes 8_192

  @doc "A raw query, or why it is none."
  @spec parse(binary()) :: {:ok, t()} | {:error, 400 | 414, message :: binary()}
  def parse(query) when byte_size(query) > @most_bytes do
    {:error, 414,
     "expected a query of at most #{@most_bytes} bytes, got #{byte_size(query)} bytes"}
  end

  def parse(query) do
    pairs = for pair <- String.split(query, "&"), pair != "", do: pair(pair)
    {:ok, %__MODULE__{pairs: pairs}}
  catch
    {:malformed, text} ->
      {:error, 400,
       "expected a query of UTF-8 with percent-encodings of two hexadecimal digits, such as %20, got: #{shown(text)}"}
  end

  defp pair(pair) do
    case :binary.split(pair, "=") do
      [name, value] -> {decode(name), decode(value)}
      [name] -> {decode(name), ""}
    end
  end

  @doc "Decodes `%20` and `+`. Throws `{:malformed, text}`."
  @spec decode(binary()) :: binary()
  def decode(text) do
    decoded = decode(text, text, [])
    if String.valid?(decoded), do: decoded, else: throw({:malformed, text})
  end

  defp decode(<<?%, high, low, rest::binary>>, text, bytes) do
    case {digit(high), digit(low)} do
      {high, low} when high != nil and low != nil ->
        decode(rest, text, [high * 16 + low | bytes])

      _other ->
        throw({:malformed, text})
    end
  end

  defp decode(<<?%, _rest::binary>>, text, _bytes), do: throw({:malformed, text})
  defp decode(<<?+, rest::binary>>, text, bytes), do: decode(rest, text, [?\s | bytes])
  defp decode(<<byte, rest::binary>>, text, bytes), do: decode(rest, text, [byte | bytes])
  defp decode(<<>>, _text, bytes), do: bytes |> Enum.reverse() |> :erlang.list_to_binary()

  defp digit(byte) when byte in ?0..?9, do: byte - ?0
  defp digit(byte) when byte in ?a..?f, do: byte - ?a + 10
  defp digit(byte) when byte in ?A..?F, do: byte - ?A + 10
  defp digit(_byte), do: nil

  @doc "All values of a name."
  @spec all(t(), binary()) :: [binary()]
  def all(%{pairs: pairs}, name), do: for({^name, value} <- pairs, do: value)

  @doc "The first value of a name, `nil` where there is none or an empty one."
  @spec get(t(), binary()) :: binary() | nil
  def get(query, name), do: query |> all(name) |> Enum.find(&(&1 != ""))

  @doc "An integer of a range, or what would have been right."
  @spec integer(t(), binary(), default :: integer(), Range.t()) ::
          {:ok, integer()} | {:error, 400, message :: binary()}
  def integer(query, name, default, range) do
    with value when value != nil <- get(query, name),
         false <- integer_in(value, range) do
      {:error, 400,
       "expected #{name} to be an integer from #{range.first} to #{range.last}, got: #{shown(value)}"}
    else
      nil -> {:ok, default}
      integer -> {:ok, integer}
    end
  end

  defp integer_in(value, range) do
    case Integer.parse(value) do
      {integer, ""} -> if integer in range, do: integer, else: false
      _other -> false
    end
  end

  @doc "One of several values, the first by default, or what would have been right."
  @spec one_of(t(), binary(), [binary()]) ::
          {:ok, binary()} | {:error, 400, message :: binary()}
  def one_of(query, name, [default | _] = values) do
    value = get(query, name) || default

    if value in values do
      {:ok, value}
    else
      {:error, 400,
       "expected #{name} to be one of #{Enum.join(values, ", ")}, got: #{shown(value)}"}
    end
  end

  # Characters, or bytes where they are none, of what a client has sent, in a message for it.
  @shown 80

  @doc "What was sent, as messages show it: a part of it where it is long."
  @spec shown(binary()) :: binary()
  def shown(text) do
    text
    |> inspect(printable_limit: @shown, limit: @shown)
    |> String.replace_suffix(" <> ...", "...")
  end
end
