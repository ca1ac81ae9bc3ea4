defmodule AdTally.Bench.Jobs.Store do
  @moduledoc false

  @behaviour AdTally.Bench.Job

  alias AdTally.Bench.{CapVisits, Group, MeterEvents, Touches}

  # Bursts that fit the buffers: nothing is written while they are timed.
  @sizes %{
    full: [events: 50_000, pairs: 1_000_000, visits: 50_000, users: 1_000_000, rounds: 21],
    quick: [events: 50_000, pairs: 100_000, visits: 50_000, users: 100_000, rounds: 7],
    smoke: [events: 2_000, pairs: 1_000, visits: 2_000, users: 1_000, rounds: 2]
  }

  @impl true
  def name, do: "store"

  @impl true
  def about, do: "events, admissions and touches that a store keeps, in bursts"

  @impl true
  def groups(size) do
    size = @sizes[size]
    [events(size), admissions(size), touches(size)]
  end

  defp events(size) do
    events = size[:events]
    [one, one_stored] = pair("AdTally.Meter.record, 1 process")
    [two, two_stored] = pair("AdTally.Meter.record, 2 processes")
    [many, many_stored] = pair("AdTally.Meter.record_many by 100")

    %Group{
      title: "#{events} events of 10000 keys, each of its own id",
      unit: "event",
      rounds: size[:rounds],
      contenders: [
        MeterEvents.record(one, events, []),
        MeterEvents.record(one_stored, events, store: true, yardsticks: [one]),
        MeterEvents.record(two, events, processes: 2),
        MeterEvents.record(two_stored, events, processes: 2, store: true, yardsticks: [two]),
        MeterEvents.record_many(many, events, []),
        MeterEvents.record_many(many_stored, events, store: true, yardsticks: [many])
      ]
    }
  end

  defp admissions(size) do
    visits = CapVisits.random(size[:pairs], size[:visits])
    [admit, admit_stored] = pair("AdTally.FrequencyCap.admit")

    %Group{
      title: "Admissions of #{visits.pairs} pairs, two rules",
      unit: "admission",
      rounds: size[:rounds],
      contenders: [
        CapVisits.admit_anew(admit, visits, []),
        CapVisits.admit_anew(admit_stored, visits, store: true, yardsticks: [admit])
      ]
    }
  end

  defp touches(size) do
    count = size[:visits]
    [touch, touch_stored] = pair("AdTally.Attribution.touch")
    [many, many_stored] = pair("AdTally.Attribution.touch_many by 100")
    table = Touches.table(size[:users])
    stored = Touches.table(size[:users], store: true)

    %Group{
      title: "Touches of #{size[:users]} users who have 2.5 on average",
      unit: "touch",
      rounds: size[:rounds],
      contenders: [
        Touches.touch(touch, table, count, []),
        Touches.touch(touch_stored, stored, count, yardsticks: [touch]),
        Touches.touch_many(many, table, count, []),
        Touches.touch_many(many_stored, stored, count, yardsticks: [many])
      ]
    }
  end

  defp pair(label), do: [label, label <> ", with a store"]
end
