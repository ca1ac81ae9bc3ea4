defmodule AdTally.Bench.Jobs.MeterSparse do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Group, MeterEvents}

  # Of 10,000 campaigns, so each sees 20 or 100 users.
  @sizes %{
    full: [events: [200_000, 1_000_000], rounds: 7],
    quick: [events: [200_000], rounds: 5],
    smoke: [events: [2_000], rounds: 2]
  }
  @ets ":ets.update_counter, one metric"
  @dense "AdTally.Meter.record, 200 campaigns of many users"

  @impl true
  def name, do: "meter_sparse"

  @impl true
  def about, do: "events of 10,000 campaigns and new users, in windows that begin empty"

  @impl true
  def groups(size) do
    size = @sizes[size]
    for events <- size[:events], do: group(events, size[:rounds])
  end

  defp group(events, rounds) do
    one = "AdTally.Meter.record, 1 process"
    two = "AdTally.Meter.record, 2 processes"
    many = "AdTally.Meter.record_many by 100"

    %Group{
      title: "#{events} events of 10000 campaigns, each of its own id and user",
      unit: "event",
      rounds: rounds,
      contenders: [
        MeterEvents.record(one, events, users: :sparse, yardsticks: [@dense, @ets]),
        MeterEvents.record(two, events, users: :sparse, processes: 2, scaling_of: one),
        MeterEvents.record_many(many, events, users: :sparse, yardsticks: [one, @ets]),
        MeterEvents.record(@dense, events, []),
        MeterEvents.ets(@ets, events, [])
      ]
    }
  end
end
