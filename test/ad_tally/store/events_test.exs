defmodule AdTally.Store.EventsTest do
  # Telemetry events of a store, without the store.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias AdTally.Store.Events

  @events for what <- [:committed, :state, :loaded, :failed], do: [:ad_tally, :store, what]

  setup context do
    store = Module.concat(__MODULE__, "Store#{context.line}")
    {:ok, events} = Events.start(store)
    on_exit(fn -> :telemetry.detach(store) end)
    {:ok, store: store, events: events}
  end

  # Each waits for the test, if the test says so.
  defp attach(store, wait? \\ false) do
    test = self()

    handler = fn [:ad_tally, :store, what], measured, metadata, _config ->
      if metadata.store == store do
        send(test, {what, measured, Map.delete(metadata, :store), self()})
        if wait?, do: receive(do: (:go_on -> :ok))
      end
    end

    :ok = :telemetry.attach_many(store, @events, handler, nil)
  end

  defp committed(records, duration) do
    measured = %{commits: 1, records: records, bytes: 10, duration: duration, longest: duration}
    {:committed, measured, %{}}
  end

  test "are executed in their order, with the store's name", %{store: store, events: events} do
    attach(store)
    Events.execute(events, {:loaded, %{bytes: 7}, %{part: :p}})
    Events.execute(events, {:failed, %{lag: 8}, %{reason: "r"}})
    assert Events.flush(events, 5_000) == :ok
    assert_receive {first, measured, metadata, _pid}
    assert {first, measured, metadata} == {:loaded, %{bytes: 7}, %{part: :p}}
    assert_receive {:failed, %{lag: 8}, %{reason: "r"}, _pid}
  end

  test "commits that wait for a handler are summed, and only the newest state waits", context do
    %{store: store, events: events} = context
    attach(store, true)
    Events.execute(events, {:loaded, %{bytes: 7}, %{part: :p}})
    assert_receive {:loaded, _measured, _metadata, pid}

    for {records, duration} <- [{1, 5}, {2, 9}, {3, 7}],
        do: Events.execute(events, committed(records, duration))

    for lag <- 1..3, do: Events.execute(events, {:state, %{lag: lag}, %{}})
    send(pid, :go_on)
    assert_receive {:committed, measured, _metadata, pid}
    assert measured == %{commits: 3, records: 6, bytes: 30, duration: 21, longest: 9}
    send(pid, :go_on)
    assert_receive {:state, %{lag: 3}, _metadata, pid}
    # The next ones are others.
    Events.execute(events, committed(4, 1))
    send(pid, :go_on)
    assert_receive {:committed, %{commits: 1, records: 4}, _metadata, pid}
    send(pid, :go_on)
    refute_receive {_what, _measured, _metadata, _pid}, 100
  end

  test "at most a thousand wait, and the log says that others are dropped", context do
    %{store: store, events: events} = context
    attach(store, true)
    Events.execute(events, {:loaded, %{bytes: 0}, %{}})
    assert_receive {:loaded, _measured, _metadata, pid}

    log =
      capture_log(fn ->
        for bytes <- 1..1_100, do: Events.execute(events, {:loaded, %{bytes: bytes}, %{}})
        :sys.get_state(events)
      end)

    assert log =~ "#{inspect(store)}: telemetry handlers are too slow, 1000 events wait for them"
    send(pid, :go_on)

    for bytes <- 1..1_000 do
      assert_receive {:loaded, %{bytes: ^bytes}, _metadata, pid}
      send(pid, :go_on)
    end

    refute_receive {:loaded, _measured, _metadata, _pid}, 100
  end

  test "a handler that hangs is ended after a minute or two, and named in the log", context do
    %{store: store, events: events} = context
    attach(store, true)
    Events.execute(events, {:loaded, %{bytes: 1}, %{}})
    assert_receive {:loaded, _measured, _metadata, _pid}
    assert Events.flush(events, 50) == :error

    log =
      capture_log(fn ->
        for _minute <- 1..2 do
          send(events, :check_attempt)
          :sys.get_state(events)
        end
      end)

    assert log =~ "#{inspect(store)}: a telemetry handler, which is ended now,"
    assert Events.flush(events, 5_000) == :ok
  end

  test "its process ends with that of the store", context do
    test = self()

    {owner, monitor} =
      spawn_monitor(fn ->
        {:ok, events} = Events.start(context.store)
        send(test, {:started, events})
        Process.sleep(:infinity)
      end)

    assert_receive {:started, events}
    events_monitor = Process.monitor(events)
    Process.exit(owner, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^owner, :killed}
    assert_receive {:DOWN, ^events_monitor, :process, ^events, :normal}
  end
end
