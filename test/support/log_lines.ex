defmodule AdTally.Test.LogLines do
  @moduledoc """
  Sends what is logged to a test while it runs, as `{:logged, level, text}`.
  """

  alias AdTally.Test.Polling

  @doc "Sends lines that have `part` in them to the calling process, until `stop/1`."
  def start(part) do
    id = Module.concat(__MODULE__, "Of#{System.unique_integer([:positive])}")
    :ok = :logger.add_handler(id, __MODULE__, %{config: %{to: self(), part: part}})
    id
  end

  def stop(id), do: :logger.remove_handler(id)

  @doc "Returns once a line of a level with `part` in it was sent to the calling process; fails when patience ends."
  def await(level, part, deadline \\ System.monotonic_time(:millisecond) + Polling.patience()) do
    receive do
      {:logged, ^level, text} -> unless text =~ part, do: await(level, part, deadline)
    after
      max(0, deadline - System.monotonic_time(:millisecond)) ->
        raise "no #{level} with #{inspect(part)} was logged"
    end
  end

  @doc false
  def log(%{level: level, msg: {:string, text}}, %{config: %{to: to, part: part}}) do
    text = IO.chardata_to_string(text)
    if text =~ part, do: send(to, {:logged, level, text})
  end

  def log(_event, _config), do: :ok
end
