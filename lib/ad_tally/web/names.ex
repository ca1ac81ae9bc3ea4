defmodule AdTally.Web.Names do
  @moduledoc false
  # Names of parts and values of dimensions as text, and back.

  @doc "The name of a part, or of a node: `MyApp.Ads`, `ads`."
  @spec name(atom()) :: binary()
  def name(atom), do: atom |> Atom.to_string() |> String.replace_prefix("Elixir.", "")

  @typedoc "A value of a dimension, or a campaign of a pacer, which may be a tuple of these."
  @type value :: integer() | atom() | binary() | tuple()

  @doc "A value for people."
  @spec shown(value()) :: binary()
  def shown(value) when is_tuple(value),
    do: "{" <> (value |> Tuple.to_list() |> Enum.map_join(", ", &shown/1)) <> "}"

  def shown(value) when is_integer(value), do: Integer.to_string(value)
  def shown(value) when is_atom(value), do: Atom.to_string(value)

  def shown(value),
    do: if(String.valid?(value), do: value, else: "base64:" <> Base.encode64(value))

  @doc """
  A value as text that `value/1` reads: 42, "42" and :"42" are three. It reads no tuples, which no dimension has.
  """
  @spec key(value()) :: binary()
  def key(value) when is_tuple(value),
    do: "t" <> (value |> :erlang.term_to_binary() |> Base.url_encode64(padding: false))

  def key(value) when is_integer(value), do: "i" <> Integer.to_string(value)
  def key(value) when is_atom(value), do: "a" <> Atom.to_string(value)
  def key(value), do: "b" <> Base.url_encode64(value, padding: false)

  # No key has more bytes, see `AdTally.Counters`.
  @most_bytes 1_024

  @doc "The value of a key, or `:error`."
  @spec value(binary()) :: {:ok, integer() | atom() | binary()} | :error
  def value(key) when byte_size(key) > 2 * @most_bytes, do: :error

  def value("i" <> text) do
    case Integer.parse(text) do
      {integer, ""} -> {:ok, integer}
      _other -> :error
    end
  end

  # A name that no atom has is no value of anything.
  def value("a" <> text) do
    {:ok, String.to_existing_atom(text)}
  rescue
    _error -> :error
  end

  def value("b" <> text), do: Base.url_decode64(text, padding: false)
  def value(_other), do: :error
end
