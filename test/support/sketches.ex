defmodule AdTally.Test.Sketches do
  @moduledoc """
  Sketches and bytes of sketches that no list of users makes.
  """

  alias AdTally.Sketch

  @golden Path.expand("../../native/ad_tally_core/tests/golden", __DIR__)

  @doc "The names of the files that another implementation wrote."
  def golden_names,
    do: @golden |> Path.join("*.sk") |> Path.wildcard() |> Enum.map(&Path.basename/1)

  @doc "The bytes in one of them."
  def golden(name), do: @golden |> Path.join(name) |> File.read!()

  @doc "Whether a sketch has registers, not a mark of each user."
  def dense?(sketch), do: match?(<<10, _::binary>>, Sketch.to_binary(sketch))

  @doc """
  A sketch with registers, whether its users are enough for that or not: its union
  with registers that one of its users has raised.
  """
  def with_registers(sketch, options \\ []) do
    registers = Sketch.from_binary!(registers_of_one(sketch), options)
    {:ok, sketch} = Sketch.union([registers, sketch])
    sketch
  end

  # The bytes of registers that the first user has raised, or nobody.
  defp registers_of_one(sketch) do
    precision = Sketch.precision(sketch)

    case Sketch.to_binary(sketch) do
      <<2, _::binary-size(5), 0, _::binary>> -> registers(precision, nil)
      <<2, _::binary-size(7), coupon::little-32, _::binary>> -> registers(precision, coupon)
      <<3, _::binary-size(11), coupon::little-32, _::binary>> -> registers(precision, coupon)
      dense -> dense
    end
  end

  @doc "The bytes of 2^precision registers of a byte that are all 0."
  def registers_of_nobody(precision), do: registers(precision, nil)

  defp registers(precision, coupon) do
    count = 2 ** precision
    {register, value} = if coupon, do: {rem(coupon, count), div(coupon, 2 ** 26)}, else: {0, 0}
    zeros = if value == 0, do: count, else: count - 1
    sum = zeros + (count - zeros) * 2.0 ** -value

    # The two sums are those of 2^-register, for registers below 32 and for others.
    <<10, 1, 7, precision, 0, 0b11000, 0, 0b1010, 0.0::float-little, sum::float-little,
      0.0::float-little, zeros::little-32, 0::little-32, 0::unit(8)-size(register), value,
      0::unit(8)-size(count - register - 1)>>
  end

  @doc "Bytes of every form there is, by a name for it. Open ones have empty slots."
  def byte_forms do
    %{
      list: bytes(3, 12),
      set: bytes(100, 12),
      registers: bytes(5_000, 8),
      open_list: golden("hll8_p12_n7_updatable.sk"),
      open_set: golden("hll8_p12_n100_updatable.sk"),
      six_bits: golden("hll6_p8_n1000_compact.sk"),
      four_bits: golden("hll4_p8_n1000_compact.sk"),
      open_four_bits: golden("hll4_p8_n1000_updatable.sk"),
      exceptions: golden("edge_hll4_p4_exceptions_compact.sk"),
      open_exceptions: golden("edge_hll4_p4_exceptions_updatable.sk")
    }
  end

  defp bytes(count, precision),
    do:
      1..count |> Enum.to_list() |> Sketch.from_users(precision: precision) |> Sketch.to_binary()

  @doc "Bytes with another byte at a place."
  def put_byte(bytes, at, byte) do
    {before, <<_, rest::binary>>} = :erlang.split_binary(bytes, at)
    <<before::binary, byte, rest::binary>>
  end
end
