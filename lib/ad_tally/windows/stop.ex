defmodule AdTally.Windows.Stop do
  @moduledoc false
  # The end of a server: it waits for the processes that deliver, and logs what they have not delivered.

  require Logger

  alias AdTally.Windows.{Flush, Source}

  @typedoc "A process that is left with some, and how many if that is known."
  @type left :: [{pid(), non_neg_integer() | String.t()}]

  @doc "Waits for each of them for as long as it makes progress, and then for `timeout` milliseconds."
  @spec flush([pid()], pos_integer()) :: left()
  def flush(processes, timeout) do
    processes
    |> Enum.map(fn process -> Task.async(fn -> {process, Flush.await(process, timeout)} end) end)
    |> Task.await_many(:infinity)
    |> Enum.flat_map(fn
      {_process, :ok} ->
        []

      {process, {:left, count}} ->
        [{process, count}]

      {process, hangs_or_gone} when hangs_or_gone in [:hangs, :gone] ->
        Process.exit(process, :kill)
        [{process, "some"}]
    end)
  end

  @doc "What is left is lost, but for windows where a store keeps them. `state` is that of the server."
  @spec log(left(), map()) :: :ok
  def log(left, state) do
    for {pid, count} <- left do
      case List.keyfind(state.parts, pid, 0) do
        {_pid, _stop, lost} -> log_loss("#{count} #{lost}", state)
        nil -> log_windows(count, state)
      end
    end

    :ok
  end

  defp log_windows(count, %{durable: nil} = state),
    do: log_loss("#{count} windows that a sink has not taken, one of: #{sinks(state)}", state)

  defp log_windows(count, state) do
    Logger.warning(
      "#{Source.shown(state.owner)} stops, and #{count} windows that a sink has not taken, one of: " <>
        "#{sinks(state)}, are delivered after its next start"
    )
  end

  defp log_loss(lost, state),
    do: Logger.error("#{Source.shown(state.owner)} stops with #{lost}")

  defp sinks(state), do: Enum.map_join(state.config.sinks, ", ", &inspect/1)
end
