defmodule AdTally.ReadmeTest do
  # Names of processes are those of the README and of guides.
  use ExUnit.Case

  alias AdTally.FrequencyCap

  @tag :tmp_dir
  test "the example does what the README says", %{tmp_dir: dir} do
    {[row], binding} = example(0, "rollups", dir)
    assert %{campaign: 42, impressions: 1, spend_micros: 1_250, reach: 1.0} = row

    # A line for each campaign and country, and one for the campaign's sketch.
    Supervisor.stop(binding[:supervisor])

    assert [counters, reach] =
             for(
               folder <- ["counters", "reach"],
               file <- Path.wildcard("#{dir}/#{folder}/date=????-??-??/*"),
               line <- file |> File.read!() |> :zlib.gunzip() |> String.split("\n", trim: true),
               do: line
             )

    assert Enum.sort(File.ls!(dir)) == ["counters", "reach"]
    assert counters =~ ~s("campaign":42,"country":"us","impressions":1,"spend_micros":1250)
    assert reach =~ ~r/"campaign":42,"reach_sketch":"[A-Za-z0-9+\/=]+"/
  end

  @tag :tmp_dir
  test "the example of an attribution does what the README says", %{tmp_dir: dir} do
    {[row], binding} = example(1, "credits", dir)

    assert %{campaign: 42, value_micros: 7_000_000, spend_micros: 350_000, cpa_micros: 350_000} =
             row

    Supervisor.stop(binding[:supervisor])
    assert Enum.sort(File.ls!(dir)) == ["credits", "touches"]
  end

  test "the example of a budget does what the README says" do
    {status, binding} = example(2, "none", "none")
    assert %{spent_micros: 1_240, budget_micros: 50_000_000} = status
    assert FrequencyCap.count(MyApp.Caps, 42, "ann", 86_400_000, binding[:at]) == 1
    Supervisor.stop(binding[:supervisor])
  end

  defp example(number, folder, dir) do
    [_, _, _, [_installation]] =
      examples =
      Regex.scan(~r/```elixir\n(.*?)```/s, File.read!("README.md"), capture: :all_but_first)

    [example] = Enum.at(examples, number)
    example |> String.replace(~s(dir: "#{folder}"), ~s(dir: "#{dir}")) |> Code.eval_string()
  end

  test "every module it names is there" do
    names =
      Regex.scan(~r/`(AdTally(?:\.[A-Z][A-Za-z]*)+)`/, File.read!("README.md"),
        capture: :all_but_first
      )

    assert length(names) >= 8

    for [name] <- Enum.uniq(names),
        do: assert(Code.ensure_loaded?(Module.concat([name])), "there is no #{name}")
  end
end
