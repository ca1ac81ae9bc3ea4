defmodule AdTally.Test.PacerNodes.CoordinatorKills do
  @moduledoc """
  Two nodes of a pacer that spend budgets which one of them coordinates, and that one is killed again and again: while it
  grants, or when the other node is told, or at any time, or while it starts. Mostly the other node stands still then,
  so that the coordinator has only its store to know what it has granted, and spends all that is left by that.
  What it granted twice both nodes spend. Budgets are so small that they are spent after a kill or two. Then there are new ones.
  """

  alias AdTally.Test.PacerNodes
  alias AdTally.Test.PacerNodes.Member

  @coordinator 1
  @other 2
  # As many budgets at a time, for as many kills.
  @campaigns 3
  @kills_each 2
  @budget 80_000
  # How long a coordinator lives at most once it is there, and while it starts.
  @life 300
  @start 500

  @doc "Kills it so often: the cluster, and all campaigns."
  def run(dir, kills) do
    cluster =
      PacerNodes.start(
        dir: dir,
        count: 2,
        # All that is not synced for a reason of its own is lost.
        member: [interval: 60_000],
        traffic: [ttl: 1_000, later: 30, pause: 1, workers: 2]
      )

    rounds = div(kills + @kills_each - 1, @kills_each)
    arguments = [PacerNodes.node(cluster, @coordinator), 1, rounds * @campaigns]
    campaigns = PacerNodes.call(cluster, @other, Member, :coordinated_by, arguments)

    cluster =
      campaigns
      |> Enum.chunk_every(@campaigns)
      |> Enum.with_index()
      |> Enum.reduce(cluster, fn {campaigns, round}, cluster ->
        round(cluster, campaigns, min(@kills_each, kills - round * @kills_each))
      end)

    {cluster, campaigns}
  end

  defp round(cluster, campaigns, kills) do
    cluster = %{cluster | traffic: Keyword.put(cluster.traffic, :campaigns, campaigns)}

    cluster =
      Enum.reduce(campaigns, cluster, fn campaign, cluster ->
        plan = [budget_micros: @budget]
        {:ok, cluster} = PacerNodes.put(cluster, @coordinator, campaign, plan)
        cluster
      end)

    PacerNodes.start_traffic(cluster, [@coordinator, @other])
    cluster = Enum.reduce(1..kills//1, cluster, fn _number, cluster -> kill(cluster) end)
    # Both spend what is left, until there is nothing, or it takes too long for this round.
    Process.sleep(@life)
    PacerNodes.stop_traffic(cluster, [@coordinator, @other])
    # So that requests have other names.
    %{cluster | lives: Map.new(cluster.lives, fn {number, life} -> {number, life + 1} end)}
  end

  defp kill(cluster) do
    cluster = kill_once(cluster, Enum.random([:granted, :answered, :answered, :any]))
    still? = :rand.uniform(4) > 1
    if still?, do: PacerNodes.signal(cluster, @other, "STOP")
    cluster = if :rand.uniform(5) == 1, do: kill_at_start(cluster), else: cluster
    cluster = PacerNodes.start_nodes(cluster, [@coordinator])
    PacerNodes.start_traffic(cluster, [@coordinator])

    if still? do
      Process.sleep(@life)
      PacerNodes.signal(cluster, @other, "CONT")
    end

    cluster
  end

  defp kill_once(cluster, :any) do
    Process.sleep(:rand.uniform(@life))
    PacerNodes.kill(cluster, [@coordinator])
  end

  defp kill_once(cluster, moment) do
    arguments = [moment, :rand.uniform(8), Enum.random([0, 0, 0, 1, 3])]
    :ok = prepare_kill(cluster, arguments)
    # Once budgets are spent hardly anything is granted.
    PacerNodes.await_kill(cluster, @coordinator, 5 * @life)
  end

  # The kill may come before the answer that it is prepared. Then the process that controls the node has ended in order.
  defp prepare_kill(cluster, arguments) do
    PacerNodes.call(cluster, @coordinator, Member, :kill_at_grant, arguments)
  catch
    :exit, {:normal, _call} -> :ok
  end

  defp kill_at_start(cluster) do
    peer = PacerNodes.start_peer(cluster, @coordinator)
    # Who waits for it hears of the kill.
    spawn(fn ->
      try do
        PacerNodes.begin(cluster, @coordinator, peer)
      catch
        :exit, _killed -> :ok
      end
    end)

    Process.sleep(:rand.uniform(@start))
    PacerNodes.kill_peer(peer)
    cluster
  end
end
