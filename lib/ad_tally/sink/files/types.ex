defmodule AdTally.Sink.Files.Types do
  @moduledoc false
  # The columns of dimensions: how a value is written by the declared type of its dimension, and what becomes
  # of one that does not fit.

  alias AdTally.Options
  alias AdTally.Sink.JSON

  @typedoc "Types by dimension, of some of them or of none."
  @type types :: [{dimension :: atom(), :integer | :string}]

  @typedoc "Columns, to be given to `members/2` any number of times."
  @opaque columns ::
            {[{name :: binary(), type :: :integer | :string | :any}], misfits? :: boolean()}

  @misfits JSON.name(:misfits)

  @doc "The types of an option, or what is wrong with it."
  @spec validate(term()) :: {:ok, types()} | {:error, String.t()}
  def validate(types) do
    if Keyword.keyword?(types) and Enum.all?(types, &known?/1) and
         Enum.uniq_by(types, &elem(&1, 0)) == types do
      {:ok, types}
    else
      {:error,
       "expected :types to be a keyword list of dimensions, each once, and :integer or :string, " <>
         "like [campaign: :integer, creative: :string], got: #{Options.shown(types)}"}
    end
  end

  defp known?({_dimension, type}), do: type in [:integer, :string]

  @doc "What is wrong with the names of types, given those of all dimensions."
  @spec validate_names(types(), [atom()]) :: :ok | {:error, String.t()}
  def validate_names(types, dimensions) do
    case Keyword.keys(types) -- dimensions do
      [] ->
        :ok

      unknown ->
        {:error,
         "expected :types to have dimensions of #{inspect(dimensions)} only, got: #{Options.shown(unknown)}"}
    end
  end

  @doc "The types of an option, of a meter of these dimensions. Raises `ArgumentError` if they are wrong."
  @spec check!(term(), [atom()]) :: types()
  def check!(types, dimensions) do
    with {:ok, types} <- validate(types), :ok <- validate_names(types, dimensions) do
      types
    else
      {:error, message} -> raise ArgumentError, message
    end
  end

  @doc "The columns of some dimensions. With types there is one more, of what does not fit."
  @spec columns([atom()], types()) :: columns()
  def columns(dimensions, types) do
    columns = for name <- dimensions, do: {JSON.name(name), Keyword.get(types, name, :any)}
    {columns, types != []}
  end

  @doc "The members of a line: each of the values, and what did not fit, after a comma each."
  @spec members(columns(), tuple()) :: iodata()
  def members({columns, misfits?}, values) do
    values = Tuple.to_list(values)
    members = members_of(columns, values)
    if misfits?, do: [members, ?,, @misfits, ?: | misfits(columns, values)], else: members
  end

  defp members_of([], []), do: []

  defp members_of([{name, type} | columns], [value | values]),
    do: [?,, name, ?:, column(type, value) | members_of(columns, values)]

  defp column(:any, value), do: JSON.value(value)
  defp column(_type, nil), do: "null"
  defp column(:string, value), do: JSON.text(value)
  defp column(:integer, value) when is_integer(value), do: Integer.to_string(value)
  defp column(:integer, _value), do: "null"

  # An object as a string, as most engines want one type for a column whatever is in it.
  defp misfits(columns, values) do
    case misfits_of(columns, values) do
      [] ->
        "null"

      members ->
        [?{, Enum.intersperse(members, ?,), ?}] |> IO.iodata_to_binary() |> JSON.string()
    end
  end

  defp misfits_of([{name, :integer} | columns], [value | values])
       when not is_integer(value) and value != nil,
       do: [JSON.member(name, value) | misfits_of(columns, values)]

  defp misfits_of([_column | columns], [_value | values]), do: misfits_of(columns, values)
  defp misfits_of([], []), do: []
end
