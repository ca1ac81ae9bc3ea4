defmodule AdTally.Bench.Conversions do
  @moduledoc """
  Contenders that attribute conversions of users who have 16 touches each, among others who have one.
  With `close: true` the last one of a pass is followed by a close, after which all are final.

  Conversions are made of their numbers in the loop, a hundred at a time. In the end each must have
  been attributed.
  """

  import Bitwise

  alias AdTally.{Attribution, Conversion}
  alias AdTally.Bench.{Contender, Touches}

  @begin 1_780_272_000_000
  @hour 3_600_000
  @batch 100
  @touches 16

  @enforce_keys [:users, :converting]
  defstruct @enforce_keys

  @type t :: %__MODULE__{users: pos_integer(), converting: pos_integer()}

  @doc "Of so many users so many convert."
  @spec table(pos_integer(), pos_integer()) :: t()
  def table(users, converting), do: %__MODULE__{users: users, converting: converting}

  # Those who convert lie anywhere among all others.
  defp start(%{users: users, converting: converting}) do
    name = Touches.start(users + converting)

    Touches.preload(name, 1..users, fn user ->
      [Touches.new(user, user, @begin, Touches.mixed(user))]
    end)

    Touches.preload(name, 1..converting, fn number ->
      for turn <- 1..@touches do
        random = Touches.mixed(number + turn)
        touch = Touches.new(number <<< 6 ||| turn, -number, @begin + turn * 1_000, random)
        # Views would not count beside it.
        %{touch | kind: :click}
      end
    end)

    name
  end

  @doc "`AdTally.Attribution.convert/2`, one conversion after the other."
  @spec convert(String.t(), t(), keyword()) :: Contender.t()
  def convert(label, table, options) do
    {close?, options} = Keyword.pop(options, :close, false)
    name = start(table)
    passes = :counters.new(1, [])
    # Each pass is in an hour of its own, before which all conversions are final.
    prepare = fn ->
      :ok = Attribution.close(name)
      :counters.add(passes, 1, 1)
    end

    make = &conversions(&1, @begin + :counters.get(passes, 1) * @hour)
    last = table.converting - @batch

    act = fn conversions ->
      Enum.each(conversions, &(:ok = Attribution.convert(name, &1)))

      if close? and rem(hd(conversions).order, 1 <<< 32) == last,
        do: :ok = Attribution.close(name)
    end

    check = fn passes ->
      info = Attribution.info(name)
      expected = passes * table.converting * Keyword.get(options, :processes, 1)
      :ok = Attribution.close(name)
      {{expected, expected}, {info.conversions.applied, Attribution.info(name).attributed}}
    end

    firsts = Enum.to_list(0..last//@batch)

    options =
      [operations_per_input: @batch, make: make, prepare: prepare, check: check] ++ options

    Contender.new(label, firsts, act, options)
  end

  # An order that no other process or pass makes.
  defp conversions(first, at) do
    process = :erlang.phash2(self(), 1 <<< 24)

    for n <- first..(first + @batch - 1) do
      %Conversion{
        order: process <<< 32 ||| n,
        user: -1 - n,
        at: at,
        action: :purchase,
        value_micros: 59_990_000
      }
    end
  end
end
