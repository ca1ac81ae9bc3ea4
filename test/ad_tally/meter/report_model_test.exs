defmodule AdTally.Meter.ReportModelTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Meter}
  alias AdTally.Test.NaiveReport

  @minute 60_000
  @begin 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:clicks, :spend]
  @most 0x7FFF_FFFF_FFFF_FFFF
  @long :binary.copy("long ", 12_000)

  # Of all types, and such as lie beside each other in one order or another.
  @values [
    [0, 1, -1, 2, @most, -@most - 1, @most - 1, 0x2000_0000_0000_0000, -0x2000_0000_0000_0001],
    ["", "1", "0", "creative-1", "creative-2", "creatives", "creativ", "creativ\0", "\0", "\0\0"],
    [<<255>>, <<255, 254, 0>>, <<0xC3>>, String.duplicate("x", 30), String.duplicate("x", 31)],
    [String.duplicate("x", 64), String.duplicate("y", 65), @long, @long <> "er"],
    [
      nil,
      true,
      :"",
      :a,
      :b,
      :creative_1,
      :creative_2,
      :"1",
      :ä,
      :"atom of more than thirty bytes"
    ]
  ]

  setup do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    {:ok, seed: seed}
  end

  defp start(options) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    defaults = [name: name, dimensions: @dimensions, metrics: @metrics, clock: :events]
    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
    name
  end

  defp few_values, do: @values |> Enum.concat() |> Enum.take_random(Enum.random(1..12))

  # Most are small, some are so large that a few of them leave 64 bits.
  defp amount do
    Enum.random([0, 1, 2, 3, 1_000, Enum.random(-5..5_000), @most, -@most, -@most - 1])
  end

  defp events(count, windows, [campaigns, creatives, countries], users) do
    for _ <- 1..count do
      %Event{
        at: @begin + Enum.random(1..windows) * @minute,
        dimensions: {Enum.random(campaigns), Enum.random(creatives), Enum.random(countries)},
        user: if(users > 0 and Enum.random(0..4) > 0, do: Enum.random(1..users)),
        metrics: [clicks: Enum.random(0..2), spend: amount()]
      }
    end
  end

  defp random_meter do
    reach =
      Enum.random([
        false,
        [by: Enum.take_random(@dimensions, Enum.random(1..3))],
        [by: [:campaign], max_keys: 2, precision: 4],
        [by: [:campaign, :country], max_keys: Enum.random(1..20), precision: 8]
      ])

    max_keys = Enum.random([1, 5, 40, 1_000_000])
    # Some windows are closed, the others open.
    start(lateness: Enum.random([0, 3, 100]) * @minute, max_keys: max_keys, reach: reach)
  end

  defp random_report(values) do
    where =
      for {name, known} <- Enum.zip(@dimensions, values), Enum.random(1..4) == 1 do
        some = Enum.take_random(known, Enum.random(1..4))

        # Of other types, unknown, and such as no key has.
        strange = [:a_new_atom, 77, "1", @most + 1, -@most - 2, @long <> @long, nil]
        others = Enum.take_random(strange, Enum.random(0..2))

        {name, Enum.random([some ++ others, some, others, hd(some), [], some ++ some])}
      end

    by = Enum.take_random(@dimensions, Enum.random(0..3))
    minute = fn -> @begin + Enum.random(0..8) * @minute - Enum.random(0..1) end

    options = [
      by: by,
      where: where,
      from: minute.(),
      to: minute.(),
      order_by: Enum.random(@metrics),
      limit: Enum.random([1, 2, 7, 1_000, @most * 4])
    ]

    Enum.filter(options, fn {_option, _value} -> Enum.random(1..3) > 1 end)
  end

  for meter <- 1..60 do
    test "meter #{meter}: reports are those that a naive one makes of all rows", %{seed: seed} do
      name = random_meter()
      values = for _ <- @dimensions, do: few_values()
      windows = Enum.random([1, 2, 6])
      users = Enum.random([0, 3, 100, 5_000])
      count = Enum.random([1, 50, 2_000])

      # Late ones are in no window.
      for event <- events(count, windows, values, users), do: Meter.record(name, event)

      for _ <- 1..20 do
        options = random_report(values)
        expected = NaiveReport.report(name, options)
        told = "seed #{seed}, #{inspect(options, limit: 20, printable_limit: 100)}"
        assert Meter.report(name, options) === expected, told
        assert name |> Meter.stream_report(options) |> Enum.to_list() === expected, told
      end
    end
  end

  test "windows of many rows are in order, by values and by metrics, also where these are equal" do
    name = start(lateness: 10 * @minute, reach: [by: [:creative], max_keys: 5_000, precision: 6])

    for number <- Enum.shuffle(1..13_000) do
      metrics = [clicks: rem(number, 7), spend: rem(number, 1_000) - 500]
      dimensions = {rem(number, 10), "creative-#{number}", :us}
      at = @begin + rem(number, 3) * @minute
      event = %Event{at: at, dimensions: dimensions, user: number, metrics: metrics}
      assert Meter.record(name, event) in [:ok, :overflow]
    end

    for by <- [@dimensions, [:country, :creative], [:creative], [:campaign]],
        options <- [
          [],
          [order_by: :spend],
          [order_by: :clicks, limit: 10_001],
          [order_by: :spend, limit: 5],
          [limit: 4_097]
        ] do
      options = [by: by] ++ options
      expected = NaiveReport.report(name, options)
      assert Meter.report(name, options) === expected, inspect(options)
    end

    # Some are made as they are taken.
    assert [%{creative: "creative-1"}] =
             name |> Meter.stream_report(by: [:creative]) |> Enum.take(1)
  end

  test "sketches of many users are united over windows" do
    for precision <- [4, 8, 12, 14] do
      name = start(lateness: 10 * @minute, reach: [by: [:campaign], precision: precision])

      for user <- 1..40_000 do
        event = %Event{at: @begin + rem(user, 5) * @minute, dimensions: {rem(user, 3), 1, 1}}
        # In three windows of five.
        assert Meter.record(name, %{event | user: rem(user, 30_000)}) == :ok
      end

      for by <- [[], [:campaign]], where <- [[], [campaign: [0, 2]]] do
        options = [by: by, where: where]
        assert Meter.report(name, options) === NaiveReport.report(name, options)
      end
    end
  end
end
