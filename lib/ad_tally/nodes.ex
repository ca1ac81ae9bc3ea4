defmodule AdTally.Nodes do
  @moduledoc false
  # Several nodes asked at once, each by a process of its own, a worker. It may wait for as long as its node is silent: it
  # is ended when the time is up, and so is nothing else. All of them end with the caller.

  alias AdTally.{Options, OwnProcess}

  @most_nodes 1_000

  @typedoc "What a node has answered, or why it has not, as a sentence without its subject, the node."
  @type answer :: {:ok, term()} | {:missing, reason :: String.t()}

  @doc "The nodes that an option means. `:all` is this one, and those that it is connected to."
  @spec nodes!(term()) :: [node()]
  def nodes!(:all), do: [node() | Node.list()]

  def nodes!(nodes) do
    if Options.distinct_atoms?(nodes, @most_nodes) do
      nodes
    else
      raise ArgumentError,
            "expected :nodes to be :all, or a list of one to #{@most_nodes} nodes, each once, got: #{Options.shown(nodes)}"
    end
  end

  @doc """
  What `ask` answers of each node, in their order. `ask` runs in the node's worker, and calls functions of `module` on other
  nodes.
  """
  @spec ask([node()], module(), timeout(), (node() -> answer())) :: [{node(), answer()}]
  def ask(nodes, module, timeout, ask) do
    OwnProcess.call(fn ->
      asker = self()

      workers =
        for node <- nodes,
            into: %{},
            do: {spawn_link(fn -> send(asker, {self(), answer(node, module, ask)}) end), node}

      answers = await(workers, if(timeout != :infinity, do: now() + timeout), %{})
      late = {:missing, "did not answer within #{timeout} ms"}
      for node <- nodes, do: {node, Map.get(answers, node, late)}
    end)
  end

  @doc "Calls a function on another node, for as long as that takes."
  @spec call(node(), module(), atom(), [term()]) :: term()
  def call(node, module, function, arguments),
    do: :erpc.call(node, module, function, arguments, :infinity)

  @doc "Answers that are there, and the nodes that are missing."
  @spec split([{node(), answer()}]) :: {[{node(), term()}], [{node(), String.t()}]}
  def split(answers) do
    {for({node, {:ok, answer}} <- answers, do: {node, answer}),
     for({node, {:missing, reason}} <- answers, do: {node, reason})}
  end

  defp await(workers, _end, answers) when workers == %{}, do: answers

  defp await(workers, end_, answers) do
    receive do
      {worker, answer} when is_map_key(workers, worker) ->
        {node, workers} = Map.pop!(workers, worker)
        await(workers, end_, Map.put(answers, node, answer))
    after
      if(end_, do: max(end_ - now(), 0), else: :infinity) ->
        for {worker, _node} <- workers do
          Process.unlink(worker)
          Process.exit(worker, :kill)
        end

        answers
    end
  end

  defp now, do: System.monotonic_time(:millisecond)

  # A worker ends in order whatever happens, or whoever waits for it would end with it.
  defp answer(node, module, ask) do
    ask.(node)
  rescue
    error in ArgumentError -> {:missing, Exception.message(error)}
  catch
    :error, {:erpc, _reason} ->
      {:missing, "cannot be reached, or was lost before all of its answer was here"}

    :error, {:exception, :undef, [{^module, _function, _arguments, _location} | _]} ->
      {:missing, "has no AdTally, or a version of it that has no answer for other nodes"}

    _kind, reason ->
      {:missing, "has failed: #{Options.shown(reason)}"}
  end
end
