defmodule AdTally.Pacer.PlanTest do
  # The options of put/3: what is refused, and in which words.
  use ExUnit.Case, async: true

  alias AdTally.Pacer

  @hour 3_600_000
  @day 24 * @hour
  @begin 1_780_272_000_000

  setup context do
    name = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: name, clock: :manual})
    :ok = Pacer.tick(name, @begin)
    [name: name]
  end

  defp refused(name, options) do
    options =
      if Keyword.keyword?(options),
        do: Keyword.merge([budget_micros: 1_000], options),
        else: options

    assert_raise(ArgumentError, fn -> Pacer.put(name, 42, options) end).message
  end

  @flight {:flight, @begin, @begin + 30 * @day}

  test "wrong plans are refused by what would have been right, and change nothing", %{name: name} do
    for {options, words} <- [
          {[budget_micros: nil],
           "expected :budget_micros to be an integer of micros from 1 to 2^62, got: nil"},
          {[budget_micros: 0], "got: 0"},
          {[budget_micros: -5], "got: -5"},
          {[budget_micros: 2 ** 62 + 1], "got: 4611686018427387905"},
          {[budget_micros: 0.5], "got: 0.5"},
          {[price_micros: 0],
           "expected :price_micros to be an integer of micros from 1 to 2^54 - 1, got: 0"},
          {[price_micros: 2 ** 54], "got: 18014398509481984"},
          {[period: :day],
           "expected :period to be {:daily, zone} such as {:daily, \"America/New_York\"}"},
          {[period: {:daily}], "or :lifetime, got: {:daily}"},
          {[period: {:daily, "Europe/Belin"}],
           "no time zone is named \"Europe/Belin\": did you mean \"Europe/Berlin\"?"},
          {[period: {:daily, "berlin"}], "did you mean \"Europe/Berlin\""},
          {[period: {:daily, "Mars/Olympus_Mons"}],
           "no time zone is named \"Mars/Olympus_Mons\""},
          {[period: {:daily, :utc}],
           "expected the zone in :period to be a time zone, such as \"Europe/Berlin\", or {:utc_offset, milliseconds}"},
          {[period: {:daily, {:utc_offset, @day}}], "got: {:utc_offset, 86400000}"},
          {[period: {:daily, "Etc/UTC"}, zone: "Etc/UTC"],
           "expected no :zone, because that of a daily budget is in :period"},
          {[zone: "Etc/UTC"], "expected no :zone, because :lifetime has no days"},
          {[period: @flight, zone: "Etc/UCT2"], "no time zone is named \"Etc/UCT2\""},
          {[period: {:flight, @begin, @begin}],
           "expected a flight to end after it begins, got: {:flight, #{@begin}, #{@begin}}"},
          {[period: {:flight, @begin, @begin - 1}], "expected a flight to end after it begins"},
          {[period: {:flight, @begin, @begin + 3_654 * @day}],
           "expected a flight to take at most 3653 days, got: {:flight, "},
          {[period: {:flight, "today", @begin}],
           "expected the times of a flight to be Unix milliseconds or DateTimes, from 1970 to 6429, got: \"today\""},
          {[period: {:flight, -1, @begin}], "got: -1"},
          {[period: {:flight, @begin, 2 ** 47}], "got: 140737488355328"},
          {[pace: :even],
           "expected :pace to be :asap for a period of :lifetime, which has no end to pace for"},
          {[period: @flight, pace: :fast],
           "expected :pace to be :asap, :even, {:front_loaded, by}"},
          {[period: @flight, pace: {:front_loaded, 1.5}], "got: {:front_loaded, 1.5}"},
          {[period: @flight, pace: {:front_loaded, -0.1}], "with a number from 0 to 1"},
          {[period: @flight, pace: {:traffic, []}],
           "expected the weights of {:traffic, weights} to be a list of 168 numbers from 0 to 10^9"},
          {[period: @flight, pace: {:traffic, [1, 2, 3]}], "got: [1, 2, 3], of 3"},
          {[period: @flight, pace: {:traffic, List.duplicate(1, 169)}], ", of more than 168"},
          {[period: @flight, pace: {:traffic, List.duplicate(0, 168)}],
           "of which at least one is not 0, got: 168 zeros"},
          {[period: @flight, pace: {:traffic, List.duplicate(0.0, 168)}], "168 zeros"},
          {[period: @flight, pace: {:traffic, List.duplicate(-1, 168)}],
           "numbers from 0 to 10^9"},
          {[period: @flight, pace: {:traffic, List.duplicate(:a, 168)}],
           "numbers from 0 to 10^9"},
          {[period: @flight, pace: {:traffic, [1 | 2]}], "got: [1 | 2]"},
          {[period: @flight, pace: {:traffic, :profile}], "got: :profile"},
          {[period: @flight, daily_max: 0.9],
           "expected :daily_max to be a number from 1 to 100, how many times its share a day of a flight may have, or " <>
             ":infinity, got: 0.9"},
          {[period: @flight, daily_max: 101], "got: 101"},
          {[period: @flight, daily_max: :none], "got: :none"},
          {[budget: 5],
           "unknown or repeated options [:budget], known are :budget_micros, :period"},
          {:all, "expected a keyword list of options, got: :all"}
        ] do
      message = refused(name, options)
      assert message =~ words, "#{inspect(options)}: #{message}"
    end

    assert Pacer.status(name, 42) == {:error, :unknown}
  end

  test "wrong campaigns are refused as keys are", %{name: name} do
    for campaign <- [1.5, [], {}, %{}, {1, 2, 3, 4, 5, 6, 7, 8, 9}] do
      assert_raise ArgumentError, ~r/a key is an integer of 64 bits/, fn ->
        Pacer.put(name, campaign, budget_micros: 1)
      end
    end
  end

  test "plans of all kinds are taken", %{name: name} do
    weights = for hour <- 0..167, do: rem(hour, 24)

    for {options, campaign} <-
          Enum.with_index([
            [],
            [period: :lifetime, pace: :asap],
            [period: {:daily, "America/New_York"}],
            [period: {:daily, {:utc_offset, -5 * @hour}}, pace: :asap],
            [period: @flight],
            [period: @flight, daily_max: :infinity, zone: "Asia/Kolkata"],
            [period: {:flight, ~U[2026-06-01 00:00:00Z], ~U[2026-07-01 00:00:00Z]}],
            [period: @flight, pace: {:front_loaded, 0.5}],
            [period: @flight, pace: {:front_loaded, 1}],
            [period: @flight, pace: {:traffic, weights}],
            [period: @flight, pace: {:traffic, Enum.map(weights, &(&1 / 7))}],
            [period: {:daily, "Europe/Berlin"}, pace: {:traffic, :learned}],
            [price_micros: 2 ** 54 - 1],
            [budget_micros: 2 ** 62]
          ]) do
      options = Keyword.merge([budget_micros: 2_000_000], options)
      assert Pacer.put(name, {:plan, campaign}, options) == :ok, inspect(options)
      assert Pacer.put(name, {:plan, campaign}, options) == :ok
      assert %{pass: pass} = Pacer.status(name, {:plan, campaign})
      assert pass >= 0 and pass <= 1
    end
  end

  test "a plan can only be put once a manual clock has a time" do
    name = Module.concat(__MODULE__, Timeless)
    start_supervised!({Pacer, name: name, clock: :manual}, id: name)

    assert_raise ArgumentError, ~r/expected AdTally.Pacer.tick\/2 to be called first/, fn ->
      Pacer.put(name, 1, budget_micros: 5)
    end
  end

  test "time does not go back", %{name: name} do
    assert Pacer.tick(name, @begin) == :ok
    assert Pacer.tick(name, @begin + 1) == :ok

    assert_raise ArgumentError,
                 "expected a time that is not before that of the last tick, #{@begin + 1}, got: #{@begin}",
                 fn -> Pacer.tick(name, @begin) end

    for at <- [-1, 1.5, :now, nil] do
      assert_raise ArgumentError, ~r/a time is an integer of milliseconds since 1970/, fn ->
        Pacer.tick(name, at)
      end
    end

    system = Module.concat(name, System)
    start_supervised!({Pacer, name: system}, id: system)

    assert_raise ArgumentError,
                 ~r/expected a pacer with clock: :manual, got one that goes by/,
                 fn ->
                   Pacer.tick(system, @begin)
                 end
  end
end
