defmodule AdTally.Native.Attribution.OwnerTest do
  # Nothing is acknowledged that nobody will read.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeAttribution

  alias AdTally.{Attribution, Named, Native}

  defp calls do
    [
      &Native.attribution_touch(&1, touch()),
      &Native.attribution_touch_many(&1, [touch()]),
      &Native.attribution_check_touches(&1, [touch()], 0),
      &Native.attribution_refused_touches(&1, [touch()], 0),
      &Native.attribution_touch_first(&1, [touch()]),
      &Native.attribution_convert(&1, conversion()),
      &Native.attribution_convert_many(&1, [conversion()]),
      &Native.attribution_check_conversions(&1, [conversion()], 0),
      &Native.attribution_refused_conversions(&1, [conversion()], 0),
      &Native.attribution_convert_first(&1, [conversion()])
    ]
  end

  defp owned(name) do
    test = self()

    {owner, monitor} =
      spawn_monitor(fn ->
        attribution = new()
        :ok = Native.table_own(attribution, name)
        send(test, {:attribution, attribution})
        receive(do: (:never -> :ok))
      end)

    {assert_receive({:attribution, _attribution}) |> elem(1), owner, monitor}
  end

  test "every call is refused once the owner has been killed" do
    {attribution, owner, monitor} = owned(:attribution_killed)
    for call <- calls(), do: call.(attribution)
    Process.exit(owner, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^owner, :killed}

    others = [
      &Native.attribution_touch_some(&1, [touch()]),
      &Native.attribution_convert_some(&1, [conversion()]),
      &Native.attribution_credits(&1, "o-9"),
      &Native.attribution_adjust(&1, "o-9", :retract, at()),
      &Native.attribution_link(&1, "a", "b"),
      &Native.attribution_forget(&1, "ann"),
      &Native.attribution_close(&1, at()),
      &Native.attribution_close_through(&1, at()),
      &Native.attribution_stop/1,
      &Native.attribution_open(&1, 0),
      &Native.attribution_last_open/1,
      &Native.attribution_open_bytes(&1, 0),
      &Native.attribution_info/1,
      &Native.attribution_examples/1,
      &Native.attribution_refuse_touches(&1, 1, nil),
      &Native.attribution_report_new(&1, [], {false, false}, 0, :touch, {0, :infinity}),
      &Native.attribution_paths_new(&1, [0], {0, :infinity})
    ]

    message = Named.not_running(Attribution, :attribution_killed)

    for call <- calls() ++ others do
      assert_raise ArgumentError, message, fn -> call.(attribution) end
    end
  end

  test "one that was stopped in order refuses what it has taken nothing of, and the rest of a list is late" do
    {attribution, _owner, _monitor} = owned(:attribution_stopped)
    :ok = Native.attribution_touch(attribution, touch(id: 0))
    {[{_begin, _end, 1, window}], false} = Native.attribution_stop(attribution)

    for call <- calls() do
      message = Named.not_running(Attribution, :attribution_stopped)
      assert_raise ArgumentError, message, fn -> call.(attribution) end
    end

    assert Native.attribution_touch_some(attribution, [touch(id: 2)]) == {[], {0, 0, 1, 0}}

    assert Native.attribution_convert_some(attribution, [conversion(order: 2)]) ==
             {[], {0, 0, 1, 0}}

    # Windows are read after that.
    assert Native.attribution_window_totals(window) |> Tuple.delete_at(5) == {1, 0, 0, 1, 1_250}
  end
end
