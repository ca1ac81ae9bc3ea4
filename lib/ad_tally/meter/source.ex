defmodule AdTally.Meter.Source do
  @moduledoc false
  # A meter as a source of windows.

  @behaviour AdTally.Windows.Source

  alias AdTally.Meter.{Late, Shape}
  alias AdTally.Metrics.{Parts, Top}
  alias AdTally.{Native, Window}
  alias AdTally.Windows.{Diagnosis, Memory}

  @impl true
  def module, do: AdTally.Meter

  @impl true
  def key, do: :meter

  @impl true
  def new({times, names, sketches, ids, touches, seed}),
    do: Native.meter_new(times, names, sketches, ids, touches, seed)

  @impl true
  def new_in(place, olds, {times, names, sketches, ids, touches, seed}),
    do: Native.meter_new_in(place, olds, times, names, sketches, ids, touches, seed)

  @impl true
  defdelegate old(shape), to: Shape

  @impl true
  def names(shape, _names), do: Shape.names(shape)

  # The native meter, the process that late events are handed to, if there is one, and the name of the
  # attribution that is told of touches, if there is one.
  @impl true
  def started(%{on_late: nil} = config, native, _emitter) do
    keep_campaigns(config, native)
    {value(config, native, nil), [], []}
  end

  def started(config, native, emitter) do
    keep_campaigns(config, native)
    {:ok, late} = Late.start(config.name, config.on_late, emitter)
    lost = "late events that #{inspect(config.on_late)} was not given"
    parts = [{Late.pid(late), :on_late, lost}]
    {value(config, native, late), parts, [Late.metric_counters(late)]}
  end

  # Totals of campaigns, as before: whoever asks for them next may come after some windows were closed.
  defp keep_campaigns(%{name: name} = config, native),
    do: Top.keep(name, native, config.names, Top.asked(name), Parts.before(name, module()))

  defp value(%{attribution: nil}, native, late), do: {native, late}
  defp value(%{attribution: attribution}, native, late), do: {native, late, attribution}

  @impl true
  defdelegate close(native, now), to: Native, as: :meter_close

  @impl true
  defdelegate close_through(native, at), to: Native, as: :meter_close_through

  @impl true
  defdelegate stop(native), to: Native, as: :meter_stop

  @impl true
  defdelegate undelivered(native), to: Native, as: :windows_undelivered

  @impl true
  defdelegate sequence(native), to: Native, as: :windows_sequence

  @impl true
  defdelegate closed(native, numbered, partial, node, now), to: Native, as: :windows_closed

  @impl true
  defdelegate gone(native, windows), to: Native, as: :windows_gone

  @impl true
  defdelegate open(native, from), to: Native, as: :meter_open

  @impl true
  def last_time(native) do
    %{events: events, newest: newest} = info(native)

    # After the clock was set back there may be windows that are newer than the newest event since. And windows
    # of an earlier start are open before the first event.
    last_open = Native.meter_last_open(native)

    if events.applied + events.overflow > 0,
      do: max(newest, last_open || 0),
      else: last_open
  end

  @impl true
  defdelegate info(native), to: Native, as: :meter_info

  @impl true
  def counts(info), do: info.events

  # Also without a store, where none are busy: what is defined of an event is always in it.
  @impl true
  def measurements(counts), do: counts |> received() |> Map.put_new(:busy, 0)

  @doc "Counts with their sum."
  @spec received(map()) :: map()
  def received(counts), do: Map.put(counts, :received, counts |> Map.values() |> Enum.sum())

  @diagnosed %{
    one: "event",
    many: "events",
    fate: "not counted",
    lost: [:late, :future, :no_window, :refused],
    close: "AdTally.Meter.close/2"
  }

  @impl true
  def warnings(native, counts, interval, newest) do
    examples = Native.meter_examples(native)
    now = System.system_time(:millisecond)
    List.wrap(Diagnosis.warning(@diagnosed, counts, interval, examples, now, newest))
  end

  @doc "What of its events a warning is about."
  def diagnosed, do: @diagnosed

  @impl true
  def memory(value, info) do
    {native, late} = {elem(value, 0), elem(value, 1)}

    %{
      ids: info.id_bytes,
      open_windows: Memory.open_windows(&Native.meter_open_bytes(native, &1)),
      late_events: Late.memory(late)
    }
  end

  @impl true
  def window(name, fields, names),
    do: struct!(Window, fields |> Map.put(:meter, name) |> Map.merge(names))

  @impl true
  defdelegate window_bytes(window), to: Native, as: :meter_window_bytes

  @impl true
  def window_measurements(window) do
    {rows, totals, overflow, bytes} = Native.meter_totals(window)
    %{rows: rows, totals: totals, overflow: overflow, memory_bytes: bytes}
  end
end
