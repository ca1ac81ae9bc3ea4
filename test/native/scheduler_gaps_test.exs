defmodule AdTally.Native.SchedulerGapsTest do
  # Alone: what is timed here is how long others have to wait.
  use ExUnit.Case, async: false

  import AdTally.Test.Responsiveness
  import ExUnit.CaptureIO

  alias AdTally.{Native, Reach, Sketch}
  alias AdTally.Test.Responsiveness

  @tables [
    Responsiveness.Counters,
    Responsiveness.Reach,
    Responsiveness.FinestReach,
    Responsiveness.Meter,
    Responsiveness.ManyWindows,
    Responsiveness.Report,
    Responsiveness.Attribution,
    Responsiveness.Store,
    Responsiveness.Pacer
  ]

  describe "a process that ticks every millisecond sees no gap over 10 ms beside" do
    # On a machine that others use as well, threads wait for a processor as long as that, without the library too.
    # What a call itself takes is asserted below, in its thread's time.
    @describetag :exhaustive

    for table <- @tables, {operation, index} <- Enum.with_index(table.beside()) do
      test operation.name do
        unquote(table).beside() |> Enum.at(unquote(index)) |> assert_no_gap()
      end
    end
  end

  describe "a native call is short that" do
    for table <- @tables, {calls, index} <- Enum.with_index(table.calls()) do
      unless calls[:quick] do
        @tag :slow
      end

      test "#{calls.name}, in #{calls[:limit] || 1_000} microseconds" do
        unquote(table).calls() |> Enum.at(unquote(index)) |> assert_short_calls()
      end
    end
  end

  # An array of 32 MiB, which no machine makes in the time of 512 KiB.
  test "a call that takes longer is found" do
    calls = %{
      setup: fn -> nil end,
      operation: fn timed, nil ->
        for _ <- 1..10, do: fn -> :atomics.new(4_194_304, []) end |> timed.() |> elem(0)
      end
    }

    assert_raise ExUnit.AssertionError, ~r/the longest of \d+ calls/, fn ->
      assert_short_calls(calls)
    end
  end

  @tag :slow
  test "a merge of many coupons takes no longer for each of them than a union" do
    sketch = Sketch.from_users(Enum.to_list(1..24_000), precision: 18)
    nobody = Sketch.from_users([], precision: 18)
    reach = Reach.new(precision: 18)

    merges = for key <- 1..20, do: dirty_time(fn -> :ok = Reach.merge(reach, key, sketch) end)
    unions = for _ <- 1..20, do: dirty_time(fn -> {:ok, _} = Sketch.union([nobody, sketch]) end)
    # Adds to other keys of the same shard wait meanwhile.
    assert Enum.min(merges) < 3 * Enum.min(unions)
  end

  defp dirty_time(call) do
    {thread, begin} = Native.dirty_thread_time()
    call.()
    {same_or_other, now} = Native.dirty_thread_time()
    # An atom is more than any number.
    if thread == same_or_other, do: now - begin, else: :unknown
  end

  test "gaps are not judged where plain Elixir alone makes longer ones, and that is said" do
    text =
      capture_io(fn ->
        assert_no_gap(%{
          setup: fn -> nil end,
          operation: &flunk/1,
          plain: fn -> hold_all_schedulers(50) end
        })
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
      assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}
    end)
  end

  defp spin(until), do: if(System.monotonic_time(:millisecond) < until, do: spin(until))
end
