defmodule AdTally.Sketch.BytesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches

  alias AdTally.Sketch

  @secret "sixteen bytes..."

  # Lists of bytes that Apache DataSketches wrote; see the README beside them.
  describe "of another implementation are the sketch of the same users" do
    test "of integers and of strings, in every form" do
      names = for "hll" <> _ = name <- golden_names(), do: name
      assert length(names) > 100

      for name <- names do
        expected = name |> Path.rootname() |> String.split("_") |> sketch_of_name()
        assert Sketch.from_binary(golden(name)) == {:ok, expected}, name
        assert Sketch.from_binary!(Sketch.to_binary(expected)) == expected, name
      end
    end

    test "of a union" do
      [name] = for "union" <> _ = name <- golden_names(), do: name
      assert name == "union_p12_1_1000_501_1500_compact.sk"
      both = Sketch.from_users(Enum.to_list(1..1_500))
      assert Sketch.from_binary(golden(name)) == {:ok, both}
    end

    test "in the forms that are rare" do
      names = for "edge" <> _ = name <- golden_names(), do: name
      assert length(names) > 10

      for name <- names do
        ["edge", _kind, "p" <> precision | what] = name |> Path.rootname() |> String.split("_")
        expected = edge(what, String.to_integer(precision))
        assert Sketch.from_binary(golden(name)) == {:ok, expected}, name
      end
    end
  end

  describe "go out and come back" do
    test "as the same sketch, and are equal for equal sketches" do
      for precision <- [4, 7, 8, 12, 18], count <- [0, 1, 7, 8, 24, 25, 384, 385, 30_000] do
        users = Enum.to_list(1..count//1)
        sketch = Sketch.from_users(users, precision: precision)
        bytes = Sketch.to_binary(sketch)
        assert Sketch.from_binary(bytes) == {:ok, sketch}
        assert Sketch.from_binary!(bytes) == sketch
        reversed = Sketch.from_users(Enum.reverse(users), precision: precision)
        assert Sketch.to_binary(reversed) == bytes
      end
    end

    test "as lists of up to 7 users, sets, and registers of a byte out of order" do
      for {precision, marks} <- [{4, 7}, {7, 7}, {8, 24}, {12, 384}, {14, 1_536}],
          count <- Enum.uniq([0, 1, 7, min(8, marks), marks, marks + 1, 100_000]) do
        users = Enum.to_list(1..count//1)
        bytes = Sketch.to_binary(Sketch.from_users(users, precision: precision))
        <<preamble, 1, 7, ^precision, _slots, flags, in_list, mode, rest::binary>> = bytes
        empty = if count == 0, do: 4, else: 0

        cond do
          count <= 7 ->
            assert {preamble, flags, in_list, mode} == {2, 8 + empty, count, 0b1000}
            assert byte_size(rest) == 4 * count

          count <= marks ->
            assert {preamble, flags, in_list, mode} == {3, 8, 0, 0b1001}
            assert <<^count::little-32, marks::binary>> = rest
            assert byte_size(marks) == 4 * count

          true ->
            assert {preamble, flags, mode} == {10, 8 + 16, 0b1010}
            assert byte_size(bytes) == 40 + 2 ** precision
        end
      end
    end

    test "as parts of other binaries" do
      for count <- [1, 100, 5_000] do
        sketch = Sketch.from_users(Enum.to_list(1..count))
        bytes = Sketch.to_binary(sketch)
        part = binary_part(<<1, bytes::binary, 2>>, 1, byte_size(bytes))
        <<_::3, unaligned::binary>> = <<5::3, bytes::binary>>
        assert Sketch.from_binary(part) == {:ok, sketch}
        assert Sketch.from_binary(unaligned) == {:ok, sketch}
      end
    end
  end

  describe "with a secret" do
    test "the option brings the check back" do
      for count <- [0, 1, 100, 5_000] do
        sketch = Sketch.from_users(Enum.to_list(1..count//1), secret: @secret)
        bytes = Sketch.to_binary(sketch)
        assert Sketch.from_binary(bytes, secret: @secret) == {:ok, sketch}
        assert Sketch.from_binary!(bytes, secret: @secret) == sketch

        assert Sketch.union([sketch, Sketch.from_binary!(bytes, secret: @secret)]) ==
                 {:ok, sketch}
      end
    end

    test "the bytes alone, or another secret, make a sketch that cannot be merged with it" do
      sketch = Sketch.from_users([1, 2, 3], secret: @secret)
      bytes = Sketch.to_binary(sketch)

      for options <- [[], [secret: nil], [secret: "another secret.."]] do
        assert {:ok, other} = Sketch.from_binary(bytes, options)
        refute other == sketch
        assert Sketch.to_binary(other) == bytes
        assert Sketch.union([sketch, other]) == {:error, :different_secret}
      end
    end

    test "the secret is nowhere in the sketch" do
      sketch = Sketch.from_users(Enum.to_list(1..5_000), secret: @secret)
      refute :erlang.term_to_binary(sketch) =~ @secret
      refute inspect(sketch, structs: false, limit: :infinity) =~ inspect(@secret)
    end
  end

  defp sketch_of_name(["hll" <> _kind, "p" <> precision, "n" <> count | form]) do
    users = Enum.to_list(1..String.to_integer(count)//1)
    users = if hd(form) == "strings", do: Enum.map(users, &"user-#{&1}"), else: users
    Sketch.from_users(users, precision: String.to_integer(precision))
  end

  defp edge(["exceptions", _form], 4) do
    few = [14_441, 17_853, 24_321, 28_438, 64_359, 79_910, 109_103, 157_230]
    Sketch.from_users(Enum.to_list(1..8) ++ few, precision: 4)
  end

  defp edge(["full", "size", _form], 4),
    do: [] |> Sketch.from_users(precision: 4) |> with_registers()

  defp edge(["out", "of", "order", _form], 8),
    do: Sketch.from_users(Enum.to_list(1..1_000), precision: 8)

  defp edge(["cur", "min", _form], 8),
    do: Sketch.from_users(Enum.to_list(1..100_000), precision: 8)

  defp edge(["stale", "count", _form], 8),
    do: Sketch.from_users(Enum.to_list(1..9_000), precision: 8)
end
