defmodule AdTally.Counters.KeysTest do
  use ExUnit.Case, async: true

  alias AdTally.Counters

  @min -0x8000_0000_0000_0000
  @max 0x7FFF_FFFF_FFFF_FFFF
  @longest String.duplicate("0123456789abcdef", 4_096)

  test "an integer, a binary, an atom and tuples of them are different keys" do
    singles = [1, "1", :"1", <<1>>]
    assert_distinct(singles ++ [{1}, {"1"}, {:"1"}, {<<1>>}, {1, 1}, {1, "1"}, {"1", 1}])
  end

  test "bytes that could run into each other do not" do
    assert_distinct([
      "",
      {""},
      {"", ""},
      <<0>>,
      <<0, 0>>,
      <<0::64>>,
      <<0::72>>,
      {<<0>>, ""},
      {"", <<0>>},
      {"ab", "c"},
      {"a", "bc"},
      "abc",
      0,
      {0},
      {0, 0},
      {"", 0},
      {0, ""},
      {<<0::64>>, 0},
      {0, <<0::64>>}
    ])
  end

  test "integers around every power of two, smallest and largest included" do
    # From 2^59 on they are no small integers of the VM.
    powers = for bit <- 0..62, sign <- [1, -1], near <- -1..1, do: sign * (2 ** bit + near)
    keys = Enum.uniq([@min, @min + 1, @max, @max - 1 | powers])
    assert_distinct(keys ++ Enum.map(keys, &{&1}))
  end

  test "binaries of every length around that of a word, of a short key and of a heap binary" do
    ascending = for length <- 0..70, do: binary_part(@longest, 0, length)
    zeros = for length <- 1..70, do: <<0::size(length)-unit(8)>>
    ones = for length <- 1..70, do: String.duplicate(<<255>>, length)
    keys = ascending ++ zeros ++ ones
    assert_distinct(keys ++ Enum.map(keys, &{&1, 7}) ++ Enum.map(keys, &{7, &1}))
  end

  test "binaries of every length that differ in one byte" do
    for length <- 1..70 do
      zeros = :binary.copy(<<0>>, length)
      others = for at <- 0..(length - 1), do: put_byte(zeros, at, 1)
      assert_distinct([zeros | others])
    end
  end

  test "the longest binaries" do
    assert byte_size(@longest) == 65_536
    keys = for at <- [0, 30, 31, 32, 65_535], do: put_byte(@longest, at, ?!)
    assert_distinct([@longest, {@longest}, binary_part(@longest, 0, 65_535) | keys])
  end

  test "eight of the longest binaries" do
    elements = for at <- 0..7, do: put_byte(@longest, at, ?!)
    assert_distinct([List.to_tuple(elements), elements |> Enum.reverse() |> List.to_tuple()])
  end

  test "a binary is the same key however the VM keeps it" do
    for length <- [0, 1, 7, 8, 30, 31, 63, 64, 65, 1_000, 65_536] do
      binary = binary_part(@longest, 0, length)
      part = binary_part(<<?<, binary::binary, ?>>>, 1, length)
      <<_::3, unaligned::binary>> = <<5::3, binary::binary>>

      counters = Counters.new(metrics: [:n])
      keys = [:binary.copy(binary), binary, part, unaligned]
      for key <- keys, do: assert(Counters.add(counters, key, :n) == :ok)
      for key <- keys, do: assert(Counters.add(counters, {key, 1}, :n) == :ok)
      assert Enum.sort(Counters.drain(counters)) == [{{binary, 1}, %{n: 4}}, {binary, %{n: 4}}]
    end
  end

  test "an integer is the same key however it was computed" do
    counters = Counters.new(metrics: [:n])
    # The first three are intermediate results beyond 64 bits.
    for key <- [2 ** 70 - 2 ** 70 + 42, div(42 * 2 ** 80, 2 ** 80), 42] do
      Counters.add(counters, key, :n)
    end

    assert Counters.drain(counters) == [{42, %{n: 3}}]
  end

  test "atoms" do
    longest = String.to_atom(String.duplicate("ł", 255))
    atoms = [nil, true, false, :"", :a, :żółć, :日本語, :"with space", longest, __MODULE__]
    assert_distinct(atoms ++ Enum.map(atoms, &{&1}) ++ Enum.map(atoms, &Atom.to_string/1))
  end

  test "tuples of one to eight elements of every kind" do
    elements = [7, "seven", :seven, @max, "", nil, String.duplicate("long", 20), @min]

    for arity <- 1..8, from <- 0..7 do
      elements
      |> Stream.cycle()
      |> Enum.slice(from, arity)
      |> List.to_tuple()
    end
    |> assert_distinct()
  end

  # Every key is counted under itself, and comes back as it went in.
  defp assert_distinct(keys) do
    counters = Counters.new(metrics: [:n])
    numbered = Enum.with_index(keys, 1)

    for {key, number} <- numbered do
      assert Counters.get(counters, key) == nil
      assert Counters.add(counters, key, :n, number) == :ok
    end

    assert Counters.add_many(counters, for({key, number} <- numbered, do: {key, :n, number})) ==
             :ok

    expected = Map.new(numbered, fn {key, number} -> {key, %{n: 2 * number}} end)
    assert map_size(expected) == length(keys)

    for {key, number} <- numbered do
      assert Counters.get(counters, key, :n) == 2 * number
      assert Counters.get(counters, key) == %{n: 2 * number}
    end

    assert Counters.info(counters).keys == length(keys)

    for rows <- [Counters.to_list(counters), Counters.drain(counters)] do
      assert length(rows) == length(keys)
      assert Map.new(rows) == expected
    end
  end

  defp put_byte(binary, at, byte) do
    {before, <<_, rest::binary>>} = :erlang.split_binary(binary, at)
    <<before::binary, byte, rest::binary>>
  end
end
