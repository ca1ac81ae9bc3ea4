defmodule AdTally.Bench.Jobs.Meter do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Group, MeterEvents}

  @ets ":ets.update_counter, one metric"
  @job "ids and two metrics in ETS, no users"
  @batch 100
  @sizes %{
    full: [events: 300_000, rounds: 9],
    quick: [events: 200_000, rounds: 5],
    smoke: [events: 2_000, rounds: 2]
  }

  @impl true
  def name, do: "meter"

  @impl true
  def about, do: "events with an id, two metrics and a user"

  @impl true
  def groups(size) do
    size = @sizes[size]
    events = MeterEvents.events(size[:events])
    one = "AdTally.Meter.record, 1 process"
    two = "AdTally.Meter.record, 2 processes"
    many = "AdTally.Meter.record_many by #{@batch}"

    [
      %Group{
        title: "#{size[:events]} events of 10000 keys (with two processes, each comes to both)",
        unit: "event",
        rounds: size[:rounds],
        contenders: [
          MeterEvents.record(one, events, yardsticks: [@ets, @job]),
          MeterEvents.record(two, events, processes: 2, scaling_of: one),
          MeterEvents.record_many(many, events, @batch, yardsticks: [one, @ets]),
          MeterEvents.ets(@ets, events, []),
          MeterEvents.ets_job(@job, events, [])
        ]
      }
    ]
  end
end
