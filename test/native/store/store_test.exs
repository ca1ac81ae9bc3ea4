defmodule AdTally.Native.StoreTest do
  use ExUnit.Case, async: true

  import AdTally.Test.NativeStores

  alias AdTally.Native
  alias AdTally.Test.{FreshVM, NativeStores}

  test "the store of a new directory is empty" do
    store = open(directory())
    assert Native.store_parts(store) == []
    assert %{opened: 1, lag_bytes: 0, busy: 0, errors: 0, error: nil} = Native.store_info(store)
    assert sync(store) == :ok
  end

  test "a sync is answered by a message with the caller's reference" do
    store = open(directory())
    counters = counters(store)
    Native.counters_add(counters, "k", :impressions)
    assert Native.store_info(store).lag_bytes > 0
    reference = make_ref()
    assert is_reference(Native.store_sync(store, reference))
    assert_receive {^reference, :ok}
    assert %{lag_bytes: 0, records: 1, intervals: 1, syncs: 1} = Native.store_info(store)
  end

  test "nobody is told who does not wait any more" do
    store = open(directory())

    for _ <- 1..1_000 do
      reference = make_ref()
      waiting = Native.store_sync(store, reference)

      if Native.store_sync_cancel(waiting),
        do: refute_received({^reference, _}),
        else: assert_receive({^reference, :ok})

      refute Native.store_sync_cancel(waiting)
    end

    assert sync(store) == :ok
    refute_received {_reference, :ok}
  end

  test "whoever has opened it is told of what is made durable" do
    store = open(directory())
    Native.counters_add(counters(store), "k", :impressions)
    assert sync(store) == :ok
    assert_receive {:ad_tally_store, :commit, commit}
    assert %{records: 1, entries: entries, bytes: bytes, duration_us: _} = commit
    assert entries > 0 and bytes > 0
  end

  test "a directory that is open is not opened twice, but found again with its parts" do
    directory = directory()
    store = open(directory)
    counters = counters(store)
    Native.counters_add(counters, "k", :impressions)

    assert {:live, again} = Native.store_open(directory, [])
    # A name that leads to the same directory is the same store.
    assert {:live, _} = Native.store_open(directory <> "/../" <> Path.basename(directory), [])
    assert Native.store_parts(again) == [{"counters", "counters", true}]
    assert Native.counters_get(counters(again), "k", :impressions) == 1
    assert sync(again) == :ok
  end

  test "a directory is found again by the next process, and not by another one meanwhile" do
    directory = directory()
    test = self()

    {first, monitor} =
      spawn_monitor(fn ->
        send(test, Native.store_open(directory, []))
        receive(do: (:end -> :ok))
      end)

    assert_receive {:opened, store}
    on_exit(fn -> Native.store_stop(store) end)
    assert {:error, {:locked, text}} = Native.store_open(directory, [])
    assert text =~ "by another process of this VM"
    send(first, :end)
    assert_receive {:DOWN, ^monitor, :process, ^first, :normal}
    assert {:live, store} = Native.store_open(directory, [])
    Native.counters_add(counters(store), "k", :impressions)
    assert sync(store) == :ok
    # It is told now.
    assert_receive {:ad_tally_store, :commit, _}
  end

  test "a directory that another VM has open is refused" do
    directory = directory()
    store = open(directory)
    assert {:error, {:locked, text}} = FreshVM.call(Native, :store_open, [directory, []])
    assert text =~ "open already, by process #{System.pid()}"
    assert Native.store_stop(store) == :ok
    assert FreshVM.call(NativeStores, :open_and_stop, [directory]) == :opened
  end

  test "after it is stopped nothing is acknowledged, and the directory can be opened" do
    directory = directory()
    store = open(directory)
    counters = counters(store)
    assert Native.counters_add(counters, "k", :impressions) == :ok
    assert Native.store_stop(store) == :ok
    assert Native.counters_add(counters, "k", :impressions) == :busy
    assert {:error, "the store is stopped"} = sync(store)
    assert {:error, {:stopped, "the store is stopped"}} = Native.store_stop(store)

    store = open(directory)
    assert Native.store_info(store).opened == 2
    assert Native.counters_get(counters(store), "k", :impressions) == 1
  end

  test "what was recorded while a store is stopped is there after a start, or was refused" do
    directory = directory()
    store = open(directory)
    counters = counters(store)

    adding = for _ <- 1..4, do: Task.async(fn -> add_until_busy(counters, 0) end)

    Process.sleep(20)
    assert Native.store_stop(store) == :ok
    added = adding |> Task.await_many(:infinity) |> Enum.sum()
    assert added > 0
    assert Native.counters_get(counters(open(directory)), "k", :impressions) == added
  end

  defp add_until_busy(counters, added) do
    case Native.counters_add(counters, "k", :impressions) do
      :ok -> add_until_busy(counters, added + 1)
      :busy -> added
    end
  end

  test "where the buffers are full nothing is counted until they are written" do
    store = open(directory(), buffer_bytes: 1_000_000, wake_bytes: 1_000_000_000)
    counters = counters(store)
    added = add_until_busy(counters, 0)
    assert Native.counters_get(counters, "k", :impressions) == added
    assert Native.store_info(store).busy > 0
    assert sync(store) == :ok
    assert Native.counters_add(counters, "k", :impressions) == :ok
    assert Native.counters_get(counters, "k", :impressions) == added + 1
  end

  test "whoever has opened it is told how far a load is" do
    directory = directory()
    store = open(directory)
    counters = counters(store, "counters", 100_000)
    for key <- 1..100_000, do: :ok = Native.counters_add(counters, key, :impressions)
    assert Native.store_stop(store) == :ok
    counters = counters(open(directory), "counters", 100_000)
    assert Native.counters_info(counters).keys == 100_000

    told = told_of_loading([])
    assert length(told) in 1..10
    assert told == Enum.sort(told)
    assert_receive {:ad_tally_store, :loaded, %{part: "counters", entries: entries}}
    assert entries >= 100_000
  end

  # Until all is done.
  defp told_of_loading(told) do
    assert_receive {:ad_tally_store, :loading, %{part: "counters", done: done, total: total}}

    if done < total, do: told_of_loading(told ++ [done]), else: told ++ [done]
  end

  test "a store is looked through and copied while it is open" do
    directory = directory()
    store = open(directory)
    counters = counters(store)
    for key <- 1..10, do: Native.counters_add(counters, key, :impressions)
    assert sync(store) == :ok

    assert {:ok, report} = Native.store_inspect(directory)
    assert %{opened: 1, torn_bytes: 0, damages: [], start_ms: 0} = report

    assert %{kind: "counters", configs: 1, entries: entries, bytes: bytes} =
             Enum.find(report.parts, &(&1.name == "counters"))

    assert {"rows", 10} in entries
    assert bytes > 0
    assert [%{name: "journal-" <> _, base?: false, frames: frames, part: nil}] = report.files
    assert frames > 0

    copy = directory()
    assert {:ok, %{files: 1, bytes: copied}} = Native.store_backup(directory, copy)
    assert copied > bytes
    counters = counters(open(copy))
    for key <- 1..10, do: assert(Native.counters_get(counters, key, :impressions) == 1)

    assert {:error, {:io, text}} = Native.store_backup(directory, copy)
    assert text =~ "give an empty directory"
    assert {:error, {:io, text}} = Native.store_inspect(directory())
    assert text =~ "No such file"
  end

  test "a folder that cannot be made is an error that says so" do
    file = directory()
    File.write!(file, "")
    assert {:error, {:io, text}} = Native.store_open(Path.join(file, "store"), [])
    assert text =~ "create"
    assert text =~ file
  end

  test "unknown options are refused" do
    assert_raise ArgumentError, ~r/option of a store, got: :intervall/, fn ->
      Native.store_open(directory(), intervall: 5)
    end
  end

  test "a store belongs to a process like a table" do
    store = open(directory())
    test = self()

    {owner, monitor} =
      spawn_monitor(fn ->
        :ok = Native.table_own(store, :its_name)
        send(test, :owned)
        receive(do: (:end -> :ok))
      end)

    assert_receive :owned
    assert sync(store) == :ok
    send(owner, :end)
    assert_receive {:DOWN, ^monitor, :process, ^owner, :normal}

    for call <- [
          &Native.store_sync(&1, make_ref()),
          &Native.store_info/1,
          &Native.store_parts/1,
          &Native.store_part(&1, "counters", "counters")
        ] do
      assert_raise ArgumentError, ~r/AdTally.Store named :its_name/, fn -> call.(store) end
    end
  end
end
