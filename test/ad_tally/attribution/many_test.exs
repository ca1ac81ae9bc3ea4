defmodule AdTally.Attribution.ManyTest do
  # Lists are taken as single ones are, and in steps where they are long.
  use ExUnit.Case, async: true

  alias AdTally.{Attribution, Conversion, Touch}

  @begin 1_780_272_000_000

  setup context do
    name = Module.concat(__MODULE__, "Attribution#{context.line}")

    options = [
      name: name,
      dimensions: [:campaign],
      touches: [click: 3_600_000],
      conversions: [purchase: :every],
      clock: :events,
      window: 60_000,
      lateness: 0,
      users: 100_000
    ]

    start_supervised!({Attribution, options})
    [name: name]
  end

  defp touch(id, fields \\ []),
    do: struct!(%Touch{id: id, user: id, at: @begin, kind: :click, dimensions: {42}}, fields)

  defp conversion(order, fields \\ []),
    do: struct!(%Conversion{order: order, user: order, at: @begin, action: :purchase}, fields)

  test "every one of a list has the outcome that it has alone", %{name: name} do
    touches = [touch(1), touch(2), touch(1), touch(3, at: @begin + 60_000)]
    assert Attribution.touch_many(name, touches) == %{ok: 3, duplicate: 1, late: 0, future: 0}
    assert Attribution.touch(name, touch(2)) == :duplicate

    conversions = [conversion(1), conversion("a"), conversion(1)]
    counts = %{ok: 2, duplicate: 1, late: 0, future: 0}
    assert Attribution.convert_many(name, conversions) == counts
    assert Attribution.close(name) == :ok
    late = %{ok: 0, duplicate: 0, late: 1, future: 0}
    assert Attribution.touch_many(name, [touch(9)]) == late
    assert Attribution.convert_many(name, [conversion(9)]) == late
    assert Attribution.touch_many(name, []) == %{late | late: 0}
    assert [%{touch: 9}] = Attribution.credits(name, 9).last_touch
  end

  test "a long list is taken whole", %{name: name} do
    assert %{ok: 20_000} = Attribution.touch_many(name, Enum.map(1..20_000, &touch/1))
    assert %{ok: 20_000} = Attribution.convert_many(name, Enum.map(1..20_000, &conversion/1))
    assert [%{conversions: 2.0e4, touches: 20_000}] = Attribution.report(name)
  end

  test "one that is refused refuses a list of any length, and nothing of it is taken", %{
    name: name
  } do
    for {count, place} <- [{3, 2}, {20_000, 19_999}] do
      touches = 1..count |> Enum.map(&touch/1) |> List.replace_at(place, touch(7, kind: :view))

      error = assert_raise ArgumentError, fn -> Attribution.touch_many(name, touches) end
      assert error.message =~ "expected kind: one of [:click], got: :view (at index #{place} of"

      conversions =
        1..count |> Enum.map(&conversion/1) |> List.replace_at(place, conversion(7, user: nil))

      error = assert_raise ArgumentError, fn -> Attribution.convert_many(name, conversions) end
      assert error.message =~ "(at index #{place} of"
    end

    info = Attribution.info(name)
    assert %{users: 0, orders: 0, touches: %{received: 20_003, refused: 20_003}} = info
    assert %{received: 20_003, refused: 20_003} = info.conversions
  end

  test "or is left out, with its place and the reason", %{name: name} do
    for count <- [4, 20_000] do
      touches = [:none | Enum.map(2..count, &touch/1)] ++ [touch(1, id: "")]
      counts = Attribution.touch_many(name, touches, on_refused: :skip)
      assert [{0, %ArgumentError{}}, {^count, %ArgumentError{}}] = counts.refused
      assert counts.ok + counts.duplicate == count - 1

      conversions = [conversion(1, value_micros: 1.5) | Enum.map(2..count, &conversion/1)]
      counts = Attribution.convert_many(name, conversions, on_refused: :skip)
      assert [{0, error}] = counts.refused
      assert Exception.message(error) =~ "value_micros"
      assert counts.ok + counts.duplicate == count - 1
    end

    good = Attribution.touch_many(name, [touch(1)], on_refused: :skip)
    assert good == %{ok: 1, duplicate: 0, late: 0, future: 0, refused: []}
  end

  test "what is no list, and other options, are refused", %{name: name} do
    for list <- [:none, [touch(1) | :none], touch(1)],
        on_refused <- [:raise, :skip] do
      assert_raise ArgumentError, fn ->
        Attribution.touch_many(name, list, on_refused: on_refused)
      end

      assert_raise ArgumentError, fn ->
        Attribution.convert_many(name, list, on_refused: on_refused)
      end
    end

    for options <- [[on_refused: :drop], [skip: true], :skip] do
      assert_raise ArgumentError, ~r/on_refused|keyword list/, fn ->
        Attribution.touch_many(name, [], options)
      end
    end

    assert Attribution.info(name).users == 0
  end

  test "every function raises where none of that name runs", %{name: running} do
    calls = [
      &Attribution.touch(&1, touch(1)),
      &Attribution.touch_many(&1, [touch(1)]),
      &Attribution.convert(&1, conversion(1)),
      &Attribution.convert_many(&1, [conversion(1)]),
      &Attribution.credits(&1, 1),
      &Attribution.adjust(&1, 1, :retract, @begin),
      &Attribution.link(&1, 1, 2),
      &Attribution.forget(&1, 1),
      &Attribution.report/1,
      &Attribution.paths/1,
      &Attribution.info/1,
      &Attribution.close/1
    ]

    paths = Attribution.paths(running)
    stop_supervised!({Attribution, running})

    for call <- calls, name <- [running, :nobody, "name", nil] do
      error = assert_raise ArgumentError, fn -> call.(name) end
      assert error.message =~ "AdTally.Attribution"
    end

    assert_raise ArgumentError, ~r/that runs/, fn -> Enum.to_list(paths) end
  end
end
