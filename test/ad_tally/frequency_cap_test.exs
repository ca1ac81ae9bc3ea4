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

  test "candidates are asked by their own rules, in whatever order those come" do
    caps = caps()
    sets = for max <- 1..3, do: rules([{max, @hour}])
    for ad <- 1..60, _ <- 1..rem(ad, 4)//1, do: FrequencyCap.record(caps, ad, "ann", @begin)

    for _ <- 1..200 do
      candidates = for ad <- Enum.take_random(1..80, 30), do: {ad, Enum.random(sets)}

      expected =
        for {ad, rules} <- candidates,
            FrequencyCap.check(caps, ad, "ann", rules, @begin) == :ok,
            do: ad

      assert FrequencyCap.admissible(caps, candidates, "ann", @begin) == expected
    end
  end

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

    test "what is taken back is counted no more" do
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

    test "that are none are refused with what would be right" do
      for {rules, message} <- [
            {[], "one to sixteen rules are asked together, not 0"},
            {List.duplicate({1, 1}, 17), "one to sixteen rules are asked together, not 17"},
            {[{29, 1_000}], "a rule allows 1 to 28 events, not 29"},
            {[{65_536, :lifetime}], "a rule allows 1 to 65535 events, not 65536"},
            {[{1, 0}], "a window is 1 to 348364800000 ms"},
            {[{1, {:day, @day}}], "an offset from UTC is less than a day"},
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

    test "that no tier covers are refused, and nothing is counted" do
      for {options, rule, message} <- [
            {[], {1, 15 * @day}, "a window is 1 to 1209600000 ms, the longest horizon"},
            {[], {1, :lifetime}, "make it with lifetime: true"},
            {[tiers: [{@minute, @hour}]], {1, {:day, 0}},
             "the longest horizon of the table's tiers"},
            {[tiers: [{7_000, 7 * @hour}]], {1, {:day, 0}}, "a window is 1 to"},
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

    test "as long as a tick are served, and days by whatever divides them" do
      caps = caps(tiers: [{@hour, 30 * @day}])
      assert FrequencyCap.admit(caps, :ad, 1, [{1, @hour}], @begin) == :ok
      caps = caps(tiers: [{@day, 90 * @day}])
      assert FrequencyCap.admit(caps, :ad, 1, [{1, {:day, 0}}], @begin) == :ok
    end

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

  describe "several scopes" do
    test "are all counted, or none" do
      caps = caps()
      {one, two} = {rules([{1, @hour}]), rules([{2, @hour}])}
      scopes = [{{:advertiser, 9}, two}, {{:campaign, 42}, two}, {{:ad, 7}, one}]
      assert FrequencyCap.admit_all(caps, scopes, "user", @begin) == :ok

      assert FrequencyCap.admit_all(caps, scopes, "user", @begin) ==
               {:capped, {:ad, 7}, {1, @hour}}

      for {scope, _} <- scopes,
          do: assert(FrequencyCap.count(caps, scope, "user", @hour, @begin) == 1)

      # Another user is another pair.
      assert FrequencyCap.admit_all(caps, scopes, "other", @begin) == :ok
    end

    test "are refused if one is there twice, there are none, or too many" do
      caps = caps()
      one = rules([{1, @hour}])
      many = for number <- 1..65, do: {number, one}

      for {scopes, message} <- [
            {[{:ad, one}, {:campaign, one}, {:ad, one}], "a scope is in the list twice"},
            {[], "one to 64 scopes are admitted together, not 0"},
            {many, "one to 64 scopes are admitted together, not 65"},
            {[{:ad, one} | :more], "expected a proper list of {scope, rules}s"},
            {[{:ad, one}, :campaign], "expected a {scope, rules}, got: :campaign"},
            {[{:ad, :rules}],
             "expected rules that AdTally.FrequencyCap.rules!/1 has compiled on this node"},
            {:ad, "expected a proper list of {scope, rules}s"}
          ] do
        error =
          assert_raise ArgumentError, fn -> FrequencyCap.admit_all(caps, scopes, 1, @begin) end

        assert error.message =~ message
      end

      assert %{pairs: 0} = FrequencyCap.info(caps)
      assert FrequencyCap.admit_all(caps, tl(many), 1, @begin) == :ok
    end

    test "are sorted out in one call, however many" do
      # Laid out for so many that hardly ever two of these share a line.
      caps = caps(capacity: 1_000_000, fingerprint_bits: 16)
      one = rules([{1, @hour}])
      scopes = for number <- 1..500, do: {{:ad, number}, one}
      shown = for number <- 1..500, rem(number, 3) == 0 or number in 40..120, do: {:ad, number}
      for scope <- shown, do: FrequencyCap.record(caps, scope, "user", @begin)

      for count <- [0, 1, 2, 55, 56, 57, 112, 500] do
        some = Enum.take(scopes, count)
        expected = for {scope, _} <- some, scope not in shown, do: scope
        assert FrequencyCap.admissible(caps, some, "user", @begin) == expected
      end

      assert FrequencyCap.admissible(caps, scopes, "user", @begin - 15 * @day) ==
               {:error, :too_old}
    end
  end

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

  test "processes that race for the last slot get it once" do
    caps = caps(lifetime: true)
    rules = rules([{3, @hour}])

    for round <- 1..100 do
      said =
        1..8
        |> Enum.map(fn _ ->
          Task.async(fn -> FrequencyCap.admit(caps, round, :user, rules, @begin) end)
        end)
        |> Task.await_many()

      assert Enum.count(said, &(&1 == :ok)) == 3
      assert FrequencyCap.count(caps, round, :user, :lifetime, @begin) == 3
    end
  end
end
