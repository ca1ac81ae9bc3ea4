defmodule AdTally.Engines.Attribution do
  @moduledoc """
  The attribution whose files the engines read, of the options in guides/warehouse.md, and what they have to
  find in them by its own reports.
  """

  alias AdTally.Engines.{Expectation, Input}
  alias AdTally.{Attribution, Conversion, Sink, Touch}

  @hour 3_600_000
  @day 24 * @hour
  # 2026-11-28 20:00 UTC: the hours after it are on three dates.
  @evening 1_795_896_000_000
  @hours 30
  @users 500
  @orders 400
  @creatives [1, "1", nil, :one, -9_223_372_036_854_775_808, 9_223_372_036_854_775_807, <<255>>]
  # Some of the dimensions have no room.
  @max_keys 200

  @spec options(Path.t()) :: keyword()
  def options(dir) do
    [
      name: Engines.Attribution,
      dimensions: [:campaign, :creative],
      touches: [click: 7 * @day, view: @day],
      models: [:last_touch, :position_based],
      conversions: [purchase: :every],
      max_keys: @max_keys,
      window: @hour,
      lateness: @hour,
      clock: :events,
      retain: 30 * @day,
      flush: 600_000,
      sinks: [{Sink.Files, dir: dir, types: [campaign: :string, creative: :integer]}]
    ]
  end

  @doc "Has it attribute touches and conversions, writes its files, and returns what expected.json has of it."
  @spec write(Path.t()) :: map()
  def write(dir) do
    :rand.seed(:exsss, 1_795_896)
    options = options(dir)
    {:ok, supervisor} = Supervisor.start_link([{Attribution, options}], strategy: :one_for_one)
    name = options[:name]
    (touches() ++ conversions()) |> Enum.sort_by(& &1.at) |> Enum.each(&take(name, &1))
    :ok = Attribution.close(name, 60_000)
    # Of windows that are closed.
    for order <- 1..@orders//3,
        do: :ok = Attribution.adjust(name, order, change(order), at(order))

    :late = Attribution.convert(name, conversion(@orders + 1, @evening))
    expected = expected(name, options)
    Supervisor.stop(supervisor)
    expected
  end

  defp take(name, %Touch{} = touch), do: :ok = Attribution.touch(name, touch)
  defp take(name, %Conversion{} = order), do: :ok = Attribution.convert(name, order)

  defp touches do
    for id <- 1..(8 * @users) do
      %Touch{
        id: id,
        user: :rand.uniform(@users),
        at: @evening + :rand.uniform(@hours * @hour),
        kind: Enum.random([:click, :view]),
        dimensions: {Enum.random(Input.campaigns()), Enum.random(@creatives)},
        cost_micros: Enum.random([0, 1, 350_000, 4_611_686_018_427_387_903])
      }
    end
  end

  # Some of users without a touch.
  defp conversions,
    do: for(order <- 1..@orders, do: conversion(order, @evening + :rand.uniform(@hours * @hour)))

  defp conversion(order, at) do
    %Conversion{
      order: order,
      user: :rand.uniform(2 * @users),
      at: at,
      action: :purchase,
      value_micros: Enum.random([0, 1, -7_000_001, 59_990_000, 100_000_007])
    }
  end

  defp change(order) when rem(order, 2) == 0, do: :retract
  defp change(order), do: {:restate, order * 1_000_003}

  # After all that came before, on the next day.
  defp at(order), do: @evening + (@hours + 1) * @hour + order

  defp expected(name, options) do
    [{Sink.Files, sink}] = options[:sinks]

    %{
      meter: inspect(name),
      dimensions: options[:dimensions],
      types: Map.new(sink[:types]),
      declarations:
        Map.new([:bigquery, :spark, :flink, :duckdb], &{&1, Sink.Files.schema(options, &1)}),
      # By campaign, as its column has it: credits of all conversions.
      net: name |> report([]) |> sums([:conversions_ppm, :value_micros]),
      # By day of the touch and campaign.
      earned: Enum.flat_map(0..2, &earned(name, &1)),
      value_micros:
        for model <- options[:models], into: %{} do
          {model, name |> report(model: model) |> Enum.map(& &1.value_micros) |> Enum.sum()}
        end
    }
  end

  defp earned(name, day) do
    from = Integer.floor_div(@evening, @day) * @day + day * @day
    rows = report(name, dated_by: :touch, from: from, to: from + @day)
    date = from |> DateTime.from_unix!(:millisecond) |> DateTime.to_date() |> Date.to_iso8601()

    for sums <-
          rows
          |> Enum.reject(&Map.has_key?(&1, :unattributed))
          |> sums([:value_micros, :spend_micros]),
        do: [date | sums]
  end

  defp report(name, options), do: Attribution.report(name, [by: [:campaign]] ++ options)

  # What has no campaign is together with the campaign nil: the column is null.
  defp sums(rows, names) do
    for {campaign, rows} <- Enum.group_by(rows, &Expectation.column(&1[:campaign], :string)),
        do: [
          campaign | Enum.map(names, fn name -> rows |> Enum.map(& &1[name]) |> Enum.sum() end)
        ]
  end
end
