defmodule AdTally.Demo.Attribution do
  @moduledoc """
  Each click of the real log, attributed to the impressions that its segment had seen in the six hours
  before, the clicked one among them. Every row is delivered twice within three minutes, from several
  processes. What came out, under every model, is compared with lists.
  """

  alias AdTally.{Attribution, Conversion, Touch}
  alias AdTally.Demo.{Credits, Log, Text}

  @name AdTally.Demo.Clicks
  @dimensions [:policy, :campaign, :item, :position]
  @hour 3_600_000
  @lookback 6 * @hour
  @models [
    :last_touch,
    :first_touch,
    :linear,
    :position_based,
    {:time_decay, @hour}
  ]
  # What a click is worth, in micros.
  @value 330_000
  @shuffled 180_000
  # How far apart in time the processes are at most: they wait for each other that often.
  @slice 1_800_000
  @seed 20_191_124

  @typedoc "By model, and by the values of the dimensions: parts of clicks in millionths, and their value in micros."
  @type credits :: %{Attribution.model() => %{[term()] => {integer(), integer()}}}

  @type result :: %{
          clicks: non_neg_integer(),
          impressions: non_neg_integer(),
          credits: credits(),
          outcomes: %{{:touch | :conversion, Attribution.outcome()} => non_neg_integer()},
          truncated: non_neg_integer(),
          info: map()
        }

  @doc "The models, in the order of the table."
  @spec models() :: [Attribution.model()]
  def models, do: @models

  @doc "Replays the log from so many processes."
  @spec replay([Log.impression()], pos_integer()) :: result()
  def replay(impressions, processes) do
    options = [
      name: @name,
      dimensions: @dimensions,
      touches: [impression: @lookback],
      models: @models,
      conversions: [click: :every],
      # No segment has seen more in six hours.
      touches_per_user: 255,
      users: 1_000,
      orders: 10_000,
      window: @hour,
      lateness: 2 * @slice,
      clock: :events,
      retain: 7 * 24 * @hour
    ]

    {:ok, supervisor} = Supervisor.start_link([{Attribution, options}], strategy: :one_for_one)
    outcomes = impressions |> events() |> delivered() |> send_all(processes)
    :ok = Attribution.close(@name)

    orders = for {:conversion, conversion} <- events(impressions), do: conversion.order
    truncated = Enum.count(orders, &Attribution.credits(@name, &1).truncated)
    reports = Map.new(@models, &{&1, Attribution.report(@name, by: @dimensions, model: &1)})
    info = Attribution.info(@name)
    Supervisor.stop(supervisor)

    %{
      clicks: length(orders),
      impressions: reports[:linear] |> Enum.map(& &1.touches) |> Enum.sum(),
      credits: Map.new(reports, fn {model, rows} -> {model, credits(rows)} end),
      outcomes: Enum.frequencies(outcomes),
      truncated: truncated,
      info: info
    }
  end

  defp credits(rows) do
    for %{conversions_ppm: parts, value_micros: value} = row <- rows,
        parts != 0,
        into: %{},
        do: {Enum.map(@dimensions, &row[&1]), {parts, value}}
  end

  # An impression is a touch, and a conversion too if it was clicked.
  defp events(impressions) do
    for {impression, number} <- Enum.with_index(impressions),
        event <- [
          {:touch, touch(impression, number)},
          impression.clicked? && {:conversion, click(impression, number)}
        ],
        event,
        do: event
  end

  defp touch(impression, number) do
    %Touch{
      id: number,
      user: impression.segment,
      at: impression.at,
      kind: :impression,
      dimensions: impression |> dimensions() |> List.to_tuple()
    }
  end

  defp dimensions(impression), do: Enum.map(@dimensions, &Map.fetch!(impression, &1))

  defp click(%{at: at, segment: segment}, number),
    do: %Conversion{order: number, user: segment, at: at, action: :click, value_micros: @value}

  # Both copies of every event arrive within three minutes.
  defp delivered(events) do
    :rand.seed(:exsss, @seed)

    (events ++ events)
    |> Enum.map(fn {_kind, event} = sent -> {event.at + :rand.uniform(@shuffled), sent} end)
    |> Enum.sort_by(&elem(&1, 0))
    |> Enum.chunk_by(fn {arrives, _event} -> div(arrives, @slice) end)
  end

  defp send_all(slices, processes) do
    Enum.flat_map(slices, fn slice ->
      slice
      |> Enum.map(&elem(&1, 1))
      |> Enum.chunk_every(div(length(slice), processes) + 1)
      |> Enum.map(&Task.async(fn -> Enum.map(&1, fn event -> take(event) end) end))
      |> Task.await_many(:infinity)
      |> Enum.concat()
    end)
  end

  defp take({:touch, touch}), do: {:touch, Attribution.touch(@name, touch)}
  defp take({:conversion, click}), do: {:conversion, Attribution.convert(@name, click)}

  @doc "The same credits from lists, sharing nothing with `replay/2`."
  @spec expected([Log.impression()]) :: credits()
  def expected(impressions) do
    by_segment = impressions |> Enum.with_index() |> Enum.group_by(&elem(&1, 0).segment)

    paths =
      for {%{clicked?: true} = click, _number} <- Enum.with_index(impressions) do
        seen =
          for {%{at: at} = one, number} <- by_segment[click.segment],
              at in (click.at - @lookback)..click.at,
              do: {at, number, dimensions(one)}

        for {at, _number, dimensions} <- Enum.sort(seen), do: {click.at - at, dimensions}
      end

    Map.new(@models, fn model ->
      {model, paths |> Enum.flat_map(&Credits.of(&1, model, @value)) |> Credits.sums()}
    end)
  end

  @doc "What is not as it was expected, a sentence each."
  @spec differences(result(), credits()) :: [String.t()]
  def differences(result, expected) do
    {impressions, clicks} = {result.impressions, result.clicks}

    outcomes = %{
      {:touch, :ok} => impressions,
      {:touch, :duplicate} => impressions,
      {:conversion, :ok} => clicks,
      {:conversion, :duplicate} => clicks
    }

    credits =
      for model <- @models,
          {dimensions, same_or_not} <- Credits.compare(result.credits[model], expected[model]),
          do: "#{inspect(model)} has credited #{inspect(dimensions)} with #{same_or_not}"

    wrong =
      for {what, got, wanted} <- [
            {"outcomes", result.outcomes, outcomes},
            {"truncated conversions", result.truncated, 0}
          ],
          got != wanted,
          do: "#{what}: #{inspect(got)}, and not #{inspect(wanted)}"

    wrong ++ credits
  end

  @doc "Clicks by policy and campaign under each model, as text."
  @spec table(result()) :: String.t()
  def table(result) do
    by_campaign =
      for {model, credits} <- result.credits,
          {[policy, campaign | _], {parts, _value}} <- credits,
          reduce: %{} do
        sums -> Map.update(sums, {{policy, campaign}, model}, parts, &(&1 + parts))
      end

    keys = by_campaign |> Map.keys() |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort()

    rows =
      for {policy, campaign} = key <- keys do
        sums = for model <- @models, do: clicks(by_campaign[{key, model}] || 0)
        [policy, campaign | sums]
      end

    Text.table(["policy", "campaign" | Enum.map(@models, &Credits.name/1)], rows, 2)
  end

  defp clicks(parts), do: :erlang.float_to_binary(parts / 1_000_000, decimals: 2)
end
