defmodule AdTally.FrequencyCapTest do
  use ExUnit.Case, async: true

  alias AdTally.FrequencyCap
  alias AdTally.Test.FrequencyCapModel, as: Model

  doctest FrequencyCap

  @minute 60_000
  @hour 60 * @minute
  @day 24 * @hour
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  # Strict, so that no pairs look alike.
  defp caps(options \\ []),
    do: FrequencyCap.new(Keyword.merge([capacity: 1_000, fingerprint_bits: 64], options))

  defp rules(rules), do: FrequencyCap.rules!(rules)

  describe "beside every time in a list" do
    test "no rule is passed, and none blocks for more than a granule too long" do
      seed = :rand.uniform(1_000_000)
      :rand.seed(:exsss, seed)

      for tiers <- [[{5 * @minute, 14 * @day}], [{@minute, @day}, {@hour, 30 * @day}]],
          bits <- [16, 64],
          lateness <- [0, 3 * @hour] do
        caps = caps(tiers: tiers, fingerprint_bits: bits, lifetime: true)

        rules = [
          {1, Enum.random((5 * @minute)..(2 * @hour))},
          {3, Enum.random(@hour..@day)},
          {5, {:day, 2 * @hour}},
          {12, :lifetime}
        ]

        compiled = rules(rules)
        {granularity, _horizon} = List.last(tiers)

        Enum.reduce(1..600, {%{}, @begin}, fn _step, {model, now} ->
          now = now + Enum.random(0..@hour)
          at = now - if(lateness == 0, do: 0, else: Enum.random(0..lateness))
          {scope, user} = {{:ad, Enum.random(1..3)}, "user-#{Enum.random(1..5)}"}
          said = FrequencyCap.check(caps, scope, user, compiled, at)
          assert FrequencyCap.admit(caps, scope, user, compiled, at) == said
          message = "seed #{seed}, #{inspect(tiers)}, #{inspect({scope, user, at})}"

          case said do
            :ok ->
              assert Model.blocking(model, scope, user, rules, at) == nil, message
              {Model.count(model, scope, user, at), now}

            {:capped, rule} ->
              assert Model.blocking(model, scope, user, [rule], at, granularity) == rule, message
              {model, now}
          end
        end)
      end
    end

    test "an event that is released is not counted" do
      caps = caps()
      compiled = rules([{3, @hour}])

      Enum.reduce(1..500, %{}, fn step, model ->
        # On the ticks, so that the model knows the ticks' times.
        at = @begin + step * 5 * @minute
        earlier = at - Enum.random(0..12) * 5 * @minute
        user = Enum.random(1..4)

        model =
          case {FrequencyCap.release(caps, :ad, user, earlier),
                Model.uncount(model, :ad, user, earlier)} do
            {:ok, less} when less != nil -> less
            {:not_found, nil} -> model
          end

        case FrequencyCap.admit(caps, :ad, user, compiled, at) do
          :ok -> Model.count(model, :ad, user, at)
          {:capped, {3, @hour}} -> model
        end
      end)
    end
  end

  describe "a release" do
    test "takes back one event in all tiers and the lifetime, or nothing" do
      caps = caps(tiers: [{5 * @minute, 14 * @day}, {@hour, 90 * @day}], lifetime: true)
      once = rules([{1, :lifetime}])
      assert FrequencyCap.admit(caps, :ad, 7, once, @begin) == :ok
      # The same hour, and the lifetime's count, but no such five minutes.
      assert FrequencyCap.release(caps, :ad, 7, @begin + 1_200_000) == :not_found
      assert FrequencyCap.admit(caps, :ad, 7, once, @begin) == {:capped, {1, :lifetime}}

      for window <- [@hour, 20 * @day, :lifetime],
          do: assert(FrequencyCap.count(caps, :ad, 7, window, @begin) == 1)

      assert FrequencyCap.release(caps, :ad, 7, @begin + 4 * @minute) == :ok
      assert FrequencyCap.release(caps, :ad, 7, @begin) == :not_found

      for window <- [@hour, 20 * @day, :lifetime],
          do: assert(FrequencyCap.count(caps, :ad, 7, window, @begin) == 0)

      assert FrequencyCap.admit(caps, :ad, 7, once, @begin) == :ok
    end

    test "is of a time that is given: the system's has passed the tick meanwhile" do
      Code.ensure_loaded!(FrequencyCap)
      assert function_exported?(FrequencyCap, :release, 4)
      refute function_exported?(FrequencyCap, :release, 3)
    end
  end

  test "processes that race for the last slot get it once" do
    caps = caps(lifetime: true)
    rules = rules([{3, @hour}])

    for round <- 1..100 do
      said =
        1..8
        |> Enum.map(fn _ ->
          Task.async(fn -> FrequencyCap.admit(caps, round, :user, rules, @begin) end)
        end)
        |> Task.await_many(:infinity)

      assert Enum.count(said, &(&1 == :ok)) == 3
      assert FrequencyCap.count(caps, round, :user, :lifetime, @begin) == 3
    end
  end
end
