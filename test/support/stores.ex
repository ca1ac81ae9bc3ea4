defmodule AdTally.Test.Stores do
  @moduledoc """
  Stores in temporary directories, with what they keep, in supervision trees that a test stops, kills and starts
  again.
  """

  import ExUnit.Callbacks, only: [on_exit: 1]

  import AdTally.Test.Polling

  @doc "A directory of the test's own outside of the project, which is removed after the test."
  def dir do
    dir =
      Path.join(
        System.tmp_dir!(),
        "ad_tally_test_#{System.unique_integer([:positive])}_#{System.pid()}"
      )

    on_exit(fn -> File.rm_rf!(dir) end)
    dir
  end

  @doc "Starts a store in a VM of its own, which logs nothing, and returns what that does."
  def start_store(options) do
    :ok = :logger.set_primary_config(:level, :none)
    Process.flag(:trap_exit, true)
    AdTally.Store.start_link(options)
  end

  @doc "Names of the test's own by a word, for `setup`: `names.meter`."
  def names(context) do
    for word <- [:store, :meter, :attribution, :counters, :reach, :caps, :dedupe], into: %{} do
      {word, Module.concat(context.module, "#{Macro.camelize("#{word}")}#{context.line}")}
    end
  end

  @doc """
  Starts children under a supervisor of their own, each after the one before, as `:rest_for_one` or another
  strategy says.
  """
  def start_tree(children, strategy \\ :rest_for_one) do
    {:ok, supervisor} = Supervisor.start_link(children, strategy: strategy, max_restarts: 1_000)
    # It may be killed, and the test lives on.
    Process.unlink(supervisor)
    on_exit(fn -> stop_tree(supervisor) end)
    supervisor
  end

  @doc "Stops them in order."
  def stop_tree(supervisor) do
    if Process.alive?(supervisor), do: Supervisor.stop(supervisor, :shutdown)
  catch
    :exit, _reason -> :ok
  end

  @doc "Kills a supervisor and everything under it at once, so that nothing of it is stopped in order."
  def kill_tree(supervisor) do
    children = for {_id, pid, _type, _modules} <- Supervisor.which_children(supervisor), do: pid
    monitors = for pid <- [supervisor | children], do: Process.monitor(pid)
    for pid <- [supervisor | children], do: Process.exit(pid, :kill)

    for monitor <- monitors do
      receive do: ({:DOWN, ^monitor, :process, _pid, _reason} -> :ok)
    end

    :ok
  end

  @doc "Kills the process of a name, and returns once the supervisor has started the next one."
  def kill(name) do
    pid = Process.whereis(name)
    entry = :persistent_term.get(name)
    Process.exit(pid, :kill)
    # Its entry is put there once it has started.
    await(fn -> :persistent_term.get(name, nil) not in [nil, entry] end)
  end
end
