defmodule AdTally.Test.PacerNodes.Log do
  @moduledoc """
  What the nodes of a pacer have answered, as files: one of each process, a line for each event, written by a system
  call of its own, so that what was written before the VM is killed is there. Times are the system's, in
  microseconds, which all VMs of a machine share.

      {:reserved, id, campaign, amount, at, ttl, time}    after it was answered
      {:confirm, id, price, time}                         before it is asked
      {:confirmed, id, answer, time}                      after it was answered
      {:release, id, time}                                before it is asked
      {:denied, campaign, answer, amount, time}           a reservation that there is not
  """

  @doc "Opens the file of the calling process."
  def open(dir, name) do
    {:ok, file} = :file.open(Path.join(logs(dir), name), [:raw, :append])
    file
  end

  @doc "Makes the directory of the files."
  def make(dir), do: File.mkdir_p!(logs(dir))

  def write(file, event) do
    line = event |> :erlang.term_to_binary() |> Base.encode64()
    :ok = :file.write(file, [line, ?\n])
  end

  def time, do: :os.system_time(:microsecond)

  @doc "All events, with the number of the node that wrote each."
  def read(dir) do
    for name <- File.ls!(logs(dir)),
        {node, _rest} = Integer.parse(name),
        line <- dir |> logs() |> Path.join(name) |> File.read!() |> lines(),
        do: {node, line |> Base.decode64!() |> :erlang.binary_to_term()}
  end

  # The last one may be cut off by a kill.
  defp lines(text), do: text |> String.split("\n") |> Enum.drop(-1)

  defp logs(dir), do: Path.join(dir, "logs")
end
