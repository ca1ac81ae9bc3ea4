defmodule AdTally.Test.PacerNodes do
  @moduledoc """
  Nodes of one pacer, each a VM of its own with a store. They are controlled by their standard input, so that the
  connections between them can be cut, and the VMs be killed. `AdTally.Test.PacerNodes.Traffic` runs in them,
  and `AdTally.Test.PacerNodes.Book` says what it came to.
  """

  alias AdTally.Pacer
  alias AdTally.Test.PacerNodes.{Log, Member, Traffic}

  @cookie :ad_tally_pacer
  @patience 60_000

  @enforce_keys [:dir, :nodes]
  defstruct @enforce_keys ++
              [
                member: [],
                traffic: [],
                args: [],
                exec: %{},
                # By the number of a node: the process that controls it, its process in the system, which start it is.
                peers: %{},
                lives: %{},
                # Of each budget how much it was from when on, the newest first.
                budgets: %{}
              ]

  @doc "What is missing here to start nodes, or nil."
  def missing, do: Enum.find(["epmd", "kill"], &(not is_binary(System.find_executable(&1))))

  @doc """
  Starts nodes: `:dir`, `:count`, and maybe `:hosts`, options of `AdTally.Test.PacerNodes.Member` (`:member`) and of the traffic
  (`:traffic`), arguments of the VMs (`:args`), and what to start each by (`:exec`, as of `:peer`).
  """
  def start(options) do
    {count, options} = Keyword.pop!(options, :count)
    {hosts, options} = Keyword.pop(options, :hosts, List.duplicate("127.0.0.1", count))
    tag = "#{System.pid()}_#{System.unique_integer([:positive])}"

    nodes =
      for {host, number} <- Enum.with_index(hosts, 1),
          do: :"ad_tally_pacer_#{tag}_#{number}@#{host}"

    cluster = struct!(__MODULE__, [nodes: nodes] ++ options)
    Log.make(cluster.dir)
    for number <- numbers(cluster), do: File.mkdir_p!(dir(cluster, number))
    if cluster.exec == %{}, do: {_output, 0} = System.cmd("epmd", ["-daemon"])
    start_nodes(cluster, numbers(cluster))
  end

  @doc "Starts nodes that do not run, at the same time, without traffic."
  def start_nodes(cluster, numbers) do
    start = fn number ->
      peer = start_peer(cluster, number)
      :ok = begin(cluster, number, peer)
      {number, peer}
    end

    numbers
    |> Task.async_stream(start, timeout: @patience, max_concurrency: length(numbers))
    |> Enum.reduce(cluster, fn {:ok, {number, peer}}, cluster ->
      lives = Map.update(cluster.lives, number, 1, &(&1 + 1))
      %{cluster | peers: Map.put(cluster.peers, number, peer), lives: lives}
    end)
  end

  @doc "Starts the VM of a node, and nothing in it: the process that controls it, and its process in the system."
  def start_peer(cluster, number) do
    [name, host] = cluster |> node(number) |> Atom.to_string() |> String.split("@")

    paths =
      for application <- [:elixir, :logger, :ad_tally],
          argument <- [~c"-pa", to_charlist(Application.app_dir(application, "ebin"))],
          do: argument

    # Several of them share few cores with the tests.
    quiet = [~c"+sbwt", ~c"none", ~c"+sbwtdcpu", ~c"none", ~c"+sbwtdio", ~c"none"]
    cookie = [~c"-setcookie", Atom.to_charlist(@cookie)]
    # It logs into a file once it has begun.
    mute = [~c"-kernel", ~c"logger", ~c"[{handler,default,logger_std_h,\#{level=>none}}]"]

    options = %{
      name: to_charlist(name),
      host: to_charlist(host),
      longnames: true,
      connection: :standard_io,
      args: quiet ++ mute ++ cookie ++ paths ++ cluster.args
    }

    options =
      case cluster.exec do
        %{^number => exec} -> Map.put(options, :exec, exec)
        _none -> options
      end

    {:ok, peer, _node} = :peer.start(options)
    {peer, peer |> :peer.call(:os, :getpid, []) |> List.to_string()}
  end

  @doc "Has a VM start what runs in it."
  def begin(cluster, number, {peer, _os_pid}) do
    options = [dir: dir(cluster, number), nodes: cluster.nodes] ++ cluster.member
    {:ok, _started} = :peer.call(peer, :application, :ensure_all_started, [:elixir])
    :peer.call(peer, Member, :start, [options], @patience)
  end

  @doc "Starts the traffic of nodes."
  def start_traffic(cluster, numbers, options \\ []) do
    for number <- numbers do
      options =
        [
          dir: cluster.dir,
          name: Member.pacer(),
          node: number,
          nodes: length(cluster.nodes),
          life: cluster.lives[number]
        ] ++ Keyword.merge(cluster.traffic, options)

      :ok = call(cluster, number, Traffic, :start, [options])
    end

    cluster
  end

  @doc "Ends the traffic of nodes in order."
  def stop_traffic(cluster, numbers) do
    numbers
    |> Enum.map(fn number ->
      Task.async(fn -> call(cluster, number, Traffic, :stop, []) end)
    end)
    |> Task.await_many(@patience)

    cluster
  end

  def call(cluster, number, module, function, arguments) do
    {peer, _os_pid} = Map.fetch!(cluster.peers, number)
    :peer.call(peer, module, function, arguments, @patience)
  end

  @doc "Kills nodes, as the system's memory killer would."
  def kill(cluster, numbers) do
    for number <- numbers, do: kill_peer(cluster.peers[number])
    %{cluster | peers: Map.drop(cluster.peers, numbers)}
  end

  @doc "Kills the VM of a node."
  def kill_peer({peer, os_pid}) do
    monitor = Process.monitor(peer)
    # It may have been killed a moment ago, as was awaited.
    _killed_or_not = System.cmd("kill", ["-KILL", os_pid], stderr_to_stdout: true)
    receive do: ({:DOWN, ^monitor, :process, _pid, _reason} -> :ok)
  end

  @doc "Waits for a node that is about to be killed, or kills it after so many milliseconds."
  def await_kill(cluster, number, ms) do
    {peer, os_pid} = cluster.peers[number]
    monitor = Process.monitor(peer)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> :ok
    after
      ms -> kill_peer({peer, os_pid})
    end

    %{cluster | peers: Map.delete(cluster.peers, number)}
  end

  @doc "Has the VM of a node stand still, or go on."
  def signal(os_pid, signal) when is_binary(os_pid) do
    {_output, 0} = System.cmd("kill", ["-#{signal}", os_pid])
    :ok
  end

  def signal(cluster, number, signal), do: signal(elem(cluster.peers[number], 1), signal)

  @doc "Ends all nodes."
  def stop(cluster) do
    for {_number, {peer, os_pid}} <- cluster.peers do
      _gone_or_not = System.cmd("kill", ["-CONT", os_pid], stderr_to_stdout: true)
      :peer.stop(peer)
    end

    :ok
  end

  @doc "Cuts the connections of a node to others."
  def cut(cluster, number, others),
    do: set_cookies(cluster, number, others, :"cut_#{number}")

  @doc "Lets a node and others be connected again."
  def heal(cluster, number, others), do: set_cookies(cluster, number, others, @cookie)

  defp set_cookies(cluster, number, others, cookie) do
    others = for other <- others, do: node(cluster, other)

    if Map.has_key?(cluster.peers, number),
      do: :ok = call(cluster, number, Member, :set_cookie, [others, cookie])

    cluster
  end

  @doc "Gives a campaign a budget by a node. Whatever that answers, the budget may be that one from now on."
  def put(cluster, number, campaign, options) do
    entry = {Log.time(), options[:budget_micros]}
    budgets = Map.update(cluster.budgets, campaign, [entry], &[entry | &1])

    {call(cluster, number, Pacer, :put, [Member.pacer(), campaign, options]),
     %{cluster | budgets: budgets}}
  end

  def numbers(cluster), do: Enum.to_list(1..length(cluster.nodes))
  def node(cluster, number), do: Enum.at(cluster.nodes, number - 1)
  def dir(cluster, number), do: Path.join(cluster.dir, "node-#{number}")

  @doc "What a node has logged."
  def log(cluster, number), do: cluster |> dir(number) |> Path.join("log") |> File.read!()
end
