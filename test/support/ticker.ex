defmodule AdTally.Test.Ticker do
  @moduledoc """
  A process that wants to run every millisecond, and notes the longest time it did
  not.
  """

  @doc "Starts one, linked to the caller."
  def start_link, do: spawn_link(fn -> tick(now(), 0) end)

  @doc "The longest gap between two ticks since the last call, in microseconds."
  def worst_gap(ticker) do
    send(ticker, {:worst_gap, self()})

    receive do
      {^ticker, worst} -> worst
    end
  end

  defp tick(last, worst) do
    receive do
      {:worst_gap, from} ->
        # The tick that is due counts with what it has waited so far.
        now = now()
        send(from, {self(), max(worst, now - last)})
        tick(now, 0)
    after
      1 ->
        now = now()
        tick(now, max(worst, now - last))
    end
  end

  defp now, do: System.monotonic_time(:microsecond)
end
