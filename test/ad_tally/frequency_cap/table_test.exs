defmodule AdTally.FrequencyCap.TableTest do
  use ExUnit.Case, async: true

  alias AdTally.FrequencyCap

  @hour 3_600_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  # Strict, so that no pairs look alike.
  defp caps(options \\ []),
    do: FrequencyCap.new(Keyword.merge([capacity: 1_000, fingerprint_bits: 64], options))

  defp rules(rules), do: FrequencyCap.rules!(rules)

  describe "a table" do
    test "takes keys as counters do, and raises for others" do
      caps = caps()
      rules = rules([{1, @hour}])
      keys = [1, -1, "1", :one, {1}, {1, "1", :one}, String.duplicate("x", 500), 2 ** 63 - 1]

      for scope <- keys, user <- keys do
        assert FrequencyCap.admit(caps, scope, user, rules, @begin) == :ok
        assert FrequencyCap.admit(caps, scope, user, rules, @begin) == {:capped, {1, @hour}}
      end

      for bad <- [1.5, [], {}, {{1}}, %{}, 2 ** 63] do
        assert_raise ArgumentError, ~r/a key is/, fn ->
          FrequencyCap.admit(caps, bad, 1, rules, @begin)
        end

        assert_raise ArgumentError, ~r/a key is/, fn ->
          FrequencyCap.admit(caps, 1, bad, rules, @begin)
        end
      end

      assert_raise ArgumentError, ~r/expected an AdTally.FrequencyCap table/, fn ->
        FrequencyCap.admit(make_ref(), 1, 1, rules, @begin)
      end

      for other <- [:rules, {1, @hour}, %{}, nil] do
        assert_raise ArgumentError, ~r/rules!\/1 has compiled/, fn ->
          FrequencyCap.admit(caps, 1, 1, other, @begin)
        end
      end
    end

    test "is full at its maximum, and grows up to there" do
      caps = caps(capacity: 100, max_capacity: 400)
      rules = rules([{1, @hour}])
      said = for user <- 1..500, do: FrequencyCap.admit(caps, :ad, user, rules, @begin)
      assert Enum.frequencies(said) == %{:ok => 400, {:error, :full} => 100}
      assert %{pairs: 400, grown: grown, refused: %{full: 100}} = FrequencyCap.info(caps)
      assert grown in 1..2

      assert for(user <- 1..400, do: FrequencyCap.admit(caps, :ad, user, rules, @begin))
             |> Enum.uniq() == [{:capped, {1, @hour}}]
    end

    test "gives up what is too old when it is swept" do
      caps = caps(capacity: 10_000, tiers: [{1_000, @hour}])
      for user <- 1..5_000, do: :ok = FrequencyCap.record(caps, :ad, user, @begin)
      assert %{pairs: 5_000} = FrequencyCap.info(caps)
      assert FrequencyCap.sweep(caps, @begin + 2 * @hour) == 0
      :ok = FrequencyCap.record(caps, :ad, 0, @begin + 2 * @hour)
      assert FrequencyCap.sweep(caps, @begin + 2 * @hour) in 4_990..5_000
      assert %{pairs: 1} = FrequencyCap.info(caps)
    end

    test "is made of what is asked for, or not at all" do
      for {options, message} <- [
            {[capacity: 0], "expected :capacity to be an integer from 1 to 1000000000, got: 0"},
            {[capacity: 10, max_capacity: 161],
             "max_capacity is from capacity to 16 times that (10 to 160), not 161"},
            {[capacity: 10, max_capacity: 9], "max_capacity is from capacity to 16 times that"},
            {[tiers: []], "a frequency cap has one to three tiers"},
            {[tiers: [{999, 10_000}]], "a tier has a granularity of 1000 to 86400000 ms"},
            {[tiers: [{1_000, 4_033_000}]], "a horizon of one to 4032 times that"},
            {[tiers: [{2_000, 10_000}, {1_000, 20_000}]], "tiers go from fine to coarse"},
            {[tiers: [{1_000, -1}]], "expected :tiers to be a list of {granularity, horizon}"},
            {[lifetime: 1], "expected :lifetime to be true or false"},
            {[max_ahead: 0], "expected :max_ahead to be milliseconds, an integer from 1 to"},
            {[max_ahead: nil], "expected :max_ahead to be milliseconds"},
            {[max_ahead: 1.5], "expected :max_ahead to be milliseconds"},
            {[fingerprint_bits: 32], "expected :fingerprint_bits to be 16 or 64, got: 32"},
            {[granularity: 1], "unknown or repeated options [:granularity]"}
          ] do
        error = assert_raise ArgumentError, fn -> FrequencyCap.new(options) end
        assert error.message =~ message
      end
    end
  end
end
