defmodule AdTally.Test.PacerNodes.Member do
  @moduledoc "What runs in each VM of `AdTally.Test.PacerNodes`: a store, a pacer, and the traffic."

  alias AdTally.{Named, Native, Pacer, Store}

  require Named

  @pacer __MODULE__.Pacer

  def pacer, do: @pacer

  @doc "Starts the store and the pacer: `:dir`, `:nodes`, and maybe `:interval` of the store and options of the `:pacer`."
  def start(options) do
    log_to(Path.join(options[:dir], "log"))
    {:ok, _started} = Application.ensure_all_started(:ad_tally)
    :persistent_term.put(__MODULE__, options)
    start_children()
  end

  # A log on standard output would be between the answers to whoever controls this VM.
  defp log_to(path) do
    Application.put_env(:logger, :backends, [], persistent: true)
    Application.put_env(:logger, :default_handler, false, persistent: true)
    {:ok, _started} = Application.ensure_all_started(:logger)
    _removed = :logger.remove_handler(:default)
    file = %{file: to_charlist(path)}
    :ok = :logger.add_handler(:file, :logger_std_h, %{config: file})
  end

  @doc "Stops both in order, and starts them again."
  def restart do
    Supervisor.stop(__MODULE__.Supervisor)
    start_children()
  end

  defp start_children do
    options = :persistent_term.get(__MODULE__)
    store = [name: __MODULE__.Store, dir: Path.join(options[:dir], "store")]
    interval = Keyword.take(options, [:interval])

    pacer =
      [name: @pacer, store: __MODULE__.Store, nodes: options[:nodes]] ++
        Keyword.get(options, :pacer, [])

    children = [{Store, store ++ interval}, {Pacer, pacer}]
    caller = self()

    # Whoever calls this ends at once.
    owner = fn ->
      Process.flag(:trap_exit, true)

      started =
        Supervisor.start_link(children, strategy: :rest_for_one, name: __MODULE__.Supervisor)

      send(caller, {self(), started})
      receive do: ({:EXIT, _pid, _reason} -> :ok)
    end

    pid = spawn(owner)

    receive do
      {^pid, {:ok, _supervisor}} -> :ok
      {^pid, error} -> error
    end
  end

  @doc "So many campaigns from a number on whose budgets a node coordinates."
  def coordinated_by(node, from, count) do
    native = Named.fetch!(Pacer, @pacer)

    from
    |> Stream.iterate(&(&1 + 1))
    |> Stream.filter(&(Native.pacer_coordinator(native, &1) == node))
    |> Enum.take(count)
  end

  @doc "Where campaigns stand."
  def statuses(campaigns), do: for(campaign <- campaigns, do: Pacer.status(@pacer, campaign))

  @doc "Waits until all coordinators know what this node has spent by now."
  def reported do
    # A round, and what is asked after it.
    send(@pacer, :renew_woken)
    for node <- Node.list(), do: :ok = GenServer.call(@pacer, {:ask, node}, 15_000)
    :ok
  end

  @doc "Which of these campaigns have no money here, however often that is asked in some milliseconds."
  def without_money(campaigns, amount, ms) do
    deadline = System.monotonic_time(:millisecond) + ms
    Enum.reject(campaigns, &reserves?(&1, amount, deadline))
  end

  defp reserves?(campaign, amount, deadline) do
    request = {node(), :os.system_time()}
    at = System.os_time(:millisecond)

    case Pacer.reserve(@pacer, campaign, request, amount, at) do
      {:ok, reservation} ->
        :ok == Pacer.release(@pacer, reservation)

      _denied ->
        Process.sleep(20)
        System.monotonic_time(:millisecond) < deadline and reserves?(campaign, amount, deadline)
    end
  end

  @doc """
  Has this VM be killed at a moment of a grant, so many from now: `:granted`, when native code has granted something and
  nobody knows of it, or `:answered`, when that is sent to another node; and so many milliseconds later.
  """
  def kill_at_grant(moment, count, ms) do
    pacer = Process.whereis(@pacer)
    caller = self()

    spawn(fn ->
      # Nothing that this VM could do itself is as quick.
      kill = "read line && kill -9 #{System.pid()}"
      shell = {:spawn_executable, System.find_executable("sh")}
      port = Port.open(shell, args: ["-c", kill])
      trace(moment, pacer)
      send(caller, :traced)
      await_grants(moment, count)
      Process.sleep(ms)
      Port.command(port, "\n")
      Process.sleep(:infinity)
    end)

    receive do: (:traced -> :ok)
  end

  defp trace(:answered, pacer), do: :erlang.trace(pacer, true, [:send])

  defp trace(:granted, pacer) do
    :erlang.trace(pacer, true, [:call])
    :erlang.trace_pattern({Native, :pacer_renew, 4}, [{:_, [], [{:return_trace}]}], [:local])
  end

  defp await_grants(_moment, 0), do: :ok

  defp await_grants(moment, count) do
    receive do
      {:trace, _pacer, :send, {:ad_tally_pacer, _, _, {:granted, _}}, _to} ->
        await_grants(moment, count - 1)

      {:trace, _pacer, :return_from, _renew, {:ok, _granted}} ->
        await_grants(moment, count - 1)
    end
  end

  @doc "From now on, or no longer, other nodes are told apart by a cookie that none of them has."
  def set_cookie(nodes, cookie) do
    for node <- nodes do
      :erlang.set_cookie(node, cookie)
      if cookie != Node.get_cookie(), do: :erlang.disconnect_node(node)
    end

    :ok
  end
end
