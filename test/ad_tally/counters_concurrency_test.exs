defmodule AdTally.CountersConcurrencyTest do
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

  test "all processes that add a new key at once find one row" do
    for _ <- 1..200 do
      counters = Counters.new(metrics: [:n])

      1..4
      |> Enum.map(fn _ ->
        Task.async(fn -> for key <- 1..100, do: :ok = Counters.add(counters, key, :n) end)
      end)
      |> Task.await_many()

      assert Enum.sort(Counters.drain(counters)) == for(key <- 1..100, do: {key, %{n: 4}})
    end
  end

  test "the budget is kept to the key by processes that add new keys at once" do
    for max_keys <- [1, 10, 999] do
      counters = Counters.new(metrics: [:n], max_keys: max_keys)

      overflowed =
        1..4
        |> Enum.map(fn writer -> Task.async(fn -> add_new(counters, writer, 1_000) end) end)
        |> Task.await_many()
        |> Enum.sum()

      assert overflowed == 4 * 1_000 - max_keys
      assert Counters.info(counters).overflow == %{n: overflowed}
      rows = Counters.drain(counters)
      assert length(rows) == max_keys
      assert Enum.all?(rows, &match?({{_, _}, %{n: 1}}, &1))
    end
  end

  test "several drains at once share the rows between them" do
    counters = Counters.new(metrics: [:n])
    for key <- 1..50_000, do: Counters.add(counters, key, :n, key)

    drained =
      1..4
      |> Enum.map(fn _ -> Task.async(fn -> Counters.drain(counters) end) end)
      |> Task.await_many()
      |> Enum.concat()

    assert Enum.sort(drained) == for(key <- 1..50_000, do: {key, %{n: key}})
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

  defp add_new(counters, writer, count) do
    Enum.count(1..count, &(Counters.add(counters, {writer, &1}, :n) == :overflow))
  end
end
