defmodule AdTally.Test.Polling do
  @moduledoc """
  Waits for what another process or the operating system does, of which no message tells.
  """

  @patience 280_000

  @doc """
  How many milliseconds a test waits for what has no limit of its own. They are there for what hangs, and not
  for a machine that is busy: nearly as many as a test has, so that what it waited for is told.
  """
  def patience, do: @patience

  @doc "Returns once `condition` is true; raises after `patience` milliseconds."
  def await(condition, patience \\ @patience),
    do: await_until(condition, now() + patience, patience)

  defp await_until(condition, deadline, patience) do
    cond do
      condition.() ->
        :ok

      now() > deadline ->
        raise "a condition did not come true in #{patience} ms"

      true ->
        Process.sleep(1)
        await_until(condition, deadline, patience)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
