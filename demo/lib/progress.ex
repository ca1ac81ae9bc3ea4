defmodule AdTally.Demo.Progress do
  @moduledoc """
  A line that shows how far a long run is: rewritten in place on a terminal, a
  new line every few seconds elsewhere.
  """

  alias AdTally.Demo.Text

  @doc "Waits for `tasks`, showing `done` of `total` events meanwhile."
  @spec await([Task.t()], :counters.counters_ref(), pos_integer(), String.t()) :: [term()]
  def await(tasks, done, total, label) do
    terminal? = match?({:ok, _columns}, :io.columns())
    shower = spawn_link(fn -> show(done, total, label, terminal?) end)
    results = Task.await_many(tasks, :infinity)
    Process.unlink(shower)
    Process.exit(shower, :kill)
    if terminal?, do: IO.write("\r\e[K")
    results
  end

  defp show(done, total, label, terminal?) do
    Process.sleep(if terminal?, do: 200, else: 2_000)
    count = :counters.get(done, 1)
    line = "  #{label}: #{Text.integer(count)} of #{Text.integer(total)} events"
    if terminal?, do: IO.write("\r\e[K" <> line), else: IO.puts(line)
    show(done, total, label, terminal?)
  end
end
