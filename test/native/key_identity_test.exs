defmodule AdTally.Native.KeyIdentityTest do
  # Keys, ids and users of caps mean the same in every VM: the vectors are those of the core's tests.
  use ExUnit.Case, async: true

  alias AdTally.Native

  @vectors "native/ad_tally_core/tests/golden/keys.txt"

  for {line, number} <- @vectors |> File.stream!() |> Enum.with_index(1),
      not String.starts_with?(line, "#") do
    test "line #{number}: a term has the hash and the bytes of its vector" do
      [role, seed, hash, bytes, term] = String.split(unquote(line), " ", parts: 5)
      {term, []} = Code.eval_string(term)
      vector = {String.to_integer(hash, 16), Base.decode16!(bytes, case: :lower)}

      assert Native.key_vector(role, String.to_integer(seed), term) == vector
      assert Native.keys_of_bytes(elem(vector, 1)) == {:ok, [term]}
    end
  end

  test "the same where terms are not read in place" do
    true = Native.read_in_place(false)
    terms = [:ab, {:ab, "ab", -1}, {1, :ü, <<200::800>>}]
    by_call = for term <- terms, do: Native.key_vector("key", 7, term)
    false = Native.read_in_place(true)
    assert by_call == for(term <- terms, do: Native.key_vector("key", 7, term))
  end

  test "an atom of any text is a key of its own and comes back" do
    atoms = [
      :"",
      nil,
      true,
      :"1",
      :ab,
      :"a b",
      :ü,
      :語,
      :"🎯",
      :"#{String.duplicate("語", 255)}",
      Enum
    ]

    counters = AdTally.Counters.new(metrics: [:n])

    for atom <- atoms,
        key <- [atom, {atom}, {1, atom}],
        do: AdTally.Counters.add(counters, key, :n)

    others = for atom <- atoms, do: Atom.to_string(atom)
    for other <- others, do: AdTally.Counters.add(counters, other, :n)

    expected = others ++ for atom <- atoms, key <- [atom, {atom}, {1, atom}], do: key
    keys = for {key, %{n: 1}} <- AdTally.Counters.drain(counters), do: key
    assert Enum.sort(keys) == Enum.sort(expected)
  end

  test "rejects an atom whose text has the hash of another one's" do
    assert Native.collide_atoms("ad_tally_test_collides", :ad_tally_test_other)
    counters = AdTally.Counters.new(metrics: [:n])

    assert_raise ArgumentError, ~r/has the hash of another atom/, fn ->
      AdTally.Counters.add(counters, {1, :ad_tally_test_collides}, :n)
    end

    assert AdTally.Counters.add(counters, {1, "ad_tally_test_collides"}, :n) == :ok
    assert AdTally.Counters.to_list(counters) == [{{1, "ad_tally_test_collides"}, %{n: 1}}]
  end

  test "bytes make atoms that are not there yet, and no more than 4,096 at once" do
    text = &"ad_tally_new_#{System.unique_integer([:positive])}_#{&1}"
    bytes = fn text -> <<0, 2, byte_size(text)::little-16, text::binary>> end
    texts = for at <- 1..4_097, do: text.(at)

    assert {:ok, atoms} = texts |> Enum.take(10) |> Enum.map_join(bytes) |> Native.keys_of_bytes()
    assert Enum.map(atoms, &Atom.to_string/1) == Enum.take(texts, 10)

    assert {:error, message} =
             texts
             |> Enum.drop(10)
             |> Kernel.++(for at <- 1..20, do: text.(at))
             |> Enum.map_join(bytes)
             |> Native.keys_of_bytes()

    assert message =~ "at most 4096 are made at once"
  end

  test "rejects bytes that are no key" do
    assert Native.keys_of_bytes(<<9>>) == {:error, "byte 0 of the key: an arity is 0 to 8, not 9"}

    assert {:error, "byte 4 of the key: an atom: " <> _} =
             Native.keys_of_bytes(<<0, 2, 0, 1, String.duplicate("a", 256)::binary>>)
  end

  test "an id of a touch that is an integer is that integer, and one that is none is refused" do
    for id <- [0, 7, -1, 9_223_372_036_854_775_807, -9_223_372_036_854_775_808] do
      <<hash::64>> = <<id::64>>
      assert {^hash, _bytes} = Native.key_vector("touch", 0, id)
    end

    for no_id <- ["", :click, nil, {1}, 1.0, 9_223_372_036_854_775_808, <<0::524_296>>, <<1::1>>] do
      assert_raise ArgumentError,
                   ~r/^expected id: an integer of 64 bits .* or a binary of 1 to 65536 bytes, got: /,
                   fn ->
                     Native.key_vector("touch", 0, no_id)
                   end
    end
  end

  test "tables of one seed hash alike, and others do not" do
    key = {1, "a", :b}
    assert Native.key_vector("key", 1, key) == Native.key_vector("key", 1, key)

    hashes =
      for seed <- [0, 1, 0xFFFF_FFFF_FFFF_FFFF],
          role <- ["key", "id", "scope", "user"],
          do: elem(Native.key_vector(role, seed, key), 0)

    assert Enum.uniq(hashes) == hashes
  end
end
