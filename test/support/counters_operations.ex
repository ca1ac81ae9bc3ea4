defmodule AdTally.Test.CountersOperations do
  @moduledoc """
  Random operations on counters, from the random numbers of the calling process.

  Keys, metrics and amounts are few, so that operations meet; among them are those
  at the edges, and now and then one that is refused.
  """

  @min -0x8000_0000_0000_0000
  @max 0x7FFF_FFFF_FFFF_FFFF

  @metrics [:n, :m, nil]
  @amounts [1, 1, 1, 0, -1, 2, 1_000, -1_000, @max, @min, div(@max, 2), div(@min, 2)]
  @elements [0, 1, -1, 2 ** 59, -(2 ** 59) - 1, @max, @min, :a, nil, :"", :"1", "1", ""] ++
              [<<0>>, <<0, 0>>, String.duplicate("a", 30), String.duplicate("a", 31)] ++
              [String.duplicate("b", 64), String.duplicate("c", 300)]
  @bad_keys [1.0, [1], %{}, {}, {{1}}, {1.0}, 2 ** 63, <<1::1>>, Tuple.duplicate(1, 9)]

  def metrics, do: @metrics

  @doc "A list of operations, each the name and arguments of a function of `AdTally.Counters`."
  def sequence(length) do
    # A sequence has keys of its own, few enough to come again.
    keys = @elements ++ for _ <- 1..30, do: tuple()
    keys = Enum.take_random(keys, pick([2, 8, 40]))
    for _ <- 1..length, do: operation(keys)
  end

  defp operation(keys) do
    case :rand.uniform(100) do
      n when n <= 40 -> {:add, [key(keys), metric(), amount()]}
      n when n <= 45 -> {:add, [key(keys), metric()]}
      n when n <= 60 -> {:add_many, [for(_ <- 1..pick([0, 1, 2, 20])//1, do: item(keys))]}
      # Beyond what one native call takes.
      61 -> {:add_many, [for(_ <- 1..1_500, do: valid_item(keys))]}
      n when n <= 75 -> {:get, [key(keys)]}
      n when n <= 85 -> {:get, [key(keys), metric()]}
      n when n <= 91 -> {:to_list, []}
      n when n <= 96 -> {:info, []}
      _ -> {:drain_with_overflow, []}
    end
  end

  defp key(keys), do: if(one_in(50), do: pick(@bad_keys), else: pick(keys))
  defp metric, do: if(one_in(50), do: pick([:other, "n", 1]), else: pick(@metrics))
  defp amount, do: if(one_in(50), do: pick([2 ** 63, 1.0, :n]), else: pick(@amounts))

  defp item(keys) do
    if one_in(100), do: pick([:item, {1, :n}]), else: {key(keys), metric(), amount()}
  end

  defp valid_item(keys), do: {pick(keys), pick(@metrics), pick(@amounts)}

  defp tuple do
    List.to_tuple(for _ <- 1..:rand.uniform(8), do: pick(@elements))
  end

  defp one_in(n), do: :rand.uniform(n) == 1
  defp pick(list), do: Enum.random(list)
end
