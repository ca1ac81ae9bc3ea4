defmodule AdTally.Test.Crashes do
  @moduledoc """
  Kills processes that own a table with a name.
  """

  alias AdTally.Test.Polling

  @doc "Kills the process of a name, which its supervisor starts again, and waits until the next one owns its table."
  def crash(name) do
    before = watcher(name)
    name |> Process.whereis() |> Process.exit(:kill)
    Polling.await(fn -> watcher(name) not in [nil, before] end)
  end

  # Each owner has one, and its entry is put last: whoever finds it finds the table and its metrics.
  defp watcher(name) do
    with {_module, _value, watcher} <- :persistent_term.get(name, nil), do: watcher
  end
end
