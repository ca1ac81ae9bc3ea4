defmodule AdTally.Test.Polling do
  @moduledoc """
  Waits for what another process or the operating system does, of which no message tells.
  """

  @doc """
  Returns once `condition` is true; raises after `patience` milliseconds. Those are there for what hangs,
  and not for a machine that is busy: by default they are nearly as many as a test has.
  """
  def await(condition, patience \\ 280_000),
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
