defmodule AdTally.Meter.ReportTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter, Named}

  require Named

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:clicks, :spend]

  defp start(options \\ []) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    defaults = [name: name, dimensions: @dimensions, metrics: @metrics, clock: :events]
    start_supervised!({Meter, Keyword.merge(defaults, options)}, id: name)
    name
  end

  defp event(dimensions, fields \\ []),
    do: struct!(%Event{at: @begin, dimensions: dimensions, metrics: [clicks: 1]}, fields)

  defp record(name, events), do: Enum.map(events, &Meter.record(name, &1))

  defp random_events(count) do
    for _ <- 1..count do
      dimensions =
        {Enum.random(1..4), Enum.random([7, nil, "", "a"]), Enum.random(["us", "ca", :mx])}

      metrics = [clicks: Enum.random(0..3), spend: Enum.random(-5..5_000)]
      event(dimensions, at: @begin + Enum.random(0..(5 * @minute)), metrics: metrics)
    end
  end

  defp sum(rows, metric), do: rows |> Enum.map(& &1[metric]) |> Enum.sum()
  defp amount(events, metric), do: events |> Enum.map(& &1.metrics[metric]) |> Enum.sum()

  # What a report without overflow is, of the events themselves.
  defp expected(events, by, wanted?) do
    places = Enum.map(by, fn name -> Enum.find_index(@dimensions, &(&1 == name)) end)

    events
    |> Enum.filter(wanted?)
    |> Enum.group_by(fn event -> Enum.map(places, &elem(event.dimensions, &1)) end)
    |> Enum.sort()
    |> Enum.map(fn {values, events} ->
      totals = %{clicks: amount(events, :clicks), spend: amount(events, :spend)}
      by |> Enum.zip(values) |> Map.new() |> Map.merge(totals)
    end)
  end

  setup do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    {:ok, seed: seed}
  end

  describe "where" do
    test "filters rows before they are grouped, by dimensions that need not be grouped by", %{
      seed: seed
    } do
      name = start(lateness: 10 * @minute)
      events = random_events(2_000)
      record(name, events)

      for by <- [@dimensions, [:campaign], [:country], [:creative, :country], []],
          {where, wanted?} <- [
            {[campaign: 2], &(elem(&1, 0) == 2)},
            {[country: ["us", :mx]], &(elem(&1, 2) in ["us", :mx])},
            {[campaign: [2, 3], country: "ca"], &(elem(&1, 0) in [2, 3] and elem(&1, 2) == "ca")},
            {[creative: nil], &(elem(&1, 1) == nil)},
            {[creative: ["", 7]], &(elem(&1, 1) in ["", 7])},
            {[country: ["de"]], fn _ -> false end},
            {[country: []], fn _ -> false end},
            {[campaign: "2"], fn _ -> false end},
            {[], fn _ -> true end}
          ] do
        assert Meter.report(name, by: by, where: where) ==
                 expected(events, by, &wanted?.(&1.dimensions)),
               "by #{inspect(by)} where #{inspect(where)}, seed #{seed}"
      end
    end

    test "that is none is refused" do
      name = start()

      for where <- [
            [city: "Berlin"],
            [clicks: 1],
            [campaign: 1, campaign: 2],
            %{campaign: 1},
            :campaign,
            ["campaign"]
          ] do
        assert_raise ArgumentError, ~r/expected :where to be a keyword list of dimensions/, fn ->
          Meter.report(name, where: where)
        end
      end

      for value <- [1.0, {1}, [1, 2.5], %{}, [[1]], self()] do
        assert_raise ArgumentError, ~r/expected :campaign in :where to be an integer/, fn ->
          Meter.report(name, where: [campaign: value])
        end
      end
    end
  end

  describe "from and to" do
    test "reject what has the struct of a DateTime and not its fields" do
      name = start([])

      for time <- [
            %{__struct__: DateTime},
            %{~U[2026-06-01 00:00:00Z] | year: "2026"},
            %{~U[2026-06-01 00:00:00Z] | utc_offset: nil},
            %{~U[2026-06-01 00:00:00Z] | calendar: NoCalendar}
          ],
          option <- [:from, :to] do
        assert_raise ArgumentError,
                     ~r/expected :#{option} to be Unix milliseconds or a DateTime, .* got: %/,
                     fn -> Meter.report(name, [{option, time}]) end
      end
    end

    test "are Unix milliseconds or DateTimes of any zone and precision" do
      name = start(lateness: 10 * @minute)
      for minute <- 0..4, do: record(name, [event({minute, 1, 1}, at: @begin + minute * @minute)])
      clicks = &(name |> Meter.report([by: []] ++ &1) |> sum(:clicks))
      at = &DateTime.from_unix!(@begin * 1_000 + &1, :microsecond)

      assert clicks.(from: @begin + @minute) == 4
      assert clicks.(from: ~U[2026-06-01 00:01:00Z]) == 4
      assert clicks.(from: at.(60_000_001)) == 3
      assert clicks.(from: at.(59_999_999)) == 4
      assert clicks.(to: at.(60_000_001)) == 2
      assert clicks.(to: at.(60_000_000)) == 1
      assert clicks.(from: ~U[2026-06-01 00:01:00Z], to: @begin + 3 * @minute) == 2
      assert clicks.(from: @begin + 3 * @minute, to: @begin) == 0
      assert clicks.(from: 0) == 5
      assert clicks.(from: Bitwise.bsl(1, 100)) == 0
      assert clicks.(to: Bitwise.bsl(1, 100)) == 5
      # An hour to the east.
      local = %{
        ~U[2026-06-01 01:01:00Z]
        | utc_offset: 3_600,
          zone_abbr: "CET",
          time_zone: "Etc/GMT-1"
      }

      assert clicks.(from: local) == 4
    end

    test "raise for anything else" do
      name = start()

      for option <- [:from, :to],
          time <-
            [nil, -1, 1.5, "2026-06-01", ~D[2026-06-01], ~N[2026-06-01 00:00:00], :infinity] ++
              [~U[1969-12-31 23:59:59Z], {2026, 6, 1}, [1]] do
        assert_raise ArgumentError,
                     ~r/expected :#{option} to be Unix milliseconds or a DateTime/,
                     fn -> Meter.report(name, [{option, time}]) end
      end
    end
  end

  describe "what is in the overflow" do
    test "is in the report, so that sums of its rows are all that was counted", %{seed: seed} do
      name = start(lateness: 10 * @minute, max_keys: 5, reach: [by: [:campaign]])
      events = random_events(1_000)
      outcomes = name |> record(events) |> Enum.frequencies()
      assert outcomes[:overflow] > 0
      %{events: %{applied: applied, overflow: overflow}} = Meter.info(name)
      assert applied + overflow == 1_000

      for by <- [@dimensions, [:campaign], [:country], []] do
        rows = Meter.report(name, by: by)

        for metric <- @metrics,
            do: assert(sum(rows, metric) == amount(events, metric), "seed #{seed}")

        # It is last, and no group: it has no dimension, and they have no :overflow.
        {groups, [last]} = Enum.split(rows, -1)
        assert last.overflow == true
        assert Enum.all?(@dimensions, &(not is_map_key(last, &1)))
        assert Enum.all?(groups, &(not is_map_key(&1, :overflow)))
        assert Enum.all?(groups, fn group -> Enum.all?(by, &is_map_key(group, &1)) end)
      end
    end

    test "is left as it is by where, and is that of the windows that were asked for" do
      name = start(lateness: 10 * @minute, max_keys: 1)
      minute = &[at: @begin + &1 * @minute, metrics: [clicks: &2]]

      assert record(name, [event({1, 1, 1}, minute.(0, 1)), event({2, 1, 1}, minute.(0, 10))]) ==
               [:ok, :overflow]

      assert record(name, [event({2, 1, 1}, minute.(1, 100)), event({3, 1, 1}, minute.(1, 1_000))]) ==
               [:ok, :overflow]

      report =
        &(name |> Meter.report([by: [:campaign]] ++ &1) |> Enum.map(fn row -> row.clicks end))

      assert report.([]) == [1, 100, 1_010]
      assert report.(where: [campaign: 2]) == [100, 1_010]
      assert report.(where: [campaign: 9]) == [1_010]
      assert report.(to: @begin + @minute) == [1, 10]
      assert report.(from: @begin + 2 * @minute) == []
      assert [_, _, %{overflow: true}] = Meter.report(name, by: [:campaign])
    end

    test "is not in a report where nothing is in it" do
      name = start(max_keys: 1, reach: [by: [:campaign]])
      assert record(name, [event({1, 1, 1}, user: 7)]) == [:ok]
      assert [%{campaign: 1, clicks: 1} = row] = Meter.report(name, by: [:campaign])
      refute is_map_key(row, :overflow)
    end
  end

  describe "reach" do
    test "is nil, with its bounds, where a sketch had no room, and in the overflow" do
      name = start(lateness: 10 * @minute, reach: [by: [:campaign], max_keys: 2])

      users = fn campaign, users ->
        for user <- users, do: event({campaign, 1, "us"}, user: user)
      end

      record(name, users.(1, 1..100) ++ users.(2, 1..200))
      assert name |> record(users.(3, 1..50)) |> Enum.uniq() == [:overflow]
      # One without users has no sketch either, and is not known to have had none.
      record(name, users.(4, [nil]))

      assert [one, two, three, four, overflow] = Meter.report(name, by: [:campaign])
      assert_in_delta one.reach, 100, 5
      assert_in_delta two.reach, 200, 10
      no_room = %{reach: nil, reach_low: nil, reach_high: nil, spend: 0}
      assert three == Map.merge(no_room, %{campaign: 3, clicks: 50})
      assert four == Map.merge(no_room, %{campaign: 4, clicks: 1})
      assert %{overflow: true, clicks: 0, spend: 0} = overflow
      assert_in_delta overflow.reach, 50, 3
      assert overflow.reach_low <= overflow.reach and overflow.reach <= overflow.reach_high

      # All campaigns together have one without a sketch among them, those two have not.
      assert [%{reach: nil, clicks: 351}, _overflow] = Meter.report(name, by: [])
      two_of_them = Meter.report(name, by: [], where: [campaign: [1, 2]])
      assert [%{clicks: 300, reach: reach}, _overflow] = two_of_them
      assert_in_delta reach, 200, 10

      # A later window has room for it: what it had before is still not known.
      later = for user <- 1..20, do: event({3, 1, "us"}, user: user, at: @begin + @minute)
      assert name |> record(later) |> Enum.uniq() == [:ok]
      assert [%{reach: nil, clicks: 70}, _] = Meter.report(name, by: [], where: [campaign: 3])
      from = @begin + @minute
      assert [%{reach: reach}] = Meter.report(name, by: [:campaign], from: from)
      assert_in_delta reach, 20, 1
    end

    test "is 0 where nobody was and every sketch had room" do
      name = start(reach: [by: [:campaign]])
      record(name, [event({1, 1, "us"}), event({2, 1, "us"}, user: 7)])

      assert [%{reach: +0.0, reach_low: +0.0, reach_high: +0.0}, two] =
               Meter.report(name, by: [:campaign])

      assert_in_delta two.reach, 1, 0.01
    end

    test "is there where all dimensions of by and where are those of sketches" do
      name = start(reach: [by: [:campaign, :country]])

      for country <- ["us", "ca"], campaign <- [1, 2], user <- 1..(campaign * 10) do
        user = {country, user} |> :erlang.phash2()
        assert Meter.record(name, event({campaign, 7, country}, user: user)) == :ok
      end

      reach =
        &(name
          |> Meter.report(by: &1, where: &2)
          |> Enum.map(fn row -> row[:reach] && round(row.reach) end))

      assert reach.([:campaign], []) == [20, 40]
      assert reach.([:campaign], country: "us") == [10, 20]
      assert reach.([], campaign: 2, country: ["us", "ca"]) == [40]
      # A dimension may be in both.
      assert reach.([:campaign], campaign: 2) == [40]
      assert reach.([:campaign], creative: 7) == [nil, nil]
      assert reach.([:creative], []) == [nil]
      refute name |> Meter.report(by: [:creative]) |> hd() |> is_map_key(:reach)
    end

    test "is the one of all windows, of however many" do
      name = start(lateness: 500 * @minute, reach: [by: [:campaign]])

      for minute <- 0..149, user <- 1..20 do
        event = event({1, 1, 1}, user: user + minute, at: @begin + minute * @minute)
        assert Meter.record(name, event) == :ok
      end

      assert [%{reach: reach, clicks: 3_000}] = Meter.report(name, by: [:campaign])
      assert_in_delta reach, 169, 9
    end
  end

  # Windows of events that lie far apart, closed one after the other.
  defp closed(name, windows) do
    for window <- 1..windows,
        do: assert(Meter.record(name, event({1, 1, 1}, at: window * 10)) == :ok)

    await(fn -> Meter.info(name).closed_windows == windows - 1 end)
  end

  test "closed windows are read a few at a time: no message has many of them" do
    name = start(window: 10, lateness: 0, reach: [by: [:campaign]])
    closed(name, 2_000)
    meter = Process.whereis(name)
    :erlang.trace(meter, true, [:send])
    assert [%{clicks: 2_000}] = Meter.report(name, by: [])
    assert [%{clicks: 7}] = Meter.report(name, by: [], from: 15_000, to: 15_070)
    :erlang.trace(meter, false, [:send])
    sizes = for message <- sent(meter), do: :erts_debug.flat_size(message)
    assert length(sizes) >= 4
    assert Enum.max(sizes) < 500
  end

  defp sent(pid) do
    receive do
      {:trace, ^pid, :send, message, _to} -> [message | sent(pid)]
    after
      100 -> []
    end
  end

  test "a window that is closed while a report is made is in it once" do
    name = start(window: 10, lateness: 0)
    {parent, sent, made} = {self(), :counters.new(1, []), :counters.new(1, [])}

    spawn_link(fn ->
      for window <- 1..1_000 do
        # On a machine that is busy they may all come before the first report is made.
        if window == 500, do: await(fn -> :counters.get(made, 1) > 0 end)
        :ok = Meter.record(name, event({1, 1, 1}, at: window * 10))
        :counters.add(sent, 1, 1)
        if rem(window, 20) == 0, do: Process.sleep(1)
      end

      send(parent, :done)
    end)

    reports(name, fn -> :counters.get(sent, 1) end, made)
    assert [%{clicks: 1_000}] = Meter.report(name, by: [])
  end

  defp reports(name, counted, made) do
    before = counted.()
    clicks = name |> Meter.report(by: []) |> sum(:clicks)
    # One that is being counted may be there already.
    assert clicks >= before and clicks <= counted.() + 1

    :counters.add(made, 1, 1)

    receive do
      :done -> :ok
    after
      0 -> reports(name, counted, made)
    end
  end

  describe "a timeout" do
    test "bounds a report and the meter's numbers" do
      name = start(on_late: {Function, :identity})
      record(name, [event({1, 1, 1})])

      for function <- [:report, :info] do
        assert {:timeout, {Meter, ^function, [^name, [timeout: 0]]}} =
                 catch_exit(apply(Meter, function, [name, [timeout: 0]]))

        assert apply(Meter, function, [name, [timeout: :infinity]])
      end

      :ok = :sys.suspend(name)

      for function <- [:report, :info] do
        begin = System.monotonic_time(:millisecond)
        assert {:timeout, _call} = catch_exit(apply(Meter, function, [name, [timeout: 50]]))
        assert (System.monotonic_time(:millisecond) - begin) in 50..4_000
      end

      :ok = :sys.resume(name)
      assert [%{clicks: 1}] = Meter.report(name)
    end

    test "and other options are checked" do
      name = start()

      for timeout <- [-1, 1.5, nil, :never, 0x1_0000_0000], function <- [:report, :info] do
        assert_raise ArgumentError, ~r/expected :timeout to be milliseconds/, fn ->
          apply(Meter, function, [name, [timeout: timeout]])
        end
      end

      for {function, options} <- [
            report: [group: [:campaign]],
            report: [by: [], by: []],
            info: [by: []],
            info: [timeout: 1, timeout: 2]
          ] do
        assert_raise ArgumentError, ~r/unknown or repeated options/, fn ->
          apply(Meter, function, [name, options])
        end
      end

      for options <- [:none, ["by"], %{}], function <- [:report, :info] do
        assert_raise ArgumentError, ~r/expected a keyword list of options/, fn ->
          apply(Meter, function, [name, options])
        end
      end
    end
  end

  test "a meter that ends while it is asked is one that does not run" do
    for function <- [:report, :info] do
      name = Module.concat(__MODULE__, "Ending#{function}")
      options = [name: name, dimensions: @dimensions, metrics: @metrics, clock: :events]
      child = Supervisor.child_spec({Meter, options}, restart: :temporary, id: function)
      meter = start_supervised!(child)

      :ok = :sys.suspend(name)

      asking =
        Task.async(fn ->
          assert_raise(ArgumentError, fn -> apply(Meter, function, [name, []]) end)
        end)

      await(fn -> match?({:message_queue_len, 1}, Process.info(meter, :message_queue_len)) end)
      # What ends with it says so.
      capture_log(fn ->
        Process.exit(meter, :kill)
        message = Task.await(asking, :infinity).message
        assert message =~ "there is no AdTally.Meter named #{inspect(name)} that runs"
      end)
    end
  end

  test "a window that opens again because the clock was set back is there beside the closed one" do
    name = start(clock: :system)
    {native, _late} = Named.fetch!(Meter, name)
    event = event({42, 7, "us"}, at: System.system_time(:millisecond))

    assert Meter.record(name, event) == :ok
    assert Meter.close(name) == :ok
    assert Meter.record(name, event) == :late

    # What the meter's next look at a clock that was set back by an hour does.
    {[], false} = AdTally.Native.meter_close(native, System.system_time(:millisecond) - 3_600_000)

    assert Meter.record(name, event) == :ok
    assert [%{clicks: 2}] = Meter.report(name, by: [:campaign])
    assert Meter.close(name) == :ok
    assert [%{clicks: 2}] = Meter.report(name, by: [:campaign])
  end

  test "a window that began before the clock was set back is closed with the others" do
    name = start(clock: :system, max_ahead: 10 * @minute)
    {native, _late} = Named.fetch!(Meter, name)
    now = System.system_time(:millisecond)
    event = event({42, 7, "us"}, at: now + 5 * @minute)
    assert Meter.record(name, event) == :ok

    {[], false} = AdTally.Native.meter_close(native, now - @minute)

    assert Meter.record(name, %{event | at: now}) == :ok
    assert Meter.info(name).newest < event.at
    assert Meter.close(name) == :ok
    assert %{open_windows: 0, closed_windows: 2} = Meter.info(name)
    assert Meter.record(name, event) == :late
    assert [%{clicks: 2}] = Meter.report(name, by: [:campaign])
  end
end
