defmodule AdTally.Bench.Jobs.Dedupe do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Group, Redeliveries}

  @ets ":ets.insert_new"
  @sizes %{
    full: [ids: 1_000_000, rounds: 9],
    quick: [ids: 200_000, rounds: 5],
    smoke: [ids: 2_000, rounds: 2]
  }

  @impl true
  def name, do: "dedupe"

  @impl true
  def about, do: "ids that come for the first time"

  @impl true
  def groups(size) do
    size = @sizes[size]
    ids = Redeliveries.ids(size[:ids])
    one = "AdTally.Dedupe.first?, 1 process"
    two = "AdTally.Dedupe.first?, 2 processes"

    [
      %Group{
        title: "#{size[:ids]} ids of 26 bytes, all of them new (with two processes, to one)",
        unit: "id",
        rounds: size[:rounds],
        contenders: [
          Redeliveries.ad_tally(one, ids, yardsticks: [@ets]),
          Redeliveries.ad_tally(two, ids, processes: 2, scaling_of: one),
          Redeliveries.ets(@ets, ids, [])
        ]
      }
    ]
  end
end
