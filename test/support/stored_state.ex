defmodule AdTally.Test.StoredState do
  @moduledoc """
  A service with much state in a store: how long its start takes, and what it takes of memory and disk. Each
  function is called in a VM of its own, by `AdTally.Test.FreshVM`.
  """

  alias AdTally.{Attribution, Event, FrequencyCap, Meter, Store, Touch}
  alias AdTally.Test.ResidentMemory

  @store __MODULE__.Store
  @caps __MODULE__.Caps
  @attribution __MODULE__.Attribution
  @meter __MODULE__.Meter

  @begin 1_780_272_000_000
  @year 31_536_000_000
  @rule {3, 86_400_000}
  @at_once 1_000
  @touches_of_a_user 3
  @events_of_a_row 10
  @windows 5
  @window 60_000

  @doc """
  Records so many events with an id each, on a tenth as many rows, admissions of as many pairs and as many
  touches, and stops in order once nothing is merged any more.
  """
  def fill(dir, count) do
    supervisor = start(dir, count)
    in_batches(count, &record/1)
    in_batches(count, &admit/1)
    in_batches(count, &touch/1)
    :ok = Store.sync(@store)
    await_rest(dir)
    told = told(%{bytes: ResidentMemory.bytes(), disk: disk(dir)})
    Supervisor.stop(supervisor, :normal, :infinity)
    told
  end

  @doc "Starts the service that was filled, and records all events again."
  def start_again(dir, count) do
    begin = System.monotonic_time(:millisecond)
    supervisor = start(dir, count)
    took = System.monotonic_time(:millisecond) - begin
    told = told(%{bytes: ResidentMemory.bytes(), took: took})
    in_batches(count, &record/1)
    told = Map.put(told, :known, Meter.info(@meter).events.duplicate)
    Supervisor.stop(supervisor, :normal, :infinity)
    told
  end

  defp start(dir, count) do
    children = [
      {Store, name: @store, dir: dir, segment_bytes: segment_bytes(count)},
      {FrequencyCap, name: @caps, store: @store, capacity: count},
      {Attribution,
       name: @attribution,
       store: @store,
       dimensions: [:campaign],
       touches: [click: 7 * 86_400_000],
       conversions: [purchase: :every],
       users: div(count, @touches_of_a_user) + 1,
       clock: :events,
       lateness: @year},
      {Meter,
       name: @meter,
       store: @store,
       dimensions: [:campaign, :creative],
       metrics: [:impressions, :spend_micros],
       max_keys: count,
       dedupe: [window: 86_400_000, capacity: count],
       clock: :events,
       lateness: @year}
    ]

    {:ok, supervisor} = Supervisor.start_link(children, strategy: :rest_for_one)
    Process.unlink(supervisor)
    supervisor
  end

  # With fewer events less, so that about as much of what is stored is merged.
  defp segment_bytes(count), do: min(67_108_864, max(1_048_576, div(count * 67, 10)))

  defp in_batches(count, work) do
    1..count
    |> Stream.chunk_every(@at_once)
    |> Task.async_stream(work, ordered: false, max_concurrency: 2, timeout: :infinity)
    |> Stream.run()
  end

  defp record(numbers) do
    events =
      for n <- numbers do
        row = div(n, @events_of_a_row)
        at = @begin + rem(row, @windows) * @window
        %Event{id: n, at: at, dimensions: {rem(row, 1_000), row}, metrics: [impressions: 1]}
      end

    all(events, &Meter.record_many(@meter, &1))
  end

  defp touch(numbers) do
    touches =
      for n <- numbers do
        user = div(n, @touches_of_a_user)
        %Touch{id: n, user: user, at: @begin, kind: :click, dimensions: {rem(n, 1_000)}}
      end

    all(touches, &Attribution.touch_many(@attribution, &1))
  end

  # What there was no room for comes again.
  defp all(list, take) do
    case take.(list) do
      %{busy: 0} ->
        :ok

      %{busy: busy} ->
        Store.sync(@store)
        all(Enum.take(list, -busy), take)
    end
  end

  defp admit(numbers), do: Enum.each(numbers, &admit_one/1)

  defp admit_one(user) do
    with {:error, :busy} <- FrequencyCap.admit(@caps, 1, user, [@rule], @begin) do
      Store.sync(@store)
      admit_one(user)
    end
  end

  # Merging pauses for less than this, and writes to files of the directory meanwhile.
  defp await_rest(dir, before \\ nil) do
    now = {Store.info(@store).compactions, disk(dir)}

    unless now == before do
      Process.sleep(10_000)
      await_rest(dir, now)
    end
  end

  # What is there beside what was measured before.
  defp told(measured) do
    rows = Meter.report(@meter, by: [:campaign, :creative])

    Map.merge(measured, %{
      rows: length(rows),
      events: rows |> Enum.map(& &1.impressions) |> Enum.sum(),
      pairs: FrequencyCap.info(@caps).pairs,
      touches: Attribution.info(@attribution).kept_touches,
      base: Store.info(@store).base_bytes
    })
  end

  defp disk(dir) do
    for(file <- File.ls!(dir), do: File.stat!(Path.join(dir, file)).size) |> Enum.sum()
  end
end
