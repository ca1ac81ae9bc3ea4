defmodule AdTally.Pacer.CoordinatorKillsTest do
  # A coordinator that is killed between a grant and its answer does not grant the same money twice.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling

  alias AdTally.Test.PacerNodes
  alias AdTally.Test.PacerNodes.{Book, CoordinatorKills, Member}

  if missing = PacerNodes.missing(), do: @moduletag(skip: "needs #{missing}")

  # So many coordinators are killed at the same time, because most of the time one of them starts.
  @chains 3

  # `SEED=7` chooses the moments that were chosen in the run that printed it.
  setup %{tmp_dir: dir} do
    File.rm_rf!(dir)
    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    [seed: String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))]
  end

  @tag :slow
  @tag :tmp_dir
  test "a coordinator that is killed three times grants no money twice", context do
    IO.puts("\nkills of a coordinator, seed #{context.seed}")
    chain(context.tmp_dir, context.seed, 3)
  end

  @tag :exhaustive
  @tag :tmp_dir
  @tag timeout: :infinity
  test "coordinators that are killed 500 times grant no money twice", context do
    kills = String.to_integer(System.get_env("KILLS", "500"))
    IO.puts("\n#{kills} kills of coordinators, seed #{context.seed}")
    begin = System.monotonic_time(:millisecond)

    1..@chains
    |> Task.async_stream(
      fn number ->
        dir = Path.join(context.tmp_dir, "#{number}")
        File.mkdir_p!(dir)
        # The first ones have what remains.
        chain(dir, context.seed + number, div(kills + @chains - number, @chains))
      end,
      timeout: :infinity,
      max_concurrency: @chains
    )
    |> Enum.each(fn {:ok, _chain} -> :ok end)

    IO.puts("took #{div(System.monotonic_time(:millisecond) - begin, 1_000)} seconds")
  end

  defp chain(dir, seed, kills) do
    :rand.seed(:exsss, seed)
    {cluster, campaigns} = CoordinatorKills.run(dir, kills)
    # Once the last reservations are over, and the coordinator knows what became of them.
    for number <- [1, 2], do: :ok = PacerNodes.call(cluster, number, Member, :reported, [])
    await(fn -> Enum.all?(statuses(cluster, campaigns), &(&1.reserved_micros == 0)) end)
    for number <- [1, 2], do: :ok = PacerNodes.call(cluster, number, Member, :reported, [])

    statuses = statuses(cluster, campaigns)
    PacerNodes.stop(cluster)
    book = Book.read(dir)
    assert Book.exceeded(book, cluster.budgets) == []

    for {campaign, status} <- Enum.zip(campaigns, statuses) do
      sums = Book.sums(book, campaign)
      used = status.spent_micros + status.leased_micros
      assert used <= status.budget_micros + status.overspent_micros
      # What was answered is spent, or presumed where the kill came before it was on disk.
      assert sums.booked <= status.spent_micros + status.presumed_micros
      assert status.spent_micros <= sums.booked + sums.maybe + sums.late
    end

    # Otherwise a budget could hardly have been exceeded.
    sum = fn name -> statuses |> Enum.map(& &1[name]) |> Enum.sum() end
    booked = campaigns |> Enum.map(&Book.sums(book, &1).booked) |> Enum.sum()

    IO.puts(
      "#{kills} kills, #{map_size(book.reservations)} reservations: of #{sum.(:budget_micros)} micros " <>
        "#{booked} were spent, #{sum.(:presumed_micros)} may have been, #{sum.(:leased_micros)} are leased"
    )

    assert booked + sum.(:presumed_micros) > div(sum.(:budget_micros), 2)
  end

  defp statuses(cluster, campaigns),
    do: PacerNodes.call(cluster, 2, Member, :statuses, [campaigns])
end
