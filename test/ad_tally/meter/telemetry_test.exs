defmodule AdTally.Meter.TelemetryTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter}
  alias AdTally.Test.MeterSinks.Telling
  alias AdTally.Windows.Emitter

  @begin 1_780_272_000_000
  @outcomes [:received, :applied, :duplicate, :late, :future, :no_window, :overflow, :refused]

  setup context do
    name = Module.concat(__MODULE__, "Meter#{context.line}")
    on_exit(fn -> :telemetry.detach(name) end)
    {:ok, name: name}
  end

  defp start(name, options \\ []) do
    defaults = [
      name: name,
      dimensions: [:campaign],
      metrics: [:clicks, :spend_micros],
      clock: :events,
      window: 100,
      lateness: 0,
      sinks: [{Telling, to: self()}]
    ]

    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
  end

  # Only of that meter: others run at the same time.
  defp attach(name, events, handler) do
    :ok =
      :telemetry.attach_many(
        name,
        for(event <- events, do: [:ad_tally | event]),
        fn [:ad_tally | event], measurements, metadata, nil ->
          if metadata[:meter] == name, do: handler.(event, measurements, metadata)
        end,
        nil
      )
  end

  defp event(at, fields \\ []),
    do: struct!(%Event{at: at, dimensions: {42}, metrics: [clicks: 1]}, fields)

  defp sums(name, so_far, until) do
    if until.(so_far) do
      so_far
    else
      assert_receive {^name, [:meter, :events], measurements}
      assert measurements.duration > 0

      sums(
        name,
        Map.new(@outcomes, &{&1, Map.get(so_far, &1, 0) + Map.fetch!(measurements, &1)}),
        until
      )
    end
  end

  test "outcomes are told at an interval though no window closes, each event once", %{name: name} do
    test = self()
    attach(name, [[:meter, :events]], &send(test, {name, &1, put_in(&2[:meta], &3)}))

    start(name,
      clock: :system,
      window: 3_600_000,
      lateness: 3_600_000,
      max_keys: 2,
      dedupe: [window: 60_000, capacity: 100],
      telemetry_interval: 20
    )

    # Nothing has happened yet, and that is told as well.
    assert_receive {^name, [:meter, :events], %{received: 0, meta: meta} = nothing}
    assert meta == %{meter: name}

    assert nothing |> Map.drop([:duration, :meta]) |> Map.keys() |> Enum.sort() ==
             Enum.sort([:busy | @outcomes])

    now = System.system_time(:millisecond)
    for id <- [1, 1, 2], do: Meter.record(name, event(now, id: id))
    some = sums(name, %{}, &match?(%{received: 3}, &1))
    assert %{applied: 2, duplicate: 1} = some

    assert Meter.record(name, event(now, dimensions: {1})) == :ok
    assert Meter.record(name, event(now, dimensions: {2})) == :overflow
    assert Meter.record(name, event(now - 36_000_000)) == :late
    assert Meter.record(name, event(now + 36_000_000)) == :future
    assert_raise ArgumentError, fn -> Meter.record_many(name, [event(now), :event]) end

    all = sums(name, some, &match?(%{received: 9}, &1))
    assert all == Map.take(Meter.info(name).events, @outcomes)
    assert %{applied: 3, duplicate: 1, late: 1, future: 1, overflow: 1, refused: 2} = all
  end

  test "a last time when the meter is stopped", %{name: name} do
    test = self()
    attach(name, [[:meter, :events]], &send(test, {name, &1, put_in(&2[:meta], &3)}))
    start(name)
    for number <- 1..10, do: assert(Meter.record(name, event(@begin + number)) == :ok)
    stop_supervised!(name)
    assert_received {^name, [:meter, :events], %{received: 10, applied: 10}}
    refute_received {^name, _event, _measurements}
  end

  test "a closed window has its own numbers", %{name: name} do
    test = self()
    attach(name, [[:window, :closed]], &send(test, {&1, &2, &3}))
    start(name, max_keys: 2, lateness: 1_000)

    for {at, campaign, spend} <- [{0, 1, 5}, {1, 2, 7}, {2, 3, -9}, {150, 1, 11}, {250, 4, 13}] do
      metrics = [clicks: 1, spend_micros: spend]
      Meter.record(name, event(@begin + at, dimensions: {campaign}, metrics: metrics))
    end

    stop_supervised!(name)

    for {sequence, rows, totals, overflow} <- [
          {1, 2, %{clicks: 3, spend_micros: 3}, %{clicks: 1, spend_micros: -9}},
          {2, 1, %{clicks: 1, spend_micros: 11}, %{clicks: 0, spend_micros: 0}},
          {3, 1, %{clicks: 1, spend_micros: 13}, %{clicks: 0, spend_micros: 0}}
        ] do
      start = @begin + 100 * (sequence - 1)
      assert_received {[:window, :closed], measured, %{sequence: ^sequence} = metadata}
      assert %{rows: ^rows, totals: ^totals, overflow: ^overflow} = measured
      assert measured.memory_bytes > 0 and is_integer(measured.duration)

      assert metadata ==
               %{meter: name, sequence: sequence, start: start, end: start + 100, partial: true}
    end
  end

  describe "a handler harms nobody" do
    for {what, harm} <- [
          sleeps: quote(do: Process.sleep(:infinity)),
          raises: quote(do: raise("on request")),
          exits: quote(do: exit(:on_request)),
          throws: quote(do: throw(:on_request)),
          "is killed": quote(do: Process.exit(self(), :kill))
        ] do
      test "that #{what}", %{name: name} do
        test = self()

        handler = fn event, _measurements, _metadata ->
          send(test, {:handled, event})
          unquote(harm)
        end

        attach(name, [[:window, :closed], [:sink, :delivered], [:late, :handed]], handler)

        capture_log(fn ->
          start(name, on_late: {Function, :identity})

          for step <- 0..9 do
            assert Meter.record(name, event(@begin + 100 * step)) == :ok
            if step > 0, do: assert_receive({:window, %{sequence: ^step}, _, _})
          end

          assert_receive {:handled, [:window, :closed]}
          assert Meter.record(name, event(@begin)) == :late
          assert %{closed_windows: 9, sinks: [%{delivered: 9, failed: 0}]} = Meter.info(name)
          assert [%{clicks: 10}] = Meter.report(name, by: [])
          pid = Process.whereis(name)
          {:links, links} = Process.info(pid, :links)
          monitors = for pid <- links, is_pid(pid), do: {pid, Process.monitor(pid)}
          begin = System.monotonic_time(:millisecond)
          stop_supervised!(name)
          # It waits a second for handlers, and takes the one that sleeps with it.
          assert System.monotonic_time(:millisecond) - begin < 4_000
          assert_received {:window, %{sequence: 10, partial: true}, _, _}

          {:ok, supervisor} = ExUnit.fetch_test_supervisor()

          for {pid, monitor} <- monitors,
              pid != supervisor,
              do: assert_receive({:DOWN, ^monitor, :process, ^pid, _reason})
        end)
      end
    end

    test "that calls the meter", %{name: name} do
      test = self()

      handler = fn event, _measurements, metadata ->
        info = Meter.info(metadata.meter)
        report = Meter.report(metadata.meter, by: [])
        send(test, {:handled, event, info, report})
      end

      attach(name, [[:window, :closed], [:sink, :delivered]], handler)
      start(name)
      for step <- 0..3, do: assert(Meter.record(name, event(@begin + 100 * step)) == :ok)

      for _ <- 1..3, event <- [[:window, :closed], [:sink, :delivered]] do
        assert_receive {:handled, ^event, %{events: %{applied: 4}}, [%{clicks: 4}]}
      end

      # Of the window that is closed when the meter stops it would find no meter.
      :telemetry.detach(name)
    end

    test "that is slow: outcomes and memory are one event each, others a thousand at most", %{
      name: name
    } do
      test = self()

      handler = fn event, measurements, metadata ->
        send(test, {:handled, self(), event, measurements, metadata})
        unless :persistent_term.get({test, :free}, false), do: receive(do: (:go_on -> :ok))
      end

      on_exit(fn -> :persistent_term.erase({test, :free}) end)
      attach(name, [[:window, :closed], [:meter, :memory], [:meter, :events]], handler)

      log =
        capture_log(fn ->
          start(name, telemetry_interval: 10, window: 1, sinks: [])
          assert_receive {:handled, pid, [:meter, _what], _measurements, _metadata}
          for at <- 0..1_500, do: assert(Meter.record(name, event(@begin + at)) == :ok)

          await(fn -> Meter.info(name).closed_windows == 1_500 end)

          # Some intervals go by, all while the first event is being handled. However long the process that
          # executes events takes until it has them, it has heard of all windows before it goes on.
          Process.sleep(100)
          _state = name |> emitter() |> :sys.get_state(60_000)
          refute_received {:handled, _pid, _event, _measurements, _metadata}
          :persistent_term.put({test, :free}, true)
          send(pid, :go_on)
          handled = handled(1_000, [])
          closed = for {[:window, :closed], _measured, metadata} <- handled, do: metadata.sequence
          assert closed == Enum.to_list(1..1_000)

          # All that came while it waited came at once: of the intervals since nothing is added.
          applied = for {[:meter, :events], %{applied: n}, _} <- handled, n > 0, do: n
          assert applied == [1_501]
          memory = for {[:meter, :memory], _measured, _metadata} <- handled, do: 1
          assert length(memory) < 20
        end)

      assert log =~ "telemetry handlers are too slow"
      [_once, _rest] = String.split(log, "#{inspect(name)}: telemetry handlers")
    end
  end

  # The process that executes a meter's events.
  defp emitter(name) do
    {:links, links} = name |> Process.whereis() |> Process.info(:links)
    emits? = &(is_pid(&1) and :proc_lib.translate_initial_call(&1) == {Emitter, :init, 1})
    [emitter] = Enum.filter(links, emits?)
    emitter
  end

  # What was handled until so many windows were, and what was applied was told: that waits its turn among
  # the windows, wherever an interval happened to end.
  defp handled(windows, events, told? \\ false)
  defp handled(0, events, true), do: Enum.reverse(events)

  defp handled(windows, events, told?) do
    assert_receive {:handled, _pid, event, measured, metadata}
    windows = if event == [:window, :closed], do: windows - 1, else: windows
    told? = told? or match?(%{applied: applied} when applied > 0, measured)
    handled(windows, [{event, measured, metadata} | events], told?)
  end
end
