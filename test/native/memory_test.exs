defmodule AdTally.Native.MemoryTest do
  use ExUnit.Case, async: true

  @moduletag :slow

  alias AdTally.Test.{
    DroppedTables,
    FreshVM,
    HeldWindow,
    KeysInMemory,
    MillionRows,
    ResidentMemory
  }

  unless ResidentMemory.known?(), do: @moduletag(skip: "the system has no /proc/self/status")

  @keys 1_000_000

  test "a million keys with three metrics take at most 150 bytes each, and info says how many" do
    %{grown: grown, told: told} = FreshVM.call(KeysInMemory, :counters, [@keys])

    assert grown / @keys <= 150
    assert_in_delta told / grown, 1, 0.2
  end

  test "half a million sketches with a long tail take at most 150 MB, and info says how many" do
    %{grown: grown, told: told, info: info} = FreshVM.call(KeysInMemory, :reach, [500_000])
    assert %{sparse: 495_000, dense: 5_000} = info

    # With registers from the first user on it would be 2 GB.
    assert grown <= 150_000_000
    assert_in_delta told / grown, 1, 0.2
  end

  test "four million pairs with 1.8 events take at most 17 bytes each, and info says how many" do
    pairs = 4_000_000
    %{grown: grown, told: told, info: info} = FreshVM.call(KeysInMemory, :caps, [pairs])
    # Of a hundred thousand pairs a few look like another one.
    assert_in_delta info.pairs, pairs, pairs / 1_000
    assert %{refused: %{full: 0}, grown: 0} = info

    assert told / pairs <= 17
    assert grown / pairs <= 17
    assert_in_delta told / grown, 1, 0.2
  end

  # Where the system had to provide it while events were recorded, it held their schedulers.
  test "the memory of a table for five million ids is there before any comes, and info says how much" do
    ids = 5_000_000
    %{grown: grown, told: told, info: %{ids: 0}} = FreshVM.call(KeysInMemory, :no_ids, [ids])

    assert grown / ids >= 6
    assert_in_delta told / grown, 1, 0.1
  end

  test "reports of ten groups take at most 20 MB, of a million rows as well" do
    %{total: total, resident: resident, spend: spend} =
      FreshVM.call(MillionRows, :report_memory, [])

    assert spend == div(@keys * (@keys + 1), 2)
    assert total <= 20_000_000
    assert resident <= 20_000_000
  end

  test "a window that somebody still has keeps nothing of its attribution but what its rows need" do
    %{before: before, full: full, after: rest} =
      seen = FreshVM.call(HeldWindow, :measure, [@keys])

    assert full - before >= 40_000_000
    assert rest - before <= 10_000_000

    credits = for row <- seen.credits, do: row |> Tuple.to_list() |> Enum.take(6)

    of_order = ["o-9", :purchase, :click, 1, {42, "x"}]
    assert Enum.sort(credits) == [[:last_touch | of_order], [:linear | of_order]]

    assert seen.touches == [{{42, "x"}, :click, @keys, 1_250 * @keys}]
  end

  # Memory is allocated by whichever schedulers add, and freed by another thread. An allocator may keep
  # such memory for itself: the C library of GNU kept 85 to 100 % of it.
  for {kind, least} <- [counters: 200_000_000, reach: 200_000_000, windows: 200_000_000] do
    test "500 tables of 4,000 rows give their memory back when they are dropped: #{kind}" do
      %{before: before, full: full, after: rest} = FreshVM.call(DroppedTables, unquote(kind), [])

      # There was something to give back.
      assert full - before >= unquote(least)
      assert rest <= 1.5 * before
    end
  end
end
