defmodule AdTally.FrequencyCap.TimesTest do
  use ExUnit.Case, async: true

  alias AdTally.FrequencyCap

  @minute 60_000
  @hour 60 * @minute
  @day 24 * @hour

  # Strict, so that no pairs look alike.
  defp caps(options \\ []),
    do: FrequencyCap.new(Keyword.merge([capacity: 1_000, fingerprint_bits: 64], options))

  defp rules(rules), do: FrequencyCap.rules!(rules)

  describe "times" do
    test "that cannot be decided are refused, and nothing is counted" do
      caps = caps()
      rules = rules([{1, @hour}])
      now = System.system_time(:millisecond)
      future = now + 2 * @day
      assert FrequencyCap.admit(caps, :ad, 1, rules, future) == {:error, :future}
      assert FrequencyCap.check(caps, :ad, 1, rules, future) == {:error, :future}
      assert FrequencyCap.record(caps, :ad, 1, future) == {:error, :future}
      assert FrequencyCap.admit_all(caps, [{:ad, rules}], 1, future) == {:error, :future}
      assert FrequencyCap.admissible(caps, [{:ad, rules}], 1, future) == {:error, :future}
      assert FrequencyCap.release(caps, :ad, 1, future) == :not_found
      assert %{pairs: 0, refused: %{future: 5, too_old: 0, full: 0}} = FrequencyCap.info(caps)
      assert FrequencyCap.admit(caps, :ad, 1, rules) == :ok
      assert FrequencyCap.admit(caps, :ad, 1, rules, now - 15 * @day) == {:error, :too_old}
      assert FrequencyCap.count(caps, :ad, 1, @hour) == 1
    end

    test "that are wrong do not close the table for others" do
      caps = caps(tiers: [{1_000, @hour}])
      rules = rules([{1, @minute}])
      now = System.system_time(:millisecond)
      assert FrequencyCap.record(caps, :ad, 0, now + 23 * @hour) == {:error, :future}
      assert FrequencyCap.record(caps, :ad, 0, now + 16 * @minute) == {:error, :future}
      assert FrequencyCap.record(caps, :ad, 0, now + 14 * @minute) == :ok
      said = for user <- 1..1_000, do: FrequencyCap.admit(caps, :ad, user, rules)
      assert Enum.uniq(said) == [:ok]
      assert %{refused: %{future: 2, too_old: 0}} = FrequencyCap.info(caps)
    end

    test "are believed as far ahead as is asked for" do
      now = System.system_time(:millisecond)

      for {options, ahead} <- [
            {[], @day},
            {[tiers: [{@minute, 2 * @day}]], 12 * @hour},
            {[tiers: [{@minute, 2 * @day}, {@hour, 90 * @day}]], 12 * @hour},
            {[max_ahead: @hour], @hour},
            {[max_ahead: 7 * @day], 7 * @day},
            {[tiers: [], lifetime: true], @day}
          ] do
        caps = caps(options)
        rules = rules([{1, if(options[:tiers] == [], do: :lifetime, else: @hour)}])
        # The clock goes on meanwhile, but not for a minute.
        late = now + ahead + @minute
        assert FrequencyCap.admit(caps, :ad, 1, rules, late) == {:error, :future}
        assert FrequencyCap.admit(caps, :ad, 1, rules, now + ahead) == :ok
        assert FrequencyCap.admit(caps, :ad, 1, rules, late) == {:error, :future}
        assert %{pairs: 1} = FrequencyCap.info(caps)
      end
    end

    test "of another year are replayed into a table of their own" do
      caps = caps()
      rules = rules([{1, @hour}])

      for week <- 0..100, user <- 1..3 do
        at = 1_000_000_000_000 + week * 7 * @day
        assert FrequencyCap.admit(caps, :ad, user, rules, at) == :ok
        assert FrequencyCap.admit(caps, :ad, user, rules, at + 1) == {:capped, {1, @hour}}
      end
    end

    test "that are none are refused" do
      caps = caps()
      rules = rules([{1, @hour}])

      for at <- [-1, 1.5, "now", nil, 2 ** 64] do
        error = assert_raise ArgumentError, fn -> FrequencyCap.admit(caps, :ad, 1, rules, at) end
        assert error.message =~ "a time is an integer of milliseconds since 1970"
      end

      for at <- [2 ** 47, 2 ** 63 - 1] do
        error = assert_raise ArgumentError, fn -> FrequencyCap.admit(caps, :ad, 1, rules, at) end
        assert error.message =~ "a time is 0 to 140737488355327 ms since 1970"
      end

      assert FrequencyCap.admit(caps, :ad, 1, rules, 0) == :ok
      assert FrequencyCap.admit(caps, :ad, 1, rules, 0) == {:capped, {1, @hour}}
    end
  end
end
