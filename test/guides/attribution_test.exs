defmodule AdTally.Guides.AttributionTest do
  # Names of processes and modules are the guide's.
  use ExUnit.Case

  @tag :tmp_dir
  test "the code of the guide does what it says", %{tmp_dir: dir} do
    guide = File.read!("guides/attribution.md")

    snippets =
      for [snippet] <- Regex.scan(~r/```elixir\n(.*?)```/s, guide, capture: :all_but_first) do
        snippet
        |> String.replace(~s(dir: "credits"), ~s(dir: "#{dir}"))
        |> String.replace(~r/"(paths.csv|attribution.frames)"/, ~s("#{dir}/\\1"))
      end

    # Each goes on where the one before has stopped.
    {results, binding} =
      Enum.map_reduce(snippets, [], fn snippet, binding -> Code.eval_string(snippet, binding) end)

    Supervisor.stop(binding[:supervisor])
    [credits] = for result <- results, match?([{:last_touch, _} | _], result), do: result
    check_table(guide, credits)
    assert Enum.sort(File.ls!(dir)) == ["attribution.frames", "credits", "paths.csv", "touches"]
  end

  # The table of models has what they give, in units of the currency.
  defp check_table(guide, credits) do
    [_first | figures] =
      for [row] <-
            Regex.scan(~r/^\| (?:model|`.*?`.*?) \|(.*)\|/m, guide, capture: :all_but_first),
          length(String.split(row, "|")) == 5,
          do: row |> String.split("|") |> Enum.take(4) |> Enum.map(&String.trim/1)

    assert length(figures) == length(credits)

    for {row, {model, credited}} <- Enum.zip(figures, credits) do
      expected = for text <- row, {units, _rest} = Float.parse(text), do: units
      credited = Map.new(credited)
      given = for id <- 1..4, do: Float.round(Map.get(credited, id, 0) / 1_000_000, 2)
      assert given == expected, "#{inspect(model)}"
    end
  end
end
