defmodule AdTally.Attribution.ReportTest do
  # Figures are made by hand; model_test.exs compares with a naive one.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling

  alias AdTally.Attribution
  alias AdTally.Test.Attributions

  @minute 60_000
  @hour 60 * @minute
  @begin Attributions.at(0)

  defp start(options \\ []),
    do: Attributions.start_another([dimensions: [:campaign, :creative]] ++ options)

  defp touch(name, id, user, minute, fields \\ []) do
    touch = Attributions.touch(id, user, 60 * minute, [{:dimensions, {42, 7}} | fields])
    Attribution.touch(name, touch)
  end

  defp convert(name, order, user, minute, fields),
    do: Attribution.convert(name, Attributions.conversion(order, user, 60 * minute, fields))

  # Ann clicks campaign 42 and then 43, and buys for 10. Ben clicks 42 and buys nothing. Eve buys for 5.
  defp example(options \\ []) do
    name = start(options)
    assert touch(name, 1, "ann", 0, cost_micros: 1_000_000) == :ok
    assert touch(name, 2, "ann", 10, dimensions: {43, 7}, cost_micros: 3_000_000) == :ok
    assert touch(name, 3, "ben", 11, cost_micros: 1_000_000) == :ok
    assert convert(name, 1, "ann", 20, value_micros: 10_000_000) == :ok
    assert convert(name, 2, "eve", 30, value_micros: 5_000_000) == :ok
    name
  end

  @nothing %{
    conversions: 0.0,
    conversions_ppm: 0,
    value_micros: 0,
    touches: 0,
    spend_micros: 0,
    roas: nil,
    cpa_micros: nil
  }

  defp row(fields), do: Map.merge(@nothing, Map.new(fields))

  defp one_conversion(fields),
    do: row([conversions: 1.0, conversions_ppm: 1_000_000] ++ fields)

  @unattributed [unattributed: true, value_micros: 5_000_000]

  test "has conversions, value and spend by dimensions, and what is unattributed last" do
    name = example()

    assert Attribution.report(name, by: [:campaign]) == [
             row(campaign: 42, touches: 2, spend_micros: 2_000_000, roas: 0.0),
             one_conversion(
               campaign: 43,
               value_micros: 10_000_000,
               touches: 1,
               spend_micros: 3_000_000,
               roas: 10 / 3,
               cpa_micros: 3_000_000
             ),
             one_conversion(@unattributed)
           ]

    assert Attribution.report(name, by: []) == [
             one_conversion(
               value_micros: 10_000_000,
               touches: 3,
               spend_micros: 5_000_000,
               roas: 2.0,
               cpa_micros: 5_000_000
             ),
             one_conversion(@unattributed)
           ]

    assert [%{campaign: 42, creative: 7}, %{campaign: 43, creative: 7}, _unattributed] =
             Attribution.report(name)
  end

  test "is that of the first model unless another one is named" do
    name = example()
    assert Attribution.report(name) == Attribution.report(name, model: :last_touch)

    assert [
             %{campaign: 42, conversions: 0.5, value_micros: 5_000_000, roas: 2.5} = row,
             %{campaign: 43, conversions: 0.5, value_micros: 5_000_000},
             %{unattributed: true, conversions: 1.0, value_micros: 5_000_000}
           ] = Attribution.report(name, by: [:campaign], model: :linear)

    assert {row.conversions_ppm, row.cpa_micros} == {500_000, 4_000_000}
  end

  test "is by kind and action too, in the order of the values" do
    name = example()
    assert touch(name, 4, "ann", 19, kind: :view, cost_micros: 7) == :ok
    assert convert(name, 3, "ann", 21, action: :signup) == :ok

    assert [
             %{kind: :click, conversions: 2.0, spend_micros: 5_000_000},
             %{kind: :view, conversions: +0.0, touches: 1, spend_micros: 7},
             %{unattributed: true}
           ] = Attribution.report(name, by: [:kind])

    # A touch is for no action.
    no_spend = [touches: nil, spend_micros: nil]

    assert Attribution.report(name, by: [:action]) == [
             one_conversion([action: :purchase, value_micros: 10_000_000] ++ no_spend),
             one_conversion([action: :signup] ++ no_spend),
             one_conversion([action: :purchase] ++ @unattributed ++ no_spend)
           ]

    assert [
             %{campaign: 43, kind: :click, action: :purchase},
             %{campaign: 43, kind: :click, action: :signup},
             %{unattributed: true, action: :purchase}
           ] = Attribution.report(name, by: [:action, :kind, :campaign])
  end

  test "is dated by the conversion or by the touch, and spend by the touch" do
    name = example()
    at = &(@begin + &1 * @minute)

    summed = fn options ->
      for row <- Attribution.report(name, [by: [:campaign], model: :linear] ++ options),
          do: {row[:campaign], row.conversions, row.touches}
    end

    assert summed.(dated_by: :conversion) == [{42, 0.5, 2}, {43, 0.5, 1}, {nil, 1.0, 0}]
    assert summed.(dated_by: :touch) == [{42, 0.5, 2}, {43, 0.5, 1}, {nil, 1.0, 0}]
    assert summed.(to: at.(20)) == [{42, 0.0, 2}, {43, 0.0, 1}]
    assert summed.(from: at.(20), to: at.(21)) == [{42, 0.5, 0}, {43, 0.5, 0}]
    assert summed.(from: at.(21)) == [{nil, 1.0, 0}]
    assert summed.(dated_by: :touch, to: at.(1)) == [{42, 0.5, 1}]
    assert summed.(dated_by: :touch, from: at.(1), to: at.(30)) == [{42, 0.0, 1}, {43, 0.5, 1}]
    # What is unattributed has no touch.
    assert summed.(dated_by: :touch, from: at.(30)) == [{nil, 1.0, 0}]

    assert summed.(from: ~U[2026-06-01 00:20:00Z], to: ~U[2026-06-01 00:21:00Z]) == [
             {42, 0.5, 0},
             {43, 0.5, 0}
           ]
  end

  test "has net values: what was refunded is dated by itself or by the touch" do
    name = example()
    assert Attribution.adjust(name, 1, {:restate, 4_000_000}, @begin + 40 * @minute) == :ok
    assert Attribution.adjust(name, 2, :retract, @begin + 41 * @minute) == :ok

    value = fn options ->
      for row <- Attribution.report(name, [by: [:campaign]] ++ options),
          row.conversions_ppm != 0 or row.value_micros != 0,
          do: {row[:campaign], row.conversions, row.value_micros}
    end

    for _open_and_closed <- 1..2 do
      assert value.([]) == [{43, 1.0, 4_000_000}]
      assert value.(to: @begin + 40 * @minute) == [{43, 1.0, 10_000_000}, {nil, 1.0, 5_000_000}]

      assert value.(from: @begin + 40 * @minute) == [
               {43, 0.0, -6_000_000},
               {nil, -1.0, -5_000_000}
             ]

      assert value.(dated_by: :touch, to: @begin + 20 * @minute) == [{43, 1.0, 4_000_000}]
      assert Attribution.close(name) == :ok
    end

    # And what is refunded once the conversion is final.
    assert Attribution.adjust(name, 1, :retract, @begin + 40 * @minute + 1) == :ok
    assert value.([]) == []
  end

  test "has cost per conversion rounded to the nearest" do
    name = start(touches: [click: @hour])

    for {id, cost} <- [{1, 2}, {2, 0}, {3, 0}] do
      assert touch(name, id, id, 0, cost_micros: cost) == :ok
      assert convert(name, id, id, 1, value_micros: 1) == :ok
    end

    assert [%{cpa_micros: 1, roas: 1.5, conversions: 3.0}] = Attribution.report(name)
  end

  test "puts touches of too many dimensions into a row of their own" do
    name = example(max_keys: 1)

    assert [
             %{campaign: 42, touches: 2},
             %{unattributed: true} = unattributed,
             %{overflow: true} = overflow
           ] = Attribution.report(name, by: [:campaign])

    assert {overflow.conversions, overflow.value_micros, overflow.spend_micros} ==
             {1.0, 10_000_000, 3_000_000}

    refute is_map_key(overflow, :campaign)
    refute is_map_key(unattributed, :campaign)
  end

  test "is the same while conversions are provisional and once they are final" do
    name = example()

    reports = fn ->
      for by <- [[], [:campaign], [:creative, :kind], [:action]],
          model <- [:last_touch, :linear],
          dated_by <- [:touch, :conversion],
          do: Attribution.report(name, by: by, model: model, dated_by: dated_by)
    end

    provisional = reports.()
    assert Attribution.close(name) == :ok
    assert reports.() == provisional
    assert Attribution.info(name).open_windows == 0
  end

  test "follows touches that come late" do
    name = start()
    assert touch(name, 1, "ann", 0) == :ok
    assert convert(name, 1, "ann", 20, value_micros: 10) == :ok
    assert [%{campaign: 42, value_micros: 10}] = Attribution.report(name, by: [:campaign])
    assert touch(name, 2, "ann", 10, dimensions: {43, 7}) == :ok

    assert [%{campaign: 42, value_micros: 0}, %{campaign: 43, value_micros: 10}] =
             Attribution.report(name, by: [:campaign])
  end

  test "has nothing of conversions that do not count" do
    name = start()
    assert touch(name, 1, "ann", 0) == :ok
    assert convert(name, 1, "ann", 20, action: :signup, value_micros: 10) == :ok
    assert convert(name, 2, "ann", 19, action: :signup, value_micros: 20) == :ok
    assert [%{conversions: 1.0, value_micros: 20}] = Attribution.report(name, by: [])
    assert Attribution.close(name) == :ok
    assert [%{conversions: 1.0, value_micros: 20}] = Attribution.report(name, by: [])
  end

  test "a conversion whose window is closed while a report is made is in it once" do
    name = start(window: 10, lateness: 0, touches: [click: 24 * @hour])
    assert touch(name, 1, "ann", 0) == :ok
    {parent, sent, made} = {self(), :counters.new(1, []), :counters.new(1, [])}

    spawn_link(fn ->
      for order <- 1..1_000 do
        # On a machine that is busy they may all come before the first report is made.
        if order == 500, do: await(fn -> :counters.get(made, 1) > 0 end)
        at = @begin + @minute + order * 10
        :ok = convert(name, order, "ann", 0, at: at, value_micros: 1)
        :counters.add(sent, 1, 1)
        if rem(order, 20) == 0, do: Process.sleep(1)
      end

      send(parent, :done)
    end)

    reports(name, sent, made)
    await(fn -> Attribution.info(name).open_windows <= 1 end)
    assert [%{conversions: 1.0e3, value_micros: 1_000}] = Attribution.report(name, by: [])
  end

  defp reports(name, sent, made) do
    before = :counters.get(sent, 1)
    values = for row <- Attribution.report(name, by: []), do: row.value_micros
    # One that is being taken may be there already.
    assert Enum.sum(values) in before..(:counters.get(sent, 1) + 1)

    :counters.add(made, 1, 1)

    receive do
      :done -> :ok
    after
      0 -> reports(name, sent, made)
    end
  end

  test "windows that were closed longer than :retain ago are not in it" do
    name = example(retain: 1)
    assert Attribution.close(name) == :ok
    await(fn -> Attribution.report(name) == [] end)
  end

  test "refuses wrong options, and says what would have been right" do
    name = start()

    for {options, words} <- [
          {[by: [:country]], "of [:campaign, :creative, :kind, :action], got: [:country]"},
          {[by: [:kind, :kind]], "expected :by to be a list"},
          {[by: :campaign], "expected :by to be a list"},
          {[model: :first_touch],
           "expected :model to be one of :models, [:last_touch, :linear], got: :first_touch"},
          {[dated_by: :order], "expected :dated_by to be :conversion or :touch, got: :order"},
          {[from: -1], "expected :from to be Unix milliseconds or a DateTime"},
          {[to: :now], "expected :to to be Unix milliseconds or a DateTime"},
          {[timeout: -1], "expected :timeout to be milliseconds"},
          {[where: [campaign: 42]], "unknown or repeated options [:where]"},
          {[:campaign], "expected a keyword list of options"}
        ] do
      error = assert_raise ArgumentError, fn -> Attribution.report(name, options) end
      assert error.message =~ words
    end
  end

  test "exits when there is no time left, and raises when it does not run" do
    name = example()

    assert {:timeout, {Attribution, :report, _}} =
             catch_exit(Attribution.report(name, timeout: 0))

    for not_running <- [:nobody, "name"],
        do: assert_raise(ArgumentError, fn -> Attribution.report(not_running) end)
  end
end
