defmodule AdTally.Test.ReachOperations do
  @moduledoc """
  Random operations on reach, from the random numbers of the calling process.

  Keys and users are few enough to come again, and many enough that some keys get
  registers; among them are those at the edges, and now and then one that is refused.
  """

  @secrets [nil, "sixteen bytes...", "another sixteen."]

  @users Enum.concat([
           [0, 1, -1, 2 ** 64 - 1, 2 ** 63, -(2 ** 63), 2 ** 59, -(2 ** 59) - 1],
           ["0", "1", <<0>>, <<0::64>>, <<1::little-64>>, String.duplicate("u", 64)],
           [String.duplicate("u", 65), String.duplicate("v", 1_000)]
         ])
  @bad_users [1.0, "", nil, :ann, [1], {1}, 2 ** 64, -(2 ** 63) - 1, <<1::1>>]
  @keys [0, 1, 2 ** 63 - 1, -(2 ** 63), :a, nil, "1", "", {1, "us"}, {"1", :a, 2}] ++
          [{:a}, {1}, String.duplicate("k", 65), {String.duplicate("k", 300), 1}]
  @bad_keys [1.0, [1], %{}, {}, {{1}}, 2 ** 63, <<1::1>>, Tuple.duplicate(1, 9)]

  @doc "Options of a table."
  def options do
    [
      precision: pick([4, 7, 8, 10, 12]),
      max_keys: pick([1, 3, 10, 1_000]),
      secret: pick(@secrets)
    ]
  end

  @doc """
  A list of operations, each the name and arguments of a function of `AdTally.Reach`.
  That of a merge has users and options instead of a sketch.
  """
  def sequence(length, options) do
    keys = Enum.take_random(@keys, pick([2, 6, 14]))
    for _ <- 1..length, do: operation(keys, options)
  end

  defp operation(keys, options) do
    case :rand.uniform(100) do
      n when n <= 25 -> {:add, [key(keys), user()]}
      n when n <= 40 -> {:add_many, [for(_ <- 1..pick([0, 1, 2, 30])//1, do: pair(keys))]}
      n when n <= 55 -> {:add_many, [key(keys), users(pick([0, 1, 5, 20, 150]))]}
      # Beyond what one native call takes.
      56 -> {:add_many, [for(user <- many(1_500), do: {pick(keys), user})]}
      57 -> {:add_many, [key(keys), many(1_500)]}
      n when n <= 65 -> {:merge, merge(keys, options)}
      n when n <= 73 -> {:estimate, [key(keys)]}
      n when n <= 80 -> {:estimate_union, [for(_ <- 1..pick([0, 1, 2, 20])//1, do: key(keys))]}
      n when n <= 88 -> {:sketch, [key(keys)]}
      n when n <= 92 -> {:to_list, []}
      n when n <= 97 -> {:info, []}
      _ -> {:drain_with_overflow, []}
    end
  end

  defp merge(keys, options) do
    secret = if one_in(5), do: pick(@secrets), else: options[:secret]
    precision = if one_in(5), do: pick(4..18), else: pick(options[:precision]..18)
    [key(keys), many(pick([0, 1, 10, 500])), [precision: precision, secret: secret]]
  end

  defp key(keys), do: if(one_in(50), do: pick(@bad_keys), else: pick(keys))
  defp pair(keys), do: if(one_in(300), do: pick([:pair, {1}]), else: {key(keys), user()})

  defp users(count), do: for(_ <- 1..count//1, do: if(one_in(1_000), do: user(), else: known()))
  defp many(count), do: for(_ <- 1..count//1, do: known())

  defp user, do: if(one_in(50), do: pick(@bad_users), else: known())
  defp known, do: if(one_in(3), do: pick(@users), else: :rand.uniform(2_000))

  defp one_in(n), do: :rand.uniform(n) == 1
  defp pick(choices), do: Enum.random(choices)
end
