defmodule AdTally.FrequencyCap.RulesTest do
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
    test "of a calendar day open at local midnight" do
      caps = caps()
      # Two hours ahead of UTC, its midnight is 22:00.
      rules = rules([{1, {:day, 2 * @hour}}])
      assert FrequencyCap.admit(caps, :ad, 1, rules, @begin + 21 * @hour) == :ok
      midnight = @begin + 22 * @hour

      assert FrequencyCap.admit(caps, :ad, 1, rules, midnight - 1) ==
               {:capped, {1, {:day, 2 * @hour}}}

      assert FrequencyCap.opens_at(caps, :ad, 1, rules, midnight - 1) == midnight
      assert FrequencyCap.admit(caps, :ad, 1, rules, midnight) == :ok
    end

    test "of a day of a time zone count once on a day of 25 hours" do
      caps = caps()
      rules = rules([{1, {:day, "Europe/Berlin"}}])
      # 26 October 2025.
      midnight = DateTime.to_unix(~U[2025-10-25 22:00:00Z], :millisecond)
      next = midnight + 25 * @hour
      assert FrequencyCap.admit(caps, :ad, 1, rules, midnight - 1) == :ok
      assert FrequencyCap.admit(caps, :ad, 1, rules, midnight) == :ok
      capped = {:capped, {1, {:day, "Europe/Berlin"}}}
      assert FrequencyCap.admit(caps, :ad, 1, rules, midnight + 24 * @hour) == capped
      assert FrequencyCap.admit(caps, :ad, 1, rules, next - 1) == capped
      assert FrequencyCap.opens_at(caps, :ad, 1, rules, midnight) == next
      assert FrequencyCap.count(caps, :ad, 1, {:day, "Europe/Berlin"}, next - 1) == 1
      assert FrequencyCap.count(caps, :ad, 1, {:day, 2 * @hour}, next - 1) == 0
      assert FrequencyCap.admit(caps, :ad, 1, rules, next) == :ok
      plain = [{1, {:day, "Europe/Berlin"}}]
      assert FrequencyCap.admit(caps, :ad, 1, plain, next + 1) == capped

      assert FrequencyCap.admit_all(caps, [{:ad, plain}], 1, next + 1) ==
               {:capped, :ad, hd(plain)}

      assert FrequencyCap.admissible(caps, [{:ad, plain}, {:other, rules}], 1, next) == [:other]
    end

    test "of a day of a time zone begin at 1:00 where there is no midnight" do
      caps = caps()
      rules = rules([{1, {:day, "Africa/Cairo"}}])
      # 25 April 2025, when clocks went from 0:00 to 1:00.
      begin = DateTime.to_unix(~U[2025-04-24 22:00:00Z], :millisecond)
      assert FrequencyCap.admit(caps, :ad, 1, rules, begin - 1) == :ok
      assert FrequencyCap.opens_at(caps, :ad, 1, rules, begin - 1) == begin
      assert FrequencyCap.admit(caps, :ad, 1, rules, begin) == :ok
      assert FrequencyCap.opens_at(caps, :ad, 1, rules, begin) == begin + 23 * @hour
    end

    test "of a lifetime never open again, unless an event is taken back" do
      caps = caps(lifetime: true)
      rules = rules([{2, :lifetime}])
      for _ <- 1..2, do: assert(FrequencyCap.admit(caps, :ad, 1, rules, @begin) == :ok)
      later = @begin + 300 * @day
      assert FrequencyCap.admit(caps, :ad, 2, rules, later) in [:ok, {:error, :future}]
      assert FrequencyCap.opens_at(caps, :ad, 1, rules, @begin) == :never
      assert FrequencyCap.count(caps, :ad, 1, :lifetime, @begin) == 2
      assert FrequencyCap.release(caps, :ad, 1, @begin) == :ok
      assert FrequencyCap.admit(caps, :ad, 1, rules, @begin) == :ok
    end

    test "are named as they were given, the first that blocks" do
      caps = caps()
      given = [{2, @hour}, {1, @day}]
      rules = rules(given)
      assert FrequencyCap.rules(rules) == given
      assert FrequencyCap.admit(caps, :ad, 1, rules, @begin) == :ok
      assert FrequencyCap.admit(caps, :ad, 1, rules, @begin) == {:capped, {1, @day}}
      assert %{denied: %{rule: 1, rounding: 0}} = FrequencyCap.info(caps)
    end

    test "can be used with tables of different tiers, and changed at any time" do
      [fine, coarse] = [caps(tiers: [{1_000, @hour}]), caps(tiers: [{@hour, 90 * @day}])]
      rules = rules([{1, @hour}])

      for _ <- 1..2, caps <- [fine, coarse] do
        FrequencyCap.admit(caps, :ad, 1, rules, @begin)
        assert FrequencyCap.check(caps, :ad, 1, rules, @begin) == {:capped, {1, @hour}}
        assert FrequencyCap.check(caps, :ad, 1, rules([{2, @hour}]), @begin) == :ok
      end

      assert FrequencyCap.opens_at(fine, :ad, 1, rules, @begin) == @begin + @hour + 1_000
      assert FrequencyCap.opens_at(coarse, :ad, 1, rules, @begin) == @begin + 2 * @hour
    end

    test "as long as a tick are served, and days by whatever divides them" do
      caps = caps(tiers: [{@hour, 30 * @day}])
      assert FrequencyCap.admit(caps, :ad, 1, [{1, @hour}], @begin) == :ok
      caps = caps(tiers: [{@day, 90 * @day}])
      assert FrequencyCap.admit(caps, :ad, 1, [{1, {:day, 0}}], @begin) == :ok
    end
  end

  describe "rejects rules" do
    test "that are none, with what would be right" do
      for {rules, message} <- [
            {[], "one to sixteen rules are asked together, not 0"},
            {List.duplicate({1, 1}, 17), "one to sixteen rules are asked together, not 17"},
            {[{29, 1_000}], "a rule allows 1 to 28 events, not 29"},
            {[{65_536, :lifetime}], "a rule allows 1 to 65535 events, not 65536"},
            {[{1, 0}], "a window is 1 to 348364800000 ms"},
            {[{1, {:day, @day}}], "an offset from UTC is less than a day"},
            {[{1, {:day, "Europe/Berlim"}}],
             ~s(no time zone is named "Europe/Berlim": did you mean "Europe/Berlin"?)},
            {[{1, {:day, "berlin"}}], ~s(did you mean "Europe/Berlin"?)},
            {[{1, {:day, ""}}], "names are those of the IANA database"},
            {[{1, {:day, <<255, 0>>}}], "names are those of the IANA database"},
            {[{1, {:day, String.duplicate("Europe/", 1_000_000)}}], "no time zone is named"},
            {[{1, {:day, :berlin}}], ~s({:day, "Europe/Berlin"})},
            {[{1, :week}],
             "expected a window of milliseconds, {:day, utc_offset_in_milliseconds}"},
            {[{1, 1_000} | :more], "expected a list of {max, window}"},
            {[{-1, 1_000}], "expected a rule {max, window}"},
            {[{1, 1_000, 2}], "expected a rule {max, window}"},
            {:rules, "expected a list of {max, window}"}
          ] do
        error = assert_raise ArgumentError, fn -> rules(rules) end
        assert error.message =~ message
      end
    end

    test "that no tier covers, and counts nothing" do
      for {options, rule, message} <- [
            {[], {1, 15 * @day}, "a window is 1 to 1209600000 ms, the longest horizon"},
            {[], {1, :lifetime}, "make it with lifetime: true"},
            {[tiers: [{@minute, @hour}]], {1, {:day, 0}},
             "the longest horizon of the table's tiers"},
            {[tiers: [{7_000, 7 * @hour}]], {1, {:day, 0}}, "a window is 1 to"},
            {[tiers: [{@minute, @day}]], {1, {:day, "Europe/Berlin"}},
             "a day of Europe/Berlin may be 90000000 ms long, and the longest horizon of the table's tiers is 86400000"},
            {[tiers: [{@hour, 30 * @day}]], {1, {:day, "Asia/Kolkata"}},
             "choose a granularity that divides 1800000"},
            {[tiers: [{@hour, 30 * @day}]], {1, {:day, 30 * @minute}},
             "choose a granularity that divides both"},
            {[tiers: [], lifetime: true], {1, @hour}, "a window is 1 to 0 ms"},
            {[], {1, 1_000},
             "a window of 1000 ms is shorter than a granule of the tier that serves it, 300000 ms"},
            {[], {1, 5 * @minute - 1},
             "a window of 299999 ms is shorter than a granule of the tier that serves it, 300000 ms"},
            {[tiers: [{1_000, @hour}, {@day, 90 * @day}]], {1, 2 * @hour},
             "a window of 7200000 ms is shorter than a granule of the tier that serves it, 86400000 ms"}
          ] do
        caps = caps(options)

        for call <- [
              fn -> FrequencyCap.opens_at(caps, :ad, 1, rules([rule]), @begin) end,
              fn -> FrequencyCap.count(caps, :ad, 1, elem(rule, 1), @begin) end,
              fn -> FrequencyCap.admit(caps, :ad, 1, [rule], @begin) end,
              fn -> FrequencyCap.admit(caps, :ad, 1, [rule]) end,
              fn -> FrequencyCap.admit_all(caps, [{:ad, [rule]}], 1, @begin) end,
              fn -> FrequencyCap.admissible(caps, [{:ad, [rule]}], 1, @begin) end,
              fn -> FrequencyCap.admit(caps, :ad, 1, rules([rule]), @begin) end,
              fn -> FrequencyCap.check(caps, :ad, 1, rules([rule]), @begin) end,
              fn -> FrequencyCap.admit_all(caps, [{:ad, rules([rule])}], 1, @begin) end,
              fn -> FrequencyCap.admissible(caps, [{:ad, rules([rule])}], 1, @begin) end
            ] do
          error = assert_raise ArgumentError, call
          assert error.message =~ message
        end

        assert %{pairs: 0} = FrequencyCap.info(caps)
      end
    end
  end
end
