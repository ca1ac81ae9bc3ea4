defmodule AdTally.Batch do
  @moduledoc false
  # Lists: events of a meter, touches and conversions of an attribution. A list is taken in native calls that
  # are short, and all of it is checked before any of it is taken.

  alias AdTally.{Options, Steps}

  @typedoc "What takes them."
  @type into :: term()

  @typedoc "What became of some of a list, as native code says it."
  @type result :: term()

  @typedoc "How many had each outcome."
  @type counts :: %{atom() => non_neg_integer()}

  @doc "Takes all of a list, or says `:many` and takes none. A call that is interrupted takes some."
  @callback take_all(into(), list()) :: :many | {rest :: list(), result()}

  @doc "Checks some, the first of which has that index. Raises for one that is refused."
  @callback check_some(into(), list(), index :: non_neg_integer()) ::
              {rest :: list(), next :: non_neg_integer()}

  @doc "Finds those of some that are refused, and why."
  @callback refused_some(into(), list(), index :: non_neg_integer()) ::
              {rest :: list(), next :: non_neg_integer(), [{non_neg_integer(), %ArgumentError{}}]}

  @doc "Takes the first ones of a list that was checked, in the beginning of it."
  @callback take_first(into(), list()) :: {rest :: list(), result()}

  @doc "Takes some of the rest of a list that was checked."
  @callback take_some(into(), list()) :: {rest :: list(), result()}

  @doc "Counts that so many are refused, and notes why where native code does not know."
  @callback refuse(into(), count :: non_neg_integer(), reason :: String.t() | nil) :: term()

  @doc "Whether it is the result of a call that took none."
  @callback nothing?(result()) :: boolean()

  @doc "No counts yet."
  @callback no_counts() :: counts()

  @doc "Counts with a result added, which is that of the first of a list."
  @callback add(into(), list(), result(), counts()) :: counts()

  @doc "The function that takes lists, as `name/arity`."
  @callback called() :: String.t()

  @doc """
  Takes a list. With `on_refused: :raise` all of it, or none and raises for the first that is refused. With
  `on_refused: :skip` all but those that are refused: `:refused` has `{index, error}` of each.
  """
  @spec take(module(), into(), list(), keyword()) :: map()
  def take(kind, into, list, options) do
    case on_refused!(options) do
      :raise -> take_all(kind, into, list)
      :skip -> take_valid(kind, into, list)
    end
  end

  defp on_refused!([]), do: :raise

  defp on_refused!(options),
    do: options |> Options.known!([:on_refused]) |> Options.one_of!(:on_refused, [:raise, :skip])

  defp take_all(kind, into, list) do
    first = counting_refused(kind, into, list, fn -> take_first(kind, into, list) end)
    take_rest(kind, into, list, first, kind.no_counts())
  end

  # Usually none is refused. Where one is, nothing was taken yet: all refused ones are found first, and
  # the others are taken as a list of their own.
  defp take_valid(kind, into, list) do
    first =
      try do
        take_first(kind, into, list)
      rescue
        ArgumentError -> :refused
      end

    if first == :refused do
      refused = counting_refused(kind, into, list, fn -> refused(kind, into, list, 0, []) end)
      kind.refuse(into, length(refused), nil)
      kind |> take_all(into, others(list, refused, 0)) |> Map.put(:refused, refused)
    else
      kind |> take_rest(into, list, first, kind.no_counts()) |> Map.put(:refused, [])
    end
  end

  # A list that raises is refused as a whole.
  defp counting_refused(kind, into, list, fun) do
    fun.()
  rescue
    error in ArgumentError ->
      case count(list, 0) do
        {:proper, count} -> kind.refuse(into, count, nil)
        {:improper, count} -> kind.refuse(into, count, "#{kind.called()} takes proper lists")
      end

      reraise error, __STACKTRACE__
  end

  # A non-list, or an improper tail, counts as one that is refused.
  defp count([_item | list], count), do: count(list, count + 1)
  defp count([], count), do: {:proper, count}
  defp count(_other, count), do: {:improper, count + 1}

  defp refused(_kind, _into, [], _index, refused), do: Enum.reverse(refused)

  defp refused(kind, into, list, index, refused) do
    {rest, next, some} = kind.refused_some(into, list, index)
    refused(kind, into, rest, next, Enum.reverse(some, refused))
  end

  defp others(list, [], _index), do: list

  defp others([_item | list], [{index, _error} | refused], index),
    do: others(list, refused, index + 1)

  defp others([item | list], refused, index), do: [item | others(list, refused, index + 1)]

  # All of them, if that is not too much for one call. Otherwise all are checked, and only then the
  # first ones are taken.
  defp take_first(kind, into, list) do
    with :many <- kind.take_all(into, list) do
      Steps.each(list, &kind.check_some(into, &1, &2))
      take_begin(kind, into, list)
    end
  end

  # Until some are taken: a call that was interrupted may have had no time for any.
  defp take_begin(kind, into, list) do
    {rest, result} = kind.take_first(into, list)
    if kind.nothing?(result), do: take_begin(kind, into, list), else: {rest, result}
  end

  # Those before `rest` were taken, with that result. Once a store has no room, it gets none of the others: so
  # it is the end of a list that has to be brought again.
  defp take_rest(kind, into, list, {rest, result}, counts) do
    case {rest, kind.add(into, list, result, counts)} do
      {[], counts} -> counts
      {rest, %{busy: busy} = counts} when busy > 0 -> %{counts | busy: busy + length(rest)}
      {rest, counts} -> take_rest(kind, into, rest, kind.take_some(into, rest), counts)
    end
  end
end
