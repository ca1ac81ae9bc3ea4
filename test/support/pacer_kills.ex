defmodule AdTally.Test.PacerKills do
  @moduledoc """
  A VM that spends a budget by a pacer with a store, to be killed at any moment. It writes to its standard output, by a
  system call for each line:

      > ready SPENT RESERVED LEASED PRESUMED    what is stored is read
      > spent MICROS                            a confirm has returned, in time and at most at the reserved price
      > failed TEXT                             something went wrong
  """

  alias AdTally.{Pacer, Store}

  @campaign {:campaign, 42}
  @processes 4

  @doc "Starts the VM for a directory. It ends with the port, or when it is killed."
  def start(dir, budget) do
    paths =
      for application <- [:elixir, :logger, :ad_tally],
          path <- ["-pa", Application.app_dir(application, "ebin")],
          do: path

    arguments =
      ["-noshell"] ++
        paths ++ ["-s", Atom.to_string(__MODULE__), "main", "-extra", dir, "#{budget}"]

    options = [:binary, :exit_status, line: 1_000, args: arguments]
    port = Port.open({:spawn_executable, :os.find_executable(~c"erl")}, options)
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    {port, os_pid}
  end

  @doc "The next line of the VM, `:timeout`, or `:ended`."
  def line({port, _os_pid} = vm, timeout) do
    receive do
      {^port, {:data, {:eol, "> " <> line}}} -> String.split(line)
      {^port, {:data, {_logged, _line}}} -> line(vm, timeout)
      {^port, {:exit_status, _status}} -> :ended
    after
      timeout -> :timeout
    end
  end

  @doc "Kills it, as the system's memory killer would, and returns its last lines."
  def kill({_port, os_pid} = vm) do
    {_, 0} = System.cmd("kill", ["-9", "#{os_pid}"])
    rest(vm, [])
  end

  defp rest(vm, lines) do
    case line(vm, 5_000) do
      line when is_list(line) -> rest(vm, [line | lines])
      :ended -> Enum.reverse(lines)
    end
  end

  @doc "For `erl -s`: the directory and the budget are plain arguments."
  def main do
    [dir, budget] = Enum.map(:init.get_plain_arguments(), &List.to_string/1)
    {:ok, _} = Application.ensure_all_started(:ad_tally)

    children = [
      # So that a kill loses something.
      {Store, name: KilledStore, dir: dir, interval: 50},
      {Pacer, name: KilledPacer, store: KilledStore}
    ]

    {:ok, _supervisor} = Supervisor.start_link(children, strategy: :rest_for_one)
    :ok = Pacer.put(KilledPacer, @campaign, budget_micros: String.to_integer(budget))
    status = Pacer.status(KilledPacer, @campaign)
    keys = [:spent_micros, :reserved_micros, :leased_micros, :presumed_micros]
    write(output(), "ready #{Enum.map_join(keys, " ", &Map.fetch!(status, &1))}")
    for _ <- 1..@processes, do: spawn(fn -> spend(output()) end)
    Process.sleep(:infinity)
  end

  defp spend(output) do
    at = System.system_time(:millisecond)
    request = :rand.uniform(1_000_000_000_000)

    case Pacer.reserve(KilledPacer, @campaign, request, 1_000, at, ttl: 2_000) do
      {:ok, reservation} -> settle(output, reservation, at, :rand.uniform(10))
      :no_budget -> Process.sleep(1)
      other -> write(output, "failed #{inspect(other)}")
    end

    spend(output)
  end

  # Some are never confirmed.
  defp settle(_output, _reservation, _at, 1), do: :ok
  defp settle(_output, reservation, _at, 2), do: Pacer.release(KilledPacer, reservation)

  defp settle(output, reservation, at, _others) do
    price = 400 + :rand.uniform(600)

    case Pacer.confirm(KilledPacer, reservation, price, at) do
      :ok -> write(output, "spent #{price}")
      other -> write(output, "failed #{inspect(other)}")
    end
  end

  # Of the process that asks for it: a raw file belongs to one.
  defp output do
    {:ok, output} = :file.open("/dev/stdout", [:raw, :append])
    output
  end

  # With a mark, because logs are written to standard output too.
  defp write(output, line), do: :ok = :file.write(output, ["> ", line, ?\n])
end
