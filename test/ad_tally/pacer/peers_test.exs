defmodule AdTally.Pacer.PeersTest do
  # What a node says of others that it does not agree with.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias AdTally.{Named, Native, Pacer}
  alias AdTally.Pacer.{Peers, Plan, Rounds, Syncs}

  require Named

  @other :"other@127.0.0.1"

  defp peers, do: Peers.new(%{name: __MODULE__, nodes: [node(), @other], fingerprint: 1})

  # Other tests may log at the same time.
  defp told(log, text) do
    lines = String.split(log, "\n")
    Enum.count(lines, &(&1 =~ inspect(__MODULE__) and &1 =~ text))
  end

  # A round that the other node answers at once, at a time so much later by its clock.
  defp answered(peers, offset) do
    peers = Peers.begin_round(peers)
    Peers.answered(peers, @other, peers.round, System.system_time(:millisecond) + offset)
  end

  test "a clock that differs by minutes is told once, and once it agrees again" do
    log =
      capture_log(fn ->
        peers = answered(peers(), 180_000)
        assert_in_delta Peers.info(peers).clock_offsets[@other], 180_000, 1_000
        peers = answered(peers, 180_000)
        peers = answered(peers, 100)
        assert Peers.info(peers).clock_offsets == %{}
        peers = answered(peers, -180_000)
        assert_in_delta Peers.info(peers).clock_offsets[@other], -180_000, 1_000
      end)

    assert told(log, "ms ahead of that of this node") == 1
    assert told(log, "ms behind that of this node") == 1
    assert told(log, "agree again") == 1
  end

  test "an answer that comes late is no clock that differs" do
    peers = peers() |> Peers.begin_round()
    sent = System.system_time(:millisecond) - 60_000
    # It was answered as soon as it came, and was under way for long.
    peers = %{peers | round_at: sent}

    log =
      capture_log(fn ->
        assert Peers.info(Peers.answered(peers, @other, 1, sent + 10)).clock_offsets == %{}
        # Of an earlier round it is not known when that began.
        later = Peers.begin_round(peers)
        assert Peers.info(Peers.answered(later, @other, 1, 10)).clock_offsets == %{}
      end)

    assert told(log, "clock") == 0
  end

  test "metrics read how many nodes are lost, disagree or have another clock, as of the last round" do
    counted = fn peers -> Peers.faulty_nodes(peers.counters) end

    capture_log(fn ->
      peers = Peers.end_round(peers())
      assert counted.(peers) == %{lost: 0, disagreeing: 0, clock: 0}

      long_ago = System.monotonic_time(:millisecond) - 60_000
      peers = Peers.end_round(%{peers | heard: %{@other => long_ago}})
      assert counted.(peers) == %{lost: 1, disagreeing: 0, clock: 0}

      peers = peers |> answered(180_000) |> Peers.end_round()
      assert counted.(peers) == %{lost: 0, disagreeing: 0, clock: 1}

      {:refused, peers} = Peers.read(peers, {:ad_tally_pacer, 2, @other, :refused})
      assert counted.(Peers.end_round(peers)) == %{lost: 0, disagreeing: 1, clock: 1}
    end)
  end

  test "with a node that has other :nodes, which it says or is told, nothing is leased until they agree" do
    name = Module.concat(__MODULE__, Disagreeing)
    pid = start_supervised!({Pacer, name: name, nodes: [node(), @other]})
    native = Named.fetch!(Pacer, name)
    campaign = Enum.find(1..100, &(Native.pacer_coordinator(native, &1) == node()))
    at = System.system_time(:millisecond)
    assert Pacer.put(name, campaign, budget_micros: 1_000_000) == :ok

    log =
      capture_log(fn ->
        send(pid, {:ad_tally_pacer, :another, @other, :refused})
        assert Pacer.info(name).disagreeing_nodes == [@other]
      end)

    assert log =~ "nothing is leased from here to any node"
    assert Pacer.put(name, campaign, budget_micros: 2_000_000) == {:error, :no_coordinator}
    before = Pacer.status(name, campaign).leased_micros
    assert Pacer.reserve(name, campaign, 1, 900_000, at) == :no_budget
    send(pid, :renew)
    assert Pacer.status(name, campaign).leased_micros == before

    %{peers: %{fingerprint: fingerprint}} = :sys.get_state(pid)
    send(pid, {:ad_tally_pacer, fingerprint, @other, {:answered, 0, at}})
    assert Pacer.info(name).disagreeing_nodes == []
    assert Pacer.put(name, campaign, budget_micros: 2_000_000) == :ok
  end

  test "a plan that the coordinator cannot take, or a request that it does not know, does not end it" do
    name = Module.concat(__MODULE__, Coordinating)
    pid = start_supervised!({Pacer, name: name})
    plan = Plan.new!(budget_micros: 1_000_000, period: {:daily, "Europe/Berlin"})
    wrong = put_elem(plan, 2, "Mars/Olympus")
    assert {:refused, message} = GenServer.call(pid, {:of, 42, {:put, wrong}})
    assert message =~ "Mars/Olympus"
    assert GenServer.call(pid, {:of, 42, {:reverse, 1}}) == {:error, :no_coordinator}
    assert GenServer.call(pid, {:of, 42, {:put, plan}}) == :ok
    assert Process.whereis(name) == pid
  end

  test "malformed messages do no harm, and what cannot be read is logged once a minute" do
    name = Module.concat(__MODULE__, Hearing)
    pid = start_supervised!({Pacer, name: name, nodes: [node(), @other]})
    %{peers: %{fingerprint: fingerprint}} = :sys.get_state(pid)
    at = System.system_time(:millisecond)

    whats = [
      {:reports, :none, true},
      {:reports, "", :maybe},
      {:granted, nil},
      {:answered, 1, :now},
      {:answered, make_ref(), at},
      {:round, {}},
      :changed,
      "text"
    ]

    log =
      capture_log(fn ->
        for what <- whats, do: send(pid, {:ad_tally_pacer, fingerprint, @other, what})
        for node <- [42, nil, {name, node()}], do: send(pid, {:ad_tally_pacer, 0, node, :changed})
        # What cannot be read comes each second.
        for _ <- 1..50, do: send(pid, {:ad_tally_pacer, fingerprint, @other, {:granted, "?"}})
        assert GenServer.call(pid, {:ask, :"nobody@127.0.0.1"}) == {:error, :no_coordinator}
      end)

    assert Process.whereis(name) == pid
    lines = String.split(log, "\n")
    assert Enum.count(lines, &(&1 =~ inspect(name) and &1 =~ "has sent is refused")) == 1
  end

  test "while the disk does not answer no more waits than what does not come again" do
    state = %{syncs: Syncs.new(fn -> make_ref() end)}

    state =
      Enum.reduce(1..5_000, state, fn round, state ->
        actions = [{:tell_answered, @other, round}, {:apply, []}, :tick]
        Rounds.later(state, actions)
      end)

    # The first action has begun a sync.
    assert length(state.syncs.waiting) in 1_000..1_003
    state = Rounds.later(state, [{:apply, []}, {:reply_free, {self(), make_ref()}}])
    assert [{:reply_free, _from} | _] = state.syncs.waiting

    # Whoever puts or deletes meanwhile does not wait, and changes nothing.
    name = Module.concat(__MODULE__, Hanging)
    pid = start_supervised!({Pacer, name: name})
    :ok = Pacer.put(name, 42, budget_micros: 1_000)
    :sys.replace_state(pid, &%{&1 | syncs: state.syncs})
    assert Pacer.put(name, 42, budget_micros: 2_000) == {:error, :busy}
    assert Pacer.delete(name, 42) == {:error, :busy}
    assert %{budget_micros: 1_000} = Pacer.status(name, 42)
  end

  test "a budget that another node coordinates is not taken from a node that has other :nodes" do
    name = Module.concat(__MODULE__, Pacer)
    start_supervised!({Pacer, name: name, nodes: [node(), @other]})
    native = Named.fetch!(Pacer, name)
    campaign = Enum.find(1..100, &(Native.pacer_coordinator(native, &1) == @other))
    plan = Plan.new!(budget_micros: 1_000_000)

    for request <- [{:put, plan}, :delete, :status] do
      assert GenServer.call(name, {:of, campaign, request}) == {:error, :no_coordinator}
    end

    assert Pacer.reserve(name, campaign, 1, 1_000, System.system_time(:millisecond)) == :unknown
  end
end
