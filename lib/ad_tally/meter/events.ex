defmodule AdTally.Meter.Events do
  @moduledoc false
  # Lists of events, which a meter records: the native meter, the process that late events are handed to, if
  # there is one, and the native attribution that is told of touches, if there is one.

  @behaviour AdTally.Batch

  alias AdTally.Meter.Late
  alias AdTally.Native

  @impl true
  def take_all({native, _late, nil}, events), do: Native.meter_record_many(native, events)
  def take_all({native, _late, to}, events), do: Native.meter_record_many(native, to, events)

  @impl true
  def check_some({native, _late, nil}, events, index),
    do: Native.meter_check_some(native, events, index)

  def check_some({native, _late, to}, events, index),
    do: Native.meter_check_some(native, to, events, index)

  @impl true
  def refused_some({native, _late, nil}, events, index),
    do: Native.meter_refused_some(native, events, index)

  def refused_some({native, _late, to}, events, index),
    do: Native.meter_refused_some(native, to, events, index)

  @impl true
  def take_first({native, _late, nil}, events), do: Native.meter_record_first(native, events)
  def take_first({native, _late, to}, events), do: Native.meter_record_first(native, to, events)

  @impl true
  def take_some({native, _late, nil}, events), do: Native.meter_record_some(native, events)

  # Some of the list were counted. If the attribution has died since, and all touches that it knew with it, the
  # others are counted all the same: whoever brought the whole list again would have those counted twice.
  def take_some({native, _late, to}, events) do
    Native.meter_record_some(native, to, events)
  rescue
    ArgumentError -> Native.meter_record_some(native, events)
  end

  @impl true
  def refuse({native, _late, _to}, count, reason), do: Native.meter_refuse(native, count, reason)

  @impl true
  def nothing?({counts, []}), do: counts |> Tuple.to_list() |> Enum.all?(&(&1 == 0))
  def nothing?(_some), do: false

  @impl true
  def no_counts, do: %{ok: 0, duplicate: 0, late: 0, future: 0, no_window: 0, overflow: 0}

  # `late_at` are the indexes of the late ones.
  @impl true
  def add({_native, late, _to}, events, {counts, late_at}, counted) do
    if late != nil, do: Late.take(late, at(events, late_at, 0))
    add(counts, counted)
  end

  defp add({ok, duplicate, late, future, no_window, overflow}, counted) do
    %{
      ok: counted.ok + ok,
      duplicate: counted.duplicate + duplicate,
      late: counted.late + late,
      future: counted.future + future,
      no_window: counted.no_window + no_window,
      overflow: counted.overflow + overflow
    }
  end

  # Those of a meter in a store.
  defp add({ok, duplicate, late, future, no_window, overflow, busy}, counted) do
    {ok, duplicate, late, future, no_window, overflow}
    |> add(counted)
    |> Map.put(:busy, Map.get(counted, :busy, 0) + busy)
  end

  @impl true
  def called, do: "record_many/3"

  defp at(_events, [], _index), do: []

  defp at([event | events], [index | late_at], index),
    do: [event | at(events, late_at, index + 1)]

  defp at([_event | events], late_at, index), do: at(events, late_at, index + 1)
end
