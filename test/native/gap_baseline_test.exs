defmodule AdTally.Native.GapBaselineTest do
  # What the tests of gaps do where the machine itself makes gaps. Alone: it takes all schedulers.
  use ExUnit.Case, async: false

  import AdTally.Test.Responsiveness
  import ExUnit.CaptureIO

  test "gaps are not judged where plain Elixir alone makes longer ones, and that is said" do
    text =
      capture_io(fn ->
        assert_no_gap(fn -> nil end, &flunk/1, fn -> hold_all_schedulers(50) end)
      end)

    assert text =~ "Skipped: #{inspect(__MODULE__)}, test gaps are not judged where"
    assert [_, baseline] = Regex.run(~r/gaps of up to (\d+) microseconds/, text)
    assert String.to_integer(baseline) > 10_000
  end

  # Others, of a lower priority, wait.
  defp hold_all_schedulers(milliseconds) do
    until = System.monotonic_time(:millisecond) + milliseconds

    1..System.schedulers_online()
    |> Enum.map(fn _ -> :erlang.spawn_opt(fn -> spin(until) end, [:monitor, priority: :high]) end)
    |> Enum.each(fn {pid, monitor} ->
      assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}, 5_000
    end)
  end

  defp spin(until), do: if(System.monotonic_time(:millisecond) < until, do: spin(until))
end
