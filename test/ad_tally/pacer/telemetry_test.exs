defmodule AdTally.Pacer.TelemetryTest do
  use ExUnit.Case, async: true

  alias AdTally.Pacer
  alias AdTally.Pacer.Events

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

  @sums [
    :budget_micros,
    :spent_micros,
    :reserved_micros,
    :leased_micros,
    :target_micros,
    :overspent_micros,
    :presumed_micros
  ]

  # More than are read at a time.
  @campaigns 150

  test "a tick comes before its campaigns, with the sums of their statuses", %{name: name} do
    for campaign <- 1..@campaigns do
      :ok = Pacer.put(name, campaign, budget_micros: 10_000 * campaign)
      {:ok, reservation} = Pacer.reserve(name, campaign, 1, 1_000, @begin)
      if rem(campaign, 3) > 0, do: Pacer.confirm(name, reservation, 900 + campaign, @begin)
    end

    # What a node gives back after a tick is in its next report, which a status has and the sums have with the next tick.
    for second <- 1..3, do: :ok = Pacer.tick(name, @begin + 1_000 * second)
    told(name)
    :ok = Pacer.tick(name, @begin + 4_000)
    assert [{:tick, measured, _metadata} | campaigns] = told(name)
    statuses = for campaign <- 1..@campaigns, do: Pacer.status(name, campaign)
    sums = Map.new(@sums, fn sum -> {sum, statuses |> Enum.map(& &1[sum]) |> Enum.sum()} end)
    assert Map.take(measured, @sums) == sums
    assert sums.reserved_micros > 0 and sums.target_micros > 0 and sums.overspent_micros > 0
    assert measured.campaigns == @campaigns
    told = for {:campaign, _measured, %{campaign: campaign}} <- campaigns, do: campaign
    assert told == Enum.to_list(1..@campaigns)
  end

  test "a campaign that a handler puts again counts once, and has one event a tick", %{name: name} do
    for campaign <- 1..@campaigns, do: :ok = Pacer.put(name, campaign, budget_micros: 10_000)
    :ok = Pacer.tick(name, @begin + 1_000)
    told(name)

    raise_budget = fn _event, %{budget_micros: budget}, metadata, _config ->
      if metadata.pacer == name,
        do: :ok = Pacer.put(name, metadata.campaign, budget_micros: budget + 1)
    end

    id = Module.concat(name, Raising)
    :ok = :telemetry.attach(id, [:ad_tally, :pacer, :campaign], raise_budget, nil)
    on_exit(fn -> :telemetry.detach(id) end)

    for budget <- 10_000..10_001 do
      :ok = Pacer.tick(name, @begin + 60_000 * (budget - 9_999))

      assert [{:tick, %{campaigns: @campaigns, budget_micros: sum}, _metadata} | campaigns] =
               told(name)

      assert sum == @campaigns * budget

      told =
        for {:campaign, %{budget_micros: ^budget}, %{campaign: campaign}} <- campaigns,
            do: campaign

      assert Enum.sort(told) == Enum.to_list(1..@campaigns)
      assert length(campaigns) == @campaigns
    end
  end

  # In their order, once the handlers have returned.
  defp told(name) do
    {:links, links} = name |> Process.whereis() |> Process.info(:links)
    [events] = Enum.filter(links, &events?/1)
    assert Events.flush(events, 10_000) == :ok
    messages()
  end

  defp events?(pid),
    do: is_pid(pid) and :proc_lib.translate_initial_call(pid) == {Events, :init, 1}

  defp messages do
    receive do
      {[:ad_tally, :pacer, what], measured, metadata} -> [{what, measured, metadata} | messages()]
    after
      0 -> []
    end
  end
end
