defmodule AdTally.StoreTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import AdTally.Test.Stores

  alias AdTally.{Counters, Dedupe, FrequencyCap, Store, StoreError}
  alias AdTally.Test.FreshVM

  doctest Store

  @moduletag :capture_log

  setup context do
    {:ok, dir: dir(), names: names(context)}
  end

  defp store(%{names: names, dir: dir}, options \\ []),
    do: {Store, Keyword.merge([name: names.store, dir: dir], options)}

  defp counters(names),
    do: {Counters, name: names.counters, store: names.store, metrics: [:clicks]}

  test "the directory is made, and only the store's files are in it", %{dir: dir} = context do
    context = %{context | dir: Path.join(dir, "a/b")}
    tree = start_tree([store(context), counters(context.names)])
    Counters.add(context.names.counters, 1, :clicks)
    assert Store.sync(context.names.store) == :ok
    stop_tree(tree)
    assert files = File.ls!(context.dir)
    assert "MANIFEST" in files

    assert Enum.all?(
             files,
             &(&1 in ["LOCK", "MANIFEST"] or &1 =~ ~r/\A(journal|run)-[0-9a-z]+\z/)
           )
  end

  test "a second store on a directory is refused, in this VM and in another one", context do
    start_tree([store(context)])
    Process.flag(:trap_exit, true)
    other = [name: Module.concat(context.names.store, Other), dir: context.dir]
    assert {:error, {%StoreError{kind: :locked, reason: reason}, []}} = Store.start_link(other)
    assert reason =~ context.dir

    assert {:error, {%{kind: :locked, reason: reason}, []}} =
             FreshVM.call(AdTally.Test.Stores, :start_store, [other])

    assert reason =~ context.dir
    # The first one has noticed nothing.
    assert Store.sync(context.names.store) == :ok
  end

  test "a directory that cannot be made is an error that says so", context do
    File.write!(context.dir, "a file")
    Process.flag(:trap_exit, true)
    options = [name: context.names.store, dir: Path.join(context.dir, "store")]
    assert {:error, {%StoreError{kind: :io} = error, []}} = Store.start_link(options)
    assert Exception.message(error) =~ context.dir
  end

  test "once it has stopped another one has the directory", context do
    for _ <- 1..3 do
      tree = start_tree([store(context)])
      stop_tree(tree)
    end

    tree = start_tree([store(context)])
    assert Store.info(context.names.store).opened == 4
    stop_tree(tree)
  end

  describe "sync/2" do
    test "is :ok at once where nothing was recorded", context do
      start_tree([store(context)])
      for _ <- 1..100, do: assert(Store.sync(context.names.store) == :ok)
    end

    test "shares the disk's work among all that wait", %{names: names} = context do
      start_tree([store(context), counters(names)])
      written = Store.info(names.store).intervals

      1..16
      |> Enum.map(fn process ->
        Task.async(fn ->
          for _ <- 1..20 do
            Counters.add(names.counters, process, :clicks)
            assert Store.sync(names.store) == :ok
          end
        end)
      end)
      |> Task.await_many(:infinity)

      info = Store.info(names.store)
      assert info.syncs >= 320
      # Each one by itself would have been as many.
      assert info.intervals - written < 320
      assert info.lag_bytes == 0
      for process <- 1..16, do: assert(Counters.get(names.counters, process) == %{clicks: 20})
    end

    test "with a timeout leaves no message behind", %{names: names} = context do
      start_tree([store(context), counters(names)])

      answers =
        for number <- 1..200 do
          Counters.add(names.counters, number, :clicks)
          Store.sync(names.store, 0)
        end

      assert Enum.all?(answers, &(&1 in [:ok, {:error, :timeout}]))
      assert {:error, :timeout} in answers
      assert Store.sync(names.store) == :ok
      refute_receive _any, 100
    end
  end

  test "it is ready once all that is stored is read", %{names: names} = context do
    children = [
      store(context),
      counters(names),
      {Dedupe, name: names.dedupe, store: names.store, capacity: 1_000}
    ]

    tree = start_tree(children)
    assert Store.ready?(names.store)
    stop_tree(tree)
    refute Store.ready?(names.store)

    # One after the other, as they are started.
    [store, counters, dedupe] = children
    tree = start_tree([store])
    refute Store.ready?(names.store)
    {:ok, _pid} = Supervisor.start_child(tree, counters)
    refute Store.ready?(names.store)
    assert Store.ready?(names.store, [names.counters])
    refute Store.ready?(names.store, [names.counters, names.dedupe])
    {:ok, _pid} = Supervisor.start_child(tree, dedupe)
    assert Store.ready?(names.store)
    assert Store.ready?(names.store, [names.counters, names.dedupe])
    refute Store.ready?(names.store, [Absent])
  end

  test "info/1 tells of what is kept", %{names: names} = context do
    start_tree([store(context), counters(names)])
    Counters.add(names.counters, 1, :clicks)
    assert Store.sync(names.store) == :ok
    info = Store.info(names.store)

    assert %{lag_ms: 0, lag_bytes: 0, busy: 0, errors: 0, error: nil, torn_bytes: 0, opened: 1} =
             info

    assert info.records >= 1 and info.intervals >= 1 and info.written_bytes > 0
    assert info.segment_bytes > 0 and info.files >= 2
    assert [%{kind: "counters", attached?: true, name: name}] = info.parts
    assert name == Atom.to_string(names.counters)
  end

  test "what was recorded is on disk after an interval, without a sync",
       %{names: names} = context do
    start_tree([store(context, interval: 20), counters(names)])
    Counters.add(names.counters, 1, :clicks)

    await(fn ->
      match?(%{lag_bytes: 0, records: records} when records > 0, Store.info(names.store))
    end)
  end

  test "telemetry tells of commits, of its state, and of parts that were read", context do
    %{names: names} = context
    test = self()

    handler = fn [:ad_tally, :store, what], measured, metadata, _config ->
      if metadata.store == names.store,
        do: send(test, {what, measured, Map.delete(metadata, :store)})
    end

    events = for what <- [:committed, :state, :loaded], do: [:ad_tally, :store, what]
    :ok = :telemetry.attach_many(names.store, events, handler, nil)
    on_exit(fn -> :telemetry.detach(names.store) end)

    tree = start_tree([store(context, telemetry_interval: 20), counters(names)])
    Counters.add(names.counters, 1, :clicks)
    assert Store.sync(names.store) == :ok
    assert_receive {:committed, %{commits: 1, records: 1} = measured, %{}}
    assert measured.bytes > 0 and measured.duration > 0 and measured.longest == measured.duration

    assert_receive {:state, %{lag: 0, waiting_bytes: 0, busy: 0, disk_bytes: bytes}, %{}}
                   when bytes > 0

    stop_tree(tree)
    start_tree([store(context), counters(names)])
    assert_receive {:loaded, %{entries: entries, bytes: bytes, duration: _}, %{part: part}}
    assert part == names.counters
    assert entries > 0 and bytes > 0
  end

  test "a message that was sent by mistake does not end it", %{names: names} = context do
    start_tree([store(context)])
    pid = Process.whereis(names.store)
    GenServer.cast(pid, :mistake)
    send(pid, :mistake)
    send(pid, {:ad_tally_store, :of_a_later_version, %{}})
    assert GenServer.call(pid, :mistake) == {:error, :unknown_call}
    assert Process.alive?(pid)
  end

  describe "while the disk refuses" do
    # The directory is moved away: what is open goes on, and no other file can be made.
    test "sync/2 returns errors, then calls are busy, and everything is there once it takes it again",
         %{names: names, dir: dir} = context do
      options = [buffer_bytes: 1_048_576, segment_bytes: 1_048_576, interval: 10]
      caps = {FrequencyCap, name: names.caps, store: names.store, capacity: 1_000}
      ids = {Dedupe, name: names.dedupe, store: names.store, capacity: 1_000}
      start_tree([store(context, options), counters(names), caps, ids])
      assert Dedupe.first?(names.dedupe, "counted")
      File.rename!(dir, dir <> "_away")
      on_exit(fn -> File.rm_rf!(dir <> "_away") end)

      added = add_until_busy(names, 0, 0)
      assert {:error, reason} = Store.sync(names.store)
      assert reason =~ "journal-"
      info = Store.info(names.store)
      assert info.busy > 0 and info.errors > 0 and info.lag_bytes > 0
      assert is_binary(info.error)
      # Nothing of it was counted.
      assert Counters.add(names.counters, :other, :clicks) == :busy
      assert Counters.get(names.counters, :other) == nil
      assert FrequencyCap.admit(names.caps, :ad, 1, [{1, 3_600_000}]) == {:error, :busy}

      assert FrequencyCap.count(names.caps, :ad, 1, 3_600_000, System.system_time(:millisecond)) ==
               0

      # True or false, or neither, whatever was asked before.
      for id <- ["counted", "new"] do
        error = assert_raise StoreError, fn -> Dedupe.first?(names.dedupe, id) end
        assert error.kind == :busy
      end

      File.rename!(dir <> "_away", dir)
      await(fn -> Store.sync(names.store) == :ok end)
      assert %{error: nil, lag_bytes: 0} = Store.info(names.store)
      assert Counters.add(names.counters, :other, :clicks) == :ok
      assert for(id <- ["counted", "new"], do: Dedupe.first?(names.dedupe, id)) == [false, true]

      assert Enum.sum(
               for {key, %{clicks: n}} <- Counters.to_list(names.counters), is_integer(key), do: n
             ) == added
    end

    # Until it stays so: the first ones that wait are written in a more compact form, which makes room.
    defp add_until_busy(_names, number, 100), do: number

    defp add_until_busy(names, number, busy) do
      case Counters.add(names.counters, rem(number, 100_000), :clicks) do
        :ok ->
          add_until_busy(names, number + 1, 0)

        :busy ->
          Process.sleep(5)
          add_until_busy(names, number, busy + 1)
      end
    end
  end
end
