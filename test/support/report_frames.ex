defmodule AdTally.Test.ReportFrames do
  @moduledoc "The groups of a native report of a meter, read from its frames byte by byte."

  alias AdTally.Native

  @header 44

  @doc "Sums and the sketch's bytes by the bytes of a group's key, `:overflow` of what had no row. It has them no more."
  @spec groups(reference(), by :: non_neg_integer(), metrics :: pos_integer()) :: %{
          (binary() | :overflow) => {flags :: byte(), [integer()], binary() | nil}
        }
  def groups(report, by, metrics) do
    report |> frames() |> Enum.flat_map(&rows(&1, by, metrics)) |> Map.new()
  end

  @doc "Its frames."
  @spec frames(reference()) :: [binary()]
  def frames(report) do
    case Native.meter_report_frame(report) do
      nil -> []
      frame -> [frame | frames(report)]
    end
  end

  defp rows(frame, by, metrics) do
    <<_begin::binary-size(36), settings::little-32, payload::little-32, _rest::binary>> = frame
    rows(binary_part(frame, @header + settings, payload), by, metrics, [])
  end

  defp rows("", _by, _metrics, rows), do: rows

  defp rows(<<kind, flags, rest::binary>>, by, metrics, rows) do
    {key, rest} = if kind == 1, do: {:overflow, rest}, else: key(rest, by)
    {sums, rest} = Enum.map_reduce(1..metrics, rest, fn _metric, rest -> signed(rest) end)
    {sketch, rest} = if Bitwise.band(flags, 4) == 0, do: {nil, rest}, else: sketch(rest)
    rows(rest, by, metrics, [{key, {flags, sums, sketch}} | rows])
  end

  defp key(rest, 0), do: {"", rest}

  defp key(<<arity, elements::binary>> = rest, by) do
    ^arity = by
    behind = Enum.reduce(1..by, elements, fn _element, rest -> element(rest) end)
    length = byte_size(rest) - byte_size(behind)
    {binary_part(rest, 0, length), behind}
  end

  defp element(<<0, _integer::64, rest::binary>>), do: rest
  defp element(<<1, size::little-32, _bytes::binary-size(size), rest::binary>>), do: rest
  defp element(<<2, size::little-16, _atom::binary-size(size), rest::binary>>), do: rest

  defp sketch(rest) do
    {length, rest} = number(rest)
    :erlang.split_binary(rest, length)
  end

  defp signed(rest) do
    {number, rest} = number(rest)
    {Bitwise.bxor(Bitwise.bsr(number, 1), -Bitwise.band(number, 1)), rest}
  end

  defp number(<<0::1, low::7, rest::binary>>), do: {low, rest}

  defp number(<<1::1, low::7, rest::binary>>) do
    {high, rest} = number(rest)
    {low + 128 * high, rest}
  end
end
