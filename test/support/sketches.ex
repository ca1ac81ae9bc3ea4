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
  with registers that nobody has raised.
  """
  def with_registers(sketch, options \\ []) do
    nobody = sketch |> Sketch.precision() |> registers_of_nobody() |> Sketch.from_binary!(options)
    {:ok, sketch} = Sketch.union([nobody, sketch])
    sketch
  end

  @doc "The bytes of 2^precision registers of a byte that are all 0."
  def registers_of_nobody(precision) do
    count = 2 ** precision
    sum = count * 1.0

    # The two sums are those of 2^-register, for registers below 32 and for others.
    <<10, 1, 7, precision, 0, 0b11000, 0, 0b1010, 0.0::float-little, sum::float-little,
      0.0::float-little, count::little-32, 0::little-32, 0::unit(8)-size(count)>>
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
