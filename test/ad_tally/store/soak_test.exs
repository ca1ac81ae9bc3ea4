defmodule AdTally.Store.SoakTest do
  use ExUnit.Case

  alias AdTally.Test.Kills
  alias AdTally.Test.Kills.{Oracle, Service}

  @moduletag :exhaustive
  @moduletag timeout: :infinity

  @minute 60_000
  # Two rounds a second are twelve days of event time in half an hour.
  @pause 400
  # Of fewer lives the first ones are too many.
  @compared 9

  # MINUTES sets for how long, SEED what is sent.
  @tag :tmp_dir
  test "a service that is killed once a minute counts every event once, and does not grow",
       context do
    dir = context.tmp_dir
    on_exit(fn -> File.rm_rf!(dir) end)
    File.rm_rf!(dir)
    File.mkdir_p!(Service.windows_dir(dir))
    minutes = String.to_integer(System.get_env("MINUTES", "30"))
    seed = String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))
    IO.puts("\na kill a minute for #{minutes} minutes, seed #{seed}")
    {:ok, lives} = Agent.start_link(fn -> [] end)
    each = fn life -> Agent.update(lives, &[show(life, length(&1)) | &1]) end
    options = [seed: seed, dir: dir, kills: minutes, life: @minute, pause: @pause, each: each]
    run = Kills.run(options)
    lives = lives |> Agent.get(& &1) |> Enum.reverse()

    assert run.killed == minutes and run.rounds > minutes
    differences = Oracle.differences(seed, dir, run) ++ growth(lives)
    assert differences == [], Enum.join(["seed #{seed}" | differences], "\n")
  end

  defp show(life, number) do
    {first, last} = {List.first(life.measured), List.last(life.measured)}
    megabytes = fn bytes -> Float.round(bytes / 1_000_000, 1) end

    IO.puts(
      "minute #{number + 1}: #{life.rounds} rounds, start #{life.start} ms, memory #{megabytes.(first.memory)} MB, " <>
        "at the end #{megabytes.(last.memory)} MB, #{last.files} files of #{megabytes.(last.disk)} MB, " <>
        "#{last.processes} processes, #{last.ports} ports"
    )

    life
  end

  # The last third has not much more than the one before it, of memory after the starts and before the kills, and of
  # all else at any time. Files of a store become more until they are merged.
  defp growth(lives) when length(lives) < @compared, do: []

  defp growth(lives) do
    third = div(length(lives), 3)
    {middle, last} = lives |> Enum.take(-2 * third) |> Enum.split(third)

    for {what, of, most} <- [
          {:memory, &[hd(&1)], 1.1},
          {:memory, &[List.last(&1)], 1.1},
          {:processes, & &1, 1.1},
          {:ports, & &1, 1.1},
          {:disk, & &1, 1.2},
          {:files, & &1, 1.2}
        ],
        {before, now} = {mean(middle, what, of), mean(last, what, of)},
        now > most * before do
      "#{what} grew from #{round(before)} to #{round(now)}"
    end
  end

  defp mean(lives, what, of) do
    numbers = for life <- lives, measured <- of.(life.measured), do: measured[what]
    Enum.sum(numbers) / length(numbers)
  end
end
