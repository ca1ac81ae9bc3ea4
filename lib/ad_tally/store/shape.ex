defmodule AdTally.Store.Shape do
  @moduledoc false
  # The options of a table on which the meaning of its stored state depends, as a line of text:
  #
  #     window=60000;dimensions=campaign,country;metrics=clicks;reach_by=;dedupe_window=600000
  #
  # A store keeps the line of a table, and those of its earlier starts. A table whose line is another one goes
  # on where it can: a meter begins new windows. What cannot go on is refused, by what differs.
  #
  # A value is a list of items, an item one word or several with colons between. Words are percent-encoded, so
  # names may have any character.

  alias AdTally.Options

  @type word :: atom() | integer() | String.t()
  @type item :: word() | tuple()
  @type t :: [{atom(), item() | [item()]}]

  @typedoc "The words of each item by the name of the value."
  @type parsed :: %{String.t() => [[String.t()]]}

  @typedoc """
  How a value may differ from that of before: `:same`, not at all; `:grows`, by further items at the end;
  `:names_grow`, by that and by all but the first word of an item. The text is what an error calls it.
  """
  @type rule :: {atom(), :same | :grows | :names_grow, String.t()}

  @doc "The line."
  @spec text(t()) :: String.t()
  def text(shape),
    do: Enum.map_join(shape, ";", fn {name, value} -> "#{name}=#{items(value)}" end)

  defp items(items) when is_list(items), do: Enum.map_join(items, ",", &item/1)
  defp items(nil), do: ""
  defp items(item), do: item(item)

  defp item(item) when is_tuple(item), do: item |> Tuple.to_list() |> Enum.map_join(":", &word/1)
  defp item(word), do: word(word)

  defp word(word) when is_atom(word), do: word |> Atom.to_string() |> word()
  defp word(word) when is_integer(word), do: Integer.to_string(word)
  defp word(word) when is_binary(word), do: URI.encode(word, &URI.char_unreserved?/1)

  @doc "What a line says."
  @spec parse(String.t()) :: parsed()
  def parse(text) do
    for value <- String.split(text, ";", trim: true), into: %{} do
      [name, items] = String.split(value, "=", parts: 2)
      {name, for(item <- String.split(items, ",", trim: true), do: words(item))}
    end
  end

  defp words(item), do: item |> String.split(":") |> Enum.map(&URI.decode/1)

  @doc """
  Names of a value. They were atoms of an earlier start: a handful, from the service's own options.
  """
  @spec atoms(parsed(), String.t()) :: [atom()]
  def atoms(parsed, name), do: for([word] <- Map.get(parsed, name, []), do: String.to_atom(word))

  @doc "A value that is an integer."
  @spec integer(parsed(), String.t()) :: integer()
  def integer(parsed, name) do
    [[word]] = Map.fetch!(parsed, name)
    String.to_integer(word)
  end

  @doc "A secret, as far as a line may tell it from others."
  @spec secret(binary() | nil) :: String.t() | nil
  def secret(nil), do: nil

  def secret(secret) do
    <<digest::binary-size(8), _rest::binary>> = :erlang.md5(["AdTally.Store.Shape", secret])
    Base.encode16(digest, case: :lower)
  end

  @doc """
  Raises `ArgumentError` if a table cannot go on with what is stored of it. `texts` are its lines of before, the
  oldest first, and `table` is what an error calls it.
  """
  @spec check!(t(), [rule()], [String.t()], String.t()) :: :ok
  def check!(shape, rules, texts, table) do
    now = shape |> text() |> parse()
    before = texts |> Enum.reverse() |> Enum.map(&parse/1)
    Enum.each(rules, &check_one!(&1, now, before, table))
  end

  # A part of it, such as the dedupe of a meter, may have been left out in between.
  defp check_one!({name, rule, shown}, now, before, table) do
    name = Atom.to_string(name)
    now = Map.get(now, name, [])
    stored = before |> Enum.map(&Map.get(&1, name, [])) |> Enum.find([], &(&1 != []))

    unless now == [] or stored == [] or goes_on?(rule, stored, now) do
      raise ArgumentError,
            "expected #{shown} to be #{shown(stored)}#{further(rule)}, as #{table} has it in its store, got: " <>
              "#{shown(now)}. To begin without what is stored, give it another :name"
    end
  end

  defp goes_on?(:same, stored, now), do: stored == now
  defp goes_on?(:grows, stored, now), do: List.starts_with?(now, stored)

  defp goes_on?(:names_grow, stored, now),
    do: List.starts_with?(Enum.map(now, &hd/1), Enum.map(stored, &hd/1))

  defp further(:same), do: ""
  defp further(_grows), do: ", and further ones after them if any"

  defp shown(items), do: items |> Enum.map_join(", ", &Enum.join(&1, ":")) |> cut()

  # Names are bounded by options, and a line of a damaged file is not.
  defp cut(text), do: if(byte_size(text) > 500, do: Options.shown(text), else: text)
end
