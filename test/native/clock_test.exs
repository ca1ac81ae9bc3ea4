defmodule AdTally.Native.ClockTest do
  use ExUnit.Case, async: true

  alias AdTally.Native
  alias AdTally.Test.SteppedClock

  @hours 3 * 3_600

  unless :os.type() == {:unix, :linux},
    do: @moduletag(skip: "the C library is changed in the way of Linux")

  setup_all do
    directory =
      Path.join(System.tmp_dir!(), "ad_tally_clock_#{System.unique_integer([:positive])}")

    File.mkdir_p!(directory)
    on_exit(fn -> File.rm_rf!(directory) end)
    %{library: SteppedClock.compile(directory)}
  end

  # A VM compares its clock with the system's once a minute.
  for {mode, followed} <- [no_time_warp: 0, multi_time_warp: 1], sign <- [1, -1] do
    @tag :slow
    test "a clock that is stepped by #{sign * 3} hours in #{mode} refuses no event", context do
      {seconds, sign} = {unquote(sign) * @hours, unquote(sign)}

      step = SteppedClock.call(context.library, unquote(mode), :events_around_a_step, [seconds])

      assert_in_delta step.stepped, seconds, 5
      assert_in_delta step.followed, unquote(followed) * sign * @hours, 5

      for events <- [step.before, step.after] do
        assert events.meter == {:ok, 1}
        capped = {:capped, {1, 3_600_000}}
        assert events.caps == [:ok, capped, capped, capped, capped]
        assert events.first == [true, false]
        assert events.refused == %{future: 0, too_old: 0, full: 0, busy: 0}
        assert events.future == 0
        assert events.native in -1..1_000
      end
    end
  end

  test "native code has the time of the VM, to the millisecond" do
    for clock <- [&Native.clock_now/0, &Native.dirty_clock_now/0], _ <- 1..10_000 do
      from = System.system_time(:millisecond)
      now = clock.()
      to = System.system_time(:millisecond)
      # Between two questions it goes on by another clock, and may be rounded the other way.
      assert now in (from - 1)..(to + 1)
    end
  end
end
