defmodule AdTally.Meter.CopiesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

  alias AdTally.Meter

  setup :own_name

  test "an id and a key are the same wherever their bytes lie", %{name: name} do
    start(name, window: 100)
    long = :crypto.strong_rand_bytes(200)

    for length <- 1..70 do
      part = binary_part(long, 3, length)
      own = :binary.copy(part)
      assert Meter.record(name, event(id: own, dimensions: {1, own, "us"})) == :ok
      assert Meter.record(name, event(id: part, dimensions: {1, part, "us"})) == :duplicate
      assert Meter.record(name, event(id: {length, 1}, dimensions: {1, part, "us"})) == :ok
      assert [%{impressions: 2}] = report_of(name, own)
    end
  end

  defp report_of(name, creative),
    do: name |> Meter.report(by: [:creative]) |> Enum.filter(&(&1.creative == creative))

  test "a copy is one whatever became of its window", %{name: name} do
    Process.register(self(), __MODULE__.LateBesideCopies)

    start(name,
      clock: :system,
      window: 60_000,
      lateness: 60_000,
      max_ahead: 60_000,
      on_late: {__MODULE__, :late_beside_copies}
    )

    now = System.system_time(:millisecond)
    known = for id <- 1..50, do: event(id: id, at: now)
    assert %{ok: 50} = Meter.record_many(name, known)

    at_times = fn events ->
      for event <- events, at <- [0, now + 600_000], do: %{event | at: at}
    end

    copies = at_times.(known)
    others = at_times.(for id <- 51..100, do: event(id: id))

    for _ <- 1..2 do
      assert %{duplicate: 100, late: 0, future: 0} = Meter.record_many(name, copies)
      assert Enum.map(copies, &Meter.record(name, &1)) == List.duplicate(:duplicate, 100)
      assert %{late: 50, future: 50, duplicate: 0} = Meter.record_many(name, others)
      assert Meter.record(name, hd(others)) == :late
    end

    info = Meter.info(name)
    assert %{applied: 50, duplicate: 400, late: 102, future: 100} = info.events
    assert info.excluded.duplicate.impressions == 400
    assert info.excluded.late.impressions == 102
    stop_supervised!(name)
    # Those alone are handed on that are late.
    assert handed_on() == 102
  end

  def late_beside_copies(events), do: send(__MODULE__.LateBesideCopies, {:late, events})

  defp handed_on(count \\ 0) do
    receive do
      {:late, events} ->
        assert Enum.all?(events, &(&1.at == 0 and &1.id > 50))
        handed_on(count + length(events))
    after
      0 -> count
    end
  end
end
