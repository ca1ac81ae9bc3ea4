defmodule AdTally.Meter.RecordTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

  alias AdTally.{Meter, Window}

  doctest Meter

  setup :own_name

  test "dimensions of any length are counted, one by one and in lists", %{name: name} do
    start(name, dimensions: [:page, :country], metrics: [:n], reach: [by: [:country]])
    lengths = Enum.to_list(0..600) ++ [4_096, 65_535, 65_536]

    for {length, number} <- Enum.with_index(lengths) do
      page = :binary.copy(<<1>>, length)
      event = event(dimensions: {page, "us"}, user: number, metrics: [n: 1])
      long = event(id: page <> "i", dimensions: {"us", page}, user: page <> "u", metrics: [n: 1])

      assert Meter.record(name, event) == :ok, "#{length} bytes"
      assert %{ok: 2} = Meter.record_many(name, [event, event])

      if length < 65_536 do
        assert Meter.record(name, long) == :ok, "#{length} bytes"
        assert %{duplicate: 2} = Meter.record_many(name, [long, long])
      end
    end

    totals = for row <- Meter.report(name, by: [:page]), do: {byte_size(row.page), row.n}
    assert Enum.frequencies(totals)[{2, 603}] == 1
    assert length(totals) == 605
  end

  test "an event may be as long as it can be", %{name: name} do
    dimensions = ~w(a b c d e f g h)a
    start(name, dimensions: dimensions, metrics: [:n], reach: [by: tl(dimensions)])
    longest = :binary.copy(<<1>>, 65_536)
    key = List.to_tuple(for _ <- 1..8, do: longest)
    event = event(id: key, dimensions: key, user: longest, metrics: [n: 1])
    assert Meter.record(name, event) == :ok
    assert %{duplicate: 2} = Meter.record_many(name, [event, event])
    assert %{ok: 2} = Meter.record_many(name, [%{event | id: nil}, %{event | id: 1}])
    assert [%{n: 3}] = Meter.report(name, by: [])
    one_more = put_elem(key, 7, longest <> "1")

    assert_raise ArgumentError, ~r/65536 bytes/, fn ->
      Meter.record(name, %{event | dimensions: one_more})
    end

    assert_raise ArgumentError, ~r/65536 bytes/, fn ->
      Meter.record(name, %{event | id: one_more})
    end
  end

  test "events of a list may share the list of their amounts, or have another one", %{name: name} do
    start(name, dimensions: [:page], metrics: [:n, :m], reach: false)
    {shared, other} = {[n: 1, m: 10], [m: 100]}
    long = :binary.copy(<<1>>, 20_000)

    lists = [shared, shared, other, shared, [n: 1_000], [], [], shared, other]

    for page <- [1, "a page", long] do
      events = for metrics <- lists, do: event(dimensions: {page}, metrics: metrics)
      assert %{ok: 9} = Meter.record_many(name, events)
      assert %{ok: 1} = Meter.record_many(name, [hd(events)])

      bad = event(dimensions: {page}, metrics: [unknown: 1])
      assert_raise ArgumentError, fn -> Meter.record_many(name, events ++ [bad, bad]) end
      assert_raise ArgumentError, fn -> Meter.record_many(name, [bad]) end
    end

    assert [%{n: 1_005, m: 250}] =
             name |> Meter.report(by: [:page]) |> Enum.map(&Map.delete(&1, :page)) |> Enum.uniq()
  end

  test "rows that have no room are counted in the overflow", %{name: name} do
    start(name, max_keys: 2)

    outcomes =
      for creative <- 1..4, do: Meter.record(name, event(dimensions: {1, creative, "us"}))

    assert outcomes == [:ok, :ok, :overflow, :overflow]
    stop_supervised!(name)
    assert [{window, counters, _reach}] = delivered()
    assert length(counters) == 2
    assert Window.overflow(window) == %{impressions: 2, clicks: 0, spend_micros: 0}
  end

  test "an event without metrics and without room is in the overflow", %{name: name} do
    start(name, max_keys: 1, reach: false)
    assert Meter.record(name, event(metrics: [])) == :ok
    assert Meter.record(name, event(dimensions: {1, 1, 1}, metrics: [])) == :overflow
  end
end
