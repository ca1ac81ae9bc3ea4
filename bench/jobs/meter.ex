defmodule AdTally.Bench.Jobs.Meter do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{Group, MeterEvents}

  @ets ":ets.update_counter, one metric"
  @job "ids and two metrics in ETS, no users"
  @hyper_job "the same, and users in hyper behind a process"
  @sizes %{
    full: [events: 1_000_000, rounds: 7],
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
    events = size[:events]
    hyper = if MeterEvents.hyper?(), do: [@hyper_job], else: []
    one = "AdTally.Meter.record, 1 process"
    two = "AdTally.Meter.record, 2 processes"
    many = "AdTally.Meter.record_many by 100"

    [
      %Group{
        title: "#{events} events of 10000 keys, each of its own id",
        unit: "event",
        rounds: size[:rounds],
        contenders: [
          MeterEvents.record(one, events, yardsticks: [@ets, @job | hyper]),
          MeterEvents.record(two, events, processes: 2, scaling_of: one),
          MeterEvents.record_many(many, events, yardsticks: [one, @ets]),
          MeterEvents.ets(@ets, events, []),
          MeterEvents.ets_job(@job, events, [])
          | for(label <- hyper, do: MeterEvents.hyper_job(label, events, []))
        ]
      }
    ]
  end
end
