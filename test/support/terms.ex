defmodule AdTally.Test.Terms do
  @moduledoc """
  Terms of every type and shape that the VM has, and random keys and users.
  """

  @doc "At least one term of each shape, with the edges of those that have any."
  @spec all() :: [term()]
  def all do
    Enum.concat([integers(), binaries(), bitstrings(), atoms(), tuples(), lists(), others()])
  end

  @doc "A key."
  @spec random_key() :: AdTally.Counters.key()
  def random_key do
    case :rand.uniform(9) - 1 do
      0 -> random_element()
      arity -> List.to_tuple(for _ <- 1..arity, do: random_element())
    end
  end

  @doc "A user."
  @spec random_user() :: AdTally.Reach.user()
  def random_user do
    case :rand.uniform(5) do
      1 -> :rand.uniform(1_000) - 500
      2 -> :rand.uniform(Bitwise.bsl(1, 64)) - 1
      3 -> -:rand.uniform(Bitwise.bsl(1, 63))
      4 -> :rand.bytes(:rand.uniform(100))
      5 -> binary_part(:rand.bytes(100), 3, :rand.uniform(90))
    end
  end

  # Around the powers of two where the VM changes how it holds an integer.
  defp integers do
    for power <- Enum.concat([0..4, 56..66, [127, 128, 129]]),
        near <- [-1, 0, 1],
        sign <- [1, -1] do
      sign * (Bitwise.bsl(1, power) + near)
    end
  end

  defp binaries do
    large = :binary.copy("0123456789", 100)

    made = for size <- Enum.concat([0..70, [255, 256, 1_000, 65_536, 65_537]]), do: made(size)
    parts = for from <- [0, 1, 7], size <- [0, 1, 8, 30, 31, 64, 65], do: part(large, from, size)
    ["a literal", :binary.copy("a literal that is too long for the heap", 3) | made ++ parts]
  end

  defp made(size), do: :binary.copy(<<?a>>, size)
  defp part(binary, from, size), do: binary_part(binary, from, size)

  defp bitstrings do
    large = :binary.copy(<<0b10110011>>, 100)
    <<_::3, unaligned::binary-size(16), _::bitstring>> = large
    <<_::3, ragged::bitstring-size(77), _::bitstring>> = large
    [<<1::1>>, <<"abc", 5::3>>, <<0::size(511)>>, <<0::size(513)>>, unaligned, ragged]
  end

  defp atoms, do: [nil, true, :n, :a, :"an atom with spaces", :ünïcode, Elixir.Enum]

  defp tuples do
    for arity <- Enum.concat([0..10, [255, 1_000]]), do: Tuple.duplicate(1, arity)
  end

  defp lists, do: [[], [1], ~c"text", [1 | 2], [[]], Enum.to_list(1..1_000), [{1, :n, 1}]]

  defp others do
    [
      0.0,
      -1.5,
      1.0e300,
      self(),
      hd(Port.list()),
      AdTally.Sketch.from_users([1]),
      fn -> :ok end,
      fn -> self() end,
      &Enum.map/2,
      %{},
      %{a: 1},
      Map.new(1..100, &{&1, &1}),
      Date.utc_today(),
      elsewhere(<<88>>, <<0::32, 0::32, 1::32>>),
      elsewhere(<<90, 1::16>>, <<1::32, 0::32>>)
      | references()
    ]
  end

  # Without an object, with one of the VM's, with a resource of another library, and ours.
  defp references do
    [
      make_ref(),
      :erlang.alias(),
      :ets.new(:table, []),
      :ets.match_spec_compile([{:_, [], [:"$_"]}]),
      :atomics.new(1, signed: false),
      :counters.new(1, [:write_concurrency]),
      :counters.new(1, []),
      :zlib.open(),
      AdTally.Counters.new(metrics: [:n]),
      AdTally.Reach.new(),
      AdTally.FrequencyCap.new(capacity: 1),
      elem(AdTally.FrequencyCap.rules!([{1, 1_000}]), 0)
    ]
  end

  # A process and a reference of a node that is not this one.
  defp elsewhere(tag, rest) do
    :erlang.binary_to_term(<<131, tag::binary, 119, 9, "else@host", rest::binary>>)
  end

  defp random_element do
    case :rand.uniform(6) do
      1 -> :rand.uniform(1_000)
      2 -> :rand.uniform(Bitwise.bsl(1, 63)) - 1
      3 -> -:rand.uniform(Bitwise.bsl(1, 63))
      4 -> :rand.bytes(:rand.uniform(100) - 1)
      5 -> binary_part(:rand.bytes(100), 3, :rand.uniform(90))
      6 -> Enum.random([:us, :de, nil, true, :"a longer name"])
    end
  end
end
