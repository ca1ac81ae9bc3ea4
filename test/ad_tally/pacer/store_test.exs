defmodule AdTally.Pacer.StoreTest do
  # A pacer in a store: what is there after every kind of end, and never more than the budget.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import AdTally.Test.Stores

  alias AdTally.{Admission, Counters, FrequencyCap, Named, Pacer, Store}
  alias AdTally.Test.PacerKills

  require Named

  @moduletag :capture_log

  @begin 1_780_272_000_000
  @hour 3_600_000

  setup context do
    names = names(context)
    pacer = Module.concat(context.module, "Pacer#{context.line}")
    {:ok, dir: dir(), names: names, pacer: pacer}
  end

  defp children(%{names: names, dir: dir, pacer: pacer}, changes \\ []) do
    [
      {Store, name: names.store, dir: dir},
      {FrequencyCap,
       name: names.caps, store: names.store, capacity: 1_000, max_ahead: 100 * 365 * 24 * @hour},
      {Pacer, [name: pacer, store: names.store, clock: :manual] ++ changes}
    ]
  end

  defp start(context, changes \\ []) do
    tree = start_tree(children(context, changes))
    tick(context.pacer, @begin)
    tree
  end

  # A manual clock does not go back, also over a restart.
  defp tick(pacer, at), do: :ok = Pacer.tick(pacer, at)

  # Of a budget that has a store a node leases some at a time, so a large amount takes several rounds.
  defp reserve!(pacer, request, amount, options \\ []) do
    Enum.find_value(1..30, fn _round ->
      case Pacer.reserve(pacer, 42, request, amount, @begin, options) do
        {:ok, reservation} ->
          reservation

        :no_budget ->
          tick(pacer, @begin)
          nil
      end
    end)
  end

  defp sums(pacer, campaign \\ 42) do
    status = Pacer.status(pacer, campaign)
    {status.spent_micros, status.reserved_micros, status.presumed_micros, status.overspent_micros}
  end

  test "to put a plan again, or to look at it, takes no lease away", %{pacer: pacer} = context do
    start(context)
    plan = [budget_micros: 1_000_000_000, price_micros: 1_000]
    :ok = Pacer.put(pacer, 42, plan)

    # It uses some hundred prices a second, and has a lease for that.
    for second <- 1..20 do
      for n <- 1..200, {:ok, held} <- [Pacer.reserve(pacer, 42, {second, n}, 1_000, @begin)] do
        :ok = Pacer.confirm(pacer, held, 1_000, @begin)
      end

      tick(pacer, @begin + second * 1_000)
    end

    leased = Pacer.status(pacer, 42).leased_micros
    assert leased > 100_000
    for _ <- 1..10, do: assert(Pacer.status(pacer, 42).leased_micros == leased)
    :ok = Pacer.put(pacer, 42, plan)
    assert Pacer.status(pacer, 42).leased_micros >= leased
    :ok = Pacer.put(pacer, 42, Keyword.put(plan, :budget_micros, 900_000_000))
    assert Pacer.status(pacer, 42).leased_micros >= leased
  end

  test "after an orderly stop all is as it was, and nothing is presumed",
       %{pacer: pacer} = context do
    tree = start(context)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    spent = reserve!(pacer, 1, 3_000)
    held = reserve!(pacer, 2, 2_000, ttl: @hour)
    released = reserve!(pacer, 3, 1_000)
    :ok = Pacer.confirm(pacer, spent, 2_500, @begin)
    :ok = Pacer.release(pacer, released)
    stop_tree(tree)

    start(context)
    assert sums(pacer) == {2_500, 2_000, 0, 0}
    assert Pacer.reserve(pacer, 42, 2, 2_000, @begin) == {:ok, held}
    assert Pacer.confirm(pacer, spent, 2_500, @begin) == {:error, :duplicate}
    assert Pacer.release(pacer, released) == :ok
    assert Pacer.confirm(pacer, held, 2_000, @begin) == :ok
    assert reserve!(pacer, 4, 5_500)
    assert Pacer.reserve(pacer, 42, 5, 1, @begin) == :no_budget
    assert sums(pacer) == {4_500, 5_500, 0, 0}
  end

  test "plans, rates and periods are there again", %{pacer: pacer} = context do
    tree = start(context)
    day = [budget_micros: 1_000_000_000, period: {:daily, "Europe/Berlin"}, price_micros: 1_000]
    :ok = Pacer.put(pacer, :day, day)
    :ok = Pacer.put(pacer, {:gone, 1}, budget_micros: 5)
    :ok = Pacer.delete(pacer, {:gone, 1})
    for minute <- 1..5, do: tick(pacer, @begin + 60_000 * minute)
    before = Pacer.status(pacer, :day)
    stop_tree(tree)
    start_tree(children(context))
    tick(pacer, @begin + 300_000)
    again = Pacer.status(pacer, :day)

    assert Map.take(again, [:from, :to, :budget_micros]) ==
             Map.take(before, [:from, :to, :budget_micros])

    assert_in_delta again.pass, before.pass, before.pass
    assert Pacer.status(pacer, {:gone, 1}) == {:error, :unknown}
    assert Pacer.reserve(pacer, {:gone, 1}, 1, 1, @begin + 300_000) == :unknown
  end

  test "a pacer whose process is killed goes on as it was",
       %{pacer: pacer, names: names} = context do
    start(context)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    held = reserve!(pacer, 1, 4_000)
    kill(pacer)
    tick(pacer, @begin)
    assert sums(pacer) == {0, 4_000, 0, 0}
    assert Pacer.confirm(pacer, held, 4_000, @begin) == :ok
    assert reserve!(pacer, 2, 6_000)
    assert Pacer.reserve(pacer, 42, 3, 1, @begin) == :no_budget
    assert Store.sync(names.store) == :ok
    assert sums(pacer) == {4_000, 6_000, 0, 0}
  end

  test "a pacer goes on while the process of the store is killed",
       %{pacer: pacer, names: names} = context do
    start_tree(children(context), :one_for_one)
    tick(pacer, @begin)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    kill(names.store)
    held = reserve!(pacer, 1, 10_000)
    :ok = Pacer.release(pacer, held)
    tick(pacer, @begin + 1)
    tick(pacer, @begin + 2)
    assert reserve!(pacer, 2, 10_000)
  end

  test "a pacer that could not be left while the disk refused is no orderly stop for a crash after that",
       %{pacer: pacer, names: names, dir: dir} = context do
    [store, _caps, paced] = children(context)
    options = [interval: 60_000, segment_bytes: 1_048_576]
    counters = {Counters, name: names.counters, store: names.store, metrics: [:n], max_keys: 100}
    tree = start_tree([put_elem(store, 1, elem(store, 1) ++ options), counters, paced])
    tick(pacer, @begin)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    _held = reserve!(pacer, 1, 1_000)
    # As much as fills a file: what is written next goes to one that cannot be made.
    for i <- 1..20,
        do: :ok = Counters.add(names.counters, {i, String.duplicate("k", 65_000)}, :n)

    :ok = Store.sync(names.store)
    File.rename!(dir, dir <> "_away")
    _lost = reserve!(pacer, 2, 1_000)
    [{id, _pid, _type, _modules} | _others] = Supervisor.which_children(tree)
    :ok = Supervisor.terminate_child(tree, id)
    File.rename!(dir <> "_away", dir)
    await(fn -> Store.sync(names.store) == :ok end)
    {:ok, _again} = Supervisor.restart_child(tree, id)
    tick(pacer, @begin)
    spent = reserve!(pacer, 3, 3_000)
    :ok = Pacer.confirm(pacer, spent, 3_000, @begin)

    # What a crash leaves by now.
    crashed = dir <> "_crashed"
    {:ok, _report} = Store.backup(dir, crashed)
    on_exit(fn -> File.rm_rf!(crashed) end)
    stop_tree(tree)
    start(%{context | dir: crashed})
    {spent, reserved, presumed, _overspent} = sums(pacer)
    assert spent + reserved + presumed >= 5_000
    assert presumed >= 3_000
  end

  test "money that was given back is free once that is on disk", %{pacer: pacer} = context do
    start(context)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    held = reserve!(pacer, 1, 10_000)
    :ok = Pacer.release(pacer, held)
    tick(pacer, @begin)
    assert reserve!(pacer, 2, 10_000)
  end

  test "caps and budgets of one store agree after a stop",
       %{pacer: pacer, names: names} = context do
    tree = start(context)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    parts = {names.caps, pacer}
    rules = [{1, @hour}]
    {:ok, held} = Admission.admit(parts, 42, "ann", rules, "r-1", 1_000, @begin)
    {:ok, released} = Admission.admit(parts, 42, "bob", rules, "r-2", 1_000, @begin)
    :ok = Admission.release(parts, released)
    stop_tree(tree)
    start(context)
    assert Admission.admit(parts, 42, "ann", rules, "r-1", 1_000, @begin) == {:ok, held}
    assert Admission.admit(parts, 42, "ann", rules, "r-3", 1_000, @begin) == {:capped, {1, @hour}}
    assert {:ok, _} = Admission.admit(parts, 42, "bob", rules, "r-4", 1_000, @begin)
    # A release that is repeated takes nothing back.
    assert Admission.release(parts, released) == :ok
    assert FrequencyCap.count(names.caps, 42, "bob", @hour, @begin) == 1
  end

  test "what it cannot go on with is refused", %{pacer: pacer, names: names} = context do
    tree = start(context, seed: 7)
    stop_tree(tree)
    start_tree([hd(children(context))])

    assert_raise ArgumentError,
                 ~r/expected :nodes to be this, as AdTally.Pacer .* has it in its store/,
                 fn ->
                   # It has no name, so any list is refused; the text of the shape is checked by itself.
                   AdTally.Store.Part.new!(
                     names.store,
                     {Pacer, pacer},
                     [nodes: [:a@b]],
                     [{:nodes, :same, ":nodes"}],
                     []
                   )
                 end

    Process.flag(:trap_exit, true)

    assert {:error, {%AdTally.StoreError{}, _stack}} =
             Pacer.start_link(name: pacer, store: names.store, seed: 8)
  end

  # A few here, and hundreds by bin/soak.
  @kills 6

  test "a VM that is killed again and again never spends a micro too much", %{dir: dir} do
    budget = 3_000_000

    {sum, _last} =
      Enum.reduce(1..@kills, {0, 0}, fn _round, {sum, before} ->
        vm = PacerKills.start(dir, budget)
        assert ["ready" | amounts] = PacerKills.line(vm, 30_000)
        [spent, reserved, leased, presumed] = Enum.map(amounts, &String.to_integer/1)
        # What was confirmed before is booked or presumed.
        assert spent + leased + reserved >= sum
        assert spent + reserved + leased <= budget
        assert spent >= before or presumed > 0
        sum = sum + run(vm, System.monotonic_time(:millisecond) + 100 + :rand.uniform(600))
        assert sum <= budget
        {sum, spent}
      end)

    assert sum > 0
    vm = PacerKills.start(dir, budget)
    assert ["ready" | _] = PacerKills.line(vm, 30_000)
    sum = sum + run(vm, System.monotonic_time(:millisecond) + 5_000)
    assert sum <= budget
  end

  # What it has spent until it is killed at a time.
  defp run(vm, until) do
    sum = run(vm, until, 0)
    Enum.reduce(PacerKills.kill(vm), sum, &(&2 + micros(&1)))
  end

  defp run(vm, until, sum) do
    case PacerKills.line(vm, max(until - System.monotonic_time(:millisecond), 0)) do
      :timeout -> sum
      line -> run(vm, until, sum + micros(line))
    end
  end

  defp micros(["spent", micros]), do: String.to_integer(micros)

  test "a table that its process has left is not used any more", %{pacer: pacer} = context do
    tree = start(context)
    :ok = Pacer.put(pacer, 42, budget_micros: 10_000)
    native = Named.fetch!(Pacer, pacer)
    stop_tree(tree)
    await(fn -> Process.whereis(pacer) == nil end)

    assert_raise ArgumentError, ~r/there is no AdTally.Pacer named .* that runs/, fn ->
      AdTally.Native.pacer_reserve(native, 42, 1, 1, @begin, 1_000)
    end
  end
end
