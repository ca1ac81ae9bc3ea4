defmodule AdTally.Store.WindowsTest do
  # Meters in a store: windows, ids and sinks over every kind of end.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import AdTally.Test.Stores

  alias AdTally.{Event, Meter, Native, Sink, Store, Window}
  alias AdTally.Test.LogLines

  @moduletag :capture_log

  @at 1_780_272_000_000
  @minute 60_000

  defmodule Telling do
    @moduledoc false
    @behaviour AdTally.Sink

    # A sink that answers as the test says: it may hang, refuse, or tell the test.
    @impl true
    def deliver(window, to: pid, answer: answer) do
      rows = window |> Window.counters() |> Enum.sort()
      send(pid, {:attempt, window, rows})

      with :ok <- answer.(window) do
        send(pid, {:window, window, rows})
        :ok
      end
    end
  end

  setup context do
    {:ok, dir: dir(), names: names(context)}
  end

  defp children(context, options \\ []), do: [store(context), meter(context, options)]
  defp store(%{names: names, dir: dir}), do: {Store, name: names.store, dir: dir}

  defp meter(%{names: names}, options) do
    {answer, options} = Keyword.pop(options, :answer, fn _window -> :ok end)

    defaults = [
      name: names.meter,
      store: names.store,
      dimensions: [:page],
      metrics: [:views],
      clock: :events,
      window: @minute,
      lateness: 0,
      reach: [by: [:page]],
      dedupe: [window: 100 * @minute, capacity: 10_000],
      sinks: [{Telling, to: self(), answer: answer}]
    ]

    {Meter, Keyword.merge(defaults, options)}
  end

  defp event(id, minute, page \\ "home") do
    %Event{
      id: id,
      user: :erlang.phash2(id),
      at: @at + minute * @minute,
      dimensions: {page},
      metrics: [views: 1]
    }
  end

  defp record(name, ids, minute),
    do: for(id <- ids, do: :ok = Meter.record(name, event(id, minute)))

  defp assert_window(rows) do
    assert_receive {:window, window, ^rows}
    window
  end

  describe "windows that are open stay open" do
    for {how, ends} <- [
          {"an orderly stop", :stop_tree},
          {"a kill of everything at once", :kill_tree}
        ] do
      test "over #{how}, with ids and users", %{names: names} = context do
        tree = start_tree(children(context))
        record(names.meter, 1..100, 0)
        apply(AdTally.Test.Stores, unquote(ends), [tree])
        refute_received {:attempt, _window, _rows}

        start_tree(children(context))
        for id <- 1..100, do: assert(Meter.record(names.meter, event(id, 0)) == :duplicate)
        record(names.meter, 101..150, 0)
        assert [%{page: "home", views: 150, reach: reach}] = Meter.report(names.meter)
        assert_in_delta reach, 150, 5
        record(names.meter, [1_000], 1)
        window = assert_window([{{"home"}, %{views: 150}}])
        assert {window.start, window.sequence, window.partial} == {@at, 1, false}
      end
    end

    for {how, ends} <- [
          {"an orderly stop", :stop_tree},
          {"a kill of everything at once", :kill_tree}
        ],
        clock <- [:events, :system] do
      test "but for those that close/2 has closed, over #{how}, by clock: #{inspect(clock)}",
           %{names: names} = context do
        options = [clock: unquote(clock), lateness: 10 * @minute]
        children = children(context, options)
        now = System.system_time(:millisecond)
        now = now - rem(now, @minute)
        next = now + @minute
        event = fn id, at -> %{event(id, 0) | at: at} end

        tree = start_tree(children)
        :ok = Meter.record(names.meter, event.(1, now))
        :ok = Meter.close(names.meter)
        assert_window([{{"home"}, %{views: 1}}])
        assert Meter.record(names.meter, event.(2, now)) == :late
        apply(AdTally.Test.Stores, unquote(ends), [tree])

        start_tree(children)
        assert Meter.record(names.meter, event.(3, now)) == :late
        assert Meter.record(names.meter, event.(4, now - @minute)) == :late
        assert Meter.record(names.meter, event.(5, next)) == :ok
        :ok = Meter.close(names.meter)
        assert_receive {:window, %{start: ^next}, [{{"home"}, %{views: 1}}]}
      end
    end

    test "when the meter's process is killed", %{names: names} = context do
      start_tree(children(context))
      record(names.meter, 1..10, 0)
      kill(names.meter)
      assert Meter.record(names.meter, event(1, 0)) == :duplicate
      record(names.meter, 11..20, 0)
      assert [%{views: 20}] = Meter.report(names.meter)
      refute_received {:attempt, _window, _rows}
    end

    test "when the store's process is killed", %{names: names} = context do
      start_tree(children(context), :one_for_one)
      record(names.meter, 1..10, 0)
      kill(names.store)
      record(names.meter, 11..20, 0)
      assert [%{views: 20}] = Meter.report(names.meter)
      # The meter has found the next one.
      record(names.meter, [21], 1)
      assert_window([{{"home"}, %{views: 20}}])
    end

    test "and are closed as they are with on_stop: :close", %{names: names} = context do
      tree = start_tree(children(context, on_stop: :close))
      record(names.meter, 1..10, 0)
      stop_tree(tree)
      window = assert_window([{{"home"}, %{views: 10}}])
      assert window.partial

      start_tree(children(context))
      record(names.meter, [11], 0)
      assert [%{views: 1}] = Meter.report(names.meter)
    end

    test "with on_stop: :close too, if it has crashed", %{names: names} = context do
      start_tree(children(context, on_stop: :close))
      record(names.meter, 1..10, 0)
      # One of its processes.
      {:links, links} = Process.info(Process.whereis(names.meter), :links)
      meter = Process.whereis(names.meter)
      delivery = Enum.find(links, &delivery?/1)
      Process.exit(delivery, :kill)
      await(fn -> Process.whereis(names.meter) not in [nil, meter] and running?(names.meter) end)
      assert [%{views: 10}] = Meter.report(names.meter)
      refute_received {:attempt, _window, _rows}
    end

    defp delivery?(pid) do
      is_pid(pid) and
        :proc_lib.translate_initial_call(pid) == {AdTally.Windows.Delivery, :init, 1}
    end

    defp running?(name), do: :persistent_term.get(name, nil) != nil
  end

  describe "a window that a sink has not taken" do
    for {how, ends} <- [{"stopped", :stop_tree}, {"killed", :kill_tree}] do
      test "is delivered after everything was #{how}, as the same one",
           %{names: names} = context do
        tree = start_tree(children(context, answer: fn _ -> {:error, :down} end, flush: 100))
        for minute <- 0..3, do: record(names.meter, [minute], minute)
        assert_receive {:attempt, first, rows}
        await(fn -> Meter.info(names.meter).closed_windows == 3 end)
        assert Store.sync(names.store) == :ok
        apply(AdTally.Test.Stores, unquote(ends), [tree])

        start_tree(children(context))
        again = assert_window(rows)
        assert Sink.window_id(again) == Sink.window_id(first)
        assert {again.start, again.end, again.partial} == {first.start, first.end, first.partial}
        second = assert_window([{{"home"}, %{views: 1}}])
        assert second.sequence == 2
        assert assert_window([{{"home"}, %{views: 1}}]).sequence == 3
        # And the next one goes on after them.
        record(names.meter, [9], 9)
        fourth = assert_window([{{"home"}, %{views: 1}}])
        assert {fourth.sequence, fourth.epoch} == {4, first.epoch}
      end
    end

    test "is delivered to its meter's next process", %{names: names} = context do
      test = self()

      answer = fn window ->
        send(test, {:hangs, self()})
        receive do: (:go_on -> if(window.sequence == 1, do: :ok, else: :ok))
      end

      start_tree(children(context, answer: answer))
      for minute <- 0..1, do: record(names.meter, [minute], minute)
      assert_receive {:hangs, _attempt}
      kill(names.meter)
      assert_receive {:hangs, attempt}
      send(attempt, :go_on)
      assert assert_window([{{"home"}, %{views: 1}}]).sequence == 1
    end

    test "is written by the files sink over its own files", %{names: names, dir: dir} = context do
      files = Path.join(dir, "../#{Path.basename(dir)}_files")
      on_exit(fn -> File.rm_rf!(files) end)

      sinks = [
        {Telling, to: self(), answer: fn _ -> {:error, :down} end},
        {Sink.Files, dir: files}
      ]

      tree = start_tree(children(context, sinks: sinks))
      for minute <- 0..1, do: record(names.meter, [minute], minute)
      await(fn -> AdTally.Test.SinkFiles.paths(files, :counters) != [] end)
      [path] = AdTally.Test.SinkFiles.paths(files, :counters)
      bytes = File.read!(path)
      kill_tree(tree)

      start_tree(children(context, sinks: sinks))
      await(fn -> match?([_, %{delivered: 1}], Meter.info(names.meter).sinks) end)
      assert AdTally.Test.SinkFiles.paths(files, :counters) == [path]
      assert File.read!(path) == bytes
    end
  end

  test "a window that all sinks have taken is not delivered again", %{names: names} = context do
    tree = start_tree(children(context))
    for minute <- 0..1, do: record(names.meter, [minute], minute)
    assert_window([{{"home"}, %{views: 1}}])
    await(fn -> Native.windows_undelivered(native(names.meter)) == [] end)
    assert Store.sync(names.store) == :ok
    kill_tree(tree)
    assert_received {:attempt, _window, _rows}
    start_tree(children(context))
    refute_receive {:attempt, _window, _rows}, 300
    record(names.meter, [7], 7)
    assert assert_window([{{"home"}, %{views: 1}}]).sequence == 2
  end

  defp native(name), do: name |> :persistent_term.get() |> elem(1) |> elem(0)

  test "a sink gets a window once the disk knows that it is closed",
       %{names: names, dir: dir} = context do
    store = {Store, name: names.store, dir: dir, segment_bytes: 1_048_576, interval: 10}
    start_tree([store, meter(context, [])])
    # No further file can be made.
    File.rename!(dir, dir <> "_away")
    on_exit(fn -> File.rm_rf!(dir <> "_away") end)
    await(fn -> match?({:error, _}, fill(names.meter, names.store)) end)
    :ok = Meter.record(names.meter, event(:last, 1))
    await(fn -> Meter.info(names.meter).closed_windows == 1 end)
    refute_receive {:attempt, _window, _rows}, 500
    assert Meter.close(names.meter, 100) == {:error, :timeout}

    File.rename!(dir <> "_away", dir)
    assert_receive {:window, %{sequence: 1}, _rows}
    assert_receive {:window, %{sequence: 2}, _rows}
  end

  defp fill(name, store) do
    id = System.unique_integer([:positive])

    for number <- 1..1_000,
        do: :ok = Meter.record(name, event({id, number}, 0, "#{id}-#{number}"))

    Store.sync(store)
  end

  test "a window of a crashed process that has no number yet gets the next one",
       %{names: names} = context do
    start_tree(children(context))
    record(names.meter, [1], 0)
    pid = Process.whereis(names.meter)
    :sys.suspend(pid)
    # As its process does, up to the moment before it gives numbers.
    record(names.meter, [2], 1)
    {[_window], false} = Native.meter_close(native(names.meter), System.system_time(:millisecond))
    kill(names.meter)
    window = assert_window([{{"home"}, %{views: 1}}])
    assert {window.start, window.sequence, window.partial} == {@at, 1, false}
  end

  test "over restarts a window has one number, whatever becomes of it, and a number one window",
       context do
    %{names: names} = context

    for round <- 1..6 do
      tree = start_tree(children(context))
      for minute <- 0..1, do: record(names.meter, [{round, minute}], 2 * round + minute)
      # Not all of them are taken by then, and not all that are taken are known to be.
      if round > 2, do: assert_receive({:window, _window, _rows})
      if rem(round, 2) == 0, do: stop_tree(tree), else: kill_tree(tree)
    end

    start_tree(children(context))
    record(names.meter, [:last], 20)
    await(fn -> Meter.info(names.meter).closed_windows == 12 end)
    await(fn -> Native.windows_undelivered(native(names.meter)) == [] end)

    windows = windows([])
    by_number = Enum.group_by(windows, &elem(&1, 0), &elem(&1, 1))
    assert Enum.all?(by_number, fn {_number, same} -> length(Enum.uniq(same)) == 1 end)
    # One for each minute that is over, all of one epoch. The first one of all was asserted above.
    numbers = Map.keys(by_number)

    assert [_one_epoch] =
             numbers |> Enum.map(fn {_name, _node, epoch, _sequence} -> epoch end) |> Enum.uniq()

    sequences = Enum.map(numbers, &elem(&1, 3))
    assert Enum.max(sequences) == 12
    starts = for {_number, [{start, _rows} | _]} <- by_number, do: start
    assert Enum.uniq(starts) == starts
  end

  defp windows(found) do
    receive do
      {:window, window, rows} -> windows([{Sink.window_id(window), {window.start, rows}} | found])
    after
      0 -> found
    end
  end

  test "time stands while the service is down: what was in time then is in time after the start",
       context do
    %{names: names} = context
    options = [clock: :system, window: 1_000, lateness: 1_000]
    tree = start_tree(children(context, options))
    now = System.system_time(:millisecond)
    event = %{event(1, 0) | at: now}
    assert Meter.record(names.meter, event) == :ok
    stop_tree(tree)
    # Without a stop it would be late by then.
    Process.sleep(2_200)
    start_tree(children(context, options))
    assert Meter.record(names.meter, %{event | id: 2}) == :ok
    assert [%{views: 2}] = Meter.report(names.meter)
    # It goes on after a while, and the window is closed then.
    assert_receive {:window, %{partial: false}, [{{"home"}, %{views: 2}}]}
    assert Meter.record(names.meter, %{event | id: 3}) == :late
  end

  describe "a meter that comes back with other options" do
    test "delivers the windows of before as they were, and begins new ones",
         %{names: names} = context do
      tree = start_tree(children(context))
      record(names.meter, 1..5, 0)
      stop_tree(tree)

      changed = [dimensions: [:page, :country], metrics: [:views, :clicks]]
      start_tree(children(context, changed))
      window = assert_window([{{"home"}, %{views: 5}}])
      assert {window.dimensions, window.metrics, window.reach_by} == {[:page], [:views], [:page]}
      assert {window.start, window.sequence, window.partial} == {@at, 1, true}
      assert [{{"home"}, sketch}] = Window.reach(window)
      assert_in_delta AdTally.Sketch.estimate(sketch), 5, 0.5

      # Ids go on.
      event = %{event(1, 0) | dimensions: {"home", "us"}, metrics: [clicks: 1]}
      assert Meter.record(names.meter, event) == :duplicate
      assert Meter.record(names.meter, %{event | id: 6}) == :ok
      assert [%{page: "home", country: "us", views: 0, clicks: 1}] = Meter.report(names.meter)
      assert Meter.close(names.meter) == :ok
      window = assert_window([{{"home", "us"}, %{views: 0, clicks: 1}}])
      assert {window.sequence, window.metrics} == {2, [:views, :clicks]}
    end

    test "goes on where only budgets and times differ", %{names: names} = context do
      tree = start_tree(children(context))
      record(names.meter, 1..5, 0)
      stop_tree(tree)
      options = [max_keys: 77, retain: 1_000, dedupe: [window: 100 * @minute, capacity: 50_000]]
      start_tree(children(context, options))
      assert Meter.record(names.meter, event(1, 0)) == :duplicate
      record(names.meter, [6], 0)
      assert [%{views: 6}] = Meter.report(names.meter)
      refute_received {:attempt, _window, _rows}
    end

    test "is refused if its ids cannot go on", %{names: names} = context do
      tree = start_tree(children(context))
      record(names.meter, 1..5, 0)
      stop_tree(tree)
      start_tree([store(context)])
      {Meter, options} = meter(context, dedupe: [window: @minute, capacity: 10_000])
      error = assert_raise ArgumentError, fn -> Meter.start_link(options) end
      assert error.message =~ "expected the :window of :dedupe to be 6000000"
    end
  end

  test "an orderly stop says what sinks get after the next start", %{names: names} = context do
    lines = LogLines.start(inspect(names.meter))
    on_exit(fn -> LogLines.stop(lines) end)
    tree = start_tree(children(context, answer: fn _ -> {:error, :down} end, flush: 50))
    for minute <- 0..1, do: record(names.meter, [minute], minute)
    assert_receive {:attempt, _window, _rows}
    stop_tree(tree)
    LogLines.await(:warning, "1 windows that a sink has not taken")
  end

  test "meters stop if their store was stopped before them", %{names: names} = context do
    tree = start_tree(children(context), :one_for_one)
    monitor = Process.monitor(names.meter)
    :ok = Supervisor.terminate_child(tree, {Store, names.store})
    assert_receive {:DOWN, ^monitor, :process, _pid, {:shutdown, {:store, :shutdown}}}
  end

  test "while it reads its state, calls say so", %{names: names} do
    reader =
      spawn(fn -> AdTally.Named.reading(names.meter, Meter) && Process.sleep(:infinity) end)

    await(fn -> :persistent_term.get({AdTally.Named, names.meter}, nil) != nil end)
    error = assert_raise ArgumentError, fn -> Meter.record(names.meter, event(1, 0)) end

    assert error.message =~
             "#{inspect(names.meter)} is starting and still reads its state from its store"

    monitor = Process.monitor(reader)
    Process.exit(reader, :kill)
    assert_receive {:DOWN, ^monitor, :process, _pid, _reason}
    error = assert_raise ArgumentError, fn -> Meter.record(names.meter, event(1, 0)) end
    assert error.message =~ "there is no AdTally.Meter named"
    AdTally.Named.read(names.meter)
  end
end
