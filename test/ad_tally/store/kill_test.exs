defmodule AdTally.Store.KillTest do
  # What is there after a VM was killed by the operating system, in the middle of whatever it did.
  use ExUnit.Case

  import AdTally.Test.Stores

  alias AdTally.{FrequencyCap, Meter}
  alias AdTally.Test.{FreshVM, KilledService}

  @moduletag :capture_log
  @kills 3

  test "what was synced is there, of the rest whole events only, and every event once after redelivery" do
    [dir, logs] = [dir(), dir()]
    File.mkdir_p!(logs)
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    IO.puts("    seed of the kills: #{seed}")

    for kill <- 1..@kills do
      kill_in_the_middle(dir, logs)
      tree = start_tree(KilledService.children(dir))
      for {recorder, synced} <- KilledService.synced(logs), do: check(recorder, synced, kill)
      # What comes again is on disk as well: the next one goes on after it.
      stop_tree(tree)
      for {recorder, synced} <- KilledService.synced(logs), do: note(logs, recorder, synced)
    end
  end

  defp kill_in_the_middle(dir, logs) do
    run = fn -> FreshVM.start(KilledService, :run, [dir, logs, KilledService.synced(logs)]) end
    {pid, monitor} = run.()
    Process.sleep(300 + :rand.uniform(700))
    {_said, 0} = System.cmd("kill", ["-9", pid])
    assert_receive {:DOWN, ^monitor, :process, _peer, _reason}, 10_000
  end

  # Everything up to the last sync is there. Each one after it is in all parts or in none.
  defp check(recorder, synced, kill) do
    assert synced > 0, "nothing was synced before kill #{kill}"
    last = synced + KilledService.unsynced()

    for number <- 1..synced do
      assert KilledService.deliver(recorder, number) == {:duplicate, {:capped, {1, 3_600_000}}}
    end

    for number <- (synced + 1)..last do
      assert KilledService.deliver(recorder, number) in [
               {:ok, :ok},
               {:duplicate, {:capped, {1, 3_600_000}}},
               # Caps are asked after the meter: the VM may have died in between.
               {:duplicate, :ok}
             ]
    end

    assert [row] = Meter.report(KilledMeter, where: [recorder: recorder])
    assert {row.events, row.numbers} == {last, div(last * (last + 1), 2)}
    assert_in_delta row.reach, last, last / 10

    assert FrequencyCap.count(
             KilledCaps,
             {:recorder, recorder},
             last,
             3_600_000,
             1_780_272_000_000 + last
           ) == 1
  end

  defp note(logs, recorder, synced) do
    last = synced + KilledService.unsynced()
    File.write!(Path.join(logs, "recorder-#{recorder}"), "#{last}\n", [:append])
  end
end
