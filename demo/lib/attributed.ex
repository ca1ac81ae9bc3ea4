defmodule AdTally.Demo.Attributed do
  @moduledoc """
  Generated touches, five of each user, and conversions of some users, in an order that has nothing to do
  with their times, from one process a scheduler. What each campaign is credited with under every model is
  compared with what lists make of it.
  """

  alias AdTally.{Attribution, Conversion, Touch}
  alias AdTally.Demo.{Credits, Progress, Text}

  @name AdTally.Demo.Attributed
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000
  @hour 3_600_000
  @day 24 * @hour
  @models [
    :last_touch,
    :first_touch,
    :linear,
    :position_based,
    {:time_decay, 12 * @hour}
  ]
  @turns 5
  @campaigns 1_000
  # Touches to a conversion.
  @share 50
  # Where steps through all events begin to be tried: one that has no divisor in common with their number.
  @stride 15_485_863
  # Events between two steps of the progress line.
  @step 10_000
  @lookbacks [click: 7 * @day, view: @day]

  @type result :: %{
          users: pos_integer(),
          touches: pos_integer(),
          conversions: pos_integer(),
          microseconds: pos_integer(),
          memory: map(),
          credits: map(),
          info: map()
        }

  @doc "Runs about so many touches, and a fiftieth as many conversions."
  @spec run(pos_integer()) :: result()
  def run(touches) do
    users = max(div(touches, @turns), 1)
    touches = users * @turns
    conversions = max(div(touches, @share), 1)

    options = [
      name: @name,
      dimensions: [:campaign],
      touches: @lookbacks,
      prevail: true,
      models: @models,
      conversions: [purchase: :every],
      users: users,
      orders: conversions,
      clock: :events,
      window: @hour,
      lateness: 30 * @day,
      retain: 30 * @day
    ]

    {:ok, supervisor} = Supervisor.start_link([{Attribution, options}], strategy: :one_for_one)
    time = measure(users, touches, conversions)
    memory = Attribution.info(@name).memory
    :ok = Attribution.close(@name, :infinity)
    reports = Map.new(@models, &{&1, Attribution.report(@name, by: [:campaign], model: &1)})
    info = Attribution.info(@name)
    Supervisor.stop(supervisor)

    %{
      users: users,
      touches: touches,
      conversions: conversions,
      microseconds: time,
      memory: memory,
      credits: Map.new(reports, fn {model, rows} -> {model, credits(rows)} end),
      info: info
    }
  end

  # The unattributed ones are those of no campaign.
  defp credits(rows) do
    for %{conversions_ppm: parts, value_micros: value} = row <- rows,
        parts != 0,
        into: %{},
        do: {row[:campaign], {parts, value}}
  end

  defp measure(users, touches, conversions) do
    all = touches + conversions
    processes = System.schedulers_online()
    stride = @stride |> Stream.iterate(&(&1 + 1)) |> Enum.find(&(Integer.gcd(&1, all) == 1))
    done = :counters.new(1, [:write_concurrency])

    tasks =
      for process <- 0..(processes - 1) do
        Task.async(fn ->
          receive do: (:begin -> :ok)
          take(process, all, processes, {stride, users, touches}, @step, done)
          System.monotonic_time(:microsecond)
        end)
      end

    begin = System.monotonic_time(:microsecond)
    Enum.each(tasks, &send(&1.pid, :begin))
    ends = Progress.await(tasks, done, all, "AdTally.Attribution")
    max(Enum.max(ends) - begin, 1)
  end

  defp take(number, all, _by, _counts, _left, _done) when number >= all, do: :ok

  defp take(number, all, by, counts, 0, done) do
    :counters.add(done, 1, @step)
    take(number, all, by, counts, @step, done)
  end

  defp take(number, all, by, {stride, users, touches} = counts, left, done) do
    case rem(number * stride, all) do
      id when id < touches -> :ok = Attribution.touch(@name, touch(id, users))
      order -> :ok = Attribution.convert(@name, conversion(order - touches, users))
    end

    take(number + by, all, by, counts, left - 1, done)
  end

  # Touches `user`, `user + users` and so on are those of a user.
  defp touch(id, users) do
    %Touch{
      id: id,
      user: rem(id, users),
      at: @begin + :erlang.phash2({id, :at}, 3 * @day),
      kind: if(:erlang.phash2({id, :kind}, 10) == 0, do: :click, else: :view),
      dimensions: {:erlang.phash2(id, @campaigns)},
      cost_micros: 1_250
    }
  end

  defp conversion(number, users) do
    %Conversion{
      order: number,
      user: :erlang.phash2({number, :user}, users),
      at: @begin + 2 * @day + :erlang.phash2({number, :at}, @day),
      action: :purchase,
      value_micros: 1_000_000 + :erlang.phash2({number, :value}, 99_000_000)
    }
  end

  @doc "What each campaign is credited with, `nil` with what is unattributed, from lists."
  @spec expected(result()) :: map()
  def expected(%{users: users, conversions: conversions}) do
    conversions = for number <- 0..(conversions - 1), do: conversion(number, users)
    paths = for conversion <- conversions, do: {path(conversion, users), conversion.value_micros}

    Map.new(@models, fn model ->
      credits =
        Enum.flat_map(paths, fn
          {[], value} -> [{nil, {1_000_000, value}}]
          {path, value} -> Credits.of(path, model, value)
        end)

      {model, Credits.sums(credits)}
    end)
  end

  defp path(%{user: user, at: at}, users) do
    touches = for turn <- 0..(@turns - 1), do: touch(user + turn * users, users)
    eligible = Enum.filter(touches, &((at - &1.at) in 0..@lookbacks[&1.kind]))
    clicks = Enum.filter(eligible, &(&1.kind == :click))
    path = if clicks == [], do: eligible, else: clicks

    for touch <- Enum.sort_by(path, &{&1.at, &1.id}),
        do: {at - touch.at, elem(touch.dimensions, 0)}
  end

  @doc "What is not as it was generated, a sentence each."
  @spec differences(result(), map()) :: [String.t()]
  def differences(run, expected) do
    credits =
      for model <- @models,
          {campaign, difference} <- Credits.compare(run.credits[model], expected[model]),
          do: "#{inspect(model)} has credited campaign #{inspect(campaign)} with #{difference}"

    applied = {run.info.touches.applied, run.info.conversions.applied}

    if applied == {run.touches, run.conversions},
      do: credits,
      else: ["taken were #{inspect(applied)} touches and conversions" | credits]
  end

  @doc "The time, and what the memory is for, as text."
  @spec table(result()) :: String.t()
  def table(run) do
    events = run.touches + run.conversions
    seconds = :erlang.float_to_binary(run.microseconds / 1_000_000, decimals: 2)
    a_second = round(events / run.microseconds * 1_000_000)

    memory =
      for {part, bytes} <- run.memory, bytes > 0, do: {"memory of #{part}", kibibytes(bytes)}

    rows = [
      {"touches", Text.integer(run.touches)},
      {"conversions", Text.integer(run.conversions)},
      {"time", seconds <> " s"},
      {"events a second", Text.integer(a_second)}
    ]

    Text.table(["", ""], for({name, value} <- rows ++ memory, do: [name, value]), 1)
  end

  defp kibibytes(bytes), do: Text.integer(div(bytes, 1024)) <> " KiB"
end
