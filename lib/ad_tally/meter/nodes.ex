defmodule AdTally.Meter.Nodes do
  @moduledoc false
  # Reports over nodes.
  #
  #     report ── gatherer ── a worker for each node ── :erpc ──> begin: compares shapes, starts a server
  #                                └─ takes frames   <── :erpc ── next: a frame of that server's report
  #
  # Each worker has a native report of its own, to which the frames of its node are added. Only what a node has sent
  # whole is merged, so whoever dies in the middle, or is too late, is missing with all that it has. Processes end with
  # the one that they work for: workers are linked to the gatherer, and that to the caller; the server on another node has a
  # watcher, which ends it when its worker ends or its node is gone.

  alias AdTally.{Meter, Named, Native, Options}
  alias AdTally.Meter.{Report, Source}
  alias AdTally.Windows.{Deadline, Reader, Server}

  require Named

  # Of the functions that other nodes call, and of the frames. Whoever knows another one is told so.
  @protocol 1

  @most_nodes 1_000

  # How long a node may take to answer what its meter is.
  @asking 5_000

  @doc "The report. Its other options were not checked yet, but for their names."
  @spec report(atom(), reference(), keyword(), Deadline.t()) :: Meter.nodes_report()
  def report(name, native, options, time_left) do
    nodes = nodes!(options[:nodes])
    {names, shape} = shape(name, native, time_left.())
    report = Report.new!(names, options)

    # Groups are ordered and limited once all are there.
    asked = Keyword.take(options, [:by, :where, :from, :to])
    request = %{protocol: @protocol, name: name, shape: shape, options: asked}
    made = Report.begin(without_values(report), native)

    try do
      answers =
        Reader.in_own_process(fn -> gather(nodes, request, native, report, ends(time_left)) end)

      parts = for {node, {:ok, part}} <- answers, do: {node, part}

      for {_node, part} <- parts do
        :ok = Report.merge(made, part)
        Report.free(part)
      end

      %{
        rows: Reader.all_rows(Report, made, &no_end/0),
        nodes: for({node, _part} <- parts, do: node),
        missing: for({node, {:missing, reason}} <- answers, do: {node, reason})
      }
    after
      Report.free(made)
    end
  end

  @doc "The nodes that are meant."
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

  # By whose windows it is filled, those were filtered.
  defp without_values(report), do: %{report | allowed: []}

  defp no_end, do: :infinity

  ## What meters have in common

  # The names of a meter, and what those of other nodes need to have as well.
  defp shape(name, native, timeout) do
    names = Server.call({Source, name}, :names, timeout)
    {window, reach} = Native.meter_shape(native)
    {precision, secret} = reach || {nil, nil}

    {names,
     [
       dimensions: names.dimensions,
       metrics: names.metrics,
       window: window,
       reach_by: names.reach_by,
       precision: precision,
       secret: secret
     ]}
  end

  # In words, or nil.
  defp difference(shape, asked) do
    with {name, other} <- Enum.find(shape, fn {name, value} -> asked[name] != value end),
         do: difference(name, other, asked[name])
  end

  # What tells secrets apart is not shown either.
  defp difference(:secret, _own, _asked), do: "has another :secret of :reach"

  defp difference(name, own, asked) do
    "has #{shown(name)} #{Options.shown(own)}, and the node that asks has #{Options.shown(asked)}"
  end

  defp shown(:reach_by), do: ":by of :reach"
  defp shown(:precision), do: ":precision of :reach"
  defp shown(name), do: inspect(name)

  ## Asking

  # When it is over, and how long that was: `{nil, _}` for never.
  defp ends(time_left) do
    case time_left.() do
      :infinity -> {nil, :infinity}
      left -> {now() + left, left}
    end
  end

  # `{node, {:ok, part} | {:missing, reason}}` of each, in their order.
  defp gather(nodes, request, native, report, {end_, _left} = ends) do
    gatherer = self()
    part = {native, without_values(report)}

    workers =
      for node <- nodes, into: %{} do
        {spawn_link(fn -> work(gatherer, node, request, part) end), node}
      end

    answers = await(workers, end_, %{})

    for node <- nodes,
        do: {node, Map.get(answers, node, {:missing, "did not answer within #{within(ends)} ms"})}
  end

  defp within({_end, left}), do: left

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

  # It ends in order whatever happens, or the gatherer would end with it.
  defp work(gatherer, node, request, part) do
    answer =
      try do
        if node == node(), do: own(request, part), else: other(node, request, part)
      rescue
        error in ArgumentError -> {:missing, Exception.message(error)}
      catch
        :error, {:erpc, _reason} ->
          {:missing, "cannot be reached, or was lost before all of its rows were here"}

        :error, {:exception, :undef, [{module, _function, _arguments, _location} | _]}
        when module == __MODULE__ ->
          {:missing, "has no AdTally, or a version of it that knows no reports over nodes"}

        _kind, reason ->
          {:missing, "has failed: #{Options.shown(reason)}"}
      end

    send(gatherer, {self(), answer})
  end

  defp own(%{name: name, options: options}, {native, _report}),
    do: {:ok, Reader.grouped({Source, name}, Report, native, options, &no_end/0)}

  defp other(node, request, {native, report}) do
    case call(node, :begin, [Map.put(request, :worker, self())]) do
      {:ok, server} -> take(node, server, Report.begin(report, native))
      {:missing, reason} when is_binary(reason) -> {:missing, reason}
    end
  end

  defp take(node, server, made) do
    with frame when is_binary(frame) <- call(node, :next, [server]),
         :more <- Report.take(made, frame) do
      take(node, server, made)
    else
      :done ->
        {:ok, made}

      {:error, byte, field, reason} ->
        {:missing, "has sent a frame that is refused: #{field}: #{reason} (byte #{byte} of it)"}

      {:missing, reason} when is_binary(reason) ->
        {:missing, reason}
    end
  end

  # Whoever waits too long is ended.
  defp call(node, function, arguments),
    do: :erpc.call(node, __MODULE__, function, arguments, :infinity)

  ## Answering: what other nodes call

  @doc "A server for a report, if the meter here is as the one that asks."
  @spec begin(map()) :: {:ok, pid()} | {:missing, reason :: String.t()}
  def begin(%{protocol: @protocol, name: name, shape: asked} = request) do
    native = Meter |> Named.fetch!(name) |> elem(0)
    {_names, shape} = shape(name, native, @asking)

    case difference(shape, asked) do
      nil -> {:ok, spawn(__MODULE__, :serve, [native, request])}
      difference -> {:missing, difference}
    end
  rescue
    error in ArgumentError -> {:missing, Exception.message(error)}
  end

  def begin(%{protocol: protocol}) do
    {:missing,
     "has a version of AdTally whose reports over nodes are of version #{@protocol}, and the node that asks has version " <>
       Options.shown(protocol)}
  end

  @doc "The next frame of a server."
  @spec next(pid()) :: binary() | {:missing, reason :: String.t()}
  def next(server) do
    monitor = Process.monitor(server)
    send(server, {:next, monitor, self()})

    receive do
      {^monitor, answer} ->
        Process.demonitor(monitor, [:flush])
        answer

      {:DOWN, ^monitor, :process, _server, reason} ->
        {:missing, "has failed: #{Options.shown(reason)}"}
    end
  end

  @doc false
  def serve(native, %{name: name, options: options, worker: worker}) do
    spawn(__MODULE__, :watch, [worker, self()])
    made = Reader.grouped({Source, name}, Report, native, options, &no_end/0)
    serve_frames(fn -> Report.frame(made) || {:missing, "has no more frames"} end)
  rescue
    # The meter has ended meanwhile.
    error in ArgumentError ->
      reason = Exception.message(error)
      serve_frames(fn -> {:missing, reason} end)
  end

  defp serve_frames(next) do
    receive do
      {:next, tag, from} -> send(from, {tag, next.()})
    end

    serve_frames(next)
  end

  # Ends a server whose worker has ended, in whatever way.
  @doc false
  def watch(worker, server) do
    {working, serving} = {Process.monitor(worker), Process.monitor(server)}

    receive do
      {:DOWN, ^working, :process, _worker, _reason} -> Process.exit(server, :kill)
      {:DOWN, ^serving, :process, _server, _reason} -> :ok
    end
  end
end
