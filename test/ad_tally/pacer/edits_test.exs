defmodule AdTally.Pacer.EditsTest do
  # Plans that are changed while they are in use.
  use ExUnit.Case, async: true

  alias AdTally.Pacer

  @begin 1_780_272_000_000
  @minute 60_000
  @day 24 * 60 * @minute

  setup context do
    name = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: name, clock: :manual})
    :ok = Pacer.tick(name, @begin)
    [name: name]
  end

  test "a larger budget can be spent at once", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 1_000)
    {:ok, first} = Pacer.reserve(name, 42, 1, 1_000, @begin)
    :no_budget = Pacer.reserve(name, 42, 2, 1, @begin)
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    assert {:ok, _} = Pacer.reserve(name, 42, 2, 2_000, @begin)
    assert Pacer.reserve(name, 42, 3, 1, @begin) == :no_budget
    :ok = Pacer.confirm(name, first, 1_000, @begin)

    assert %{spent_micros: 1_000, reserved_micros: 2_000, budget_micros: 3_000} =
             Pacer.status(name, 42)
  end

  test "a smaller budget takes effect at the next tick at the latest, and what is reserved stays so",
       %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 10_000)
    {:ok, first} = Pacer.reserve(name, 42, 1, 4_000, @begin)
    :ok = Pacer.put(name, 42, budget_micros: 5_000)
    :ok = Pacer.tick(name, @begin + 1)
    assert Pacer.reserve(name, 42, 2, 1_001, @begin + 1) == :no_budget
    assert {:ok, second} = Pacer.reserve(name, 42, 2, 1_000, @begin + 1)
    :ok = Pacer.put(name, 42, budget_micros: 1)
    :ok = Pacer.tick(name, @begin + 2)
    assert Pacer.reserve(name, 42, 3, 1, @begin + 2) == :no_budget
    assert Pacer.confirm(name, first, 4_000, @begin + 2) == :ok
    assert Pacer.confirm(name, second, 1_000, @begin + 2) == :ok
    assert %{spent_micros: 5_000, overspent_micros: 0, budget_micros: 1} = Pacer.status(name, 42)
    # And up again.
    :ok = Pacer.put(name, 42, budget_micros: 6_000)
    assert {:ok, _} = Pacer.reserve(name, 42, 4, 1_000, @begin + 2)
    assert Pacer.reserve(name, 42, 5, 1, @begin + 2) == :no_budget
  end

  test "another pace takes effect at the next tick", %{name: name} do
    flight = {:flight, @begin, @begin + @day}
    plan = [budget_micros: 1_000_000, period: flight, price_micros: 1_000, daily_max: :infinity]
    :ok = Pacer.put(name, 42, plan)
    even = Pacer.status(name, 42)
    assert even.pass < 1.0
    assert even.target_micros in 0..1_000
    :ok = Pacer.put(name, 42, [pace: :asap] ++ plan)
    :ok = Pacer.tick(name, @begin + @minute)
    assert %{pass: 1.0, target_micros: 1_000_000} = Pacer.status(name, 42)
  end

  test "a flight that ends earlier ends then", %{name: name} do
    plan = fn to -> [budget_micros: 1_000_000, period: {:flight, @begin, to}, pace: :asap] end
    :ok = Pacer.put(name, 42, plan.(@begin + @day))
    {:ok, _} = Pacer.reserve(name, 42, 1, 1_000, @begin)
    :ok = Pacer.put(name, 42, plan.(@begin + @minute))
    :ok = Pacer.tick(name, @begin + @minute)
    assert Pacer.reserve(name, 42, 2, 1_000, @begin + @minute) == :no_budget
  end

  test "a plan that a campaign has already changes nothing", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 2_000, @begin)
    for _ <- 1..3, do: :ok = Pacer.put(name, 42, budget_micros: 3_000)
    :ok = Pacer.confirm(name, reservation, 2_000, @begin)
    assert %{spent_micros: 2_000, leased_micros: 1_000} = Pacer.status(name, 42)
  end
end
