defmodule AdTally.Test.Kills.VM do
  @moduledoc "A VM of its own that runs `AdTally.Test.Kills.Child`, by its standard input and output."

  alias AdTally.Test.Kills.Child

  # Counts of all pairs are one line: of 500 kills more than 64 KiB.
  @longest_line 16 * 1_048_576

  defstruct [:port, :os_pid]

  def start(dir, seed) do
    paths =
      for application <- [:elixir, :logger, :ad_tally],
          path <- ["-pa", Application.app_dir(application, "ebin")],
          do: path

    arguments =
      ["-noshell"] ++ paths ++ ["-s", Atom.to_string(Child), "main", "-extra", dir, "#{seed}"]

    port =
      Port.open(
        {:spawn_executable, :os.find_executable(~c"erl")},
        [:binary, :exit_status, :eof, line: @longest_line, args: arguments]
      )

    {:os_pid, os_pid} = Port.info(port, :os_pid)
    %__MODULE__{port: port, os_pid: os_pid}
  end

  def tell(vm, term) do
    Port.command(vm.port, [term |> :erlang.term_to_binary() |> Base.encode64(), ?\n])
    vm
  end

  @doc "The next line, or `:timeout`, or `{:ended, status}` once there is no other one."
  def line(%{port: port} = vm, timeout) do
    receive do
      {^port, {:data, {:eol, line}}} -> line
      # One that was cut off by the kill says nothing.
      {^port, {:data, {:noeol, _part}}} -> line(vm, timeout)
      {^port, :eof} -> ended(vm)
    after
      timeout -> :timeout
    end
  end

  defp ended(%{port: port}) do
    receive do: ({^port, {:exit_status, status}} -> {:ended, status})
  end

  @doc "Kills it, as the system's memory killer would. Its last lines are still to be read."
  def kill(vm) do
    {_, 0} = System.cmd("kill", ["-9", "#{vm.os_pid}"])
    vm
  end
end
