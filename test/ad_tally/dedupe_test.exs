defmodule AdTally.DedupeTest do
  use ExUnit.Case, async: true

  alias AdTally.Dedupe

  doctest Dedupe

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  # Wide, so that no ids look alike.
  defp dedupe(options \\ []),
    do: Dedupe.new(Keyword.merge([capacity: 1_000, fingerprint_bits: 61], options))

  describe "beside every id in a map" do
    test "no copy passes within the window, and nothing new is dropped" do
      seed = :rand.uniform(1_000_000)
      :rand.seed(:exsss, seed)

      for bits <- [61, 28], window <- [1, 7_001, 10 * @minute] do
        dedupe = dedupe(fingerprint_bits: bits, window: window)
        ids = for n <- 1..300, id <- [n, "id-#{n}", {:click, n}], do: id

        # Time is what was seen of it.
        assert Dedupe.first?(dedupe, :begin, @begin)

        Enum.reduce(1..3_000, {%{}, @begin}, fn _step, {seen, newest} ->
          id = Enum.random(ids)
          at = newest + Enum.random(-window..div(window, 20))
          newest = max(newest, at)
          first? = Dedupe.first?(dedupe, id, at)
          message = "seed #{seed}, #{bits} bits, window #{window}, #{inspect(id)} at #{at}"

          case seen do
            %{^id => then} when newest - then <= window -> refute first?, message
            %{^id => _then} -> :ok
            %{} -> assert first?, message
          end

          {Map.put(seen, id, newest), newest}
        end)

        assert Dedupe.info(dedupe).forgotten == 0
      end
    end
  end

  test "of 32 processes that ask at once one is told that it is the first" do
    # Of narrow ids one looks like another one in some thousand runs.
    for {bits, dropped} <- [{28, 0..1}, {61, 0..0}] do
      dedupe = dedupe(capacity: 10_000, fingerprint_bits: bits)

      firsts =
        1..32
        |> Enum.map(fn _ ->
          Task.async(fn -> for id <- 1..10_000, Dedupe.first?(dedupe, {id}, @begin), do: id end)
        end)
        |> Task.await_many(:infinity)
        |> Enum.concat()

      assert firsts == Enum.uniq(firsts)
      ids = length(firsts)
      assert (10_000 - ids) in dropped
      duplicates = 320_000 - ids
      assert %{ids: ^ids, duplicates: ^duplicates, forgotten: 0} = Dedupe.info(dedupe)
    end
  end

  test "what there is no room for is forgotten early, which is counted, and nothing is dropped" do
    # With a hundred narrow ids in a bucket one looks like another one in 200 runs.
    for {bits, dropped} <- [{28, 0..2}, {61, 0..0}] do
      dedupe = dedupe(capacity: 100, fingerprint_bits: bits)
      firsts = Enum.count(1..10_000, &Dedupe.first?(dedupe, &1, @begin))
      assert (10_000 - firsts) in dropped
      info = Dedupe.info(dedupe)
      assert info.load == 1.0
      assert info.forgotten == firsts - info.ids
    end
  end

  test "a time that cannot be true has nothing forgotten" do
    dedupe = dedupe()
    now = System.system_time(:millisecond)
    assert Dedupe.first?(dedupe, 1, now)
    assert Dedupe.first?(dedupe, 2, now + 1_000 * @minute)
    refute Dedupe.first?(dedupe, 1, now)
    assert Dedupe.info(dedupe).future == 1
  end

  test "the system's time is the default" do
    dedupe = dedupe()
    assert Dedupe.first?(dedupe, 1)
    refute Dedupe.first?(dedupe, 1, System.system_time(:millisecond))
  end

  test "memory is what the docs say" do
    for {bits, least, most, load} <- [{28, 6.4, 7.4, 0.73}, {61, 14.5, 16.2, 0.67}] do
      dedupe = dedupe(fingerprint_bits: bits, capacity: 200_000)
      window = 10 * @minute

      # As many as there is room for in a window, for a quarter longer: all of them are remembered.
      for id <- 1..250_000,
          do: Dedupe.first?(dedupe, id, @begin + div((id - 1) * window, 200_000))

      info = Dedupe.info(dedupe)
      assert_in_delta info.ids, 250_000, 5
      assert info.forgotten == 0
      bytes = info.memory_bytes / 200_000
      assert bytes > least and bytes < most
      assert_in_delta info.load, load, 0.03
    end
  end

  test "huge pages are part of the memory" do
    %{memory_bytes: memory, huge_bytes: huge} = Dedupe.info(dedupe(capacity: 2_000_000))
    # The last one may go on where no bucket is used yet.
    assert huge == nil or huge <= memory + 0x20_0000
  end

  test "wrong arguments are named and change nothing" do
    for {options, words} <- [
          {[window: 0], "expected :window to be milliseconds"},
          {[window: 1.5], "expected :window to be milliseconds"},
          {[capacity: 0], "expected :capacity to be an integer from 1"},
          {[fingerprint_bits: 32], "expected :fingerprint_bits to be 28 or 61, got: 32"},
          {[size: 1], "unknown or repeated options [:size]"}
        ] do
      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn -> Dedupe.new(options) end
    end

    dedupe = dedupe()

    for {id, at} <- [{1.5, 0}, {[], 0}, {{}, 0}, {1, -1}, {1, :now}, {1, 0x8000_0000_0000}] do
      assert_raise ArgumentError, fn -> Dedupe.first?(dedupe, id, at) end
    end

    assert_raise ArgumentError, ~r/expected an AdTally.Dedupe table/, fn ->
      Dedupe.first?(make_ref(), 1, 0)
    end

    assert Dedupe.info(dedupe).ids == 0
  end
end
