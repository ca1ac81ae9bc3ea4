defmodule AdTally.Test.PacerNodes.Faults do
  @moduledoc """
  Has nodes go wrong at random while there is traffic: killed and started again, cut off, stopped for a while by the system,
  started anew in order; and budgets that become larger.
  """

  alias AdTally.Test.PacerNodes
  alias AdTally.Test.PacerNodes.Member

  @doc """
  Does this for so many milliseconds: `:kinds` of faults, of which each is as likely as it is often in the list, at most
  `:longest` milliseconds each, and `:plans` of campaigns. Between two of them `watch` is called with the cluster. At the end
  all nodes run, have traffic and may be connected. Returns the cluster, and how many faults of each kind there were.
  """
  def run(cluster, ms, options, watch) do
    state = %{
      cluster: cluster,
      options: Map.new(options),
      watch: watch,
      count: %{},
      # The nodes of a cut, and until when it is there.
      cuts: []
    }

    state = faults(state, now() + ms)
    {heal(state, :all).cluster, state.count}
  end

  defp faults(state, deadline) do
    state = heal(state, now())
    state.watch.(state.cluster)

    if now() < deadline do
      Process.sleep(:rand.uniform(400))
      kind = Enum.random(state.options.kinds)
      state = %{state | count: Map.update(state.count, kind, 1, &(&1 + 1))}
      kind |> fault(state) |> faults(deadline)
    else
      state
    end
  end

  # One of them, or two.
  defp fault(:kill, state) do
    numbers = state.cluster |> PacerNodes.numbers() |> Enum.take_random(Enum.random([1, 1, 2]))
    cluster = PacerNodes.kill(state.cluster, numbers)
    Process.sleep(:rand.uniform(div(state.options.longest, 4)))
    cluster = PacerNodes.start_nodes(cluster, numbers)
    %{state | cluster: PacerNodes.start_traffic(cluster, numbers)}
  end

  # Of one node from one other, or from all. It goes on while other things happen.
  defp fault(:cut, state) do
    {number, others} = pick(state)
    others = Enum.random([others, Enum.take_random(others, 1)])
    PacerNodes.cut(state.cluster, number, others)
    cut = {number, others, now() + :rand.uniform(state.options.longest)}
    %{state | cuts: [cut | state.cuts]}
  end

  # Others may notice that, if it is for longer than they wait for a sign of life.
  defp fault(:pause, state) do
    {number, _others} = pick(state)
    PacerNodes.signal(state.cluster, number, "STOP")
    Process.sleep(:rand.uniform(div(state.options.longest, 2)))
    PacerNodes.signal(state.cluster, number, "CONT")
    state
  end

  # Its calls fail meanwhile, so there are none.
  defp fault(:restart, state) do
    {number, _others} = pick(state)
    PacerNodes.stop_traffic(state.cluster, [number])
    :ok = PacerNodes.call(state.cluster, number, Member, :restart, [])
    # So that requests have other names.
    cluster = %{state.cluster | lives: Map.update!(state.cluster.lives, number, &(&1 + 1))}
    %{state | cluster: PacerNodes.start_traffic(cluster, [number])}
  end

  defp fault(:raise, state) do
    {number, _others} = pick(state)
    {campaign, plan} = Enum.random(state.options.plans)
    [{_since, budget} | _] = state.cluster.budgets[campaign]
    plan = Keyword.put(plan, :budget_micros, budget + div(plan[:budget_micros], 16))
    # Its coordinator may be cut off.
    {_answer, cluster} = PacerNodes.put(state.cluster, number, campaign, plan)
    %{state | cluster: cluster}
  end

  defp pick(state) do
    [number | others] = state.cluster |> PacerNodes.numbers() |> Enum.shuffle()
    {number, others}
  end

  defp heal(state, until) do
    {over, cuts} = Enum.split_with(state.cuts, fn {_, _, to} -> until == :all or to <= until end)

    for {number, others, _to} <- over do
      PacerNodes.heal(state.cluster, number, others)
      for other <- others, do: PacerNodes.heal(state.cluster, other, [number])
    end

    %{state | cuts: cuts}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
