defmodule AdTally.Store.TablesTest do
  # Tables with a name in a store: what is there after every kind of end.
  use ExUnit.Case, async: true

  import AdTally.Test.Stores

  alias AdTally.{Counters, Dedupe, FrequencyCap, Reach, Store}

  @moduletag :capture_log

  @hour 3_600_000

  setup context do
    {:ok, dir: dir(), names: names(context)}
  end

  defp children(%{names: names, dir: dir}, changes \\ []) do
    tables = [
      {Counters, :counters, [metrics: [:clicks, :spend]]},
      {Reach, :reach, [precision: 12]},
      {FrequencyCap, :caps, [capacity: 1_000, lifetime: true]},
      {Dedupe, :dedupe, [window: @hour, capacity: 10_000]}
    ]

    tables =
      for {module, name, options} <- tables do
        options = Keyword.merge(options, changes[name] || [])
        {module, [name: names[name], store: names.store] ++ options}
      end

    [{Store, name: names.store, dir: dir} | tables]
  end

  defp record(names, count) do
    now = System.system_time(:millisecond)

    for number <- 1..count do
      :ok = Counters.add(names.counters, {number, "us", :web}, :clicks, number)
      :ok = Counters.add(names.counters, {number, "us", :web}, :spend, -7)
      :ok = Reach.add(names.reach, "page", number)
      :ok = FrequencyCap.admit(names.caps, {:ad, 1}, number, [{2, @hour}, {2, :lifetime}], now)
      true = Dedupe.first?(names.dedupe, {:click, number}, now)
    end

    now
  end

  defp check(names, count, at) do
    assert Counters.info(names.counters).keys == count

    for number <- 1..count do
      expected = %{clicks: number, spend: -7}
      assert Counters.get(names.counters, {number, "us", :web}) == expected
      assert FrequencyCap.count(names.caps, {:ad, 1}, number, @hour, at) == 1
      assert FrequencyCap.count(names.caps, {:ad, 1}, number, :lifetime, at) == 1
      refute Dedupe.first?(names.dedupe, {:click, number}, at)
    end

    assert_in_delta Reach.estimate(names.reach, "page"), count, max(1, count / 20)
    refute Store.ready?(names.store, [Absent])
    assert Store.ready?(names.store)
  end

  test "after an orderly stop everything is there", %{names: names} = context do
    tree = start_tree(children(context))
    at = record(names, 500)
    reach = Reach.sketch(names.reach, "page")
    stop_tree(tree)
    start_tree(children(context))
    check(names, 500, at)
    assert Reach.sketch(names.reach, "page") == reach
  end

  test "after several stops everything is there, once", %{names: names} = context do
    for round <- 1..4 do
      tree = start_tree(children(context))

      assert Counters.get(names.counters, :rounds) ==
               if(round > 1, do: %{clicks: round - 1, spend: 0})

      :ok = Counters.add(names.counters, :rounds, :clicks)
      stop_tree(tree)
    end
  end

  test "a table whose process is killed goes on as it was", %{names: names} = context do
    start_tree(children(context), :one_for_one)
    at = record(names, 200)
    for name <- [:counters, :reach, :caps, :dedupe], do: kill(names[name])
    check(names, 200, at)
    # And it is the same one for the store.
    :ok = Counters.add(names.counters, 1_000, :clicks)
    assert Store.sync(names.store) == :ok
  end

  test "tables go on while the process of the store is killed", %{names: names} = context do
    start_tree(children(context), :one_for_one)
    at = record(names, 200)
    kill(names.store)
    check(names, 200, at)
    :ok = Counters.add(names.counters, 1_000, :clicks)
    assert Store.sync(names.store) == :ok
  end

  test "with :rest_for_one tables are started again after the store", %{names: names} = context do
    start_tree(children(context), :rest_for_one)
    at = record(names, 200)
    kill(names.store)
    AdTally.Test.Polling.await(fn -> Store.ready?(names.store) and runs?(names) end)
    check(names, 200, at)
  end

  defp runs?(names) do
    Enum.all?([:counters, :reach, :caps, :dedupe], &(:persistent_term.get(names[&1], nil) != nil))
  end

  test "after everything was killed at once everything is there", %{names: names} = context do
    tree = start_tree(children(context))
    at = record(names, 200)
    kill_tree(tree)
    start_tree(children(context))
    check(names, 200, at)
  end

  test "what was drained stays drained, and what was released stays released",
       %{names: names} = context do
    tree = start_tree(children(context))
    at = record(names, 10)
    assert length(Counters.drain(names.counters)) == 10
    assert [{"page", _sketch}] = Reach.drain(names.reach)
    for user <- 1..5, do: :ok = FrequencyCap.release(names.caps, {:ad, 1}, user, at)
    :ok = Counters.add(names.counters, :later, :clicks)
    stop_tree(tree)
    start_tree(children(context))
    assert Counters.to_list(names.counters) == [{:later, %{clicks: 1, spend: 0}}]
    assert Reach.to_list(names.reach) == []

    for user <- 1..10,
        do:
          assert(
            FrequencyCap.count(names.caps, {:ad, 1}, user, @hour, at) ==
              if(user > 5, do: 1, else: 0)
          )
  end

  test "budgets may change, and the seed stays", %{names: names} = context do
    tree = start_tree(children(context))
    at = record(names, 100)
    stop_tree(tree)

    start_tree(
      children(context,
        counters: [max_keys: 5_000],
        reach: [max_keys: 10],
        caps: [capacity: 5_000, max_capacity: 20_000],
        dedupe: [capacity: 50_000]
      )
    )

    check(names, 100, at)
  end

  for {name, change, words} <- [
        {:counters, [metrics: [:clicks]], ":metrics to be clicks, spend"},
        {:reach, [precision: 14], ":precision to be 12"},
        {:caps, [tiers: [{60_000, 86_400_000}]], ":tiers to be 300000:1209600000"},
        {:dedupe, [window: 60_000], ":window to be 3600000"}
      ] do
    test "#{name} that cannot go on are refused by what differs", %{names: names} = context do
      tree = start_tree(children(context))
      record(names, 1)
      stop_tree(tree)
      Process.flag(:trap_exit, true)
      [store | tables] = children(context, [{unquote(name), unquote(change)}])
      start_tree([store])
      module = names[unquote(name)]
      {start, options} = Enum.find(tables, fn {_module, options} -> options[:name] == module end)
      error = assert_raise ArgumentError, fn -> start.start_link(options) end
      assert error.message =~ "expected #{unquote(words)}"
      assert error.message =~ inspect(module)
      # As it was, it goes on.
      {^start, options} = Enum.find(children(context), &match?({^start, _}, &1))
      assert {:ok, _pid} = start.start_link(options)
    end
  end

  test "another seed is refused", %{names: names} = context do
    tree = start_tree(children(context, counters: [seed: 7]))
    stop_tree(tree)
    Process.flag(:trap_exit, true)
    [store | _tables] = children(context)
    start_tree([store])
    options = [name: names.counters, store: names.store, metrics: [:clicks, :spend]]

    assert {:error, {%AdTally.StoreError{reason: reason}, _stack}} =
             Counters.start_link(options ++ [seed: 8])

    assert reason =~ "seed"
    assert {:ok, pid} = Counters.start_link(options)
    GenServer.stop(pid)
    assert {:ok, _pid} = Counters.start_link(options ++ [seed: 7])
  end
end
