defmodule AdTally.Store.KillsTest do
  use ExUnit.Case, async: true

  alias AdTally.Test.Kills
  alias AdTally.Test.Kills.Oracle

  # `SEED=7 mix test ...` does what the run did that printed it, as far as the moments of kills allow.
  setup do
    seed = String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))
    IO.puts("kills of seed #{seed}")
    [seed: seed]
  end

  @tag :tmp_dir
  test "a service that is killed five times counts every event once", context do
    run(context, 5)
  end

  @tag :exhaustive
  @tag :tmp_dir
  @tag timeout: :infinity
  test "a service that is killed 500 times counts every event once", context do
    run(context, String.to_integer(System.get_env("KILLS", "500")))
  end

  defp run(%{seed: seed, tmp_dir: dir}, kills) do
    File.rm_rf!(dir)
    File.mkdir_p!(Kills.Service.windows_dir(dir))
    run = Kills.run(seed: seed, kills: kills, dir: dir)
    differences = Oracle.differences(seed, dir, run)
    assert differences == [], Enum.join(["seed #{seed}" | differences], "\n")
    assert run.killed == kills

    # Otherwise hardly anything was compared.
    assert run.rounds > 0 and map_size(run.shown) > 50
  end
end
