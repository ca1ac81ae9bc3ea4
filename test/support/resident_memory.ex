defmodule AdTally.Test.ResidentMemory do
  @moduledoc """
  How much of the machine's memory this operating system process has: what the
  native library has taken as well, which the VM knows nothing of.
  """

  @file_of_this_process "/proc/self/status"
  @threads_of_this_process "/proc/self/task"

  @doc "Whether the system tells."
  def known?, do: File.regular?(@file_of_this_process)

  @doc "The resident set size in bytes."
  def bytes do
    [_, kibibytes] = Regex.run(~r/^VmRSS:\s+(\d+) kB$/m, File.read!(@file_of_this_process))
    String.to_integer(kibibytes) * 1024
  end

  @doc "How many threads this operating system process has."
  def threads, do: @threads_of_this_process |> File.ls!() |> length()

  @doc "Waits until there are no more than so many threads."
  def await_threads(most) do
    if threads() > most do
      Process.sleep(1)
      await_threads(most)
    end
  end

  @doc """
  Runs a function in a process and returns its result when the process is gone, and
  its heap with it.
  """
  def in_passing(function) do
    {pid, monitor} = spawn_monitor(fn -> exit({:result, function.()}) end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:result, result}} -> result
      {:DOWN, ^monitor, :process, ^pid, reason} -> exit(reason)
    end
  end
end
