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

  @doc """
  The least bytes that were seen until there were at most so many, for ten seconds at most: the heaps of
  processes that ended are freed some time later, and only then what was on them is left to the thread
  that frees.
  """
  def least_bytes(most), do: least_bytes(most, System.monotonic_time(:millisecond) + 10_000)

  defp least_bytes(most, deadline) do
    bytes = bytes()

    if bytes > most and System.monotonic_time(:millisecond) < deadline do
      Process.sleep(1)
      min(bytes, least_bytes(most, deadline))
    else
      bytes
    end
  end

  @doc "How many threads this operating system process has."
  def threads, do: @threads_of_this_process |> File.ls!() |> length()

  @doc """
  Waits until there are no more than so many threads, for a minute at most: not until those of a name
  are gone, because a thread that waits for a core for the first time still has its creator's.
  """
  def await_threads(most, looks \\ 60_000) do
    if threads() > most do
      if looks == 0, do: raise("there still are #{threads()} threads, of #{most} at first")
      Process.sleep(1)
      await_threads(most, looks - 1)
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
