defmodule AdTally.Windows.Closing do
  @moduledoc false
  # Closes windows. Each gets its number, is retained for reports, and goes to the processes that deliver it: at
  # once, or with a store when the disk knows that it is closed (`durable`).
  #
  # `state` is that of the server.

  alias AdTally.Windows.{Delivery, Durable, Emitter, Found, Retained, Source}

  @type state :: map()

  @doc "Closes the windows whose time has passed."
  @spec due(state()) :: state()
  def due(state) do
    now = System.system_time(:millisecond)
    close(state, false, fn -> state.config.source.close(state.native, now) end)
  end

  @doc "Closes windows before their time: those that `step` closes, until there are no more."
  @spec early(state(), step :: (... -> {[Source.period()], more? :: boolean()})) :: state()
  def early(state, step), do: close(state, true, step)

  # In steps, so that a process that opens a window meanwhile does not wait for long.
  defp close(state, partial, step) do
    begin = System.monotonic_time()
    {periods, more?} = step.()
    named = for period <- periods, do: {period, state.config.names}
    state = closed(state, named, partial, begin)
    if more?, do: close(state, partial, step), else: state
  end

  @doc "Goes on with the windows of earlier processes, which a store has."
  @spec found(state(), Found.t()) :: state()
  def found(%{durable: nil} = state, _found), do: state

  def found(state, found) do
    begin = System.monotonic_time()
    retain(state, found.numbered)
    state = %{state | durable: Durable.found(state.durable, found.numbered)}

    Enum.reduce(found.others, state, fn {partial, named}, state ->
      closed(state, named, partial, begin)
    end)
  end

  # Each with the names in its rows.
  defp closed(state, [], _partial, _begin), do: state

  defp closed(state, named, partial, begin) do
    {windows, sequence} =
      Enum.map_reduce(named, state.sequence, fn {period, names}, sequence ->
        {window(period, names, sequence + 1, partial, state), sequence + 1}
      end)

    Emitter.closed(state.emitter, windows, System.monotonic_time() - begin)
    retain(state, windows)
    hand_over(%{state | sequence: sequence}, windows, partial)
  end

  defp window({start, end_, _rows, native}, names, sequence, partial, state) do
    fields = %{
      native: native,
      start: start,
      end: end_,
      sequence: sequence,
      partial: partial,
      node: node(),
      epoch: state.epoch
    }

    state.config.source.window(state.config.name, fields, names)
  end

  # A report reads rows by the names of now.
  defp retain(%{config: config} = state, windows) do
    windows = Enum.filter(windows, &(Map.take(&1, Map.keys(config.names)) == config.names))
    Retained.put(state.retained, windows, &config.source.window_bytes(&1.native))
  end

  defp hand_over(%{durable: nil} = state, windows, _partial), do: deliver(state, windows)

  defp hand_over(state, windows, partial),
    do: %{state | durable: Durable.closed(state.durable, windows, partial)}

  @doc "Hands windows to the processes that deliver them."
  @spec deliver(state(), [struct()]) :: state()
  def deliver(state, []), do: state

  def deliver(state, windows) do
    Enum.each(state.deliveries, &Delivery.deliver(&1, windows))
    state
  end
end
