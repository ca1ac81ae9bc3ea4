defmodule AdTally.Demo.Text do
  @moduledoc """
  Numbers and tables for people.
  """

  @doc "An integer with separators: 1,234,567."
  @spec integer(integer()) :: String.t()
  def integer(number) when number < 0, do: "-" <> integer(-number)

  def integer(number) do
    number
    |> Integer.to_charlist()
    |> Enum.reverse()
    |> Enum.chunk_every(3)
    |> Enum.map_join(",", & &1)
    |> String.reverse()
  end

  @doc "Rows of strings, aligned: the first `text_columns` to the left, numbers to the right."
  @spec table([String.t()], [[String.t()]], non_neg_integer()) :: String.t()
  def table(head, rows, text_columns) do
    widths =
      [head | rows]
      |> Enum.zip_with(& &1)
      |> Enum.map(fn column -> column |> Enum.map(&String.length/1) |> Enum.max() end)

    line = Enum.map(widths, &String.duplicate("-", &1))
    Enum.map_join([head, line | rows], "\n", &row(&1, widths, text_columns))
  end

  defp row(cells, widths, text_columns) do
    cells
    |> Enum.zip(widths)
    |> Enum.with_index()
    |> Enum.map_join("  ", fn
      {{cell, width}, at} when at < text_columns -> String.pad_trailing(cell, width)
      {{cell, width}, _at} -> String.pad_leading(cell, width)
    end)
    |> String.trim_trailing()
  end
end
