defmodule AdTally.Test.ResidentMemory do
  @moduledoc """
  How much of the machine's memory this operating system process has: what the
  native library has taken as well, which the VM knows nothing of.
  """

  @file_of_this_process "/proc/self/status"

  @doc "Whether the system tells."
  def known?, do: File.regular?(@file_of_this_process)

  @doc "The resident set size in bytes."
  def bytes do
    [_, kibibytes] = Regex.run(~r/^VmRSS:\s+(\d+) kB$/m, File.read!(@file_of_this_process))
    String.to_integer(kibibytes) * 1024
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
