defmodule AdTally.Meter.Diagnosis do
  @moduledoc false
  # The warning of a meter of whose events most were not counted, with the likeliest cause.

  @second 1_000
  @minute 60_000
  @hour 3_600_000
  @day 86_400_000

  # The warning, or nil if most events were counted. `counts` are the events of the last `interval`
  # milliseconds by outcome; `examples` those of `Native.meter_examples/1`; `newest` is the newest event's
  # time, where that is the meter's clock, or nil.
  def warning(counts, interval, examples, now, newest) do
    received = counts |> Map.values() |> Enum.sum()
    lost = Map.take(counts, [:late, :future, :no_window, :refused])
    count = lost |> Map.values() |> Enum.sum()

    if 2 * count > received do
      {most, _count} = Enum.max_by(lost, fn {_outcome, count} -> count end)

      "#{count} of #{received} events of the last #{duration(interval)} were not counted " <>
        "(late: #{lost.late}, future: #{lost.future}, no_window: #{lost.no_window}, " <>
        "refused: #{lost.refused}). Likeliest cause: " <>
        cause(most, examples, now, newest)
    end
  end

  defp cause(:late, {at, _future, _refused}, now, newest) do
    cond do
      like?(at * 1_000, now) ->
        "times look like seconds, :at is in milliseconds; the last late event's was #{at}"

      newest != nil and newest - now > @day ->
        "a time far ahead, #{moment(newest)}, was counted and made all events before it late"

      at > (newest || now) ->
        "their windows were closed before their time, by AdTally.Meter.close/2; the last late event's :at " <>
          "was #{moment(at)}"

      true ->
        clock = newest || now
        of = if newest, do: "the newest, #{moment(newest)}", else: "the system's time"

        "events are older than :window and :lateness allow; the last late event's :at, #{moment(at)}, " <>
          "is #{duration(clock - at)} before #{of}#{zone(clock - at)}"
    end
  end

  defp cause(:future, {_late, at, _refused}, now, _newest) do
    ahead = at - now

    if ahead >= div(@hour, 2) do
      # Most zones differ by whole hours, some by half ones or quarters.
      hours = round(ahead / (@hour / 4)) / 4

      "a clock or a time zone is off by #{number(hours)} h; the last future event's :at was #{moment(at)}"
    else
      "a clock is off by #{duration(ahead)}, more than :max_ahead; the last future event's :at was " <>
        moment(at)
    end
  end

  defp cause(:no_window, _examples, _now, _newest),
    do: ":max_open_windows are open, because times are far apart"

  # The example is written after the count.
  defp cause(:refused, {_late, _future, nil}, _now, _newest), do: "events that are not valid"

  defp cause(:refused, {_late, _future, {at, reason}}, now, _newest) do
    cond do
      at != nil and like?(at, now * 1_000) ->
        "times look like microseconds, :at is in milliseconds; the last refused one was #{at}"

      at != nil and like?(at, now * 1_000_000) ->
        "times look like nanoseconds, :at is in milliseconds; the last refused one was #{at}"

      true ->
        "the last one was refused because #{reason}"
    end
  end

  # Units differ by a thousand, so within ten times there is no doubt.
  defp like?(one, other), do: one > div(other, 10) and one < other * 10

  # How far a time may be off whole hours and still be explained by a time zone: events take a while to
  # arrive.
  @on_the_way 2 * @minute

  defp zone(behind) do
    hours = round(behind / @hour)

    if hours in 1..14 and abs(behind - hours * @hour) <= @on_the_way,
      do: "; if all are, a clock or a time zone is off by #{hours} h",
      else: ""
  end

  defp duration(milliseconds) when milliseconds < @second, do: "#{milliseconds} ms"

  defp duration(milliseconds) when milliseconds < 2 * @minute,
    do: tenths(milliseconds, @second, "s")

  defp duration(milliseconds) when milliseconds < 2 * @hour,
    do: tenths(milliseconds, @minute, "min")

  defp duration(milliseconds), do: tenths(milliseconds, @hour, "h")

  defp tenths(milliseconds, unit, name),
    do: "#{number(Float.round(milliseconds / unit, 1))} #{name}"

  defp number(float) when float == trunc(float), do: "#{trunc(float)}"
  defp number(float), do: "#{float}"

  defp moment(at), do: at |> DateTime.from_unix!(:millisecond) |> DateTime.to_iso8601()
end
