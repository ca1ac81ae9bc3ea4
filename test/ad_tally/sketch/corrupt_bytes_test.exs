defmodule AdTally.Sketch.CorruptBytesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches

  alias AdTally.Sketch
  alias AdTally.Sketch.FormatError

  # What the documentation of the exception says there may be.
  @fields [:length, :serial_version, :family, :mode, :preamble, :precision, :flags] ++
            [:list_count, :set_count, :slots, :coupons, :register, :smallest_register] ++
            [:count_of_the_smallest_register, :number_of_exceptions, :exceptions]

  @values [0, 1, 2, 3, 4, 7, 8, 10, 15, 16, 18, 31, 63, 64, 127, 128, 254, 255]

  for {form, bytes} <- byte_forms() do
    test "any byte of a sketch as #{form} set to anything makes a sketch or an error" do
      bytes = unquote(bytes)

      outcomes =
        for at <- 0..(byte_size(bytes) - 1), value <- @values, uniq: true do
          bytes |> put_byte(at, value) |> outcome()
        end

      assert outcomes -- [:sketch | @fields] == []
      # Neither is everything refused nor everything read.
      assert :sketch in outcomes
      assert length(outcomes) > 5
    end
  end

  test "random bytes behind a good beginning make a sketch or an error" do
    # ExUnit has seeded this process, from the seed that it prints.
    for _ <- 1..10_000 do
      mode = Enum.random(0..2)
      precision = Enum.random(4..9)
      header = [Enum.at([2, 3, 10], mode), 1, 7, precision, Enum.random(0..8)]
      flags = Enum.random([0, 8, 24])
      kind = Enum.random(0..2)
      rest = :rand.bytes(Enum.random([0, 4, 12, 32, 33, 48, 56, 100, 288, 289]))
      bytes = IO.iodata_to_binary([header, flags, Enum.random(0..8), mode + 4 * kind, rest])
      assert outcome(bytes) in [:sketch | @fields], inspect(bytes, limit: :infinity)
    end
  end

  # The field of an error, or that there is a sketch, which can be used and written.
  defp outcome(bytes) do
    case Sketch.from_binary(bytes) do
      {:ok, sketch} ->
        estimate = Sketch.estimate(sketch)
        {low, high} = Sketch.bounds(sketch, 3)
        assert 0.0 <= low and low <= estimate and estimate <= high and high <= 2.0 ** 64
        assert sketch |> Sketch.to_binary() |> Sketch.from_binary() == {:ok, sketch}
        assert Sketch.union([sketch, sketch]) == {:ok, sketch}
        assert %{estimate: _, low: _, high: _} = Sketch.overlap(sketch, sketch)
        :sketch

      {:error, %FormatError{field: field, reason: reason}} ->
        assert is_binary(reason) and reason != ""
        field
    end
  end
end
