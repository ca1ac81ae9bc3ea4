defmodule AdTally.Sketch.FormatErrorTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches

  alias AdTally.Sketch
  alias AdTally.Sketch.FormatError

  setup_all do
    %{sketches: byte_forms()}
  end

  test "bytes that end too early, or do not end in time", %{sketches: sketches} do
    for {_form, bytes} <- sketches do
      for length <- 0..(byte_size(bytes) - 1) do
        assert_error(binary_part(bytes, 0, length), :length, "there are #{length}")
      end

      for more <- [<<0>>, <<0::32>>, bytes] do
        assert_error(bytes <> more, :length, "there are #{byte_size(bytes <> more)}")
      end
    end
  end

  test "a serial version, a family, a mode or a precision that there is not", %{
    sketches: sketches
  } do
    for {_form, <<_, 1, 7, precision, _::24, mode, _::binary>> = bytes} <- sketches do
      for version <- 0..255, version != 1 do
        assert_error(put_byte(bytes, 1, version), :serial_version, "serial version is #{version}")
      end

      for family <- 0..255, family != 7 do
        assert_error(put_byte(bytes, 2, family), :family, "family is #{family}, expected 7")
      end

      for other <- 0..255, Bitwise.band(other, 3) == 3 or other >= 12, other != mode do
        assert_error(put_byte(bytes, 7, other), :mode, "mode is #{other}")
      end

      for other <- [0, 1, 2, 3, 19, 20, 26, 255, precision + 128] do
        assert_error(put_byte(bytes, 3, other), :precision, "precision is #{other}")
      end
    end
  end

  test "a preamble that is not that of the mode", %{sketches: sketches} do
    for {_form, <<preamble, _::48, mode, _::binary>> = bytes} <- sketches do
      for other <- 0..255, other != preamble do
        assert_error(put_byte(bytes, 0, other), :preamble, "preamble is #{other}")
      end

      for other <- 0..2, other != Bitwise.band(mode, 3) do
        assert_error(put_byte(bytes, 7, other), :preamble, "preamble is #{preamble}")
      end
    end
  end

  test "a flag that says empty where there are users", %{sketches: sketches} do
    for form <- [:list, :open_list, :set, :open_set, :registers, :six_bits, :four_bits] do
      <<_::40, flags, _::binary>> = bytes = sketches[form]
      shown = "flags is #{flags + 4}, expected without 4 (empty)"
      assert_error(put_byte(bytes, 5, flags + 4), :flags, shown)
    end
  end

  test "a number of coupons that a list or a set does not have", %{
    sketches: %{list: list, set: set}
  } do
    for count <- 8..255, do: assert_error(put_byte(list, 6, count), :list_count, "is #{count}")
    for count <- [0, 1, 2, 4, 7], do: assert_error(put_byte(list, 6, count), :length, "")

    for count <- [385, 1_000, 2 ** 31, 2 ** 32 - 1] do
      assert_error(put_word(set, 8, count), :set_count, "set count is #{count}")
    end

    for count <- [0, 99, 101, 384], do: assert_error(put_word(set, 8, count), :length, "")
    # There are no sets below a precision of 8.
    assert_error(put_byte(set, 3, 7), :set_count, "set count is 100")
  end

  test "coupons that no user has, or that are there twice", %{sketches: sketches} do
    for {form, at} <- [list: 12, set: 12, set: 408], word <- [0, 1, 2 ** 26 - 1] do
      assert_error(put_word(sketches[form], at, word), :coupons, "which no user has")
    end

    for {form, at} <- [list: 8, set: 12, open_list: 8] do
      {before, <<first::32, _::32, rest::binary>>} = :erlang.split_binary(sketches[form], at)
      twice = <<before::binary, first::32, first::32, rest::binary>>
      assert_error(twice, :coupons, ~r/^(\d+) coupons are announced, \1 are there, \d+ of them/)
    end

    # An empty slot less, or one more.
    assert_error(put_word(sketches.open_list, 8, 0), :coupons, "7 coupons are announced, 6")

    assert_error(
      put_word(sketches.open_list, 36, 2 ** 26),
      :coupons,
      "7 coupons are announced, 8"
    )
  end

  test "slots that do not hold what they should", %{sketches: sketches} do
    for slots <- [0, 2, 4, 31, 255],
        do: assert_error(put_byte(sketches.open_list, 4, slots), :slots, "slots is #{slots}")

    for slots <- [1, 4, 10, 31, 64, 255],
        do: assert_error(put_byte(sketches.open_set, 4, slots), :slots, "slots is #{slots}")

    for slots <- [0, 1, 5, 255],
        do:
          assert_error(put_byte(sketches.open_exceptions, 4, slots), :slots, "slots is #{slots}")

    for slots <- [5, 6, 9], do: assert_error(put_byte(sketches.open_set, 4, slots), :length, "")
  end

  test "registers that no user raises, or others than are announced", %{sketches: sketches} do
    registers = sketches.registers

    for value <- [64, 100, 255], at <- [40, 100, 295] do
      assert_error(put_byte(registers, at, value), :register, "register is #{value}")
    end

    smallest = registers |> binary_part(40, 256) |> :binary.bin_to_list() |> Enum.min()
    for value <- [smallest + 1, 63, 255], do: assert_smallest(registers, value)

    for form <- [:registers, :six_bits, :four_bits] do
      <<_::binary-size(32), count::little-32, _::binary>> = bytes = sketches[form]

      for other <- [count + 1, count + 256, 2 ** 32 - 1] do
        field = :count_of_the_smallest_register
        assert_error(put_word(bytes, 32, other), field, "is #{other}, expected how many")
      end
    end

    for value <- [64, 255], do: assert_smallest(sketches.four_bits, value)
  end

  test "exceptions that registers do not have, or where there are none", %{sketches: sketches} do
    for form <- [:registers, :six_bits], count <- [1, 2 ** 32 - 1] do
      bytes = put_word(sketches[form], 36, count)
      assert_error(bytes, :number_of_exceptions, "number of exceptions is #{count}")
    end

    for count <- [17, 2 ** 31, 2 ** 32 - 1] do
      bytes = put_word(sketches.exceptions, 36, count)
      assert_error(bytes, :number_of_exceptions, "number of exceptions is #{count}")
    end

    assert_error(put_word(sketches.exceptions, 36, 6), :length, "")
    assert_error(put_word(sketches.open_exceptions, 36, 6), :number_of_exceptions, "is 6")

    # The same register twice; one that is no exception; one that is not over the others; no register.
    <<_::binary-size(48), first::little-32, second::little-32, _::binary>> = sketches.exceptions
    assert_error(put_word(sketches.exceptions, 48, second), :exceptions, "by its four bits")
    other = Enum.find(0..15, &(not exception?(sketches.exceptions, &1)))
    assert_error(put_word(sketches.exceptions, 48, 2 ** 26 * 20 + other), :exceptions, "#{other}")
    low = 2 ** 26 + rem(first, 16)

    assert_error(
      put_word(sketches.exceptions, 48, low),
      :exceptions,
      "register #{rem(first, 16)}"
    )

    assert_error(put_word(sketches.exceptions, 48, 0), :coupons, "which no user has")
  end

  test "bytes that have nothing to do with a sketch" do
    assert_error("", :length, "8 bytes are needed, there are 0")
    assert_error(<<0::64>>, :serial_version, "")
    assert_error("a sentence, and a long one", :serial_version, "")
    assert_error(:binary.copy(<<0>>, 10_000_000), :serial_version, "")
    # What it announces is not allocated: 2^18 registers, 24,576 coupons, 2^18 exceptions.
    assert_error(<<10, 1, 7, 18, 0, 8, 0, 0b1010>>, :length, "40 bytes are needed, there are 8")
    announced = <<10, 1, 7, 18, 18, 0, 0, 0b10, 0::192, 0::32, 2 ** 18::little-32>>
    assert_error(announced, :length, "#{40 + 2 ** 17 + 4 * 2 ** 18} bytes are needed")
    assert_error(<<3, 1, 7, 18, 0, 8, 0, 1, 24_576::little-32>>, :length, "98316 bytes")
  end

  test "from_binary! raises the same error, with a message that says it" do
    bytes = <<2, 1, 8, 12, 3, 8, 1, 8, 0::32>>
    {:error, error} = Sketch.from_binary(bytes)
    assert error == %FormatError{field: :family, reason: "family is 8, expected 7 (HLL)"}
    raised = assert_raise(FormatError, fn -> Sketch.from_binary!(bytes) end)
    assert raised == error
    expected = "not a DataSketches HLL sketch: family is 8, expected 7 (HLL)"
    assert Exception.message(raised) == expected
  end

  defp assert_error(bytes, field, shown) do
    assert {:error, %FormatError{field: ^field, reason: reason}} = Sketch.from_binary(bytes)
    assert reason =~ shown
  end

  defp assert_smallest(bytes, value),
    do: assert_error(put_byte(bytes, 6, value), :smallest_register, "is #{value}, expected ")

  defp exception?(<<_::binary-size(40), nibbles::binary-size(8), _::binary>>, register) do
    byte = :binary.at(nibbles, div(register, 2))
    15 == if rem(register, 2) == 0, do: Bitwise.band(byte, 15), else: div(byte, 16)
  end

  defp put_word(bytes, at, word) do
    {before, <<_::32, rest::binary>>} = :erlang.split_binary(bytes, at)
    <<before::binary, word::little-32, rest::binary>>
  end
end
