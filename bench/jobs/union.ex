defmodule AdTally.Bench.Jobs.Union do
  @moduledoc false
  # A day of many campaigns, or a month of days: dense sketches that become one number.
  # Beside the same sketches one after the other, and the larger of each two registers
  # in plain Elixir.

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Contender, Group}
  alias AdTally.Sketch

  @precisions [12, 14]
  @sizes %{
    full: [sketches: 100, users: 50_000, repeats: 20, rounds: 9],
    quick: [sketches: 100, users: 20_000, repeats: 5, rounds: 5],
    smoke: [sketches: 3, users: 2_000, repeats: 1, rounds: 2]
  }
  @one_by_one "one after the other"
  @elixir "the larger of each two registers, in Elixir"

  @impl true
  def name, do: "union"

  @impl true
  def about, do: "100 sketches with registers to one, and its estimate"

  @impl true
  def groups(size), do: for(precision <- @precisions, do: group(precision, @sizes[size]))

  defp group(precision, size) do
    # Each has half of its users in common with the next.
    users = fn at ->
      Enum.to_list((at * div(size[:users], 2) + 1)..(at * div(size[:users], 2) + size[:users]))
    end

    sketches =
      for at <- 1..size[:sketches], do: Sketch.from_users(users.(at), precision: precision)

    all = 1..size[:sketches] |> Enum.flat_map(users) |> Sketch.from_users(precision: precision)

    contender = fn label, union, repeats, yardsticks ->
      Contender.new(label, [sketches], fn sketches -> with_estimate(union.(sketches)) end,
        operations_per_input: size[:sketches],
        repeats: repeats,
        summary: &Function.identity/1,
        expected_summary: {all, Sketch.estimate(all)},
        yardsticks: yardsticks
      )
    end

    %Group{
      title: "Union of #{size[:sketches]} sketches of precision #{precision}, figures a sketch",
      unit: "merge",
      rounds: size[:rounds],
      contenders: [
        contender.("AdTally.Sketch.union", &union/1, size[:repeats], [@one_by_one, @elixir]),
        contender.(@one_by_one, &one_by_one/1, size[:repeats], []),
        contender.(@elixir, &in_elixir/1, 1, [])
      ]
    }
  end

  defp with_estimate(sketch), do: {sketch, Sketch.estimate(sketch)}

  defp union(sketches) do
    {:ok, union} = Sketch.union(sketches)
    union
  end

  defp one_by_one(sketches), do: Enum.reduce(sketches, &union([&2, &1]))

  # What comes before the registers is counted anew when the bytes are read: flag 32.
  defp in_elixir([first | _] = sketches) do
    <<begin::binary-size(40), _registers::binary>> = Sketch.to_binary(first)
    <<start::binary-size(5), flags, rest::binary>> = begin

    registers =
      sketches
      |> Enum.map(fn sketch ->
        <<_::binary-size(40), registers::binary>> = Sketch.to_binary(sketch)
        :binary.bin_to_list(registers)
      end)
      |> Enum.zip_reduce([], fn registers, all -> [Enum.max(registers) | all] end)
      |> Enum.reverse()

    bytes = IO.iodata_to_binary([start, Bitwise.bor(flags, 32), rest, registers])
    Sketch.from_binary!(bytes)
  end
end
