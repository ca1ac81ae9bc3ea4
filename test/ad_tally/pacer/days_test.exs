defmodule AdTally.Pacer.DaysTest do
  # Budgets of calendar days roll over at local midnight, on days of any length.
  use ExUnit.Case, async: true

  alias AdTally.Pacer

  @hour 3_600_000
  @budget 10_000

  setup context do
    name = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: name, clock: :manual})
    [name: name]
  end

  defp unix(text) do
    {:ok, time, _offset} = DateTime.from_iso8601(text)
    DateTime.to_unix(time, :millisecond)
  end

  # {zone, when its day begins, when it ends}
  @days [
    {"Etc/UTC", "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", 24},
    {"Europe/Berlin", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23},
    {"Europe/Berlin", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25},
    {"America/New_York", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00", 23},
    {"America/New_York", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 25},
    # It has no midnight on that day: the day begins at one o'clock.
    {"Asia/Beirut", "2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00", 23},
    {"Asia/Kolkata", "2026-06-01T00:00:00+05:30", "2026-06-02T00:00:00+05:30", 24},
    {{:utc_offset, -5 * @hour}, "2026-06-01T00:00:00-05:00", "2026-06-02T00:00:00-05:00", 24}
  ]

  for {{zone, from, to, hours}, number} <- Enum.with_index(@days) do
    test "a day of #{hours} hours, #{inspect(zone)} (#{number})", %{name: name} do
      zone = unquote(Macro.escape(zone))
      {from, to} = {unix(unquote(from)), unix(unquote(to))}
      assert to - from == unquote(hours) * @hour
      :ok = Pacer.tick(name, from - 1)
      :ok = Pacer.put(name, 42, budget_micros: @budget, period: {:daily, zone}, pace: :asap)
      assert %{to: ^from} = Pacer.status(name, 42)
      {:ok, last} = Pacer.reserve(name, 42, "before", @budget, from - 1, ttl: @hour)

      :ok = Pacer.tick(name, from)

      assert %{from: ^from, to: ^to, budget_micros: @budget, spent_micros: 0} =
               Pacer.status(name, 42)

      {:ok, first} = Pacer.reserve(name, 42, "first", @budget, from)
      assert Pacer.reserve(name, 42, "second", 1, from) == :no_budget
      # Yesterday's late spend is yesterday's.
      assert Pacer.confirm(name, last, @budget, from) == :ok

      :ok = Pacer.tick(name, from)

      assert %{spent_micros: 0, reserved_micros: @budget, total_spent_micros: @budget} =
               Pacer.status(name, 42)

      :ok = Pacer.confirm(name, first, @budget, from)

      :ok = Pacer.tick(name, to - 1)
      assert Pacer.reserve(name, 42, "late", 1, to - 1) == :no_budget
      :ok = Pacer.tick(name, to)
      assert {:ok, _} = Pacer.reserve(name, 42, "next", @budget, to)
      assert Pacer.reserve(name, 42, "next but one", 1, to) == :no_budget
    end
  end

  test "yesterday's money is not spent today, and the other way round", %{name: name} do
    midnight = unix("2026-06-02T00:00:00Z")
    :ok = Pacer.tick(name, midnight - 1_000)
    :ok = Pacer.put(name, 42, budget_micros: @budget, period: {:daily, "Etc/UTC"}, pace: :asap)
    # The clock has not told it of today yet, and an event of today is not yesterday's.
    assert Pacer.reserve(name, 42, 1, 1, midnight) == :no_budget
    :ok = Pacer.tick(name, midnight)
    assert Pacer.reserve(name, 42, 2, 1, midnight - 1) == :no_budget
    assert {:ok, _} = Pacer.reserve(name, 42, 3, @budget, midnight)
  end

  test "what a reservation of yesterday gives back is no money of today", %{name: name} do
    midnight = unix("2026-06-02T00:00:00Z")
    :ok = Pacer.tick(name, midnight - 1_000)
    :ok = Pacer.put(name, 42, budget_micros: @budget, period: {:daily, "Etc/UTC"}, pace: :asap)
    {:ok, released} = Pacer.reserve(name, 42, 1, 4_000, midnight - 1_000, ttl: @hour)
    {:ok, cheaper} = Pacer.reserve(name, 42, 2, 4_000, midnight - 1_000, ttl: @hour)
    {:ok, _expires} = Pacer.reserve(name, 42, 3, 2_000, midnight - 1_000, ttl: @hour)
    :ok = Pacer.tick(name, midnight)
    assert Pacer.release(name, released) == :ok
    assert Pacer.confirm(name, cheaper, 1, midnight) == :ok
    :ok = Pacer.tick(name, midnight + 2 * @hour)
    assert {:ok, _} = Pacer.reserve(name, 42, 4, @budget, midnight + 2 * @hour)
    assert Pacer.reserve(name, 42, 5, 1, midnight + 2 * @hour) == :no_budget
    assert %{total_spent_micros: 1} = Pacer.status(name, 42)
  end

  test "a flight has money from its begin to its end, and its days have walls", %{name: name} do
    from = unix("2026-06-01T00:00:00Z")
    to = from + 10 * 24 * @hour
    :ok = Pacer.tick(name, from - 1_000)
    :ok = Pacer.put(name, 42, budget_micros: 100_000, period: {:flight, from, to}, pace: :asap)
    assert %{from: nil, to: nil, pass: _} = Pacer.status(name, 42)
    assert Pacer.reserve(name, 42, 1, 1, from) == :no_budget
    :ok = Pacer.tick(name, from)
    # A tenth, and a quarter of that more.
    assert {:ok, first} = Pacer.reserve(name, 42, 1, 12_500, from)
    assert Pacer.reserve(name, 42, 2, 1, from) == :no_budget
    :ok = Pacer.confirm(name, first, 12_500, from)
    :ok = Pacer.tick(name, from + 24 * @hour)
    # Of the whole budget: what a day has left is for all others.
    assert {:ok, _} = Pacer.reserve(name, 42, 3, 12_500, from + 24 * @hour)
    assert Pacer.reserve(name, 42, 4, 1, from + 24 * @hour) == :no_budget
    :ok = Pacer.tick(name, to)
    assert Pacer.reserve(name, 42, 5, 1, to) == :no_budget
    assert %{from: nil, to: nil, total_spent_micros: 12_500} = Pacer.status(name, 42)
  end

  test "a flight without walls may spend all of it at once", %{name: name} do
    from = unix("2026-06-01T00:00:00Z")
    flight = {:flight, from, from + 10 * 24 * @hour}
    :ok = Pacer.tick(name, from)

    :ok =
      Pacer.put(name, 42,
        budget_micros: 100_000,
        period: flight,
        pace: :asap,
        daily_max: :infinity
      )

    assert {:ok, _} = Pacer.reserve(name, 42, 1, 100_000, from)
    assert Pacer.reserve(name, 42, 2, 1, from) == :no_budget
  end
end
