defmodule AdTally.Attribution.Source do
  @moduledoc false
  # An attribution as a source of windows.

  @behaviour AdTally.Windows.Source

  alias AdTally.Attribution.{Shape, Window}
  alias AdTally.Native
  alias AdTally.Windows.{Diagnosis, Memory}

  @impl true
  def module, do: AdTally.Attribution

  @impl true
  def key, do: :attribution

  @impl true
  def new(table), do: apply(Native, :attribution_new, Tuple.to_list(table))

  @impl true
  def new_in(place, olds, table),
    do: apply(Native, :attribution_new_in, [place, olds | Tuple.to_list(table)])

  @impl true
  defdelegate old(shape), to: Shape

  # Those of before are among those of now.
  @impl true
  def names(_shape, names), do: names

  @impl true
  def started(_config, native, _emitter), do: {native, [], []}

  @impl true
  defdelegate close(native, now), to: Native, as: :attribution_close

  @impl true
  defdelegate close_through(native, at), to: Native, as: :attribution_close_through

  @impl true
  defdelegate stop(native), to: Native, as: :attribution_stop

  @impl true
  defdelegate undelivered(native), to: Native, as: :windows_undelivered

  @impl true
  defdelegate sequence(native), to: Native, as: :windows_sequence

  @impl true
  defdelegate closed(native, numbered, partial, node, now), to: Native, as: :windows_closed

  @impl true
  defdelegate gone(native, windows), to: Native, as: :windows_gone

  @impl true
  defdelegate open(native, from), to: Native, as: :attribution_open

  # Late conversions and adjustments are booked in windows that may be newer than all touches and conversions.
  @impl true
  def last_time(native) do
    case max(info(native).newest, Native.attribution_last_open(native) || 0) do
      0 -> nil
      at -> at
    end
  end

  @impl true
  defdelegate info(native), to: Native, as: :attribution_info

  # Only those in a store are ever busy.
  @outcomes [:applied, :duplicate, :late, :future, :refused, :busy]
  @changes [:applied, :superseded, :unknown, :retracted, :future, :refused]

  # What is received, by outcome: {name of the measurement, outcome}.
  @received [
    touches: for(outcome <- @outcomes, do: {:"touches_#{outcome}", outcome}),
    conversions: for(outcome <- @outcomes, do: {:"conversions_#{outcome}", outcome}),
    adjustments: for(outcome <- @changes, do: {:"adjustments_#{outcome}", outcome})
  ]

  @impl true
  def counts(info) do
    received =
      for {what, names} <- @received,
          {name, outcome} <- names,
          {:ok, count} <- [info |> Map.fetch!(what) |> Map.fetch(outcome)],
          into: %{},
          do: {name, count}

    Map.merge(info.counts, received)
  end

  # Also without a store, where none are busy: what is defined of an event is always in it.
  @impl true
  def measurements(counts) do
    counts = Map.merge(%{touches_busy: 0, conversions_busy: 0}, counts)

    Map.merge(counts, %{
      touches_received: sum(counts, :touches),
      conversions_received: sum(counts, :conversions),
      adjustments_received: sum(counts, :adjustments)
    })
  end

  defp sum(counts, what) do
    @received[what]
    |> Enum.map(fn {name, _outcome} -> Map.fetch!(counts, name) end)
    |> Enum.sum()
  end

  @useless [:late, :future, :refused]

  @impl true
  def warnings(native, counts, interval, newest) do
    {touches, conversions} = Native.attribution_examples(native)

    [
      warning({"touch", :touches}, touches, counts, interval, newest),
      warning({"conversion", :conversions}, conversions, counts, interval, newest)
    ]
    |> Enum.reject(&is_nil/1)
  end

  defp warning({one, many}, examples, counts, interval, newest) do
    subject = %{
      one: one,
      many: Atom.to_string(many),
      fate: "late, too far ahead or refused",
      lost: @useless,
      close: "AdTally.Attribution.close/2"
    }

    outcomes =
      for {name, outcome} <- @received[many],
          {:ok, count} <- [Map.fetch(counts, name)],
          into: %{},
          do: {outcome, count}

    now = System.system_time(:millisecond)
    Diagnosis.warning(subject, outcomes, interval, examples, now, newest)
  end

  @impl true
  def memory(native, info) do
    %{
      users: info.user_bytes,
      orders: info.order_bytes,
      keys: info.key_bytes,
      open_windows: Memory.open_windows(&Native.attribution_open_bytes(native, &1))
    }
  end

  @impl true
  def window(name, fields, names),
    do: struct!(Window, fields |> Map.put(:attribution, name) |> Map.merge(names))

  @impl true
  defdelegate window_bytes(window), to: Native, as: :attribution_window_bytes

  @impl true
  def window_measurements(window) do
    {rows, value, conversions, touches, cost, bytes} = Native.attribution_window_totals(window)

    %{
      rows: rows,
      value_micros: value,
      conversions: conversions,
      touches: touches,
      cost_micros: cost,
      memory_bytes: bytes
    }
  end
end
