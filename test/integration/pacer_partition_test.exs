defmodule AdTally.PacerPartitionTest do
  # Runs by test/integration/pacer_partition.sh, which makes the namespaces.
  use ExUnit.Case

  import AdTally.Test.Polling

  alias AdTally.Test.PacerNodes
  alias AdTally.Test.PacerNodes.{Book, Log, Member}

  @moduletag :pacer_partition
  @moduletag :tmp_dir
  @moduletag timeout: :infinity

  @hosts ["198.18.0.1", "198.18.0.2"]
  @numbers [1, 2]
  # Campaigns of each node.
  @each 3
  # After so many seconds without a sign of life a node is taken for gone.
  @ticktime 5
  # A cable is cut for so many seconds: one that nobody notices but by silence, and others that break connections.
  @cuts [3, 35, 8, 50]
  @pause 15
  # What a node has leased, for some seconds of its use, is spent by then, with what comes back meanwhile of reservations
  # that nobody could confirm.
  @spent_after 25
  # How long a broken connection may take to come back.
  @patience 60_000
  @micros 1_000_000

  test "a cable that is cut lets no budget be exceeded, and both sides go on once it is put back",
       context do
    dir = context.tmp_dir
    File.rm_rf!(dir)
    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    minutes = String.to_integer(System.get_env("MINUTES", "10"))
    namespaces = String.split(System.fetch_env!("AD_TALLY_NAMESPACES"))
    seed = String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))
    :rand.seed(:exsss, seed)
    IO.puts("\nseed #{seed}, #{minutes} minutes")

    cluster = start(dir, namespaces)
    # Of each node so many, whose budgets it coordinates.
    owned = for number <- @numbers, into: %{}, do: {number, campaigns_of(cluster, number)}
    campaigns = Enum.concat(Map.values(owned))
    cluster = put_budgets(cluster, owned, minutes)
    cluster = %{cluster | traffic: [campaigns: campaigns] ++ cluster.traffic}
    await(fn -> money_everywhere?(cluster, campaigns) end, @patience)
    PacerNodes.start_traffic(cluster, @numbers)

    deadline = now() + 60_000 * minutes
    cuts = cuts(cluster, owned, hd(namespaces), deadline)

    # The smallest budgets are spent by now.
    PacerNodes.stop_traffic(cluster, @numbers)
    await(fn -> settled?(cluster, campaigns) end, @patience)
    book = Book.read(dir)
    assert Book.exceeded(book, cluster.budgets) == []
    for cut <- cuts, do: assert_cut(cluster, owned, book, cut)
    show(cluster, owned, book, cuts)

    # Nobody was killed, so each micro is where it was said to be.
    for {campaign, status} <- Enum.zip(campaigns, statuses(cluster, 1, campaigns)) do
      sums = Book.sums(book, campaign)
      assert status.spent_micros in sums.booked..(sums.booked + sums.maybe + sums.late)
      assert status.presumed_micros == 0
    end

    PacerNodes.stop(cluster)
  end

  defp start(dir, namespaces) do
    ip = to_charlist(System.find_executable("ip"))
    erl = :os.find_executable(~c"erl")

    exec =
      for {namespace, number} <- Enum.with_index(namespaces, 1), into: %{} do
        {number, {ip, [~c"netns", ~c"exec", to_charlist(namespace), erl]}}
      end

    PacerNodes.start(
      dir: dir,
      count: 2,
      hosts: @hosts,
      exec: exec,
      args: [~c"-kernel", ~c"net_ticktime", ~c"#{@ticktime}"],
      # All that is reserved is confirmed in time, so that a lease that cannot be renewed comes to an end.
      traffic: [
        ways: [confirm: 90, elsewhere: 10],
        ttl: 4_000,
        amounts: 900..1_100,
        prices: 70..100
      ]
    )
  end

  defp campaigns_of(cluster, number) do
    arguments = [PacerNodes.node(cluster, number), 1, @each]
    PacerNodes.call(cluster, number, Member, :coordinated_by, arguments)
  end

  # The first of each node is spent in the middle, the others never.
  defp put_budgets(cluster, owned, minutes) do
    for(
      {number, campaigns} <- owned,
      {campaign, at} <- Enum.with_index(campaigns),
      do: {number, campaign, at}
    )
    |> Enum.reduce(cluster, fn {number, campaign, at}, cluster ->
      budget = minutes * if(at == 0, do: 2, else: 40) * @micros
      {:ok, cluster} = PacerNodes.put(cluster, number, campaign, budget_micros: budget)
      cluster
    end)
  end

  defp money_everywhere?(cluster, campaigns) do
    Enum.all?(@numbers, fn number ->
      PacerNodes.call(cluster, number, Member, :without_money, [campaigns, 900, 0]) == []
    end)
  end

  # Cuts

  defp cuts(cluster, owned, namespace, deadline) do
    @cuts
    |> Stream.cycle()
    |> Enum.reduce_while([], fn seconds, cuts ->
      if now() + 1_000 * (seconds + 2 * @pause) < deadline,
        do: {:cont, [cut(cluster, owned, namespace, seconds) | cuts]},
        else: {:halt, Enum.reverse(cuts)}
    end)
  end

  defp cut(cluster, owned, namespace, seconds) do
    Process.sleep(1_000 * @pause)
    link(namespace, "down")
    from = Log.time()
    Process.sleep(1_000 * seconds)
    # What the other side has leased, as each coordinator knows it.
    leased =
      for {number, campaigns} <- owned,
          {campaign, status} <- Enum.zip(campaigns, statuses(cluster, number, campaigns)),
          into: %{},
          do: {campaign, Map.get(status.nodes, PacerNodes.node(cluster, other(number)), 0)}

    to = Log.time()
    link(namespace, "up")
    # Each side can have money of the other's budgets again.
    back =
      for {number, [_spent | campaigns]} <- owned,
          do: back(cluster, other(number), campaigns)

    took = div(Log.time() - to, 1_000)
    IO.puts("cut for #{seconds} s, both sides went on after #{took} ms")
    assert Enum.all?(back)
    %{from: from, to: to, seconds: seconds, leased: leased, took: took}
  end

  defp back(cluster, number, campaigns) do
    without = [campaigns, 900, @patience]
    PacerNodes.call(cluster, number, Member, :without_money, without) == []
  end

  defp link(namespace, how) do
    {_output, 0} = System.cmd("ip", ["-n", namespace, "link", "set", "cable", how])
  end

  defp other(number), do: 3 - number

  # What was reserved of the other side's budgets while it was cut off is no more than what was leased, and there
  # was an end of it. Of its own budgets each side goes on.
  defp assert_cut(_cluster, owned, book, cut) do
    for {number, campaigns} <- owned, campaign <- campaigns do
      spent = reserved(book, campaign, other(number), cut.from, cut.to)
      assert Enum.sum(Enum.map(spent, & &1.price)) <= cut.leased[campaign]

      if cut.seconds > @spent_after do
        late = cut.from + @micros * @spent_after
        assert reserved(book, campaign, other(number), late, cut.to) == []
        assert denied(book, campaign, other(number), late, cut.to) != []

        if campaign != hd(campaigns),
          do: assert(reserved(book, campaign, number, late, cut.to) != [])
      end
    end
  end

  # Reservations of which something is spent.
  defp reserved(book, campaign, number, from, to) do
    for {_id, one} <- book.reservations,
        one.campaign == campaign and one.node == number and one.time in from..to//1,
        Book.outcome(one) == :booked or one.begun == [],
        do: %{one | price: one.price || 0}
  end

  defp denied(book, campaign, number, from, to) do
    for {^number, ^campaign, :no_budget, amount, time} <- book.denied,
        time in from..to//1,
        do: amount
  end

  defp settled?(cluster, campaigns) do
    [one, other] = for number <- @numbers, do: statuses(cluster, number, campaigns)

    Enum.zip(one, other)
    |> Enum.all?(fn {one, other} ->
      is_map(one) and is_map(other) and one.reserved_micros == 0 and
        one.spent_micros == other.spent_micros
    end)
  end

  defp statuses(cluster, number, campaigns),
    do: PacerNodes.call(cluster, number, Member, :statuses, [campaigns])

  defp now, do: System.monotonic_time(:millisecond)

  # What it has cost.
  defp show(cluster, owned, book, cuts) do
    IO.puts("#{length(cuts)} cuts, #{map_size(book.reservations)} reservations")

    for {number, campaigns} <- owned,
        {campaign, status} <- Enum.zip(campaigns, statuses(cluster, number, campaigns)) do
      refused =
        for cut <- cuts, do: Enum.sum(denied(book, campaign, other(number), cut.from, cut.to))

      asked = for cut <- cuts, do: asked(book, campaign, other(number), cut)

      stranded =
        for cut <- cuts, do: cut.leased[campaign] - used(book, campaign, other(number), cut)

      IO.puts(
        "budget #{campaign} of node #{number}: #{status.budget_micros}, spent #{status.spent_micros}, leased " <>
          "#{status.leased_micros} at the end; while cut off the other side was refused #{Enum.sum(refused)} of " <>
          "#{Enum.sum(asked)} that it asked for, and at most #{Enum.max(stranded, fn -> 0 end)} was stranded there"
      )
    end
  end

  defp asked(book, campaign, number, cut) do
    amounts = for one <- reserved(book, campaign, number, cut.from, cut.to), do: one.amount
    Enum.sum(amounts) + Enum.sum(denied(book, campaign, number, cut.from, cut.to))
  end

  defp used(book, campaign, number, cut) do
    book |> reserved(campaign, number, cut.from, cut.to) |> Enum.map(& &1.price) |> Enum.sum()
  end
end
