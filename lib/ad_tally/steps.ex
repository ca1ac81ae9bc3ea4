defmodule AdTally.Steps do
  @moduledoc false
  # Long lists and large tables, processed in short native calls
  # (native/ad_tally_nif/src/steps.rs).

  alias AdTally.Native

  # The first argument is the result of a native call with the whole list: `:many` if it is too long for
  # one call and nothing was added, or the rest, which is empty unless the time was up, and how many
  # overflowed, or that the table's store has no room for the rest. Of a longer list every item is checked
  # before any is added.
  def add_many(:many, items, check_some, add_some) do
    each(items, check_some)
    add_rest(items, 0, add_some)
  end

  def add_many(added, _items, _check_some, add_some), do: added(added, 0, add_some)

  defp added({rest, {:busy, _overflowed}}, _before, _add_some), do: {:busy, length(rest)}

  defp added({rest, overflowed}, before, add_some),
    do: add_rest(rest, before + overflowed, add_some)

  defp add_rest([], 0, _add_some), do: :ok
  defp add_rest([], overflowed, _add_some), do: {:overflow, overflowed}

  defp add_rest(items, overflowed, add_some),
    do: items |> add_some.() |> added(overflowed, add_some)

  # `some` takes a list and the index of its first element in the whole list, which errors name. It returns
  # the rest and its index, or an error, which ends the loop.
  def each(list, index \\ 0, some)
  def each([], _index, _some), do: :ok

  def each(list, index, some) do
    case some.(list, index) do
      {:error, _reason} = error -> error
      {rest, next} -> each(rest, next, some)
    end
  end

  # All rows of a walk.
  def collect(walk, list \\ []) do
    case Native.walk_rows(walk, list) do
      {:more, list} -> collect(walk, list)
      {:done, list} -> list
    end
  end
end
