defmodule AdTally.Pacer.NodesTest do
  # Three nodes that spend the same budgets. The test's VM becomes a node for as long as this takes.
  use ExUnit.Case

  import AdTally.Test.Polling

  alias AdTally.{Admission, FrequencyCap, Named, Native, Pacer, Store}
  alias AdTally.Test.{Nodes, Stores}

  require Named

  @moduletag :capture_log

  @pacer __MODULE__.Pacer
  @store __MODULE__.Store
  @caps __MODULE__.Caps
  @hour 3_600_000

  defp start(nodes, dir) do
    for {node, number} <- Enum.with_index(nodes), into: %{} do
      {node, Nodes.start_tree(node, children(nodes, "#{dir}_#{number}"))}
    end
  end

  defp children(nodes, dir),
    do: [
      {Store, name: @store, dir: dir},
      {FrequencyCap, name: @caps, capacity: 100},
      {Pacer, name: @pacer, store: @store, nodes: nodes}
    ]

  # A campaign whose coordinator is that node.
  defp campaign_of(node) do
    native = Named.fetch!(Pacer, @pacer)
    Enum.find(1..1_000, &(Native.pacer_coordinator(native, &1) == node))
  end

  defp on(node, function, arguments),
    do: :erpc.call(node, Pacer, function, [@pacer | arguments])

  defp now, do: System.system_time(:millisecond)

  # Once leases are there.
  defp reserve(node, campaign, request, price, options \\ []) do
    await(fn -> on(node, :open, [[campaign], request, now()]) == [campaign] end)
    {:ok, reservation} = on(node, :reserve, [campaign, request, price, now(), options])
    reservation
  end

  defp spent_and_held(status),
    do: status.spent_micros + status.reserved_micros + status.leased_micros

  test "budgets are spent on three nodes, and survive the stop of their coordinator" do
    dir = Stores.dir()
    on_exit(fn -> for number <- 0..2, do: File.rm_rf!("#{dir}_#{number}") end)

    Nodes.with_peers(2, fn here, [first, second] = others ->
      nodes = [here | others]
      trees = start(nodes, dir)

      campaigns = for node <- nodes, into: %{}, do: {node, campaign_of(node)}

      for {_node, campaign} <- campaigns,
          do: assert(Pacer.put(@pacer, campaign, budget_micros: 10_000_000) == :ok)

      # All nodes agree on who has a budget.
      for node <- nodes, {owner, campaign} <- campaigns do
        native = :erpc.call(node, :persistent_term, :get, [@pacer]) |> elem(1)
        assert :erpc.call(node, Native, :pacer_coordinator, [native, campaign]) == owner
      end

      # Many that another one coordinates are there once put/3 returns, and take no round each.
      rounds = fn -> :sys.get_state(Process.whereis(@pacer)).peers.round end
      {before, began} = {rounds.(), System.monotonic_time(:millisecond)}
      native = Named.fetch!(Pacer, @pacer)
      elsewhere = for n <- 2_000..2_600, Native.pacer_coordinator(native, n) == first, do: n
      for n <- elsewhere, do: :ok = Pacer.put(@pacer, n, budget_micros: 1_000_000)
      assert length(elsewhere) > 100
      passed = System.monotonic_time(:millisecond) - began
      # One a second, and those that a budget without money asks for, at most every 50 ms.
      assert rounds.() - before <= passed / 1_000 + passed / 50 + 2

      for n <- elsewhere do
        # A put waits for a second at most.
        await(fn -> Pacer.reserve(@pacer, n, 1, 1_000_000_000, now()) == :no_budget end)
      end

      # Each node spends of each budget.
      for node <- nodes, {_owner, campaign} <- campaigns do
        reservation = reserve(node, campaign, {:first, node}, 1_000)
        # On the next node, which passes it on.
        next = Enum.at(nodes, rem(Enum.find_index(nodes, &(&1 == node)) + 1, 3))
        assert on(next, :confirm, [reservation, 900, now()]) == :ok
        assert on(next, :confirm, [reservation, 900, now()]) == {:error, :duplicate}
        assert on(node, :confirm, [reservation, 900, now()]) == {:error, :duplicate}
        assert on(next, :release, [reservation]) == {:error, :confirmed}
      end

      for {_owner, campaign} <- campaigns, node <- nodes do
        await(fn -> on(node, :status, [campaign]).spent_micros == 2_700 end)
        status = on(node, :status, [campaign])
        assert spent_and_held(status) <= 10_000_000
        assert status.nodes |> Map.keys() |> Enum.sort() == Enum.sort(nodes)
      end

      # What another node has admitted is taken back there, money and event, once.
      admit = fn request ->
        arguments = [{@caps, @pacer}, campaigns[here], "ann", [{1, @hour}], request, 1_000, now()]
        :erpc.call(first, Admission, :admit, arguments ++ [[ttl: @hour]])
      end

      shown = fn ->
        :erpc.call(first, FrequencyCap, :count, [@caps, campaigns[here], "ann", @hour])
      end

      {:ok, held} = admit.(:elsewhere)
      assert {:capped, _rule} = admit.(:another)
      assert Admission.release({@caps, @pacer}, held) == :ok
      assert shown.() == 0
      await(fn -> match?({:ok, _again}, admit.(:another)) end)
      assert Admission.release({@caps, @pacer}, held) == :ok
      assert on(first, :release, [held]) == :ok
      assert shown.() == 1

      # A table without a name is of one node.
      {:ok, held} =
        :erpc.call(first, Admission, :admit, [
          {@caps, @pacer},
          campaigns[here],
          "bob",
          [{1, @hour}],
          :table,
          1_000,
          now()
        ])

      assert Admission.release({FrequencyCap.new(capacity: 100), @pacer}, held) == :ok

      # Without its coordinator a node spends what it has leased, and no more.
      campaign = campaigns[first]
      unfinished = reserve(first, campaign, :unfinished, 1_000, ttl: @hour)
      leased = on(here, :status, [campaign]).nodes[here]
      assert leased > 0
      :ok = :erpc.call(first, Supervisor, :stop, [trees[first]])
      assert Pacer.put(@pacer, campaign, budget_micros: 20_000_000) == {:error, :no_coordinator}
      assert Pacer.status(@pacer, campaign) == {:error, :no_coordinator}
      assert Pacer.delete(@pacer, campaign) == {:error, :no_coordinator}
      assert Pacer.confirm(@pacer, unfinished, 900, now()) == {:error, :unreachable}
      taken = take_all(campaign, 0)
      assert taken > 0 and taken <= leased
      # Others are not concerned.
      reserve(here, campaigns[second], :meanwhile, 1_000)

      # And back.
      Nodes.start_tree(first, children(nodes, "#{dir}_1"))
      await(fn -> Pacer.open(@pacer, [campaign], :back, now()) == [campaign] end)
      assert Pacer.confirm(@pacer, unfinished, 900, now()) == :ok
      assert {:ok, _} = Pacer.reserve(@pacer, campaign, :back, 100, now())
      await(fn -> Pacer.status(@pacer, campaign).spent_micros == 3_600 end)
      assert spent_and_held(Pacer.status(@pacer, campaign)) <= 10_000_000

      # A budget that is taken away is gone on all nodes.
      assert Pacer.delete(@pacer, campaign) == :ok

      for node <- nodes,
          do: await(fn -> on(node, :reserve, [campaign, :gone, 1, now()]) == :unknown end)

      Supervisor.stop(trees[here])
    end)
  end

  test "a node alone may have another name at its next start" do
    dir = Stores.dir()

    Nodes.with_peers(2, fn _here, [first, second] ->
      children = [{Store, name: @store, dir: dir}, {Pacer, name: @pacer, store: @store}]
      tree = Nodes.start_tree(first, children)
      assert on(first, :put, [42, [budget_micros: 10_000]]) == :ok
      spent = reserve(first, 42, :spent, 2_000, ttl: @hour)
      assert on(first, :confirm, [spent, 1_500, now()]) == :ok
      held = reserve(first, 42, :held, 1_000, ttl: @hour)
      :ok = :erpc.call(first, Supervisor, :stop, [tree])

      tree = Nodes.start_tree(second, children)
      assert on(second, :confirm, [held, 700, now()]) == :ok
      assert on(second, :confirm, [spent, 1_500, now()]) == {:error, :duplicate}
      reserve(second, 42, :more, 100)
      await(fn -> on(second, :status, [42]).spent_micros == 2_200 end)
      assert %{nodes: %{^second => _leased} = nodes} = on(second, :status, [42])
      assert map_size(nodes) == 1
      :ok = :erpc.call(second, Supervisor, :stop, [tree])
    end)
  end

  for {restarts?, whose} <- [false: "that run", true: "that start again"] do
    test "plans of a coordinator whose store is an older copy get to nodes #{whose}" do
      dir = Stores.dir()
      on_exit(fn -> for number <- 0..1, do: File.rm_rf!("#{dir}_#{number}") end)

      Nodes.with_peers(1, fn here, [other] ->
        nodes = [here, other]
        trees = start(nodes, dir)
        native = Named.fetch!(Pacer, @pacer)
        own = Stream.filter(1..1_000, &(Native.pacer_coordinator(native, &1) == here))
        [old, changed, new, later] = Enum.take(own, 4)
        put = fn campaign, budget -> :ok = Pacer.put(@pacer, campaign, budget_micros: budget) end
        put.(old, 1_000_000)
        put.(changed, 1_000_000)
        {:ok, _report} = Store.backup("#{dir}_0", "#{dir}_copy")
        # The other node has later ones than the copy.
        for budget <- 1..5, do: put.(changed, budget)
        put.(new, 1_000_000)
        reserve(other, new, :before, 1_000)

        Supervisor.stop(trees[here])
        if unquote(restarts?), do: :erpc.call(other, Supervisor, :stop, [trees[other]])
        File.rm_rf!("#{dir}_0")
        File.rename!("#{dir}_copy", "#{dir}_0")
        tree = Nodes.start_tree(here, children(nodes, "#{dir}_0"))
        # As many as it had before the other one tells.
        for budget <- 1..5, do: put.(later, budget)
        put.(later, 1_000_000)
        if unquote(restarts?), do: Nodes.start_tree(other, children(nodes, "#{dir}_1"))
        # Of the last budget that the copy does not know, nothing could be reserved.
        for campaign <- [later, old, changed], do: reserve(other, campaign, :after, 1_000)
        assert Pacer.delete(@pacer, old) == :ok
        await(fn -> on(other, :reserve, [old, :gone, 1, now()]) == :unknown end)
        Supervisor.stop(tree)
      end)
    end
  end

  defp take_all(campaign, taken) do
    case Pacer.reserve(@pacer, campaign, {:take, taken}, 100, now(), ttl: @hour) do
      {:ok, _} -> take_all(campaign, taken + 100)
      :no_budget -> taken
    end
  end
end
