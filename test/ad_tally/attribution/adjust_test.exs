defmodule AdTally.Attribution.AdjustTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Attributions

  alias AdTally.Attribution

  setup :own_name

  # A purchase of 101 micros that two touches are credited with, 50 and 51.
  defp purchase(name, options \\ []) do
    start(name, [models: [:linear]] ++ options)
    for id <- 1..2, do: assert(Attribution.touch(name, touch(id, "ann", id)) == :ok)
    assert Attribution.convert(name, conversion("o-9", "ann", 10, value_micros: 101)) == :ok
  end

  defp adjust(name, change, seconds), do: Attribution.adjust(name, "o-9", change, at(seconds))

  # `{touch, seconds of the adjustment, ppm, value}` of each row, in the order of windows.
  defp rows(windows) do
    for {_window, credits, _touches} <- windows do
      for {:linear, "o-9", :purchase, _kind, touch, _dimensions, _touched_at, _converted_at,
           adjusted_at, ppm, value, _truncated, _revision} <- Enum.sort(credits) do
        {touch, adjusted_at && div(adjusted_at - at(0), 1_000), ppm, value}
      end
    end
  end

  test "up, down and below nothing: each touch is credited with its part of the new value", %{
    name: name
  } do
    purchase(name)
    assert credited(name, "o-9") == %{1 => 50, 2 => 51}

    for {value, seconds, credits} <- [
          {203, 20, %{1 => 101, 2 => 102}},
          {10, 30, %{1 => 5, 2 => 5}},
          {-7, 40, %{1 => -3, 2 => -4}},
          {0, 50, %{1 => 0, 2 => 0}}
        ] do
      assert adjust(name, {:restate, value}, seconds) == :ok
      assert credited(name, "o-9") == credits
      assert Attribution.credits(name, "o-9").value_micros == value

      assert Enum.map(Attribution.credits(name, "o-9").linear, & &1.share_ppm) == [
               500_000,
               500_000
             ]
    end
  end

  test "an adjustment of a final conversion is rows of their own, in the window of its time", %{
    name: name
  } do
    purchase(name)
    :ok = Attribution.close(name)
    # Time goes on, and other windows are there by then.
    assert Attribution.touch(name, touch(3, "bob", 600)) == :ok
    assert adjust(name, {:restate, 40}, 130) == :ok
    assert adjust(name, :retract, 250) == :ok
    :ok = Attribution.close(name)
    windows = delivered()

    assert rows(windows) == [
             [{1, nil, 500_000, 50}, {2, nil, 500_000, 51}],
             [{1, 130, 0, -30}, {2, 130, 0, -31}],
             [{1, 250, -500_000, -20}, {2, 250, -500_000, -20}],
             []
           ]

    starts = for {window, _credits, _touches} <- windows, do: div(window.start - at(0), 60_000)
    assert starts == [0, 2, 4, 10]
  end

  test "an adjustment whose window is closed goes into the first one that is open", %{name: name} do
    purchase(name)
    assert Attribution.touch(name, touch(3, "bob", 600)) == :ok
    :ok = Attribution.close(name)
    # Its own window was that of the conversion, which stays as it was delivered.
    assert adjust(name, {:restate, 40}, 11) == :ok
    :ok = Attribution.close(name)
    windows = delivered()
    assert [[_, _], [], [{1, 11, 0, -30}, {2, 11, 0, -31}]] = rows(windows)
    assert {%{start: start}, _credits, _touches} = List.last(windows)
    assert start == at(660)
  end

  test "adjustments of a provisional conversion follow its credits, which are those of its first value",
       %{name: name} do
    purchase(name)
    assert adjust(name, {:restate, 203}, 20) == :ok
    assert adjust(name, :retract, 30) == :ok
    :ok = Attribution.close(name)

    assert rows(delivered()) == [
             [
               {1, nil, 500_000, 50},
               {1, 20, 0, 51},
               {1, 30, -500_000, -101},
               {2, nil, 500_000, 51},
               {2, 20, 0, 51},
               {2, 30, -500_000, -102}
             ]
             |> Enum.sort()
           ]
  end

  test "a touch that comes after an adjustment changes all that is credited", %{name: name} do
    purchase(name)
    assert adjust(name, {:restate, 30}, 20) == :ok
    assert Attribution.touch(name, touch(3, "ann", 5)) == :ok
    assert credited(name, "o-9") == %{1 => 10, 2 => 10, 3 => 10}
    assert %{revision: 2, value_micros: 30} = Attribution.credits(name, "o-9")
  end

  test "of restatements the one of the latest time stays, of one time the greatest value, whatever came first",
       %{name: name} do
    for {changes, number} <-
          Enum.with_index(permutations([{10, 20}, {30, 30}, {20, 30}, {99, 25}])) do
      name = :"#{name}.#{number}"
      purchase(name)
      for {value, seconds} <- changes, do: assert(adjust(name, {:restate, value}, seconds) == :ok)
      assert credited(name, "o-9") == %{1 => 15, 2 => 15}
      stop_supervised!(name)
      sums = for rows <- rows(delivered()), {touch, _at, _ppm, value} <- rows, do: {touch, value}

      for touch <- [1, 2],
          do:
            assert(
              sums |> Enum.filter(&(elem(&1, 0) == touch)) |> Enum.map(&elem(&1, 1)) |> Enum.sum() ==
                15
            )
    end
  end

  defp permutations([]), do: [[]]

  defp permutations(list),
    do: for(one <- list, rest <- permutations(list -- [one]), do: [one | rest])

  test "one that something newer is known of changes nothing, and is counted", %{name: name} do
    purchase(name)
    assert adjust(name, {:restate, 10}, 30) == :ok
    for value <- [3, 10], do: assert(adjust(name, {:restate, value}, 30) == :ok)
    assert adjust(name, {:restate, 500}, 29) == :ok
    assert credited(name, "o-9") == %{1 => 5, 2 => 5}
    assert %{applied: 1, superseded: 3} = Attribution.info(name).adjustments
  end

  test "what is retracted stays so: whatever comes is an error, and nothing has changed", %{
    name: name
  } do
    purchase(name)
    assert adjust(name, :retract, 30) == :ok
    credits = Attribution.credits(name, "o-9")
    assert %{retracted: true, value_micros: 0} = credits

    for change <- [:retract, {:restate, 7}, {:restate, 101}],
        seconds <- [20, 30, 99],
        do: assert(adjust(name, change, seconds) == {:error, :retracted})

    assert Attribution.credits(name, "o-9") == credits
    # A copy is known still.
    assert Attribution.convert(name, conversion("o-9", "ann", 10, value_micros: 101)) ==
             :duplicate

    assert [%{conversions_ppm: 0, value_micros: 0}] = Attribution.report(name, by: [])
  end

  test "a retraction of an earlier time than the last restatement is one all the same", %{
    name: name
  } do
    purchase(name)
    assert adjust(name, {:restate, 10}, 30) == :ok
    assert adjust(name, :retract, 20) == :ok
    assert Attribution.credits(name, "o-9").retracted
  end

  test "an order that nobody knows is an error", %{name: name} do
    purchase(name)
    assert Attribution.adjust(name, "o-8", :retract, at(20)) == {:error, :unknown}
    assert Attribution.adjust(name, 9, {:restate, 1}, at(20)) == {:error, :unknown}
    assert Attribution.credits(name, "o-8") == nil
    assert %{applied: 0, unknown: 2} = Attribution.info(name).adjustments
  end

  test "an order is known for as long as it may be adjusted", %{name: name} do
    purchase(name, adjustable_for: 600_000)
    :ok = Attribution.close(name)
    assert Attribution.touch(name, touch(3, "bob", 610)) == :ok
    assert adjust(name, {:restate, 40}, 600) == :ok
    assert Attribution.touch(name, touch(4, "bob", 611)) == :ok
    assert adjust(name, {:restate, 50}, 600) == {:error, :unknown}
    assert Attribution.credits(name, "o-9") == nil
    # It is another one.
    assert Attribution.convert(name, conversion("o-9", "ann", 620, value_micros: 7)) == :ok
    assert Attribution.credits(name, "o-9").value_micros == 7
  end

  test "one that is not counted can be adjusted, and gives no rows", %{name: name} do
    start(name, models: [:linear])
    assert Attribution.touch(name, touch(1, "ann", 0)) == :ok

    for order <- 1..2,
        do:
          assert(
            Attribution.convert(
              name,
              conversion(order, "ann", order, action: :signup, value_micros: 10)
            ) == :ok
          )

    :ok = Attribution.close(name)
    assert %{counted: false, linear: []} = Attribution.credits(name, 2)
    assert Attribution.adjust(name, 2, {:restate, 50}, at(30)) == :ok
    assert Attribution.adjust(name, 2, :retract, at(40)) == :ok
    assert Attribution.adjust(name, 2, :retract, at(50)) == {:error, :retracted}
    :ok = Attribution.close(name)

    assert [1] =
             for(
               {_window, credits, _touches} <- delivered(),
               row <- credits,
               uniq: true,
               do: elem(row, 1)
             )
  end

  test "an unattributed conversion is adjusted as any other", %{name: name} do
    start(name, models: [:linear])
    assert Attribution.convert(name, conversion("o-9", "ann", 10, value_micros: 101)) == :ok
    :ok = Attribution.close(name)
    assert adjust(name, {:restate, 40}, 11) == :ok
    assert %{linear: [], value_micros: 40} = Attribution.credits(name, "o-9")
    assert adjust(name, :retract, 12) == :ok
    :ok = Attribution.close(name)
    assert [[{nil, nil, 1_000_000, 101}], adjusted] = rows(delivered())
    assert Enum.sort(adjusted) == [{nil, 11, 0, -61}, {nil, 12, -1_000_000, -40}]
  end

  test "the largest values, either way, are exact", %{name: name} do
    most = 2 ** 62 - 1
    purchase(name)

    for {value, seconds} <- [{most, 20}, {-most, 30}, {most, 40}] do
      assert adjust(name, {:restate, value}, seconds) == :ok
      assert name |> credited("o-9") |> Map.values() |> Enum.sum() == value
    end

    :ok = Attribution.close(name)
    values = for rows <- rows(delivered()), {_touch, 30, _ppm, value} <- rows, do: value
    assert Enum.sum(values) == -2 * most
  end

  test "a change, a value or a time that is none is refused by what would have been right", %{
    name: name
  } do
    purchase(name)

    for {change, at} <- [
          {:refund, at(20)},
          {{:restate, 2 ** 62}, at(20)},
          {{:restate, 1.5}, at(20)},
          {{:restate, 1, 2}, at(20)},
          {:retract, -1},
          {:retract, 2 ** 47},
          {:retract, nil}
        ] do
      assert_raise ArgumentError, ~r/got: |, not /, fn ->
        Attribution.adjust(name, "o-9", change, at)
      end
    end

    for order <- [nil, "", 1.5, {1}, :order, 2 ** 63],
        do:
          assert_raise(ArgumentError, ~r/got: /, fn ->
            Attribution.adjust(name, order, :retract, at(20))
          end)

    assert %{value_micros: 101, retracted: false} = Attribution.credits(name, "o-9")
  end

  test "a time that is too far ahead is an error, by the system's clock", %{name: name} do
    start(name, models: [:linear], clock: :system, max_ahead: 60_000, lateness: 300_000)
    now = System.system_time(:millisecond)

    assert Attribution.convert(name, conversion("o-9", "ann", 0, at: now, value_micros: 101)) ==
             :ok

    assert Attribution.adjust(name, "o-9", :retract, now + 600_000) == {:error, :future}
    refute Attribution.credits(name, "o-9").retracted
    assert Attribution.adjust(name, "o-9", :retract, now) == :ok
  end
end
