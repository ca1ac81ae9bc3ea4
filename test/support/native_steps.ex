defmodule AdTally.Test.NativeSteps do
  @moduledoc false
  # Native calls that stop when their time is up, repeated until all is done: how many calls that takes depends on what else
  # the machine does.

  # The index after the last item of a list that calls check, where `from` is that of the first one.
  def check(items, from, check_some) do
    case check_some.(items, from) do
      {[], next} -> next
      {rest, next} -> check(rest, next, check_some)
    end
  end

  # The same, and which of the items are refused.
  def refused(items, from, refused_some) do
    case refused_some.(items, from) do
      {[], next, refused} ->
        {next, refused}

      {rest, next, refused} ->
        {after_all, others} = refused(rest, next, refused_some)
        {after_all, refused ++ others}
    end
  end

  # A list that calls read.
  def read([], _read_some), do: :ok
  def read(list, read_some), do: list |> read_some.() |> read(read_some)

  # All rows that calls show, the last one first.
  def rows(shown \\ [], rows_some) do
    case rows_some.(shown) do
      {:more, shown} -> rows(shown, rows_some)
      {:done, shown} -> shown
    end
  end
end
