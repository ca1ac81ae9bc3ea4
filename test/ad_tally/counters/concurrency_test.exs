defmodule AdTally.Counters.ConcurrencyTest do
  # Alone: its load would show in what other tests time.
  use ExUnit.Case, async: false

  alias AdTally.Counters
  alias AdTally.Test.ParallelAdds

  describe "with drains all the while, the sum over all drains is the sum of all adds" do
    test "on hot keys and many others" do
      assert_exact_by_key(writers: 4, passes: 50, items: 10_000, keys: 5_000)
    end

    test "on hot keys alone" do
      assert_exact_by_key(writers: 4, passes: 1_000, items: 1_000, keys: 1)
    end

    test "on more keys than the budget" do
      options = [writers: 4, passes: 100, items: 10_000, keys: 5_000, max_keys: 1_000]
      assert assert_exact(options).overflow != %{n: 0, m: 0, spend: 0}
    end

    @tag :exhaustive
    @tag timeout: :infinity
    test "of eight processes and 100 million adds" do
      assert_exact_by_key(writers: 8, passes: 1_250, items: 10_000, keys: 5_000)
    end

    @tag :exhaustive
    @tag timeout: :infinity
    test "of eight processes and 100 million adds to hot keys alone" do
      assert_exact_by_key(writers: 8, passes: 12_500, items: 1_000, keys: 1)
    end
  end

  if System.schedulers_online() == 1, do: @tag(skip: "nobody to contend with on one scheduler")

  test "a key that processes contend for gets striped, and reads as one" do
    counters = Counters.new(metrics: [:n, :m])

    adds =
      1..System.schedulers_online()
      |> Enum.map(fn _ -> Task.async(fn -> add_until_striped(counters, 0) end) end)
      |> Task.await_many(:infinity)
      |> Enum.sum()

    # And once more from here, whichever scheduler this is.
    assert Counters.add(counters, :hot, :m, 7) == :ok
    assert Counters.get(counters, :hot) == %{n: adds, m: 7}
    assert Counters.get(counters, :hot, :n) == adds
    assert Counters.to_list(counters) == [{:hot, %{n: adds, m: 7}}]
    assert Counters.drain(counters) == [{:hot, %{n: adds, m: 7}}]
    assert Counters.info(counters).striped_keys == 0
  end

  defp add_until_striped(counters, adds) do
    for _ <- 1..10_000, do: Counters.add(counters, :hot, :n)

    case Counters.info(counters) do
      # Once more, so that there is something in the stripes.
      %{striped_keys: 1} ->
        for _ <- 1..10_000, do: Counters.add(counters, :hot, :n)
        adds + 20_000

      %{striped_keys: 0} ->
        add_until_striped(counters, adds + 10_000)
    end
  end

  defp assert_exact_by_key(options) do
    result = assert_exact([max_keys: 1_000_000] ++ options)
    assert result.overflow == %{n: 0, m: 0, spend: 0}
    assert result.drained == result.added
  end

  defp assert_exact(options) do
    result = ParallelAdds.run(options)
    assert result.drained_by_metric == result.added_by_metric
    assert result.lifetime_overflow == result.overflow
    # Drains that found something while adds went on.
    assert result.drains >= 2
    result
  end
end
