defmodule AdTally.Web.Names do
  @moduledoc false
  # Names of parts and values of dimensions as text, and back.

  alias AdTally.Metrics.Catalog
  alias AdTally.Sink.Files.AttributionLines

  @doc "The name of a part, or of a node: `MyApp.Ads`, `ads`. Different parts have different names, the same as in metrics."
  @spec name(atom()) :: binary()
  def name(atom), do: Catalog.name(atom)

  @doc "A model of an attribution, as in the files of sinks: `last_touch`, `time_decay:604800000`."
  @spec model(AdTally.Attribution.Window.model()) :: binary()
  def model(model), do: AttributionLines.model(model)

  @typedoc "A value of a dimension, or a campaign of a pacer, which may be a tuple of these."
  @type value :: integer() | atom() | binary() | tuple()

  # A value may have 65,536 bytes. More characters than these nobody reads, and a key of more bytes does not fit into an
  # address.
  @most_shown 1_000
  @most_bytes 4_096

  @doc "A value for people."
  @spec shown(value()) :: binary()
  def shown(value) when is_tuple(value),
    do: "{" <> (value |> Tuple.to_list() |> Enum.map_join(", ", &shown/1)) <> "}"

  def shown(value) when is_integer(value), do: Integer.to_string(value)
  def shown(value) when is_atom(value), do: Atom.to_string(value)

  def shown(value) do
    text = if String.valid?(value), do: value, else: "base64:" <> Base.encode64(value)

    if byte_size(text) > @most_shown and String.length(text) > @most_shown,
      do: String.slice(text, 0, @most_shown) <> "…",
      else: text
  end

  @doc """
  A value as text that `value/1` reads: 42, "42" and :"42" are three. `value/1` does not read keys of tuples, which no
  dimension has, or of values too long for an address.
  """
  @spec key(value()) :: binary()
  def key(value) when is_tuple(value), do: encoded("t", :erlang.term_to_binary(value))
  def key(value) when is_integer(value), do: "i" <> Integer.to_string(value)
  def key(value) when is_atom(value), do: "a" <> Atom.to_string(value)
  def key(value), do: encoded("b", value)

  defp encoded(kind, bytes) when byte_size(bytes) <= @most_bytes, do: kind <> base64(bytes)
  defp encoded(_kind, bytes), do: "h" <> base64(:erlang.md5(bytes))

  defp base64(bytes), do: Base.url_encode64(bytes, padding: false)

  @doc "The value of a key, `:long` of one that is too long for an address, or `:error`."
  @spec value(binary()) :: {:ok, integer() | atom() | binary()} | :long | :error
  def value(key) when byte_size(key) > 2 * @most_bytes, do: :error
  def value("h" <> _hash), do: :long

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
