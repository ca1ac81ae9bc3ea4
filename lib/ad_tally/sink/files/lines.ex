defmodule AdTally.Sink.Files.Lines do
  @moduledoc false
  # The lines of a window, by kind: flat JSON objects that all have the same members in the same order.
  #
  #   a meter's         MeterLines          counters, reach, overflow
  #   an attribution's  AttributionLines    credits, touches
  #
  # Here is what all have in common: what they begin with, and amounts that are split.

  alias AdTally.{Attribution, Sink, Window}
  alias AdTally.Sink.Files
  alias AdTally.Sink.Files.{AttributionLines, MeterLines, Types}
  alias AdTally.Sink.JSON

  @least -0x8000_0000_0000_0000
  @most 0x7FFF_FFFF_FFFF_FFFF

  @doc "The kinds of a window, that first whose file stands for the whole window."
  @callback kinds() :: [Files.kind(), ...]

  @doc "The lines of a kind as a lazy enumerable of iodata, none if there is nothing of that kind."
  @callback stream(Files.kind(), Files.window(), Types.types()) :: Enumerable.t()

  @doc "The module for a window."
  @spec of(Files.window()) :: module()
  def of(%Window{}), do: MeterLines
  def of(%Attribution.Window{}), do: AttributionLines

  @doc "What all lines of a window begin with."
  @spec begin(Files.window()) :: binary()
  def begin(window) do
    {name, node, epoch, sequence} = Sink.window_id(window)

    common = [
      meter: inspect(name),
      node: node,
      epoch: epoch,
      sequence: sequence,
      partial: window.partial,
      starts_at: window.start,
      ends_at: window.end
    ]

    members = for {name, value} <- common, do: name |> JSON.name() |> JSON.member(value)
    IO.iodata_to_binary([?{ | Enum.intersperse(members, ?,)])
  end

  @doc "Members after a comma each, of names as `AdTally.Sink.JSON.name/1` makes them."
  @spec members([binary()], [integer() | atom() | binary()]) :: iodata()
  def members(names, values),
    do: Enum.zip_with(names, values, fn name, value -> [?,, JSON.member(name, value)] end)

  @doc """
  The amounts of one line, or of several where one is not within 64 bits: no engine has a longer integer
  that another one has too.
  """
  @spec parts([integer()]) :: Enumerable.t()
  def parts(amounts),
    do: if(Enum.all?(amounts, &(&1 == within(&1))), do: [amounts], else: split(amounts))

  defp split(amounts) do
    Stream.unfold(amounts, fn left ->
      if Enum.any?(left, &(&1 != 0)) do
        part = Enum.map(left, &within/1)
        {part, Enum.zip_with(left, part, &(&1 - &2))}
      end
    end)
  end

  defp within(amount) when amount > @most, do: @most
  defp within(amount) when amount < @least, do: @least
  defp within(amount), do: amount
end
