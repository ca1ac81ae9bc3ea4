defmodule AdTally.Native.Store.PartsTest do
  # Tables that are parts of a store: found again after a crash of their process, and loaded after one of the VM.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeStores

  alias AdTally.Native
  alias AdTally.Test.{FreshVM, NativeStores}

  defp add(counters, key \\ "k"), do: Native.counters_add(counters, key, :impressions)
  defp get(counters, key \\ "k"), do: Native.counters_get(counters, key, :impressions)

  # A process that owns a table, until it is told to crash.
  defp owned(table) do
    test = self()

    {owner, monitor} =
      spawn_monitor(fn ->
        :ok = Native.table_own(table, :owned_part)
        send(test, {:owned, self()})
        receive(do: (:crash -> exit(:crashed)))
      end)

    assert_receive {:owned, ^owner}
    {owner, monitor}
  end

  # How often something was counted before the table was left. Nobody is told that the store is busy.
  defp count_until_left(counters, count) do
    added =
      try do
        add(counters)
      rescue
        ArgumentError -> :left
      end

    case added do
      :ok -> count_until_left(counters, count + 1)
      :left -> count
    end
  end

  defp crash({owner, monitor}) do
    send(owner, :crash)
    assert_receive {:DOWN, ^monitor, :process, ^owner, :crashed}
  end

  defp counters_again(store, options \\ "options") do
    Native.counters_new_in({store, "counters", "config", options}, [:impressions], 1_000, nil)
  end

  describe "after a crash of the VM" do
    test "what was synced is there, and nothing else" do
      directory = directory()
      store = open(directory)
      counters = counters(store)
      for _ <- 1..3, do: add(counters)
      Native.counters_add(counters, {:campaign, 42}, :clicks, 7)
      assert sync(store) == :ok
      add(counters, "not synced")

      counters = counters(open(left_behind(directory)))
      assert get(counters) == 3
      assert Native.counters_get(counters, {:campaign, 42}) == %{impressions: 0, clicks: 7}
      assert Native.counters_get(counters, "not synced") == nil
      assert Native.counters_info(counters).keys == 2
    end

    test "sketches are the same" do
      directory = directory()
      store = open(directory)
      reach = reach(store)
      for user <- 1..5_000, do: Native.reach_add(reach, rem(user, 3), user)
      assert sync(store) == :ok
      again = reach(open(left_behind(directory)))

      for key <- 0..2,
          do: assert(Native.reach_sketch(again, key) == Native.reach_sketch(reach, key))
    end

    test "ids are known" do
      directory = directory()
      store = open(directory)
      dedupe = dedupe(store)
      at = 1_780_272_000_000
      for id <- 1..1_000, do: assert(Native.dedupe_first(dedupe, id, at))
      assert sync(store) == :ok
      again = dedupe(open(left_behind(directory)))
      for id <- 1..1_000, do: refute(Native.dedupe_first(again, id, at))
      assert Native.dedupe_first(again, "another", at)
    end

    test "caps are as far as they were" do
      directory = directory()
      store = open(directory)
      caps = caps(store)
      rules = Native.caps_rules([{3, {0, 3_600_000}}, {5, {2, 0}}])
      at = System.system_time(:millisecond)
      for _ <- 1..3, do: assert(Native.caps_admit(caps, "ad", "ann", rules, at) == :ok)
      assert Native.caps_release(caps, "ad", "ann", at) == :ok
      assert sync(store) == :ok

      again = caps(open(left_behind(directory)))
      assert Native.caps_count(again, "ad", "ann", {0, 3_600_000}, at) == 2
      assert Native.caps_count(again, "ad", "ann", {2, 0}, at) == 2
      assert Native.caps_admit(again, "ad", "ann", rules, at) == :ok
      assert Native.caps_admit(again, "ad", "ann", rules, at) == 0
    end

    test "atoms of keys are those that they were, also in a VM that does not have them" do
      directory = directory()
      atom = "only_in_another_vm_#{System.unique_integer([:positive])}"
      FreshVM.call(NativeStores, :write_atom, [directory, atom])
      # None of the tests has made it.
      assert_raise ArgumentError, fn -> String.to_existing_atom(atom) end
      counters = counters(open(directory))
      assert get(counters, {:campaign, String.to_existing_atom(atom)}) == 1
    end

    test "a store that has more atoms than the VM has room for is not opened" do
      directory = directory()
      atom = "without_room_#{System.unique_integer([:positive])}"
      FreshVM.call(NativeStores, :write_atom, [directory, atom])
      assert {:error, {_kind, text}} = Native.store_open(directory, atom_room: 0)
      assert text =~ atom
      assert text =~ "at most 0 are made"
      assert {:opened, store} = Native.store_open(directory, atom_room: 1)
      Native.store_stop(store)
    end
  end

  describe "after a crash of its process" do
    test "a table is found again as it was" do
      store = open(directory())
      assert {:ok, counters, %{state: :new, epoch: epoch}} = counters_again(store)
      owner = owned(counters)
      add(counters)
      crash(owner)
      assert_raise ArgumentError, fn -> add(counters) end

      assert {:ok, again, %{state: :live, epoch: ^epoch}} = counters_again(store)
      owned(again)
      assert get(again) == 1
      assert add(again) == :ok
      assert Native.table_load(again) == :ok
      assert get(again) == 2
    end

    test "with other options it is made anew, and what it had comes from disk" do
      store = open(directory())
      {:ok, counters, %{epoch: epoch}} = counters_again(store)
      add(counters)
      assert {:ok, again, %{state: :stored, epoch: ^epoch}} = counters_again(store, "others")
      assert Native.store_parts(store) == [{"counters", "counters", false}]
      assert Native.table_load(again) == :ok
      assert Native.store_parts(store) == [{"counters", "counters", true}]
      assert get(again) == 1
    end

    test "one whose process still runs is refused" do
      store = open(directory())
      {:ok, counters, _} = counters_again(store)
      owned(counters)
      assert {:error, {:running, text}} = counters_again(store)
      assert text =~ "another process has the counters counters"
    end

    test "one that was never loaded is made anew" do
      directory = directory()
      store = open(directory)
      {:ok, counters, _} = counters_again(store)
      add(counters)
      assert sync(store) == :ok
      store = open(left_behind(directory))
      assert {:ok, crashed, %{state: :stored}} = counters_again(store)
      assert {:ok, again, %{state: :stored}} = counters_again(store)
      assert {:error, {:running, _}} = Native.table_load(crashed)
      assert Native.table_load(again) == :ok
      assert get(again) == 1
    end
  end

  test "a table that was left in order is loaded by the next process" do
    store = open(directory())
    {:ok, counters, _} = counters_again(store)
    owned(counters)
    add(counters)
    assert Native.table_leave(counters) == :ok
    assert_raise ArgumentError, ~r/that runs/, fn -> add(counters) end
    assert {:ok, again, %{state: :stored}} = counters_again(store)
    assert Native.table_load(again) == :ok
    assert get(again) == 1
    # Loading it once more adds nothing.
    assert Native.table_load(again) == :ok
    assert get(again) == 1
  end

  test "what was acknowledged while a table was left is what the next process loads" do
    store = open(directory())

    for _ <- 1..40, reduce: 0 do
      before ->
        {:ok, counters, _} = counters_again(store)
        assert Native.table_load(counters) == :ok
        assert get(counters) == before
        {owner, _monitor} = owned(counters)
        callers = for _ <- 1..4, do: Task.async(fn -> count_until_left(counters, 0) end)
        Process.sleep(1)
        assert Native.table_leave(counters) == :ok
        Process.exit(owner, :kill)
        before + Enum.sum(Task.await_many(callers, :infinity))
    end
  end

  test "no table acknowledges what its store has no room for" do
    store = open(directory())
    at = 1_780_272_000_000
    {counters, reach, dedupe, caps} = {counters(store), reach(store), dedupe(store), caps(store)}
    rules = Native.caps_rules([{1, {0, 60_000}}])
    :ok = Native.caps_admit(caps, "ad", "ann", rules, at)
    :ok = Native.store_stop(store)

    assert add(counters) == :busy

    assert Native.counters_add_many(counters, [{"k", :clicks, 1}]) ==
             {[{"k", :clicks, 1}], {:busy, 0}}

    assert Native.counters_get(counters, "k") == nil
    assert Native.reach_add(reach, "k", 1) == :busy

    assert Native.reach_add_many(reach, [{"k", 1}, {"l", 2}]) ==
             {[{"k", 1}, {"l", 2}], {:busy, 0}}

    assert Native.reach_add_users(reach, "k", [1, 2]) == {[1, 2], {:busy, 0}}
    assert Native.reach_estimate(reach, "k") == 0.0

    for ask <- [
          fn -> Native.dedupe_first(dedupe, "id", at) end,
          fn -> Native.dedupe_first(dedupe, "id") end
        ] do
      error = assert_raise(AdTally.StoreError, ask)
      assert error.kind == :busy
      assert Exception.message(error) =~ "sync/1" and Exception.message(error) =~ ":buffer_bytes"
    end

    assert Native.caps_record(caps, "ad", "bob", at) == {:error, :busy}
    assert Native.caps_admit(caps, "ad", "bob", rules, at) == {:error, :busy}
    # A denial counts nothing.
    assert Native.caps_admit(caps, "ad", "ann", rules, at) == 0
  end

  test "tables that no store has are loaded and left like others" do
    counters = Native.counters_new([:impressions], 10, nil)
    assert Native.table_load(counters) == :ok
    assert add(counters) == :ok
    assert Native.table_leave(counters) == :ok
    assert_raise ArgumentError, fn -> add(counters) end
    assert_raise ArgumentError, ~r/that a store may have/, fn -> Native.table_load(make_ref()) end
  end

  test "a part has the seed that it was made with, and no other one" do
    directory = directory()
    store = open(directory)
    new = &Native.counters_new_in({&1, "seeded", "", ""}, [:impressions], 10, &2)
    assert {:ok, _, %{state: :new, epoch: epoch}} = new.(store, 7)
    assert Native.store_part(store, "seeded", "counters") == {7, epoch, [""]}
    assert Native.store_part(store, "seeded", "reach") == nil
    assert Native.store_part(store, "another", "counters") == nil
    Native.store_stop(store)

    store = open(directory)
    assert {:error, {:config, text}} = new.(store, 8)
    assert text =~ "another seed"
    assert {:ok, _, %{state: :stored}} = new.(store, nil)

    assert {:error, {:config, text}} =
             Native.reach_new_in({store, "seeded", "", ""}, 12, 10, nil, nil)

    assert text =~ "is a counters in this store"
  end

  test "configurations of a part are remembered in their order" do
    directory = directory()
    store = open(directory)

    for config <- ["one", "two", "one"] do
      {:ok, _, _} = Native.counters_new_in({store, "c", config, config}, [:impressions], 10, nil)
    end

    Native.store_stop(store)
    assert {_seed, _epoch, ["one", "two"]} = Native.store_part(open(directory), "c", "counters")
  end
end
