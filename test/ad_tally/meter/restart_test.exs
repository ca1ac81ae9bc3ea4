defmodule AdTally.Meter.RestartTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.Meter

  setup :own_name

  test "a name that is a key of somebody else's is refused", %{name: name} do
    :persistent_term.put(name, :mine)
    options = [name: name, dimensions: [:campaign], metrics: [:clicks]]
    assert_raise ArgumentError, ~r/:persistent_term/, fn -> Meter.start_link(options) end
    assert :persistent_term.get(name) == :mine
    assert_raise ArgumentError, ~r/no AdTally.Meter named/, fn -> Meter.record(name, event()) end
  end

  test "one that was killed is started anew, and nothing is recorded in the old one", %{
    name: name
  } do
    pid = start(name)
    assert Meter.record(name, event()) == :ok
    monitor = Process.monitor(pid)
    # What hands windows to the sink says why it ends.
    capture_log(fn ->
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, _pid, :killed}
      await(fn -> runs?(name) end)
      assert Meter.info(name).events.received == 0
    end)

    assert Meter.record(name, event()) == :ok
    assert Meter.info(name).events.applied == 1
  end

  defp runs?(name) do
    is_map(Meter.info(name))
  rescue
    ArgumentError -> false
  end

  test "a meter that does not run is named", %{name: name} do
    for _ <- 1..2 do
      assert_raise ArgumentError,
                   ~r/there is no AdTally.Meter named #{inspect(name)} that runs/,
                   fn ->
                     Meter.record(name, event())
                   end

      start(name)
      assert Meter.record(name, event()) == :ok
      stop_supervised!(name)
    end
  end
end
