defmodule AdTally.FrequencyCap.PlainRulesTest do
  use ExUnit.Case, async: true

  alias AdTally.FrequencyCap

  @minute 60_000
  @hour 60 * @minute
  @day 24 * @hour
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  # Strict, so that no pairs look alike.
  defp caps(options \\ []),
    do: FrequencyCap.new(Keyword.merge([capacity: 1_000, fingerprint_bits: 64], options))

  defp rules(rules), do: FrequencyCap.rules!(rules)

  describe "rules" do
    test "are plain lists or compiled ones, in every function" do
      caps = caps()
      given = [{2, @hour}, {3, @day}]

      for rules <- [given, rules(given)] do
        user = System.unique_integer()
        assert FrequencyCap.check(caps, :ad, user, rules, @begin) == :ok
        assert FrequencyCap.admit(caps, :ad, user, rules, @begin) == :ok
        assert FrequencyCap.admit_all(caps, [{:ad, rules}], user, @begin) == :ok
        assert FrequencyCap.admit(caps, :ad, user, rules, @begin) == {:capped, {2, @hour}}
        assert FrequencyCap.check(caps, :ad, user, rules, @begin) == {:capped, {2, @hour}}
        assert FrequencyCap.opens_at(caps, :ad, user, rules, @begin) == @begin + 65 * @minute
        assert FrequencyCap.admissible(caps, [{:ad, rules}], user, @begin) == []

        assert FrequencyCap.admit_all(caps, [{:news, rules}, {:ad, rules}], user, @begin) ==
                 {:capped, :ad, {2, @hour}}
      end

      # At the system's time as well.
      assert FrequencyCap.check(caps, :ad, 0, given) == :ok
      assert FrequencyCap.admit(caps, :ad, 0, given) == :ok
      assert FrequencyCap.admit_all(caps, [{:ad, given}], 0) == :ok
      assert FrequencyCap.admit(caps, :ad, 0, given) == {:capped, {2, @hour}}
      assert FrequencyCap.opens_at(caps, :ad, 0, given) > System.system_time(:millisecond)
      assert FrequencyCap.admissible(caps, [{:ad, given}, {:news, given}], 0) == [:news]
    end

    test "are plain lists beside compiled ones in a list of any length" do
      caps = caps(capacity: 100_000)
      one = [{1, @hour}]
      compiled = rules(one)
      shown = for ad <- 1..200, rem(ad, 7) == 0, do: {:ad, ad}
      for ad <- shown, do: FrequencyCap.record(caps, ad, "ann", @begin)

      for plain <- [[1], [64], [65], [66], [200], [1, 70, 140], Enum.to_list(1..200)] do
        candidates = for ad <- 1..200, do: {{:ad, ad}, if(ad in plain, do: one, else: compiled)}
        expected = for {ad, _rules} <- candidates, ad not in shown, do: ad
        assert FrequencyCap.admissible(caps, candidates, "ann", @begin) == expected
      end

      many = for number <- 1..65, do: {number, one}

      for {scopes, message} <- [
            {[{:ad, one}, {:ad, one}], "a scope is in the list twice"},
            {many, "one to 64 scopes are admitted together, not 65"},
            {[{:ad, one} | :more], "expected a proper list of {scope, rules}s"},
            {[{:ad, one}, :campaign], "expected a {scope, rules}, got: :campaign"},
            {[{:ad, [{0, @hour}]}], "a rule allows 1 to 28 events, not 0"},
            {[{:ad, []}], "one to sixteen rules are asked together, not 0"},
            {[{:ad, one}, {1.5, one}], "a key is"}
          ] do
        error =
          assert_raise ArgumentError, fn -> FrequencyCap.admit_all(caps, scopes, 1, @begin) end

        assert error.message =~ message
      end

      assert FrequencyCap.admit_all(caps, tl(many), 1, @begin) == :ok
    end
  end
end
