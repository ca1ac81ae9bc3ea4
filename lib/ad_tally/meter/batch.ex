defmodule AdTally.Meter.Batch do
  @moduledoc false
  # A list of events, recorded in native calls that are short. All of a list is checked before any of
  # it is counted.

  alias AdTally.{Event, Native, Steps}
  alias AdTally.Meter.Late

  @type meter :: {native :: reference(), Late.t() | nil}

  @nothing %{ok: 0, duplicate: 0, late: 0, future: 0, no_window: 0, overflow: 0}

  @doc "Records all events, or counts none and raises for the first that is refused."
  @spec record_all(meter(), [Event.t()]) :: map()
  def record_all({native, _late} = meter, events) do
    first = counting_refused(native, events, fn -> record_first(native, events) end)
    record_rest(meter, events, first, @nothing)
  end

  @doc "Records all events but those that are refused: `:refused` has `{index, error}` of each."
  @spec record_valid(meter(), [Event.t()]) :: map()
  # Usually none is refused. Where one is, nothing was counted yet: all refused ones are found first, and
  # the others are recorded as a list of their own.
  def record_valid({native, _late} = meter, events) do
    first =
      try do
        record_first(native, events)
      rescue
        ArgumentError -> :refused
      end

    if first == :refused do
      refused = counting_refused(native, events, fn -> refused(native, events, 0, []) end)
      Native.meter_refuse(native, length(refused), nil)
      meter |> record_all(others(events, refused, 0)) |> Map.put(:refused, refused)
    else
      meter |> record_rest(events, first, @nothing) |> Map.put(:refused, [])
    end
  end

  # A list that raises is refused as a whole.
  defp counting_refused(native, events, fun) do
    fun.()
  rescue
    error in ArgumentError ->
      case count(events, 0) do
        {:proper, count} ->
          Native.meter_refuse(native, count, nil)

        {:improper, count} ->
          Native.meter_refuse(native, count, "record_many/3 takes proper lists")
      end

      reraise error, __STACKTRACE__
  end

  # A non-list, or an improper tail, counts as one refused event.
  defp count([_event | events], count), do: count(events, count + 1)
  defp count([], count), do: {:proper, count}
  defp count(_other, count), do: {:improper, count + 1}

  defp refused(_native, [], _index, refused), do: Enum.reverse(refused)

  defp refused(native, events, index, refused) do
    {rest, next, some} = Native.meter_refused_some(native, events, index)
    refused(native, rest, next, Enum.reverse(some, refused))
  end

  defp others(events, [], _index), do: events

  defp others([_event | events], [{index, _error} | refused], index),
    do: others(events, refused, index + 1)

  defp others([event | events], refused, index), do: [event | others(events, refused, index + 1)]

  # All of them, if that is not too much for one call. Otherwise all are checked, and only then the
  # first ones are counted.
  defp record_first(native, events) do
    with :many <- Native.meter_record_many(native, events) do
      Steps.each(events, &Native.meter_check_some(native, &1, &2))
      record_begin(native, events)
    end
  end

  # Until some are recorded: a call that was interrupted may have had no time for any.
  defp record_begin(native, events) do
    with {_all, {{0, 0, 0, 0, 0, 0}, []}} <- Native.meter_record_first(native, events),
         do: record_begin(native, events)
  end

  # Of `events` those before `rest` were recorded, with these counts by outcome. `late_at` are the
  # indexes of the late ones.
  defp record_rest({native, late} = meter, events, {rest, {counts, late_at}}, counted) do
    if late != nil, do: Late.take(late, at(events, late_at, 0))
    counted = add(counted, counts)

    if rest == [],
      do: counted,
      else: record_rest(meter, rest, Native.meter_record_some(native, rest), counted)
  end

  defp add(counted, {ok, duplicate, late, future, no_window, overflow}) do
    %{
      ok: counted.ok + ok,
      duplicate: counted.duplicate + duplicate,
      late: counted.late + late,
      future: counted.future + future,
      no_window: counted.no_window + no_window,
      overflow: counted.overflow + overflow
    }
  end

  defp at(_events, [], _index), do: []

  defp at([event | events], [index | late_at], index),
    do: [event | at(events, late_at, index + 1)]

  defp at([_event | events], late_at, index), do: at(events, late_at, index + 1)
end
