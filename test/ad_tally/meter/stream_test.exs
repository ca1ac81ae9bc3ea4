defmodule AdTally.Meter.StreamTest do
  # Four processes that record as fast as they can while windows are closed and written: not
  # beside other tests.
  use ExUnit.Case

  alias AdTally.{Event, Meter}
  alias AdTally.Sink.Files
  alias AdTally.Test.SinkFiles

  @processes 4
  @window 200
  @lateness 200

  @tag :tmp_dir
  test "of 400,000 events every one is accepted, a duplicate or late, and files sum up to the accepted",
       %{tmp_dir: dir} do
    stream(400_000, dir)
  end

  @tag :exhaustive
  @tag :tmp_dir
  @tag timeout: :infinity
  test "of 20 million events as well", %{tmp_dir: dir} do
    stream(20_000_000, dir)
  end

  defp stream(count, dir) do
    name = __MODULE__.Ads

    start_supervised!({
      Meter,
      # Files of 50,000 rows are written more slowly than windows close, most of all on a machine
      # that does something else.
      name: name,
      dimensions: [:campaign, :creative],
      metrics: [:impressions, :spend_micros],
      window: @window,
      lateness: @lateness,
      reach: [by: [:campaign]],
      dedupe: [window: 600_000, capacity: count, fingerprint_bits: 61],
      flush: 600_000,
      sinks: [{Files, dir: dir}]
    })

    share = div(count, @processes)

    outcomes =
      0..(@processes - 1)
      |> Enum.map(&Task.async(fn -> record(name, &1 * share, share, %{}) end))
      |> Task.await_many(:infinity)
      |> Enum.reduce(fn some, all -> Map.merge(all, some, fn _outcome, a, b -> add(a, b) end) end)

    info = Meter.info(name)
    stop_supervised!({Meter, name})

    {accepted, spent} = outcomes[:ok]
    {duplicates, _} = outcomes[:duplicate]
    {late, spent_late} = outcomes[:late]
    sent = Enum.sum(for {_outcome, {events, _spent}} <- outcomes, do: events)
    assert Enum.sort(Map.keys(outcomes)) == [:duplicate, :late, :ok]
    assert accepted + duplicates + late == sent

    assert %{received: ^sent, applied: ^accepted, duplicate: ^duplicates, late: ^late} =
             info.events

    assert info.excluded.late.spend_micros == spent_late

    # A hundredth is late.
    assert duplicates > div(count, 25)
    assert late in div(count, 100)..div(count, 50)

    sums = for path <- SinkFiles.paths(dir, :counters), do: sums(path)
    assert Enum.reduce(sums, {0, 0}, &add/2) == {accepted, spent}
  end

  defp add({a, b}, {c, d}), do: {a + c, b + d}

  defp record(_name, _id, 0, outcomes), do: outcomes

  defp record(name, id, left, outcomes) do
    now = System.system_time(:millisecond)
    at = if rem(id, 100) == 99, do: now - 10_000, else: now

    event = %Event{
      id: id,
      at: at,
      dimensions: {rem(id, 50), rem(id, 997)},
      user: rem(id, 100_003),
      metrics: [impressions: 1, spend_micros: id]
    }

    outcomes = count(outcomes, Meter.record(name, event), id)

    # A twentieth is sent again, a part of that when its window is closed and with a time that is
    # too far ahead, and copies all the same.
    outcomes =
      case rem(id, 100) do
        7 -> count(outcomes, Meter.record(name, %{event | at: now - 10_000}), id)
        27 -> count(outcomes, Meter.record(name, %{event | at: now + 600_000}), id)
        again when again in [47, 67, 87] -> count(outcomes, Meter.record(name, event), id)
        _ -> outcomes
      end

    record(name, id + 1, left - 1, outcomes)
  end

  defp count(outcomes, outcome, spent),
    do: Map.update(outcomes, outcome, {1, spent}, &add(&1, {1, spent}))

  # Impressions and what was spent, of all lines of counters.
  defp sums(path) do
    lines = path |> File.read!() |> :zlib.gunzip() |> String.split("\n", trim: true)

    for line <- lines, reduce: {0, 0} do
      sums -> add(sums, {number(line, "impressions"), number(line, "spend_micros")})
    end
  end

  defp number(line, name) do
    [_, number] = Regex.run(~r/"#{name}":(\d+)/, line)
    String.to_integer(number)
  end
end
