defmodule AdTally.FrequencyCap.ScopesTest do
  use ExUnit.Case, async: true

  alias AdTally.FrequencyCap

  @hour 3_600_000
  @day 24 * @hour
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  # Strict, so that no pairs look alike.
  defp caps(options \\ []),
    do: FrequencyCap.new(Keyword.merge([capacity: 1_000, fingerprint_bits: 64], options))

  defp rules(rules), do: FrequencyCap.rules!(rules)

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

    test "are rejected if one is there twice, there are none, or too many" do
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
end
