defmodule AdTally.Judges.Replay do
  @moduledoc """
  An attribution that takes a stream from four processes, and what it says of the conversions.
  """

  alias AdTally.{Attribution, Conversion, Sink}
  alias AdTally.Judges.Stream, as: Arrivals

  @processes 4
  @half_life 36 * 3_600_000

  def models,
    do: [:last_touch, :first_touch, :linear, :position_based, {:time_decay, @half_life}]

  @doc """
  Sends the stream, block by block, and gives `%{answers: _, reports: _}`:

    * `:answers` - what each adjustment was answered
    * `:reports` - `{model, dated_by, dates, rows}`

  Meanwhile `told` is called with `{block or nil, order, credits}`: of some conversions when everything of `block`
  had arrived, among them such as had come in it, which are not final, and in the end of all.

  `options` are those of the attribution, and `event_order: true` where each user's touches and conversions are
  to be sent by one process, in their order of time.
  """
  def run(stream, options, told) do
    {event_order?, options} = Keyword.pop(options, :event_order, false)
    name = options[:name]
    {:ok, supervisor} = Supervisor.start_link([{Attribution, options}], strategy: :one_for_one)
    ask = fn block, conversion -> ask(name, block, conversion, told) end

    {in_time, late} = stream |> by_block() |> Enum.split_with(&(elem(&1, 0) <= stream.close))

    take = fn {block, of_block} ->
      take(name, block, of_block, event_order?, block > stream.close, ask)
    end

    in_time = Enum.map(in_time, take)
    :ok = Attribution.close(name, :infinity)
    answers = Enum.concat(in_time ++ Enum.map(late, take))
    :ok = Attribution.close(name, :infinity)
    check_counts(name, stream)

    for {_block, conversion} <- stream.conversions, not ask.(nil, conversion) do
      raise "expected to be final: #{inspect(conversion)}"
    end

    reports = reports(name)
    Supervisor.stop(supervisor)
    %{answers: answers, reports: reports}
  end

  @doc "The options of an attribution for such a stream, with files in that directory."
  def options(dir, options) do
    Keyword.merge(
      [
        dimensions: [:campaign, :creative],
        touches: Arrivals.lookbacks(),
        conversions: Arrivals.actions(),
        models: models(),
        touches_per_user: 16,
        users: 200_000,
        orders: 1_000_000,
        adjustable_for: 365 * 24 * 3_600_000,
        window: Arrivals.window(),
        lateness: Arrivals.lateness(),
        clock: :events,
        retain: 365 * 24 * 3_600_000,
        flush: 600_000,
        sinks: [{Sink.Files, dir: dir, types: [campaign: :integer, creative: :string]}]
      ],
      options
    )
  end

  defp by_block(stream) do
    sent = stream.touches ++ stream.conversions ++ stream.copies
    sent = Enum.group_by(sent, &elem(&1, 0), &elem(&1, 1))
    adjusted = Enum.group_by(stream.adjustments, &elem(&1, 0))

    for block <- Enum.sort(Enum.uniq(Map.keys(sent) ++ Map.keys(adjusted))),
        do: {block, {Map.get(sent, block, []), Map.get(adjusted, block, [])}}
  end

  # All of a block is sent before it is adjusted and asked for. Returns what adjustments were answered.
  defp take(name, block, {sent, adjustments}, event_order?, late?, ask) do
    outcomes = if late?, do: [:late], else: [:ok, :duplicate]

    sent
    |> share(event_order?)
    |> Enum.map(fn {part, lists?} ->
      Task.async(fn -> send_all(name, part, outcomes, lists?) end)
    end)
    |> Task.await_many(:infinity)

    answers =
      for {^block, conversion, change, at} <- adjustments,
          do:
            {{block, conversion.order, change, at},
             Attribution.adjust(name, conversion.order, change, at)}

    new = for %Conversion{} = one <- sent, :rand.uniform(8) == 1, do: one
    adjusted = for {_block, conversion, _change, _at} <- adjustments, do: conversion

    # Which install counts for a touch depends on others, which would have to be asked for as well.
    for one <- Enum.uniq_by(new ++ adjusted, & &1.order), one.action != :install do
      if ask.(block, one) != late? and one in new,
        do: raise("expected final: #{late?} of a new conversion: #{inspect(one)}")
    end

    answers
  end

  # Two processes send lists, two send one at a time.
  defp share(sent, true) do
    parts =
      sent |> Enum.shuffle() |> Enum.sort_by(& &1.at) |> Enum.group_by(&rem(&1.user, @processes))

    for {process, part} <- parts, do: {part, rem(process, 2) == 0}
  end

  defp share(sent, false) do
    parts = sent |> Enum.shuffle() |> Enum.with_index()
    parts = Enum.group_by(parts, fn {_, i} -> rem(i, @processes) end, &elem(&1, 0))
    for {process, part} <- parts, do: {part, rem(process, 2) == 0}
  end

  defp send_all(name, part, outcomes, false) do
    for one <- part do
      outcome =
        if conversion?(one),
          do: Attribution.convert(name, one),
          else: Attribution.touch(name, one)

      if outcome not in outcomes, do: raise("#{outcome} was answered to #{inspect(one)}")
    end
  end

  defp send_all(name, part, outcomes, true) do
    for list <- Enum.chunk_by(part, &conversion?/1) do
      counts =
        if conversion?(hd(list)),
          do: Attribution.convert_many(name, list),
          else: Attribution.touch_many(name, list)

      if Enum.any?(Map.drop(counts, outcomes), fn {_outcome, count} -> count > 0 end),
        do: raise("expected only #{inspect(outcomes)}, got: #{inspect(counts)}")
    end
  end

  defp conversion?(one), do: is_struct(one, Conversion)

  # Returns whether it is final.
  defp ask(name, block, conversion, told) do
    credits = Attribution.credits(name, conversion.order)
    if credits == nil, do: raise("nothing is known of #{inspect(conversion)}")
    told.({block, conversion.order, credits})
    credits.final
  end

  # What was sent was taken, and each copy was recognised.
  defp check_counts(name, stream) do
    info = Attribution.info(name)

    for {key, is} <- [touches: &(not conversion?(&1)), conversions: &conversion?/1] do
      copies = Enum.count(stream.copies, fn {_block, one} -> is.(one) end)
      late = Enum.count(stream[key], fn {block, _one} -> block > stream.close end)
      sent = %{applied: length(stream[key]) - late, duplicate: copies, late: late, future: 0}
      counted = Map.take(info[key], Map.keys(sent))
      if counted != sent, do: raise("#{key} sent: #{inspect(sent)}, counted: #{inspect(counted)}")
    end
  end

  # Of all, and of a part that begins and ends with a window.
  defp reports(name) do
    noon = Arrivals.first_conversion() + 12 * 3_600_000

    for model <- models(),
        dated_by <- [:touch, :conversion],
        dates <- [[], [from: noon, to: noon + 8 * 3_600_000]] do
      options = [by: [:campaign, :kind], model: model, dated_by: dated_by] ++ dates
      {model, dated_by, dates, Attribution.report(name, options)}
    end
  end
end
