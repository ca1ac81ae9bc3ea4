defmodule AdTally.Bench.Jobs.Attribution do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Conversions, Group, Touches}

  @ets ":ets.update_counter"
  @ets_job "touches of a user in a row of ETS"
  @sizes %{
    full: [users: 10_000_000, touches: 250_000, converting: 100_000, rounds: 7],
    quick: [users: 1_000_000, touches: 50_000, converting: 50_000, rounds: 3],
    smoke: [users: 1_000, touches: 2_000, converting: 100, rounds: 2]
  }

  @impl true
  def name, do: "attribution"

  @impl true
  def about, do: "touches of many users, and conversions that are attributed to 16 of them"

  @impl true
  def groups(size) do
    size = @sizes[size]
    [touches(size), conversions(size)]
  end

  defp touches(size) do
    one = "AdTally.Attribution.touch, 1 process"
    two = "AdTally.Attribution.touch, 2 processes"
    many = "AdTally.Attribution.touch_many by 100"
    table = Touches.table(size[:users])
    count = size[:touches]

    %Group{
      title:
        "Touches of #{size[:users]} users who have 2.5 on average, #{Touches.bytes(table)} bytes for each",
      unit: "touch",
      rounds: size[:rounds],
      contenders: [
        Touches.touch(one, table, count, yardsticks: [@ets, @ets_job]),
        Touches.touch(two, table, count, processes: 2, scaling_of: one),
        Touches.touch_many(many, table, count, yardsticks: [one, @ets]),
        Touches.ets(@ets, table, count, []),
        Touches.ets_job(@ets_job, table, count, yardsticks: [one])
      ]
    }
  end

  defp conversions(size) do
    one = "AdTally.Attribution.convert, 1 process"
    two = "AdTally.Attribution.convert, 2 processes"
    final = "convert, and a close that makes all of them final"
    table = Conversions.table(div(size[:users], 10), size[:converting])

    %Group{
      title: "Conversions of users who have 16 touches among #{table.users}, two models",
      unit: "conversion",
      rounds: size[:rounds],
      contenders: [
        Conversions.convert(one, table, []),
        Conversions.convert(two, table, processes: 2, scaling_of: one),
        Conversions.convert(final, table, close: true, yardsticks: [one])
      ]
    }
  end
end
