defmodule AdTally.Test.Nodes do
  @moduledoc """
  Another node on this machine, and this VM as a node for as long as that is needed.
  """

  @cookie :ad_tally_test

  @doc """
  Calls a function with the names of this node and of another one. Where no node can be started, it
  says so and calls nothing.
  """
  def with_peer(function), do: with_peers(1, fn here, [there] -> function.(here, there) end)

  @doc "The same with several other ones, as a list."
  def with_peers(count, function) do
    case start_distribution() do
      :ok ->
        try do
          with_started_peers(count, [], function)
        after
          Node.stop()
        end

      {:error, reason} ->
        IO.puts("\nnot tested: no node can be started on this machine, #{inspect(reason)}")
    end
  end

  @doc "Starts children under a supervisor on a node, and returns that. They end with it, or with the node."
  def start_tree(node, children), do: :erpc.call(node, __MODULE__, :own_tree, [children])

  @doc false
  def own_tree(children) do
    starter = self()

    spawn(fn ->
      Process.flag(:trap_exit, true)
      {:ok, supervisor} = Supervisor.start_link(children, strategy: :rest_for_one)
      send(starter, {:started, supervisor})

      receive do
        {:EXIT, ^supervisor, _reason} -> :ok
      end
    end)

    receive do
      {:started, supervisor} -> supervisor
    end
  end

  @doc "Starts a frequency cap with a name on a node, for as long as the calling process lives."
  def start_caps(node, options), do: :erpc.call(node, __MODULE__, :own_caps, [self(), options])

  @doc false
  def own_caps(caller, options) do
    starter = self()

    owner = fn ->
      {:ok, _owner} = AdTally.FrequencyCap.start_link(options)
      monitor = Process.monitor(caller)
      send(starter, :started)

      receive do
        {:DOWN, ^monitor, :process, _pid, _reason} -> exit(:shutdown)
      end
    end

    spawn(owner)

    receive do
      :started -> :ok
    end
  end

  defp start_distribution do
    with epmd when is_binary(epmd) <- System.find_executable("epmd") || {:error, :no_epmd},
         {_output, 0} <- System.cmd(epmd, ["-daemon"]),
         {:ok, _pid} <- Node.start(:"ad_tally_#{System.os_time()}@127.0.0.1", :longnames) do
      Node.set_cookie(@cookie)
      :ok
    else
      {:error, reason} -> {:error, reason}
      other -> {:error, other}
    end
  end

  defp with_started_peers(0, nodes, function), do: function.(node(), Enum.reverse(nodes))

  defp with_started_peers(count, nodes, function) do
    paths = for path <- :code.get_path(), argument <- [~c"-pa", path], do: argument
    cookie = [~c"-setcookie", Atom.to_charlist(@cookie)]
    options = %{name: :peer.random_name(), host: ~c"127.0.0.1", args: cookie ++ paths}
    {:ok, peer, node} = :peer.start_link(options)

    try do
      {:ok, _started} = :erpc.call(node, :application, :ensure_all_started, [:elixir])
      with_started_peers(count - 1, [node | nodes], function)
    after
      stop_peer(peer)
    end
  end

  # One that a test has killed has ended by itself.
  defp stop_peer(peer) do
    :peer.stop(peer)
  catch
    :exit, _ended -> :ok
  end
end
