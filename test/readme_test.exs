defmodule AdTally.ReadmeTest do
  use ExUnit.Case, async: true

  @tag :tmp_dir
  test "the lines of Elixir in the README do what they say", %{tmp_dir: dir} do
    [[counting], [metering], [reaching], [capping], _installation] =
      Regex.scan(~r/```elixir\n(.*?)```/s, File.read!("README.md"), capture: :all_but_first)

    {rows, _binding} = Code.eval_string(counting)
    {bytes, _binding} = Code.eval_string(reaching)

    # Where it says so, files are written when it is stopped.
    {[row], binding} = metering |> String.replace("rollups", dir) |> Code.eval_string()
    assert %{campaign: 42, impressions: 1, clicks: 0, spend_micros: 1_250} = row
    Supervisor.stop(binding[:supervisor])
    assert [_file] = File.ls!(dir)
    assert {{:capped, {1, 1_800_000}}, _binding} = Code.eval_string(capping)

    assert Enum.sort(rows) == [
             {42, %{impressions: 0, clicks: 1, spend_micros: 0}},
             {43, %{impressions: 0, clicks: 1, spend_micros: 0}},
             {{42, "creative-7"}, %{impressions: 1, clicks: 0, spend_micros: 1_250}}
           ]

    expected = AdTally.Sketch.from_users(["ben", "ann"])
    assert %{{42, :us} => _, {42, :ca} => ca} = bytes
    assert AdTally.Sketch.from_binary(ca) == {:ok, expected}
  end
end
