defmodule AdTally.Windows.Diagnosis do
  @moduledoc false
  # The warning that most of what was received was of no use, with the likeliest cause.

  @second 1_000
  @minute 60_000
  @hour 3_600_000
  @day 86_400_000

  @typedoc """
  What is received: `one: "event"`, `many: "events"`; which outcomes are of no use, in the order in which they
  are shown, and what has become of those, `lost: [:late, ...]`, `fate: "not counted"`; and which function closes
  windows before their time, `close: "AdTally.Meter.close/2"`.
  """
  @type subject :: %{
          one: String.t(),
          many: String.t(),
          lost: [atom()],
          fate: String.t(),
          close: String.t()
        }

  @typedoc "The time of the last late one, of the last one too far ahead, and the last one refused, and why."
  @type examples ::
          {non_neg_integer(), non_neg_integer(), {at :: term(), reason :: String.t()} | nil}

  # The warning, or nil if most were of use. `counts` are those of the last `interval` milliseconds by
  # outcome; `newest` is the newest time, where that is the clock, or nil.
  @spec warning(subject(), map(), pos_integer(), examples(), integer(), integer() | nil) ::
          String.t() | nil
  def warning(subject, counts, interval, examples, now, newest) do
    received = counts |> Map.values() |> Enum.sum()
    lost = for outcome <- subject.lost, do: {outcome, Map.fetch!(counts, outcome)}
    count = lost |> Keyword.values() |> Enum.sum()

    if 2 * count > received do
      {most, _count} = Enum.max_by(lost, fn {_outcome, count} -> count end)
      shown = Enum.map_join(lost, ", ", fn {outcome, count} -> "#{outcome}: #{count}" end)

      "#{count} of #{received} #{subject.many} of the last #{duration(interval)} were #{subject.fate} " <>
        "(#{shown}). Likeliest cause: " <> cause(most, examples, now, newest, subject)
    end
  end

  defp cause(:late, {at, _future, _refused}, now, newest, subject) do
    cond do
      like?(at * 1_000, now) ->
        "times look like seconds, :at is in milliseconds; the last late #{subject.one}'s was #{at}"

      newest != nil and newest - now > @day ->
        "a time far ahead, #{moment(newest)}, was counted and made all #{subject.many} before it late"

      at > (newest || now) ->
        "their windows were closed before their time, by #{subject.close}; the last late #{subject.one}'s " <>
          ":at was #{moment(at)}"

      true ->
        clock = newest || now
        of = if newest, do: "the newest, #{moment(newest)}", else: "the system's time"

        "#{subject.many} are older than :window and :lateness allow; the last late #{subject.one}'s :at, " <>
          "#{moment(at)}, is #{duration(clock - at)} before #{of}#{zone(clock - at)}"
    end
  end

  defp cause(:future, {_late, at, _refused}, now, _newest, subject) do
    ahead = at - now

    if ahead >= div(@hour, 2) do
      # Most zones differ by whole hours, some by half ones or quarters.
      hours = round(ahead / (@hour / 4)) / 4

      "a clock or a time zone is off by #{number(hours)} h; the last future #{subject.one}'s :at was #{moment(at)}"
    else
      "a clock is off by #{duration(ahead)}, more than :max_ahead; the last future #{subject.one}'s " <>
        ":at was #{moment(at)}"
    end
  end

  defp cause(:no_window, _examples, _now, _newest, _subject),
    do: ":max_open_windows are open, because times are far apart"

  # The example is written after the count.
  defp cause(:refused, {_late, _future, nil}, _now, _newest, subject),
    do: "#{subject.many} that are not valid"

  defp cause(:refused, {_late, _future, {at, reason}}, now, _newest, _subject) do
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
