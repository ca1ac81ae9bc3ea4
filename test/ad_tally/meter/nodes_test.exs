defmodule AdTally.Meter.NodesTest do
  # Reports over three nodes. The test's VM becomes a node for as long as this takes.
  use ExUnit.Case

  import AdTally.Test.Polling

  alias AdTally.{Event, Meter, Metrics, Native}
  alias AdTally.Meter.Report
  alias AdTally.Test.{MeterNodes, Nodes, ReportFrames}
  alias AdTally.Windows.Reader

  @moduletag :capture_log

  @meter __MODULE__.Meter
  @alone __MODULE__.Alone
  @minute 60_000
  @begin 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:clicks, :spend_micros]

  defp options(more \\ []) do
    defaults = [
      name: @meter,
      dimensions: @dimensions,
      metrics: @metrics,
      clock: :events,
      lateness: 3 * @minute,
      reach: [by: [:campaign, :country], precision: 10]
    ]

    Keyword.merge(defaults, more)
  end

  defp events(count) do
    for number <- 1..count do
      %Event{
        at: @begin + rem(number, 8) * @minute,
        dimensions:
          {rem(number, 7), "creative-#{rem(number, 11)}",
           Enum.at([:us, "ca", nil], rem(number, 3))},
        user: rem(number * 7_919, 4_000),
        metrics: [clicks: 1, spend_micros: rem(number, 1_000)]
      }
    end
  end

  # Calls a function with this node and others. What it has started here ends with it.
  defp with_peers(count, function) do
    Nodes.with_peers(count, fn here, others ->
      try do
        function.(here, others)
      after
        for name <- [@meter, @alone], pid = Process.whereis(name), do: stop(pid)
      end
    end)
  end

  defp stop(meter) do
    [supervisor | _] =
      meter |> Process.info(:dictionary) |> elem(1) |> Keyword.fetch!(:"$ancestors")

    Supervisor.stop(supervisor)
  end

  defp start(node, options), do: Nodes.start_tree(node, [{Meter, options}])

  # Each event on one of the nodes.
  defp record(nodes, events) do
    events
    |> Enum.sort_by(& &1.at)
    |> Enum.with_index()
    |> Enum.group_by(
      fn {_event, at} -> Enum.at(nodes, rem(at, length(nodes))) end,
      &elem(&1, 0)
    )
    |> Enum.each(fn {node, events} ->
      %{late: 0, overflow: 0} = :erpc.call(node, Meter, :record_many, [@meter, events])
    end)
  end

  # The native report over nodes, in the way that `Meter.report/2` makes it, but for its rows.
  defp united(nodes, options) do
    [first | others] =
      for node <- nodes do
        made = grouped_on(node, options)
        assert is_reference(made)
        made
      end

    for other <- others, do: :ok = Report.merge(first, other)
    first
  end

  defp grouped_on(node, options) when node == node(), do: MeterNodes.grouped(@meter, options)

  defp grouped_on(node, options) do
    made = MeterNodes.grouped(@meter, options ++ [from: 0, to: 1])
    frames = :erpc.call(node, MeterNodes, :frames, [@meter, options])
    assert Enum.all?(frames, &(byte_size(&1) <= 1_048_576))
    for frame <- frames, do: assert(Report.take(made, frame) in [:more, :done])
    made
  end

  test "a report over three nodes is that of one that saw all" do
    with_peers(2, fn here, others ->
      nodes = [here | others]
      for node <- nodes, do: start(node, options())
      start(here, options(name: @alone))
      events = events(12_000)
      record(nodes, events)
      %{late: 0} = Meter.record_many(@alone, Enum.sort_by(events, & &1.at))

      for by <- [@dimensions, [:campaign], [:country, :campaign], [:creative], []],
          options <- [
            [],
            [order_by: :spend_micros, limit: 4],
            [where: [campaign: [1, 2, 77], country: [:us, nil]]],
            [where: [creative: "creative-3"], limit: 3],
            [from: @begin + @minute, to: @begin + 5 * @minute, order_by: :clicks]
          ] do
        options = [by: by] ++ options
        alone = Meter.report(@alone, options)

        assert Meter.report(@meter, options ++ [nodes: :all]) ==
                 %{rows: alone, nodes: nodes, missing: []},
               inspect(options)

        assert Meter.report(@meter, options ++ [nodes: others]).nodes == others
      end

      # So have snapshots.
      nobody = :"nobody@127.0.0.1"
      %{nodes: snapshots, missing: missing} = Metrics.snapshot(nodes: [nobody | nodes])
      assert [{^nobody, "cannot be reached" <> _}] = missing
      assert snapshots |> Map.keys() |> Enum.sort() == Enum.sort(nodes)

      for {node, snapshot} <- snapshots do
        received = snapshot.meters[@meter].events.received
        assert snapshot.node == node
        # This VM has had meters of that name before, whose events are in its totals.
        assert if(node == here, do: received >= 4_000, else: received == 4_000)
      end

      # Sketches are equal byte for byte.
      for by <- [[:campaign, :country], [:campaign], []] do
        groups = @alone |> MeterNodes.grouped(by: by) |> ReportFrames.groups(length(by), 2)
        assert nodes |> united(by: by) |> ReportFrames.groups(length(by), 2) == groups
        assert Enum.any?(groups, fn {_key, {_flags, _sums, sketch}} -> sketch != nil end)
      end

      # Nothing goes on working for it.
      for node <- nodes,
          do: await(fn -> :erpc.call(node, MeterNodes, :count_servers, []) == 0 end)
    end)
  end

  test "sums that need more than 64 bits and what had no row are added as well" do
    with_peers(2, fn here, others ->
      nodes = [here | others]
      most = 0x7FFF_FFFF_FFFF_FFFF

      for node <- nodes,
          do: start(node, options(max_keys: 1, reach: [by: [:campaign], max_keys: 1]))

      for {node, number} <- Enum.with_index(nodes) do
        record([node], [
          %Event{at: @begin, dimensions: {1, 1, 1}, user: number, metrics: [spend_micros: most]}
        ])

        event = %Event{at: @begin, dimensions: {2, 1, 1}, user: number, metrics: [clicks: 2]}
        assert :erpc.call(node, Meter, :record, [@meter, event]) == :overflow
      end

      assert %{rows: [row, overflow], missing: []} =
               Meter.report(@meter, by: [:campaign], nodes: :all)

      assert %{campaign: 1, clicks: 0, spend_micros: sum, reach: reach} = row
      assert {sum, round(reach)} == {3 * most, 3}
      assert %{overflow: true, clicks: 6, spend_micros: 0, reach: reach} = overflow
      assert round(reach) == 3
    end)
  end

  test "nodes without that meter, and with other ones, are missing with what differs" do
    with_peers(2, fn here, [first, second] ->
      start(here, options())
      record([here], events(100))
      alone = Meter.report(@meter)

      missing = fn options ->
        tree = start(second, options)
        report = Meter.report(@meter, nodes: [first, here, second])
        assert %{rows: ^alone, nodes: [^here], missing: missing} = report
        assert [{^first, none}, {^second, other}] = missing
        assert none =~ "there is no AdTally.Meter named #{inspect(@meter)} that runs"
        :ok = :erpc.call(second, Supervisor, :stop, [tree])
        other
      end

      assert missing.(options(metrics: [:clicks])) ==
               "has :metrics [:clicks], and the node that asks has [:clicks, :spend_micros]"

      assert missing.(options(dimensions: [:campaign, :country, :creative])) =~ "has :dimensions"

      assert missing.(options(window: 1_000)) =~
               "has :window 1000, and the node that asks has 60000"

      assert missing.(options(reach: false)) =~ "has :by of :reach []"

      assert missing.(options(reach: [by: [:campaign, :country], precision: 12])) =~
               "has :precision of :reach 12, and the node that asks has 10"

      secret = "sixteen bytes..."
      reach = [by: [:campaign, :country], precision: 10, secret: secret]
      assert missing.(options(reach: reach)) == "has another :secret of :reach"

      # What only says how much there is room for may differ.
      start(second, options(max_keys: 7, lateness: 0, seed: 3))
      assert %{nodes: [^here, ^second]} = Meter.report(@meter, nodes: [here, second])
    end)
  end

  test "nodes that are not there, know no reports over nodes, or are of another version are missing" do
    with_peers(2, fn here, [first, second] ->
      for node <- [here, first, second], do: start(node, options())
      record([here], events(100))
      alone = Meter.report(@meter)

      nobody = :"nobody@127.0.0.1"
      # An earlier version has no such module, and a later one may have another protocol.
      :ok = :erpc.call(first, MeterNodes, :forget, [])

      assert %{rows: ^alone, nodes: [^here], missing: missing} =
               Meter.report(@meter, nodes: [here, nobody, first])

      assert missing == [
               {nobody, "cannot be reached, or was lost before all of its answer was here"},
               {first, "has no AdTally, or a version of it that has no answer for other nodes"}
             ]

      assert {:missing, reason} = :erpc.call(second, Meter.Nodes, :begin, [%{protocol: 2}])
      assert reason =~ "are of version 1, and the node that asks has version 2"
    end)
  end

  # Peers whose processes stand still, and are let go on or killed afterwards.
  defp signal(node, signal) do
    os_pid = node |> :erpc.call(:os, :getpid, []) |> to_string()
    fn -> {_output, 0} = System.cmd("kill", ["-#{signal}", os_pid]) end
  end

  test "a node that does not answer in time is missing, and the others are not" do
    with_peers(2, fn here, [first, second] ->
      for node <- [here, first, second], do: start(node, options())
      record([here, first, second], events(300))
      both = Meter.report(@meter, nodes: [here, first])
      {stop, go_on} = {signal(second, "STOP"), signal(second, "CONT")}
      stop.()

      try do
        begin = System.monotonic_time(:millisecond)
        report = Meter.report(@meter, nodes: :all, timeout: 700)
        taken = System.monotonic_time(:millisecond) - begin
        assert %{missing: [{^second, "did not answer within " <> _}]} = report
        assert {report.rows, Enum.sort(report.nodes)} == {both.rows, Enum.sort(both.nodes)}
        assert taken >= 600
      after
        go_on.()
      end

      await(fn -> Meter.report(@meter, nodes: :all).missing == [] end)
      await(fn -> :erpc.call(second, MeterNodes, :count_servers, []) == 0 end)
    end)
  end

  test "a node that is killed in the middle is missing with all that it has sent" do
    with_peers(2, fn here, [first, second] ->
      for node <- [here, first, second], do: start(node, options())
      record([here, first], events(300))
      both = Meter.report(@meter, nodes: [here, first])
      :ok = :erpc.call(second, MeterNodes, :fill, [@meter, 50_000])
      :ok = :erpc.call(second, MeterNodes, :send_first_frame, [self(), @meter, []])
      kill = signal(second, "KILL")
      report = Task.async(fn -> Meter.report(@meter, nodes: [here, first, second]) end)
      assert_receive :first_frame
      kill.()

      assert %{rows: rows, nodes: nodes, missing: [{^second, reason}]} =
               Task.await(report, :infinity)

      assert reason == "cannot be reached, or was lost before all of its answer was here"
      assert {rows, nodes} == {both.rows, both.nodes}
    end)
  end

  test "a caller that ends has all that works for it end, also on other nodes" do
    with_peers(2, fn here, [first, second] ->
      for node <- [here, first, second], do: start(node, options())
      :ok = :erpc.call(second, MeterNodes, :fill, [@meter, 50_000])
      :ok = :erpc.call(second, MeterNodes, :send_first_frame, [self(), @meter, []])
      caller = spawn(fn -> Meter.report(@meter, nodes: :all) end)
      assert_receive {:worker, worker}
      assert_receive :first_frame
      assert node(worker) == here
      monitor = Process.monitor(worker)
      Process.exit(caller, :kill)
      assert_receive {:DOWN, ^monitor, :process, _worker, _reason}

      # A server that waits to be asked, and whoever asks ends.
      native = @meter |> :persistent_term.get() |> elem(1) |> elem(0)
      {10, nil} = native |> Native.meter_shape() |> elem(1)

      shape = [
        dimensions: @dimensions,
        metrics: @metrics,
        window: @minute,
        reach_by: [:campaign, :country],
        precision: 10,
        secret: nil
      ]

      request = %{protocol: 1, name: @meter, shape: shape, options: [by: []]}
      test = self()

      asking = fn ->
        request = Map.put(request, :worker, self())
        {:ok, server} = :erpc.call(first, Meter.Nodes, :begin, [request])
        frames = :erpc.call(first, Meter.Nodes, :next, [server])
        send(test, {:asked, frames})
        Process.sleep(:infinity)
      end

      asker = spawn(asking)
      assert_receive {:asked, [_ | _] = frames}
      assert Enum.all?(frames, &is_binary/1)
      assert :erpc.call(first, MeterNodes, :count_servers, []) == 2
      Process.exit(asker, :kill)
      await(fn -> :erpc.call(first, MeterNodes, :count_servers, []) == 0 end)
    end)
  end

  test "what is no list of nodes is refused, and a meter that does not run raises" do
    start_supervised!({Meter, options()})

    for nodes <- [[], [node(), node()], ["a@b"], :some, node(), nil, [node() | :b]] do
      assert_raise ArgumentError,
                   ~r/expected :nodes to be :all, or a list of one to 1000 nodes/,
                   fn ->
                     Meter.report(@meter, nodes: nodes)
                   end
    end

    assert_raise ArgumentError, ~r/expected :by to be a list/, fn ->
      Meter.report(@meter, by: [:city], nodes: :all)
    end

    assert_raise ArgumentError, ~r/expected :timeout to be milliseconds/, fn ->
      Meter.report(@meter, nodes: :all, timeout: -1)
    end

    assert_raise ArgumentError, ~r/unknown or repeated options \[:nodes\]/, fn ->
      Meter.stream_report(@meter, nodes: :all)
    end

    assert_raise ArgumentError, ~r/there is no AdTally.Meter/, fn ->
      Meter.report(Nobody, nodes: :all)
    end

    # A VM that is no node has itself.
    assert Meter.report(@meter, nodes: :all) == %{rows: [], nodes: [node()], missing: []}
    unreachable = Meter.report(@meter, nodes: [:"ads@127.0.0.1"])

    assert %{rows: [], nodes: [], missing: [{:"ads@127.0.0.1", "cannot be reached" <> _}]} =
             unreachable
  end

  test "frames that are damaged, or of something else, are refused, and the report has nothing then" do
    start_supervised!({Meter, options()})
    record([node()], events(300))
    made = fn -> MeterNodes.grouped(@meter, by: [:campaign], to: 0) end
    [frame] = @meter |> MeterNodes.grouped(by: [:campaign]) |> ReportFrames.frames()
    assert Report.take(made.(), frame) == :done

    damaged = made.()
    <<begin::binary-size(200), byte, rest::binary>> = frame
    changed = <<begin::binary, Bitwise.bxor(byte, 1), rest::binary>>
    assert {:error, _byte, "checksum", _reason} = Report.take(damaged, changed)
    assert {:error, 0, "report", "has ended" <> _} = Report.take(damaged, frame)
    assert Report.frame(damaged) == nil

    [other] = @meter |> MeterNodes.grouped(by: [:creative]) |> ReportFrames.frames()
    assert {:error, _byte, "by", reason} = Report.take(made.(), other)
    assert reason == "[:creative], expected the table's, [:campaign]"
    counters = AdTally.Counters.new(metrics: [:clicks])
    [of_counters] = Enum.to_list(AdTally.Counters.export(counters))
    assert {:error, 10, "kind", _reason} = Report.take(made.(), of_counters)
    assert {:error, %{field: "kind"}} = AdTally.Frame.describe(frame)
    # Never with itself.
    same = MeterNodes.grouped(@meter, by: [:campaign])
    assert Report.merge(same, same) == :ok
    assert [%{campaign: 0} | _] = Reader.all_rows(Report, same, fn -> :infinity end)
  end
end
