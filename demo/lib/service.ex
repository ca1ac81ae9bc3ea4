defmodule AdTally.Demo.Service do
  @moduledoc """
  A service of its own operating system process, which can be killed (`kill -9`) and started again.
  """

  @timeout 300_000

  @type t :: :peer.server_ref()
  @type call :: {module(), atom(), [term()]}

  @doc """
  Starts a service that has read these files, of modules of the demo, and calls a function to begin with.

  It is no node of a cluster, so it needs no name and no port.
  """
  @spec start([Path.t()], call()) :: t()
  def start(files, {module, function, arguments}) do
    paths = for app <- [:elixir, :logger, :ad_tally], do: Application.app_dir(app, "ebin")
    args = Enum.flat_map(paths, &[~c"-pa", to_charlist(&1)])
    {:ok, service, _node} = :peer.start(%{connection: :standard_io, args: args})
    {:ok, _started} = :peer.call(service, :application, :ensure_all_started, [:elixir])

    for file <- [Path.join(__DIR__, "text.ex"), __ENV__.file | files],
        do: :peer.call(service, Code, :require_file, [file])

    :ok = :peer.call(service, module, function, arguments, @timeout)
    service
  end

  @doc """
  What a function of the service returns, or `:killed`: it is gone, or was killed while it worked. Exits
  where it does not return.
  """
  @spec call(t(), call()) :: term() | :killed
  def call(service, {module, function, arguments}) do
    :peer.call(service, module, function, arguments, @timeout)
  catch
    :exit, reason when not is_tuple(reason) or elem(reason, 0) != :timeout -> :killed
  end

  @doc """
  Kills a service after so many milliseconds, whatever it is doing then. On a busy machine that may be
  any of the calls that come later, the last one too.
  """
  @spec kill_within(t(), non_neg_integer()) :: :ok
  def kill_within(service, milliseconds) do
    # An earlier kill may have come so late that it is this one.
    with pid when pid != :killed <- call(service, {System, :pid, []}) do
      spawn(fn ->
        Process.sleep(milliseconds)
        System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
      end)
    end

    :ok
  end

  @doc "Stops a service."
  @spec stop(t()) :: :ok
  def stop(service), do: :peer.stop(service)
end
