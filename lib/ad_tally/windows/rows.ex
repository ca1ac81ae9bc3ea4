defmodule AdTally.Windows.Rows do
  @moduledoc false
  # The rows of a closed window, for a sink, read in steps that hold no scheduler.

  alias AdTally.Native

  @doc """
  Rows as a lazy enumerable. `walk` makes a native walk over them, or `nil` where there are none, and each
  enumeration reads from the beginning. `kind`, 1 or 2, is where `window.rows_read` counts them.
  """
  @spec stream(%{optional(atom()) => term()}, 1 | 2, (... -> reference() | nil)) :: Enumerable.t()
  def stream(window, kind, walk),
    do: Stream.resource(walk, &read/1, fn _walk -> :ok end) |> count(window.rows_read, kind)

  defp read(nil), do: {:halt, nil}

  # How many rows come at once depends on time, and they come as a list is built, last first.
  defp read(walk) do
    {more, some} = Native.walk_rows(walk, [])
    {Enum.reverse(some), if(more == :more, do: walk)}
  end

  # One by one as they are taken, because a sink may take seconds for those of one step. Rows that are
  # read again are not counted again.
  defp count(rows, nil, _kind), do: rows

  defp count(rows, rows_read, kind) do
    Stream.transform(rows, 1, fn row, position ->
      if position > :counters.get(rows_read, kind), do: :counters.put(rows_read, kind, position)
      {[row], position + 1}
    end)
  end
end
