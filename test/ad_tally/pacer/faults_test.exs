defmodule AdTally.Pacer.FaultsTest do
  # Three nodes, each an operating system process of its own, that are killed, cut off and stopped while they spend.
  use ExUnit.Case

  import AdTally.Test.Polling

  alias AdTally.Pacer
  alias AdTally.Test.PacerNodes
  alias AdTally.Test.PacerNodes.{Book, Faults, Member}

  if missing = PacerNodes.missing(), do: @moduletag(skip: "needs #{missing}")

  @minute 60_000
  @day 86_400_000

  # `SEED=7` chooses the faults that were chosen in the run that printed it.
  setup %{tmp_dir: dir} do
    File.rm_rf!(dir)
    File.mkdir_p!(dir)
    seed = String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))
    :rand.seed(:exsss, seed)
    IO.puts("\nthree nodes of seed #{seed}")
    on_exit(fn -> File.rm_rf!(dir) end)
    [seed: seed]
  end

  @tag :slow
  @tag :tmp_dir
  test "three nodes that are cut off spend what they say, to the micro, and never more than a budget",
       context do
    {cluster, plans} = start(context.tmp_dir, 2_000)
    {cluster, _count} = run(cluster, plans, 2_000, [:cut, :cut, :pause, :restart, :raise], 1_000)
    {cluster, book} = finish(cluster, plans, 10_000)
    assert differences(cluster, book, plans, :exact) == []
    assert confirmed_elsewhere(book) > 0
    PacerNodes.stop(cluster)
  end

  @tag :slow
  @tag :tmp_dir
  test "three nodes that are killed never spend more than a budget", context do
    {cluster, plans} = start(context.tmp_dir, 2_000)
    {cluster, count} = run(cluster, plans, 2_000, [:kill, :kill, :cut, :raise], 1_000)
    {cluster, book} = finish(cluster, plans, 10_000)
    assert differences(cluster, book, plans, :presumed) == []
    assert count[:kill] > 0
    PacerNodes.stop(cluster)
  end

  # MINUTES sets for how long, SEED the faults.
  @tag :exhaustive
  @tag :tmp_dir
  @tag timeout: :infinity
  test "three nodes never spend more than a budget, whatever happens to them for minutes",
       context do
    minutes = String.to_integer(System.get_env("MINUTES", "10"))
    {cluster, plans} = start(context.tmp_dir, minutes * @minute)
    kinds = [:kill, :kill, :kill, :cut, :cut, :cut, :pause, :restart, :raise, :raise, :raise]
    {cluster, count} = run(cluster, plans, minutes * @minute, kinds, 8_000)
    {cluster, book} = finish(cluster, plans, 30_000)
    IO.puts("faults: #{inspect(count)}")
    show(cluster, book, plans)
    assert differences(cluster, book, plans, :presumed) == []
    PacerNodes.stop(cluster)
  end

  # Budgets of which some are spent long before the end, and days that end in the middle.
  defp start(dir, ms) do
    cluster =
      PacerNodes.start(
        dir: dir,
        count: 3,
        member: [interval: 200, pacer: [tick: 1_000]],
        traffic: [campaigns: Enum.to_list(1..8), ttl: min(div(ms, 2), 4_000)]
      )

    # Three nodes of two processes ask for some 60,000 a second of each of them, and most have less for most of the time.
    seconds = max(div(ms, 1_000), 1)

    plans =
      for campaign <- 1..8, into: %{} do
        budget = 4_000 * campaign * seconds
        {campaign, [budget_micros: budget, pace: :asap] ++ period(campaign, ms)}
      end

    cluster =
      Enum.reduce(plans, cluster, fn {campaign, plan}, cluster ->
        number = rem(campaign, 3) + 1
        # Until the nodes are connected there is no coordinator for some.
        await(fn ->
          {answer, _cluster} = PacerNodes.put(cluster, number, campaign, plan)
          answer == :ok
        end)

        {:ok, cluster} = PacerNodes.put(cluster, number, campaign, plan)
        cluster
      end)

    # The first budgets are there from the begin on.
    budgets =
      Map.new(cluster.budgets, fn {campaign, [{_now, budget}]} -> {campaign, [{0, budget}]} end)

    {%{cluster | budgets: budgets}, plans}
  end

  defp period(campaign, _ms) when campaign <= 5, do: [period: :lifetime]

  # Its day is over after a third or two of the run.
  defp period(campaign, ms), do: [period: {:daily, {:utc_offset, offset(campaign, ms)}}]

  defp offset(campaign, ms) do
    ends = System.os_time(:millisecond) + div(ms * (campaign - 5), 4)
    @day - rem(ends, @day) - div(@day, 2)
  end

  defp offsets(plans) do
    for {campaign, plan} <- plans,
        {:daily, {:utc_offset, offset}} <- [plan[:period]],
        into: %{},
        do: {campaign, offset}
  end

  defp run(cluster, plans, ms, kinds, longest) do
    cluster = PacerNodes.start_traffic(cluster, PacerNodes.numbers(cluster))
    campaigns = Map.keys(plans)
    options = [kinds: kinds, longest: longest, plans: plans]
    Faults.run(cluster, ms, options, &assert_within(&1, campaigns))
  end

  # By what a coordinator says, if it can be reached.
  defp assert_within(cluster, campaigns) do
    number = cluster.peers |> Map.keys() |> Enum.random()
    [status] = PacerNodes.call(cluster, number, Member, :statuses, [[Enum.random(campaigns)]])

    if status != {:error, :no_coordinator} do
      used = status.spent_micros + status.reserved_micros + status.leased_micros
      assert used - status.overspent_micros <= status.most_micros
    end
  end

  # Once all is well again every node has money of every budget, and after the last reservation all is known.
  defp finish(cluster, plans, patience) do
    numbers = PacerNodes.numbers(cluster)
    campaigns = Map.keys(plans)
    await(fn -> Enum.all?(numbers, &(info(cluster, &1).lost_nodes == [])) end, patience)

    cluster =
      Enum.reduce(plans, cluster, fn {campaign, plan}, cluster ->
        [{_since, budget} | _] = cluster.budgets[campaign]
        plan = Keyword.put(plan, :budget_micros, budget + 2_000_000)
        {:ok, cluster} = PacerNodes.put(cluster, rem(campaign, 3) + 1, campaign, plan)
        cluster
      end)

    PacerNodes.stop_traffic(cluster, numbers)

    for number <- numbers do
      without = [campaigns, 100, patience]
      assert PacerNodes.call(cluster, number, Member, :without_money, without) == []
    end

    await(fn -> settled?(cluster, numbers, campaigns) end, 3 * patience)
    {cluster, Book.read(cluster.dir)}
  end

  defp info(cluster, number), do: PacerNodes.call(cluster, number, Pacer, :info, [Member.pacer()])

  # Nothing is reserved any more, and all nodes say the same. Leases go on being renewed.
  defp settled?(cluster, numbers, campaigns) do
    keys = [:spent_micros, :reserved_micros, :budget_micros, :overspent_micros, :presumed_micros]

    statuses =
      for number <- numbers,
          do:
            cluster
            |> PacerNodes.call(number, Member, :statuses, [campaigns])
            |> Enum.map(&Map.take(&1, keys))

    Enum.all?(hd(statuses), &(&1.reserved_micros == 0)) and length(Enum.uniq(statuses)) == 1
  end

  # What differs from what somebody outside knows, as texts.
  defp differences(cluster, book, plans, how) do
    campaigns = Map.keys(plans)
    statuses = PacerNodes.call(cluster, 1, Member, :statuses, [campaigns])

    # Otherwise there is nothing to compare.
    assert map_size(book.reservations) > 100
    exceeded = Book.exceeded(book, cluster.budgets, offsets(plans))
    exceeded ++ (campaigns |> Enum.zip(statuses) |> Enum.flat_map(&differs(&1, book, how)))
  end

  defp differs({campaign, status}, book, how) do
    sums = Book.sums(book, campaign)
    spent = status.total_spent_micros
    most = sums.booked + sums.late + sums.maybe

    # A node that was killed has lost confirms of its last interval, and presumes that there were some.
    least = sums.booked - if(how == :exact, do: 0, else: lost(status, campaign))

    if spent in least..most//1,
      do: [],
      else: ["#{campaign} has spent #{spent}, not #{least} to #{most}: #{inspect(status)}"]
  end

  # Of days that are over nobody says what is presumed.
  defp lost(status, campaign) when campaign <= 5, do: status.presumed_micros
  defp lost(status, _campaign), do: status.total_spent_micros + status.total_budget_micros

  defp confirmed_elsewhere(book) do
    Enum.count(book.reservations, fn {_id, one} ->
      Enum.any?(one.answers, fn {answer, node, _time} -> answer == :ok and node != one.node end)
    end)
  end

  defp show(cluster, book, plans) do
    IO.puts("#{map_size(book.reservations)} reservations, #{length(book.denied)} denied")

    for {campaign, status} <-
          Enum.zip(
            Map.keys(plans),
            PacerNodes.call(cluster, 1, Member, :statuses, [Map.keys(plans)])
          ) do
      sums = Book.sums(book, campaign)
      [{_since, budget} | _] = cluster.budgets[campaign]

      IO.puts(
        "budget #{campaign}: #{budget}, spent #{status.total_spent_micros}, of which #{sums.booked} was answered, " <>
          "presumed #{status.presumed_micros}, overspent #{status.overspent_micros}"
      )
    end
  end
end
