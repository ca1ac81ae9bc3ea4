defmodule AdTally.Pacer.TelemetryTest do
  use ExUnit.Case, async: true

  alias AdTally.Pacer

  @begin 1_780_272_000_000

  setup context do
    name = Module.concat(__MODULE__, "Pacer#{context.line}")
    parent = self()

    handler = fn event, measured, metadata, _config ->
      if metadata.pacer == name, do: send(parent, {event, measured, metadata})
    end

    events = [[:ad_tally, :pacer, :tick], [:ad_tally, :pacer, :campaign]]
    :ok = :telemetry.attach_many(name, events, handler, nil)
    on_exit(fn -> :telemetry.detach(name) end)
    start_supervised!({Pacer, name: name, clock: :manual})
    :ok = Pacer.tick(name, @begin)
    assert_receive {[:ad_tally, :pacer, :tick], %{campaigns: 0}, %{pacer: ^name}}
    [name: name]
  end

  test "each tick tells the sums and each campaign, and no event does", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 10_000)
    :ok = Pacer.put(name, {:other, "us"}, budget_micros: 5_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 4_000, @begin)
    :ok = Pacer.confirm(name, reservation, 3_000, @begin)
    {:ok, _held} = Pacer.reserve(name, 42, 2, 2_000, @begin)
    :no_budget = Pacer.reserve(name, 42, 3, 9_000, @begin)
    refute_received {[:ad_tally, :pacer, _what], _measured, _metadata}
    :ok = Pacer.tick(name, @begin + 1_000)

    assert_receive {[:ad_tally, :pacer, :tick], measured, %{pacer: ^name}}

    assert %{
             campaigns: 2,
             budget_micros: 15_000,
             spent_micros: 3_000,
             reserved_micros: 2_000,
             leased_micros: 10_000,
             overspent_micros: 0,
             presumed_micros: 0,
             reserved: 2,
             confirmed: 1,
             no_budget: 1,
             paced: 0,
             duration: duration
           } = measured

    assert duration >= 0

    assert_receive {[:ad_tally, :pacer, :campaign], %{budget_micros: 10_000} = measured,
                    %{campaign: 42}}

    assert %{spent_micros: 3_000, reserved_micros: 2_000, leased_micros: 5_000, pass: 1.0} =
             measured

    assert_receive {[:ad_tally, :pacer, :campaign], %{budget_micros: 5_000},
                    %{campaign: {:other, "us"}}}

    # Counts are since the last one, and sums are not.
    :ok = Pacer.tick(name, @begin + 2_000)
    assert_receive {[:ad_tally, :pacer, :tick], %{reserved: 0, spent_micros: 3_000}, _metadata}
  end
end
