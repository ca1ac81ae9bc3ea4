defmodule AdTally.Attribution.StopTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Attributions
  import ExUnit.CaptureLog

  alias AdTally.{Attribution, Named}

  setup :own_name

  defp some(name) do
    for id <- 1..3,
        do: assert(Attribution.touch(name, touch(id, "ann", 60 * id, cost_micros: id)) == :ok)

    assert Attribution.convert(name, conversion("o", "ann", 200, value_micros: 9)) == :ok
    assert Attribution.convert(name, conversion("p", "bob", 201, value_micros: 5)) == :ok
  end

  test "an attribution that is stopped in order makes all final and delivers all windows", %{
    name: name
  } do
    start(name, models: [:linear])
    some(name)
    stop_supervised!(name)
    windows = delivered()

    assert for({window, _credits, _touches} <- windows, do: {window.sequence, window.partial}) ==
             [{1, true}, {2, true}, {3, true}]

    rows =
      for {_window, credits, _touches} <- windows,
          row <- credits,
          do: {elem(row, 1), elem(row, 4), elem(row, 10)}

    assert Enum.sort(rows) == [{"o", 1, 3}, {"o", 2, 3}, {"o", 3, 3}, {"p", nil, 5}]

    spend =
      for {_window, _credits, touches} <- windows,
          {{42}, :click, count, cost} <- touches,
          do: {count, cost}

    assert spend == [{1, 1}, {1, 2}, {1, 3}]

    assert_raise ArgumentError, Named.not_running(Attribution, name), fn ->
      Attribution.touch(name, touch(1, "ann", 0))
    end
  end

  test "windows that time has closed are delivered by themselves, and what comes for them is late",
       %{name: name} do
    start(name, models: [:linear], lateness: 60_000)
    some(name)
    assert Attribution.touch(name, touch(4, "ann", 600)) == :ok
    assert_receive {:window, %{sequence: 3, partial: false}, credits, _touches}
    assert length(credits) == 4
    assert Attribution.credits(name, "o").final
    assert Attribution.touch(name, touch(5, "ann", 199)) == :late
    assert Attribution.credits(name, "o") |> Map.fetch!(:linear) |> length() == 3
    # It knows of that touch.
    assert Attribution.convert(name, conversion("late", "ann", 200, value_micros: 4)) == :late
    assert credited(name, "late") == %{1 => 1, 2 => 1, 3 => 1, 5 => 1}
    assert Attribution.credits(name, "late").final
  end

  @tag :capture_log
  test "after a crash every call is refused, and what starts again knows nothing of before", %{
    name: name
  } do
    Process.flag(:trap_exit, true)

    options = [
      name: name,
      dimensions: [:campaign],
      touches: [click: 86_400_000],
      conversions: [purchase: :every],
      clock: :events
    ]

    {:ok, attribution} = Attribution.start_link(options)
    assert Attribution.touch(name, touch(1, "ann", 0)) == :ok
    assert Attribution.convert(name, conversion("o", "ann", 10)) == :ok
    Process.exit(attribution, :kill)
    assert_receive {:EXIT, ^attribution, :killed}
    # Longer than it may go on.
    Process.sleep(100)

    for call <- [
          &Attribution.touch(&1, touch(2, "ann", 0)),
          &Attribution.touch_many(&1, [touch(2, "ann", 0)]),
          &Attribution.touch_many(&1, []),
          &Attribution.convert(&1, conversion("p", "ann", 10)),
          &Attribution.convert_many(&1, [conversion("p", "ann", 10)]),
          &Attribution.credits(&1, "o"),
          &Attribution.adjust(&1, "o", :retract, at(20)),
          &Attribution.link(&1, "cookie", "ann"),
          &Attribution.forget(&1, "ann"),
          &Attribution.report/1,
          &Attribution.info/1,
          &Attribution.close/1
        ] do
      assert_raise ArgumentError, Named.not_running(Attribution, name), fn -> call.(name) end
    end

    {:ok, _attribution} = Attribution.start_link(options)
    assert Attribution.credits(name, "o") == nil
    assert Attribution.adjust(name, "o", :retract, at(20)) == {:error, :unknown}
    assert Attribution.convert(name, conversion("o", "ann", 10)) == :ok
    assert Attribution.credits(name, "o").last_touch == []
  end

  test "what a sink does not take before the stop is lost, and that is said", %{name: name} do
    log =
      capture_log(fn ->
        start(name, flush: 100, sinks: [{__MODULE__.Hanging, []}])
        some(name)
        stop_supervised!(name)
      end)

    assert log =~ inspect(name)
    assert log =~ "3 windows"
  end

  defmodule Hanging do
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, _options), do: Process.sleep(:infinity)
  end
end
