defmodule AdTally.MeterTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter, Native, Sketch, Window}
  alias AdTally.Sink.Files
  alias AdTally.Test.MeterSinks.Telling

  doctest Meter
  doctest Window

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:impressions, :clicks, :spend_micros]

  setup context do
    {:ok, name: Module.concat(__MODULE__, "Meter#{context.line}")}
  end

  defp start(name, options \\ []) do
    defaults = [
      name: name,
      dimensions: @dimensions,
      metrics: @metrics,
      clock: :events,
      reach: [by: [:campaign]],
      dedupe: [window: 100 * @minute, capacity: 100_000, fingerprint_bits: 61],
      sinks: [{Telling, to: self()}]
    ]

    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
  end

  defp event(fields \\ []) do
    struct!(
      %Event{at: @begin, dimensions: {42, 7, "us"}, metrics: [impressions: 1]},
      fields
    )
  end

  # Windows that were delivered so far, in their order.
  defp delivered(windows \\ []) do
    receive do
      {:window, window, counters, reach} -> delivered([{window, counters, reach} | windows])
    after
      0 -> Enum.reverse(windows)
    end
  end

  defp sum(totals, more), do: Map.merge(totals, more, fn _metric, a, b -> a + b end)

  defp totals(metrics),
    do: Enum.reduce(metrics, nothing(), fn {m, n}, all -> Map.update!(all, m, &(&1 + n)) end)

  defp nothing, do: Map.new(@metrics, &{&1, 0})

  describe "beside a plain map" do
    setup %{name: name} do
      seed = :rand.uniform(1_000_000)
      :rand.seed(:exsss, seed)

      events =
        for id <- 1..8_000 do
          event(
            id: "id-#{id}",
            at: @begin + Enum.random(0..(20 * @minute)),
            dimensions:
              {Enum.random(1..5), Enum.random([7, "creative", :banner]),
               Enum.random(["us", "ca"])},
            user: Enum.random(1..500),
            metrics: [
              impressions: 1,
              spend_micros: Enum.random(-5..5_000),
              impressions: Enum.random(0..1)
            ]
          )
        end

      # Time goes to and fro by as much as all of them.
      start(name, lateness: 30 * @minute)
      # Each is sent twice, from eight processes, some of which send lists.
      sent = Enum.shuffle(events ++ events)
      one_by_one = fn events -> Enum.map(events, &Meter.record(name, &1)) end

      in_lists = fn events ->
        for some <- Enum.chunk_every(events, Enum.random([1, 7, 300, 2_000])),
            {outcome, count} <- Meter.record_many(name, some),
            outcome <- List.duplicate(outcome, count),
            do: outcome
      end

      outcomes =
        sent
        |> Enum.chunk_every(2_000)
        |> Enum.with_index()
        |> Enum.map(fn {some, number} ->
          Task.async(fn ->
            if rem(number, 2) == 0, do: one_by_one.(some), else: in_lists.(some)
          end)
        end)
        |> Task.await_many(:infinity)
        |> Enum.concat()

      {:ok, events: events, outcomes: outcomes, seed: seed}
    end

    test "closed windows have every event once", %{
      name: name,
      events: events,
      outcomes: outcomes,
      seed: seed
    } do
      assert Enum.frequencies(outcomes) == %{ok: 8_000, duplicate: 8_000}
      info = Meter.info(name)

      assert %{
               received: 16_000,
               applied: 8_000,
               duplicate: 8_000,
               late: 0,
               future: 0,
               overflow: 0
             } = info.events

      assert info.excluded.duplicate ==
               Enum.reduce(events, nothing(), &sum(totals(&1.metrics), &2))

      stop_supervised!(name)
      windows = delivered()

      assert Enum.map(windows, fn {window, _, _} -> window.sequence end) ==
               Enum.to_list(1..length(windows))

      assert Enum.all?(windows, fn {window, _, _} ->
               window.partial and window.end == window.start + @minute
             end)

      counted =
        for {window, counters, _} <- windows,
            {values, totals} <- counters,
            into: %{},
            do: {{window.start, values}, totals}

      expected =
        Enum.reduce(events, %{}, fn event, rows ->
          key = {event.at - rem(event.at, @minute), event.dimensions}
          Map.update(rows, key, totals(event.metrics), &sum(&1, totals(event.metrics)))
        end)

      assert counted == expected, "seed #{seed}"

      for {window, _, reach} <- windows, {{campaign}, sketch} <- reach do
        users =
          for event <- events,
              event.at - rem(event.at, @minute) == window.start,
              elem(event.dimensions, 0) == campaign,
              uniq: true,
              do: event.user

        assert_in_delta Sketch.estimate(sketch), length(users), 0.05 * length(users) + 0.01
      end
    end

    test "a report groups by any dimensions", %{name: name, events: events} do
      for by <- [@dimensions, [:country], [:country, :creative], [:campaign], []] do
        places = Enum.map(by, fn name -> Enum.find_index(@dimensions, &(&1 == name)) end)

        expected =
          events
          |> Enum.group_by(fn event -> Enum.map(places, &elem(event.dimensions, &1)) end)
          |> Map.new(fn {values, events} ->
            {Map.new(Enum.zip(by, values)),
             Enum.reduce(events, nothing(), &sum(totals(&1.metrics), &2))}
          end)

        report = Meter.report(name, by: by)
        assert Map.new(report, &{Map.take(&1, by), Map.take(&1, @metrics)}) == expected
        assert Enum.all?(report, &(is_map_key(&1, :reach) == (by -- [:campaign] == [])))
      end

      for row <- Meter.report(name, by: [:campaign]) do
        users =
          for event <- events,
              elem(event.dimensions, 0) == row.campaign,
              uniq: true,
              do: event.user

        assert row.reach_low <= length(users) and length(users) <= row.reach_high
        assert row.reach_low <= row.reach and row.reach <= row.reach_high
      end

      from = @begin + 3 * @minute
      [row] = Meter.report(name, by: [], from: from, to: from + 2 * @minute)
      some = Enum.filter(events, &(&1.at >= from and &1.at < from + 2 * @minute))
      assert Map.take(row, @metrics) == Enum.reduce(some, nothing(), &sum(totals(&1.metrics), &2))
    end
  end

  test "an id and a key are the same wherever their bytes lie", %{name: name} do
    start(name, window: 100)
    long = :crypto.strong_rand_bytes(200)

    for length <- 1..70 do
      part = binary_part(long, 3, length)
      own = :binary.copy(part)
      assert Meter.record(name, event(id: own, dimensions: {1, own, "us"})) == :ok
      assert Meter.record(name, event(id: part, dimensions: {1, part, "us"})) == :duplicate
      assert Meter.record(name, event(id: {length, 1}, dimensions: {1, part, "us"})) == :ok
      assert [%{impressions: 2}] = report_of(name, own)
    end
  end

  defp report_of(name, creative),
    do: name |> Meter.report(by: [:creative]) |> Enum.filter(&(&1.creative == creative))

  test "events close windows, and what comes later for them is late", %{name: name} do
    start(name, lateness: 0, window: 100)
    assert Meter.record(name, event(id: 1)) == :ok
    assert Meter.record(name, event(id: 2, at: @begin + 250)) == :ok

    assert_receive {:window, %Window{start: @begin, sequence: 1, partial: false},
                    [{{42, 7, "us"}, totals}], _reach},
                   1_000

    assert totals == %{impressions: 1, clicks: 0, spend_micros: 0}
    assert Meter.record(name, event(id: 3, metrics: [spend_micros: 70])) == :late
    # It was not remembered.
    assert Meter.record(name, event(id: 3, at: @begin + 260)) == :ok
    info = Meter.info(name)
    assert %{received: 4, applied: 3, late: 1} = info.events
    assert info.excluded.late == %{impressions: 0, clicks: 0, spend_micros: 70}

    assert {info.closed_windows, info.open_windows, info.newest} == {1, 1, @begin + 260}

    # What was closed is in reports all the same.
    assert [%{impressions: 3}] = Meter.report(name, by: [:campaign])
  end

  test "time alone closes windows, and what is too far ahead is not believed", %{name: name} do
    start(name, clock: :system, window: 100, lateness: 50, max_ahead: 60_000)
    now = System.system_time(:millisecond)
    assert Meter.record(name, event(at: now - 1_000)) == :late
    assert Meter.record(name, event(at: now)) == :ok
    assert Meter.record(name, event(at: now + 120_000, metrics: [clicks: 5])) == :future
    assert_receive {:window, %Window{partial: false}, [{{42, 7, "us"}, _totals}], _reach}, 2_000
    assert Meter.record(name, event(at: now - 1_000)) == :late
    assert %{events: %{future: 1, late: 2}, excluded: %{future: %{clicks: 5}}} = Meter.info(name)
  end

  test "by the system's clock what events claim closes nothing", %{name: name} do
    start(name, clock: :system, window: 100, lateness: 60_000, max_ahead: 3_600_000)
    now = System.system_time(:millisecond)
    event = fn id, at -> event(id: id, at: at) end
    assert Meter.record(name, event.(1, now + 3_600_000)) == :ok
    # Longer than anything that has a part in it is ahead, and more than a tick later.
    assert Meter.record(name, event.(2, now)) == :ok
    assert %{ok: 2, late: 0} = Meter.record_many(name, [event.(3, now), event.(4, now - 50_000)])
    wait_for_ticks(name, 3)
    assert Meter.record(name, event.(5, now - 50_000)) == :ok
    assert %{ok: 1, late: 1} = Meter.record_many(name, [event.(6, now), event.(7, now - 61_000)])
    assert %{closed_windows: 0, open_windows: 3, events: %{late: 1}} = Meter.info(name)
  end

  # Until the meter has looked that often whether windows are to be closed.
  defp wait_for_ticks(name, count) do
    pid = Process.whereis(name)
    :erlang.trace(pid, true, [:receive])
    for _ <- 1..count, do: assert_receive({:trace, ^pid, :receive, :tick}, 5_000)
    :erlang.trace(pid, false, [:receive])
  end

  test "by the system's clock a window is closed within a tick of its time", %{name: name} do
    start(name, clock: :system, window: 500, lateness: 500, max_ahead: 60_000)
    now = System.system_time(:millisecond)
    # Ahead of it, and at the same time, though that is long over by the first one's.
    assert Meter.record(name, event(at: now + 50_000)) == :ok
    assert Meter.record(name, event(at: now)) == :ok

    assert_receive {:window, %Window{end: end_, sequence: 1, partial: false}, _rows, _reach},
                   5_000

    assert now < end_ and end_ <= now + 500
    assert System.system_time(:millisecond) >= end_ + 500
    assert Meter.record(name, event(at: now)) == :late
  end

  test "a copy is one whatever became of its window", %{name: name} do
    Process.register(self(), __MODULE__.LateBesideCopies)

    start(name,
      clock: :system,
      window: 60_000,
      lateness: 60_000,
      max_ahead: 60_000,
      on_late: {__MODULE__, :late_beside_copies}
    )

    now = System.system_time(:millisecond)
    known = for id <- 1..50, do: event(id: id, at: now)
    assert %{ok: 50} = Meter.record_many(name, known)

    at_times = fn events ->
      for event <- events, at <- [0, now + 600_000], do: %{event | at: at}
    end

    copies = at_times.(known)
    others = at_times.(for id <- 51..100, do: event(id: id))

    for _ <- 1..2 do
      assert %{duplicate: 100, late: 0, future: 0} = Meter.record_many(name, copies)
      assert Enum.map(copies, &Meter.record(name, &1)) == List.duplicate(:duplicate, 100)
      assert %{late: 50, future: 50, duplicate: 0} = Meter.record_many(name, others)
      assert Meter.record(name, hd(others)) == :late
    end

    info = Meter.info(name)
    assert %{applied: 50, duplicate: 400, late: 102, future: 100} = info.events
    assert info.excluded.duplicate.impressions == 400
    assert info.excluded.late.impressions == 102
    stop_supervised!(name)
    # Those alone are handed on that are late.
    assert handed_on() == 102
  end

  def late_beside_copies(events), do: send(__MODULE__.LateBesideCopies, {:late, events})

  defp handed_on(count \\ 0) do
    receive do
      {:late, events} ->
        assert Enum.all?(events, &(&1.at == 0 and &1.id > 50))
        handed_on(count + length(events))
    after
      0 -> count
    end
  end

  test "beyond :max_open_windows an event has no window, which shows, and is not remembered", %{
    name: name
  } do
    times = [window: 50, lateness: 1_000, max_ahead: 50]
    pid = start(name, [clock: :system, max_open_windows: 23] ++ times)

    # Nobody closes windows, as when what the meter calls hangs.
    :sys.suspend(pid)
    now = fn -> System.system_time(:millisecond) end
    first = now.()
    assert Meter.record(name, event(id: :first, at: first)) == :ok

    # Until as many are open.
    wait(fn -> Meter.record(name, event(at: now.())) == :no_window end, 1_000)
    assert Native.meter_info(native(name)).open_windows == 23
    before = Native.meter_info(native(name))
    spent = event(id: :later, at: now.() + 50, metrics: [spend_micros: 5])
    assert Meter.record(name, spent) == :no_window

    # A copy is one all the same, and others have the windows that there are.
    copy = event(id: :first, at: now.() + 50)
    events = [spent, copy, event(id: :again, at: first)]

    assert Meter.record_many(name, events) ==
             %{ok: 1, duplicate: 1, late: 0, future: 0, no_window: 1, overflow: 0}

    :sys.resume(pid)
    info = Meter.info(name)
    assert info.events.no_window == before.events.no_window + 2
    assert info.excluded.no_window.spend_micros == 10
    assert info.excluded.duplicate.impressions == 1
    # There is room once some are closed, and it was not remembered.
    wait(fn -> Meter.info(name).open_windows < 23 end)
    assert Meter.record(name, %{spent | at: now.()}) == :ok
  end

  defp native(name) do
    {native, _late} = AdTally.Named.get(Meter, name)
    native
  end

  test "a meter that may have too few windows for its lateness does not start", %{name: name} do
    options = [name: name, dimensions: [:campaign], metrics: [:clicks]]

    for {more, least} <- [
          # Every window from a lateness ago to as far ahead as is let in, and one that is still
          # to be closed.
          {[window: 1_000, lateness: 60_000, max_ahead: 10_000], 72},
          {[window: 1_000, lateness: 60_000, clock: :events], 62},
          {[window: 60_000, lateness: 0, max_ahead: 60_000], 3},
          {[window: 1_000, lateness: 86_400_000], 86_403}
        ] do
      message = ~r/:max_open_windows to be at least #{least}, .* got: #{least - 1}/
      options = more ++ options

      assert_raise ArgumentError, message, fn ->
        Meter.start_link([max_open_windows: least - 1] ++ options)
      end

      {:ok, pid} = Meter.start_link([max_open_windows: least] ++ options)
      GenServer.stop(pid)
    end

    # As many as it needs by default.
    {:ok, pid} = Meter.start_link([window: 1_000, lateness: 86_400_000] ++ options)
    GenServer.stop(pid)
  end

  test "more windows than one step closes are closed, delivered and reported in their order", %{
    name: name
  } do
    start(name, dedupe: false, window: 1_000, lateness: 0, max_open_windows: 1_000)
    # Ones that are left for the next tick, whenever that comes.
    events = for step <- 0..499, do: event(at: @begin + 1_000 * step)
    assert %{ok: ok, late: late} = Meter.record_many(name, Enum.reverse(events))
    assert ok + late == 500 and ok >= 1

    assert %{ok: 500} =
             Meter.record_many(name, for(step <- 500..999, do: event(at: @begin + 1_000 * step)))

    assert [%{impressions: impressions}] = Meter.report(name, by: [])
    assert impressions == ok + 500
    wait(fn -> Meter.info(name).open_windows == 1 end)
    assert [%{impressions: ^impressions}] = Meter.report(name, by: [])
    stop_supervised!(name)
    windows = for {window, _counters, _reach} <- delivered(), do: window
    assert Enum.map(windows, & &1.sequence) == Enum.to_list(1..length(windows))
    assert Enum.map(windows, & &1.start) == windows |> Enum.map(& &1.start) |> Enum.sort()
    assert length(windows) == impressions
    assert Enum.map(windows, & &1.partial) == List.duplicate(false, impressions - 1) ++ [true]
  end

  describe "memory" do
    # Windows of 1,000 rows, each more than 100 kB, and of no others.
    @rows 1_000
    @least 100_000

    defp fill(name, minutes) do
      for minute <- minutes do
        events =
          for n <- 1..@rows,
              do: event(at: @begin + minute * @minute, dimensions: {n, 7, "us"}, user: n)

        assert %{ok: @rows} = Meter.record_many(name, events)
      end
    end

    defp memory(name) do
      %{memory: memory, memory_bytes: bytes} = Meter.info(name)

      assert Map.keys(memory) |> Enum.sort() == [
               :ids,
               :open_windows,
               :retained_windows,
               :waiting_windows
             ]

      assert bytes == memory |> Map.values() |> Enum.sum()
      memory
    end

    test "is that of ids, and of open, retained and waiting windows", %{name: name} do
      gate = :atomics.new(1, [])
      takes = fn _window -> if :atomics.get(gate, 1) == 1, do: :ok, else: {:error, :busy} end

      log =
        capture_log(fn ->
          start(name,
            lateness: 0,
            retain: 1_000,
            dedupe: [window: 100 * @minute, capacity: 100_000],
            sinks: [{Telling, to: self(), answer: takes}]
          )

          empty = memory(name)
          assert empty.ids > 400_000
          assert %{retained_windows: 0, waiting_windows: 0} = empty
          # A meter itself takes some kilobytes.
          assert empty.open_windows < 20_000

          fill(name, [0])
          open = memory(name)
          assert open.open_windows > empty.open_windows + @least
          assert %{retained_windows: 0, waiting_windows: 0} = open
          assert open.ids == empty.ids

          # Closed, and both retained and waiting: counted once.
          fill(name, [1])
          wait(fn -> Meter.info(name).closed_windows == 1 end)
          %{retained_windows: retained} = closed = memory(name)
          assert retained > @least and retained < closed.open_windows + @least
          assert %{waiting_windows: 0} = closed

          # Not retained any more, and still to be taken by the sink.
          wait(fn -> memory(name).waiting_windows > 0 end)
          assert %{retained_windows: 0, waiting_windows: ^retained} = memory(name)

          # Once it has, no process of the meter refers to it any more.
          :atomics.put(gate, 1, 1)
          wait(fn -> match?([%{waiting: 0}], Meter.info(name).sinks) end, 1_000)

          wait(fn ->
            # Messages have it, too.
            Enum.each(delivered(), fn {window, _counters, _reach} ->
              assert window.sequence == 1
            end)

            :erlang.garbage_collect() && memory(name).waiting_windows == 0
          end)

          assert memory(name).open_windows > @least
        end)

      assert log =~ "has not taken window"
    end

    test "of a window that has one row is at most 8 kilobytes", %{name: name} do
      start(name, window: 1_000, dedupe: false)
      before = memory(name).open_windows
      events = for step <- 0..99, do: event(at: @begin + 1_000 * step, user: step)
      assert %{ok: 100} = Meter.record_many(name, events)
      assert memory(name).open_windows - before <= 100 * 8_192
    end
  end

  test "rows that have no room are counted in the overflow", %{name: name} do
    start(name, max_keys: 2)

    outcomes =
      for creative <- 1..4, do: Meter.record(name, event(dimensions: {1, creative, "us"}))

    assert outcomes == [:ok, :ok, :overflow, :overflow]
    stop_supervised!(name)
    assert [{window, counters, _reach}] = delivered()
    assert length(counters) == 2
    assert Window.overflow(window) == %{impressions: 2, clicks: 0, spend_micros: 0}
  end

  describe "sinks" do
    test "get a window again until they take it, in order, and do not hold others up", %{
      name: name
    } do
      tries = :counters.new(1, [])
      test = self()

      answer = fn window ->
        :counters.add(tries, 1, 1)

        case {window.sequence, :counters.get(tries, 1)} do
          {1, 1} -> {:error, :busy}
          {1, 2} -> raise "it broke"
          {1, 3} -> exit(:gone)
          {1, 4} -> Process.exit(self(), :kill)
          {1, 5} -> :what
          _ -> :ok
        end
      end

      log =
        capture_log(fn ->
          start(name,
            lateness: 0,
            window: 100,
            sinks: [
              {Telling, to: test, answer: answer},
              {Telling, to: test, answer: fn _ -> :ok end}
            ]
          )

          for step <- 0..3, do: assert(Meter.record(name, event(at: @begin + 100 * step)) == :ok)
          # The second sink has all three long before the first one.
          for _ <- 1..3, do: assert_receive({:window, _window, _counters, _reach}, 1_000)

          assert [%{delivered: 0, waiting: 3}, %{delivered: 3, waiting: 0}] =
                   Meter.info(name).sinks

          for sequence <- 1..3,
              do:
                assert_receive({:window, %Window{sequence: ^sequence}, _counters, _reach}, 6_000)

          assert [%{delivered: 3, failed: 5, waiting: 0, dropped: 0}, _other] =
                   Meter.info(name).sinks
        end)

      for reason <- [":busy", "it broke", ":gone", ":killed", "{:answered, :what}"],
          do: assert(log =~ reason)
    end

    test "that never take a window are given up on, oldest first, and counted", %{name: name} do
      test = self()

      tell = fn _event, %{waiting: waiting}, metadata, _config ->
        if metadata.meter == name and waiting >= 3, do: send(test, {:dropped, metadata.sequence})
      end

      :ok = :telemetry.attach_many(name, [[:ad_tally, :sink, :dropped]], tell, nil)

      log =
        capture_log(fn ->
          start(name,
            lateness: 0,
            window: 100,
            max_waiting: 3,
            flush: 50,
            sinks: [{Telling, to: self(), answer: fn _ -> {:error, :no} end}]
          )

          for step <- 0..10, do: assert(Meter.record(name, event(at: @begin + 100 * step)) == :ok)
          wait(fn -> Meter.info(name).closed_windows == 10 end)
          assert [%{delivered: 0, waiting: 3, dropped: 7}] = Meter.info(name).sinks
          stop_supervised!(name)
        end)

      # One more when it was stopped.
      for _ <- 1..8, do: assert_received({:dropped, _sequence})
      refute_received {:dropped, _sequence}
      assert log =~ "more than 3 are waiting"
      assert log =~ "stops with 3 windows"
    end
  end

  # Three minutes and a half of pauses would be allowed.
  @tag :exhaustive
  @tag timeout: 120_000
  test("a sink that fails for half a minute loses nothing", %{name: name},
    do: fails_for(name, 30_000)
  )

  test("a sink that fails for a second loses nothing", %{name: name}, do: fails_for(name, 1_000))

  # Windows of 100 ms of real time, and a sink that takes none in the middle, after it has done what
  # it does with them.
  defp fails_for(name, milliseconds) do
    test = self()
    begin = System.monotonic_time(:millisecond)
    fails? = fn -> (System.monotonic_time(:millisecond) - begin) in 500..(500 + milliseconds) end

    answer = fn window ->
      send(test, {:seen, window.sequence, Window.counters(window)})
      if fails?.(), do: {:error, :down}, else: :ok
    end

    log =
      capture_log(fn ->
        start(name,
          clock: :system,
          window: 100,
          lateness: 0,
          max_ahead: 1_000,
          dedupe: false,
          sinks: [{Telling, to: self(), answer: answer}]
        )

        sent = send_until(name, begin + milliseconds + 1_000, 0)
        wait(fn -> match?([%{waiting: 0}], Meter.info(name).sinks) end, 4 * milliseconds)
        assert %{applied: applied, late: late} = Meter.info(name).events
        assert applied + late == sent
        stop_supervised!(name)

        taken = delivered()
        sequences = for {window, _counters, _reach} <- taken, do: window.sequence
        assert sequences == Enum.to_list(1..length(taken))
        counted = for {_window, [{_key, totals}], _reach} <- taken, do: totals.impressions
        assert Enum.sum(counted) == applied

        # What it saw more than once was the same window, under the same sequence.
        seen = seen([])
        assert length(seen) > length(Enum.uniq(seen))

        assert seen |> Enum.uniq_by(&elem(&1, 0)) |> Enum.sort() ==
                 seen |> Enum.uniq() |> Enum.sort()
      end)

    assert log =~ "has not taken window"
  end

  defp send_until(name, time, sent) do
    if System.monotonic_time(:millisecond) < time do
      Meter.record(name, event(at: System.system_time(:millisecond)))
      Process.sleep(1)
      send_until(name, time, sent + 1)
    else
      sent
    end
  end

  defp seen(windows) do
    receive do
      {:seen, sequence, counters} -> seen([{sequence, counters} | windows])
    after
      0 -> windows
    end
  end

  describe "late events" do
    setup %{name: name} do
      Process.register(self(), Module.concat(name, "Late"))
      :ok
    end

    test "are handed to a function, in lists", %{name: name} do
      start(name, lateness: 0, on_late: {__MODULE__, :late})
      late = for number <- 1..3_000, do: late_event(name, number)
      assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok
      wait(fn -> Meter.record(name, hd(late)) == :late end)

      # In between others, in a list that one call takes and in one that takes several.
      on_time = List.duplicate(event(at: @begin + 10 * @minute), 50)
      short = on_time ++ Enum.take(late, 20) ++ on_time ++ Enum.slice(late, 20, 5)
      assert %{ok: 100, late: 25} = Meter.record_many(name, short)
      assert %{ok: 100, late: 3_000} = Meter.record_many(name, on_time ++ late ++ on_time)

      stop_supervised!(name)
      handed = handed([])
      assert Enum.all?(handed, &(length(&1) in 1..1_000))
      expected = Enum.take(late, 25) ++ late
      assert handed |> Enum.concat() |> Enum.drop_while(&(&1 == hd(late))) == tl(expected)
    end

    test "at which the function raises are counted and not given again", %{name: name} do
      log =
        capture_log(fn ->
          start(name, lateness: 0, on_late: {__MODULE__, :late})
          assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok

          for reason <- [:raise, :exit, :kill],
              do: wait_until_late(name, late_event(name, reason))

          wait(fn -> Meter.info(name).on_late.failed >= 3 end)
          assert Meter.record(name, late_event(name, 1)) == :late
          wait(fn -> Meter.info(name).on_late.handed == 1 end)
          assert %{waiting: 0, dropped: 0} = Meter.info(name).on_late
        end)

      for reason <- ["late on request", ":gone", ":killed"], do: assert(log =~ reason)
      assert handed([]) == [[late_event(name, 1)]]
    end

    test "of which too many wait are dropped and counted", %{name: name} do
      start(name, lateness: 0, flush: 50, on_late: {__MODULE__, :late})
      assert Meter.record(name, event(at: @begin + 10 * @minute)) == :ok
      wait_until_late(name, late_event(name, :hang))
      wait(fn -> handed_yet?() end)
      waiting = Meter.info(name).on_late.waiting
      late = List.duplicate(late_event(name, 1), 60_000)
      assert %{late: 60_000} = Meter.record_many(name, late)
      # All of the first list fit, and of the second one those up to 100,000.
      assert %{late: 60_000} = Meter.record_many(name, late)
      %{waiting: now, dropped: dropped} = Meter.info(name).on_late
      assert {now, dropped} == {100_000, waiting + 20_000}
      assert Meter.info(name).excluded.late.impressions == 120_000 + waiting
      assert capture_log(fn -> stop_supervised!(name) end) =~ "late events that"
    end

    defp late_event(name, what), do: event(user: 7, id: nil, dimensions: {inspect(name), what, 1})

    defp wait_until_late(name, event) do
      wait(fn -> Meter.record(name, event) == :late end)

      wait(fn ->
        Meter.info(name).on_late.waiting == 0 or match?({_, :hang, _}, event.dimensions)
      end)
    end

    defp handed_yet? do
      receive do
        {:handed, _events} -> true
      after
        0 -> false
      end
    end

    defp handed(lists) do
      receive do
        {:handed, events} -> handed([events | lists])
      after
        0 -> Enum.reverse(lists)
      end
    end

    def late([%{dimensions: {test, what, _}} | _] = events) do
      to = Module.concat(elem(Code.eval_string(test), 0), "Late")
      answer(what, to, events)
    end

    defp answer(:raise, _to, _events), do: raise("late on request")
    defp answer(:exit, _to, _events), do: exit(:gone)
    defp answer(:kill, _to, _events), do: Process.exit(self(), :kill)

    defp answer(:hang, to, events) do
      send(to, {:handed, events})
      Process.sleep(:infinity)
    end

    defp answer(_number, to, events), do: send(to, {:handed, events})
  end

  test "what is told to telemetry", %{name: name} do
    test = self()

    events =
      for event <- [
            [:window, :closed],
            [:sink, :delivered],
            [:sink, :failed],
            [:late, :handed],
            [:meter, :memory]
          ],
          do: [:ad_tally | event]

    tell = fn [:ad_tally | event], measured, metadata, _config ->
      if metadata.meter == name, do: send(test, {event, measured, metadata})
    end

    :ok = :telemetry.attach_many(name, events, tell, nil)
    tries = :counters.new(1, [])

    answer = fn _window ->
      :counters.add(tries, 1, 1)
      if :counters.get(tries, 1) == 1, do: {:error, :busy}, else: :ok
    end

    capture_log(fn ->
      start(name,
        lateness: 0,
        window: @minute,
        max_waiting: 2,
        on_late: {Function, :identity},
        sinks: [{Telling, to: self(), answer: answer}]
      )

      assert Meter.record(name, event(id: 1)) == :ok
      assert Meter.record(name, event(id: 1)) == :duplicate
      assert Meter.record(name, event(dimensions: {1, 1, 1})) == :ok
      assert_raise ArgumentError, fn -> Meter.record(name, event(at: nil)) end
      assert Meter.record(name, event(at: @begin + @minute)) == :ok

      assert_receive {[:window, :closed], closed, %{sequence: 1, partial: false} = metadata},
                     3_000

      assert %{start: @begin, end: end_} = metadata
      assert end_ == @begin + @minute

      assert %{rows: 2, duration: duration, memory_bytes: memory} = closed
      assert duration > 0 and memory > 0
      assert closed.totals == %{impressions: 2, clicks: 0, spend_micros: 0}
      assert closed.overflow == %{impressions: 0, clicks: 0, spend_micros: 0}

      assert Meter.record(name, event()) == :late

      assert_receive {[:sink, :failed], %{failures: 1, waiting: 1, pause: 100}, %{reason: :busy}},
                     3_000

      assert_receive {[:sink, :delivered], %{waiting: 0, duration: _}, %{sink: Telling}}, 3_000
      assert_receive {[:late, :handed], %{events: 1, duration: _}, _metadata}, 3_000

      assert_receive {[:meter, :memory], %{bytes: bytes, open_windows: _, retained_windows: _},
                      _},
                     3_000

      assert bytes > 0

      stop_supervised!(name)

      assert_receive {[:window, :closed], %{rows: 1}, %{partial: true}}, 3_000

      assert_receive {[:sink, :delivered], %{waiting: 0}, %{sequence: 2}}, 3_000
    end)
  end

  defp wait(fun, tries \\ 200) do
    cond do
      fun.() -> :ok
      tries == 0 -> flunk("it did not come true")
      true -> Process.sleep(10) && wait(fun, tries - 1)
    end
  end

  @tag :tmp_dir
  test "files have a line for every row", %{name: name, tmp_dir: dir} do
    start(name, sinks: [{Files, dir: dir}])
    assert Meter.record(name, event(id: 1, user: 7)) == :ok

    assert Meter.record(
             name,
             event(dimensions: {42, "a \"b\"\\\n\x01ü", nil}, metrics: [spend_micros: -3])
           ) == :ok

    assert Meter.record(name, event(at: @begin + @minute, dimensions: {42, <<255>>, true})) == :ok
    stop_supervised!(name)

    assert [first, second] = dir |> File.ls!() |> Enum.sort()
    assert first =~ ~r/^#{@begin}_.*_1\.ndjson\.gz$/

    lines =
      dir |> Path.join(first) |> File.read!() |> :zlib.gunzip() |> String.split("\n", trim: true)

    [epoch] = Regex.run(~r/"epoch":(\d+)/, hd(lines), capture: :all_but_first)

    common =
      ~s("meter":"#{inspect(name)}","window_start":#{@begin},"window_end":#{@begin + @minute},"sequence":1,"partial":true,"node":"#{node()}","epoch":#{epoch})

    {:ok, sketch} =
      Sketch.from_binary(
        Base.decode64!(
          hd(Regex.run(~r/"reach_sketch":"([^"]+)"/, List.last(lines), capture: :all_but_first))
        )
      )

    assert Float.round(Sketch.estimate(sketch), 3) == 1.0

    assert Enum.sort(Enum.take(lines, 2)) ==
             Enum.sort([
               ~s({"kind":"counters",#{common},"campaign":42,"creative":7,"country":"us","impressions":1,"clicks":0,"spend_micros":0}),
               ~s({"kind":"counters",#{common},"campaign":42,"creative":"a \\"b\\"\\\\\\n\\u0001ü","country":null,"impressions":0,"clicks":0,"spend_micros":-3})
             ])

    assert [_, _, reach] = lines

    assert String.starts_with?(
             reach,
             ~s({"kind":"reach",#{common},"campaign":42,"reach_sketch":")
           )

    line = dir |> Path.join(second) |> File.read!() |> :zlib.gunzip()
    assert line =~ ~s("creative":{"base64":"/w=="},"country":true)
  end

  test "dimensions of any length are counted, one by one and in lists", %{name: name} do
    start(name, dimensions: [:page, :country], metrics: [:n], reach: [by: [:country]])
    lengths = Enum.to_list(0..600) ++ [4_096, 65_535, 65_536]

    for {length, number} <- Enum.with_index(lengths) do
      page = :binary.copy(<<1>>, length)
      event = event(dimensions: {page, "us"}, user: number, metrics: [n: 1])
      long = event(id: page <> "i", dimensions: {"us", page}, user: page <> "u", metrics: [n: 1])

      assert Meter.record(name, event) == :ok, "#{length} bytes"
      assert %{ok: 2} = Meter.record_many(name, [event, event])

      if length < 65_536 do
        assert Meter.record(name, long) == :ok, "#{length} bytes"
        assert %{duplicate: 2} = Meter.record_many(name, [long, long])
      end
    end

    totals = for row <- Meter.report(name, by: [:page]), do: {byte_size(row.page), row.n}
    assert Enum.frequencies(totals)[{2, 603}] == 1
    assert length(totals) == 605
  end

  test "an event that is refused does not keep the next one from its window", %{name: name} do
    start(name, dimensions: [:page], metrics: [:n], clock: :events, window: 1_000, reach: false)
    good = event(at: 5_000, dimensions: {1}, metrics: [n: 1])

    refused = [
      %{good | at: -1},
      %{good | id: 1.5},
      %{good | dimensions: {}},
      %{good | metrics: 1},
      :none
    ]

    for {bad, number} <- Enum.with_index(refused) do
      assert Meter.record(name, %{good | at: 5_000 + 10_000 * number}) == :ok
      assert_raise ArgumentError, fn -> Meter.record(name, bad) end
      assert Meter.record(name, %{good | at: 9_000 + 10_000 * number}) == :ok
    end

    assert %{applied: 10, refused: 5} = Meter.info(name).events
  end

  test "time may begin at 0", %{name: name} do
    start(name, dimensions: [:page], metrics: [:n], clock: :events, window: 1_000, reach: false)

    for at <- [0, 999, 998, 1_000, 1_999, 0],
        do: assert(Meter.record(name, event(at: at, dimensions: {1}, metrics: [n: 1])) == :ok)

    events =
      for at <- [0, 999, 998, 1_000, 1_999, 0],
          do: event(at: at, dimensions: {1}, metrics: [n: 1])

    assert %{ok: 6, late: 0} = Meter.record_many(name, events)
    assert [%{n: 8}] = Meter.report(name, by: [:page], from: 0, to: 1_000)
    assert [%{n: 12}] = Meter.report(name, by: [:page], from: 0, to: 2_000)
  end

  test "events of a list may share the list of their amounts, or have another one", %{name: name} do
    start(name, dimensions: [:page], metrics: [:n, :m], reach: false)
    {shared, other} = {[n: 1, m: 10], [m: 100]}
    long = :binary.copy(<<1>>, 20_000)

    lists = [shared, shared, other, shared, [n: 1_000], [], [], shared, other]

    for page <- [1, "a page", long] do
      events = for metrics <- lists, do: event(dimensions: {page}, metrics: metrics)
      assert %{ok: 9} = Meter.record_many(name, events)
      assert %{ok: 1} = Meter.record_many(name, [hd(events)])

      bad = event(dimensions: {page}, metrics: [unknown: 1])
      assert_raise ArgumentError, fn -> Meter.record_many(name, events ++ [bad, bad]) end
      assert_raise ArgumentError, fn -> Meter.record_many(name, [bad]) end
    end

    assert [%{n: 1_005, m: 250}] =
             name |> Meter.report(by: [:page]) |> Enum.map(&Map.delete(&1, :page)) |> Enum.uniq()
  end

  test "an event may be as long as it can be", %{name: name} do
    dimensions = ~w(a b c d e f g h)a
    start(name, dimensions: dimensions, metrics: [:n], reach: [by: tl(dimensions)])
    longest = :binary.copy(<<1>>, 65_536)
    key = List.to_tuple(for _ <- 1..8, do: longest)
    event = event(id: key, dimensions: key, user: longest, metrics: [n: 1])
    assert Meter.record(name, event) == :ok
    assert %{duplicate: 2} = Meter.record_many(name, [event, event])
    assert %{ok: 2} = Meter.record_many(name, [%{event | id: nil}, %{event | id: 1}])
    assert [%{n: 3}] = Meter.report(name, by: [])
    one_more = put_elem(key, 7, longest <> "1")

    assert_raise ArgumentError, ~r/65536 bytes/, fn ->
      Meter.record(name, %{event | dimensions: one_more})
    end

    assert_raise ArgumentError, ~r/65536 bytes/, fn ->
      Meter.record(name, %{event | id: one_more})
    end
  end

  test "an event without metrics and without room is in the overflow", %{name: name} do
    start(name, max_keys: 1, reach: false)
    assert Meter.record(name, event(metrics: [])) == :ok
    assert Meter.record(name, event(dimensions: {1, 1, 1}, metrics: [])) == :overflow
  end

  test "wrong events are named, and nothing of them is counted", %{name: name} do
    start(name)

    for {fields, words} <- [
          {[dimensions: {1, 2}], "expected a tuple of 3 dimensions"},
          {[dimensions: [1, 2, 3]], "expected a tuple of 3 dimensions"},
          {[dimensions: {1, 2, 3.0}], "a key is"},
          {[metrics: [impressions: 1, views: 1]], ":views"},
          {[metrics: [impressions: 1, clicks: 1.5]], "an amount is an integer of 64 bits"},
          {[metrics: [impressions: 1, clicks: Bitwise.bsl(1, 63)]], "an amount is"},
          {[metrics: %{impressions: 1}], "a keyword list of at most 16"},
          {[metrics: [{:impressions, 1} | :clicks]], "a keyword list of at most 16"},
          {[metrics: List.duplicate({:impressions, 1}, 17)], "a keyword list of at most 16"},
          {[id: 1.5], "a key is"},
          {[user: :somebody], "a user"},
          {[at: -1], "a time"},
          {[at: nil], "a time"}
        ] do
      bad = event([{:id, "the id"} | fields])
      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn -> Meter.record(name, bad) end

      # Wherever it is in a list of whatever length.
      for good <- [0, 10, 1_000] do
        events = List.duplicate(event(), good) ++ [bad]

        assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn ->
          Meter.record_many(name, events)
        end
      end
    end

    for other <- [:event, [:event], [event() | :event], [event(), %{}]] do
      assert_raise ArgumentError,
                   ~r/expected a (proper list of )?%AdTally.Event\{\} struct/,
                   fn ->
                     Meter.record_many(name, other)
                   end
    end

    nothing = %{ok: 0, duplicate: 0, late: 0, future: 0, no_window: 0, overflow: 0}
    assert Meter.record_many(name, []) == nothing

    # Thirteen one by one, and lists of 1, 11 and 1,001 of each; then 1, 1, 2 and 2.
    refused = 13 * (1 + 1 + 11 + 1_001) + 6

    assert %{received: ^refused, refused: ^refused, applied: 0, duplicate: 0} =
             Meter.info(name).events

    assert Meter.report(name) == []
    # Its id was not remembered either.
    assert Meter.record(name, event(id: "the id")) == :ok
  end

  test "wrong options are named", %{name: name} do
    good = [name: name, dimensions: [:campaign], metrics: [:clicks]]

    for {options, words} <- [
          {[name: nil], "expected :name to be an atom"},
          {[dimensions: []], "expected :dimensions to be a list of one to 8 different atoms"},
          {[dimensions: [:a, :a]], "expected :dimensions to be"},
          {[dimensions: [:clicks]], "other names than the metrics"},
          {[metrics: nil], "expected :metrics to be a list of one to 16"},
          {[window: 0], "expected :window to be milliseconds"},
          {[lateness: -1], "expected :lateness to be milliseconds"},
          {[clock: :none], "expected :clock to be :system or :events"},
          {[reach: [by: []]], "expected :by to have a dimension of [:campaign]"},
          {[reach: [by: [:country]]], "expected :by to be a list of dimensions, of [:campaign]"},
          {[reach: [by: [:campaign], precision: 30]], "expected :precision"},
          {[dedupe: [size: 1]], "in :dedupe: unknown or repeated options [:size]"},
          {[dedupe: [window: 0]], "in :dedupe: expected :window to be milliseconds"},
          {[reach: [by: [:campaign], max_keys: 0]], "in :reach: expected :max_keys"},
          {[dedupe: true], "expected :dedupe to be false or a keyword list of options"},
          {[reach: %{by: [:campaign]}],
           "expected :reach to be false or a keyword list of options"},
          {[flush: 0x1_0000_0000],
           "expected :flush to be milliseconds, an integer from 1 to 4294967295"},
          {[telemetry_interval: 0x1_0000_0000],
           "expected :telemetry_interval to be milliseconds"},
          {[max_waiting: 0], "expected :max_waiting to be an integer from 1"},
          {[retain: -1], "expected :retain to be milliseconds"},
          {[sinks: [Files]], "expected :sinks to be a list of {module, options}"},
          {[sinks: [{Enum, []}]], "expected :sinks to be a list of {module, options}"},
          {[on_late: {Enum, :nothing}], "expected :on_late to be {module, function}"},
          {[on_late: &Function.identity/1], "expected :on_late to be {module, function}"},
          {[what: 1], "unknown or repeated options [:what]"}
        ] do
      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn ->
        Meter.start_link(Keyword.merge(good, options))
      end
    end
  end

  test "a name that is a key of somebody else's is refused", %{name: name} do
    :persistent_term.put(name, :mine)
    options = [name: name, dimensions: [:campaign], metrics: [:clicks]]
    assert_raise ArgumentError, ~r/:persistent_term/, fn -> Meter.start_link(options) end
    assert :persistent_term.get(name) == :mine
    assert_raise ArgumentError, ~r/no AdTally.Meter named/, fn -> Meter.record(name, event()) end
  end

  test "one that was killed is started anew, and nothing is recorded in the old one", %{
    name: name
  } do
    pid = start(name)
    assert Meter.record(name, event()) == :ok
    monitor = Process.monitor(pid)
    # What hands windows to the sink says why it ends.
    capture_log(fn ->
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, _pid, :killed}
      wait(fn -> runs?(name) end)
      assert Meter.info(name).events.received == 0
    end)

    assert Meter.record(name, event()) == :ok
    assert Meter.info(name).events.applied == 1
  end

  defp runs?(name) do
    is_map(Meter.info(name))
  rescue
    ArgumentError -> false
  end

  test "a meter that does not run is named", %{name: name} do
    for _ <- 1..2 do
      assert_raise ArgumentError,
                   ~r/there is no AdTally.Meter named #{inspect(name)} that runs/,
                   fn ->
                     Meter.record(name, event())
                   end

      start(name)
      assert Meter.record(name, event()) == :ok
      stop_supervised!(name)
    end
  end
end
