defmodule AdTally.Meter.ModelTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

  alias AdTally.{Meter, Sketch}

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:impressions, :clicks, :spend_micros]

  setup :own_name

  describe "beside a plain map" do
    setup %{name: name} do
      seed = :rand.uniform(1_000_000)
      :rand.seed(:exsss, seed)

      events =
        for id <- 1..8_000 do
          event(
            id: "id-#{id}",
            at: @begin + Enum.random(0..(20 * @minute)),
            dimensions:
              {Enum.random(1..5), Enum.random([7, "creative", :banner]),
               Enum.random(["us", "ca"])},
            user: Enum.random(1..500),
            metrics: [
              impressions: 1,
              spend_micros: Enum.random(-5..5_000),
              impressions: Enum.random(0..1)
            ]
          )
        end

      # Time goes to and fro by as much as all of them.
      start(name, lateness: 30 * @minute)
      # Each is sent twice, from eight processes, some of which send lists.
      sent = Enum.shuffle(events ++ events)
      one_by_one = fn events -> Enum.map(events, &Meter.record(name, &1)) end

      in_lists = fn events ->
        for some <- Enum.chunk_every(events, Enum.random([1, 7, 300, 2_000])),
            {outcome, count} <- Meter.record_many(name, some),
            outcome <- List.duplicate(outcome, count),
            do: outcome
      end

      outcomes =
        sent
        |> Enum.chunk_every(2_000)
        |> Enum.with_index()
        |> Enum.map(fn {some, number} ->
          Task.async(fn ->
            if rem(number, 2) == 0, do: one_by_one.(some), else: in_lists.(some)
          end)
        end)
        |> Task.await_many(:infinity)
        |> Enum.concat()

      {:ok, events: events, outcomes: outcomes, seed: seed}
    end

    test "closed windows have every event once", %{
      name: name,
      events: events,
      outcomes: outcomes,
      seed: seed
    } do
      assert Enum.frequencies(outcomes) == %{ok: 8_000, duplicate: 8_000}
      info = Meter.info(name)

      assert %{
               received: 16_000,
               applied: 8_000,
               duplicate: 8_000,
               late: 0,
               future: 0,
               overflow: 0
             } = info.events

      assert info.excluded.duplicate ==
               Enum.reduce(events, nothing(), &sum(totals(&1.metrics), &2))

      stop_supervised!(name)
      windows = delivered()

      assert Enum.map(windows, fn {window, _, _} -> window.sequence end) ==
               Enum.to_list(1..length(windows))

      assert Enum.all?(windows, fn {window, _, _} ->
               window.partial and window.end == window.start + @minute
             end)

      counted =
        for {window, counters, _} <- windows,
            {values, totals} <- counters,
            into: %{},
            do: {{window.start, values}, totals}

      expected =
        Enum.reduce(events, %{}, fn event, rows ->
          key = {event.at - rem(event.at, @minute), event.dimensions}
          Map.update(rows, key, totals(event.metrics), &sum(&1, totals(event.metrics)))
        end)

      assert counted == expected, "seed #{seed}"

      for {window, _, reach} <- windows, {{campaign}, sketch} <- reach do
        users =
          for event <- events,
              event.at - rem(event.at, @minute) == window.start,
              elem(event.dimensions, 0) == campaign,
              uniq: true,
              do: event.user

        assert_in_delta Sketch.estimate(sketch), length(users), 0.05 * length(users) + 0.01
      end
    end

    test "a report groups by any dimensions", %{name: name, events: events} do
      for by <- [@dimensions, [:country], [:country, :creative], [:campaign], []] do
        places = Enum.map(by, fn name -> Enum.find_index(@dimensions, &(&1 == name)) end)

        expected =
          events
          |> Enum.group_by(fn event -> Enum.map(places, &elem(event.dimensions, &1)) end)
          |> Map.new(fn {values, events} ->
            {Map.new(Enum.zip(by, values)),
             Enum.reduce(events, nothing(), &sum(totals(&1.metrics), &2))}
          end)

        report = Meter.report(name, by: by)
        assert Map.new(report, &{Map.take(&1, by), Map.take(&1, @metrics)}) == expected
        assert Enum.all?(report, &(is_map_key(&1, :reach) == (by -- [:campaign] == [])))
      end

      for row <- Meter.report(name, by: [:campaign]) do
        users =
          for event <- events,
              elem(event.dimensions, 0) == row.campaign,
              uniq: true,
              do: event.user

        assert row.reach_low <= length(users) and length(users) <= row.reach_high
        assert row.reach_low <= row.reach and row.reach <= row.reach_high
      end

      from = @begin + 3 * @minute
      [row] = Meter.report(name, by: [], from: from, to: from + 2 * @minute)
      some = Enum.filter(events, &(&1.at >= from and &1.at < from + 2 * @minute))
      assert Map.take(row, @metrics) == Enum.reduce(some, nothing(), &sum(totals(&1.metrics), &2))
    end
  end

  defp sum(totals, more), do: Map.merge(totals, more, fn _metric, a, b -> a + b end)

  defp totals(metrics),
    do: Enum.reduce(metrics, nothing(), fn {m, n}, all -> Map.update!(all, m, &(&1 + n)) end)

  defp nothing, do: Map.new(@metrics, &{&1, 0})
end
