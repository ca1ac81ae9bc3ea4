defmodule AdTally.Meter.Nodes do
  @moduledoc false
  # Reports over nodes.
  #
  #     report ── AdTally.Nodes ── a worker for each node ── :erpc ──> begin: compares shapes, starts a server
  #                                     └─ takes frames   <── :erpc ── next: frames of that server's report
  #
  # Each worker adds the frames of its node to a native report of its own. That is merged into the result once the last
  # frame is there. So a node that fails in the middle, or is too late, adds nothing, and is missing. The server on the
  # other node has a watcher, which ends it when its worker ends or the worker's node is gone.

  alias AdTally.{Meter, Named, Native, Nodes, Options}
  alias AdTally.Meter.{Report, Source}
  alias AdTally.Windows.{Deadline, Reader, Server}

  require Named

  # The version of the functions that other nodes call, and of the frames. A node of another version is missing, with
  # that reason.
  @protocol 1

  # A message is sent once its frames have this many bytes. A frame has some 16 KiB, or its longest row, so a message stays
  # below 1 MiB.
  @enough_bytes 131_072

  # How long a node may take to answer what its meter is.
  @asking 5_000

  @doc "The report. Its other options were not checked yet, but for their names."
  @spec report(atom(), reference(), keyword(), Deadline.t()) :: Meter.nodes_report()
  def report(name, native, options, time_left) do
    nodes = Nodes.nodes!(options[:nodes])
    {names, shape} = shape(name, native, time_left.())
    report = Report.new!(names, options)

    # Groups are ordered and limited once all are there.
    asked = Keyword.take(options, [:by, :where, :from, :to])
    request = %{protocol: @protocol, name: name, shape: shape, options: asked}
    made = Report.begin(without_values(report), native)

    try do
      ask = &answer(&1, request, native, without_values(report))
      {parts, missing} = nodes |> Nodes.ask(__MODULE__, time_left.(), ask) |> Nodes.split()

      for {_node, part} <- parts do
        :ok = Report.merge(made, part)
        Report.free(part)
      end

      %{
        rows: Reader.all_rows(Report, made, &no_end/0),
        nodes: Keyword.keys(parts),
        missing: missing
      }
    after
      Report.free(made)
    end
  end

  # Each node filters its rows before it sends their groups: to merge those takes no values of `:where`.
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

  defp answer(node, request, native, _report) when node == node(), do: own(request, native)
  defp answer(node, request, native, report), do: other(node, request, native, report)

  defp own(%{name: name, options: options}, native),
    do: {:ok, Reader.grouped({Source, name}, Report, native, options, &no_end/0)}

  defp other(node, request, native, report) do
    case call(node, :begin, [Map.put(request, :worker, self())]) do
      {:ok, server} -> take(node, server, Report.begin(report, native))
      {:missing, reason} when is_binary(reason) -> {:missing, reason}
    end
  end

  defp take(node, server, made) do
    with frames when is_list(frames) <- call(node, :next, [server]),
         :more <- take_all(made, frames) do
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

  # Nothing comes after the last one, or it would be refused.
  defp take_all(made, [frame]), do: Report.take(made, frame)

  defp take_all(made, [frame | frames]),
    do: with(:more <- Report.take(made, frame), do: take_all(made, frames))

  defp call(node, function, arguments), do: Nodes.call(node, __MODULE__, function, arguments)

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

  @doc "The next frames of a server, one at least, of at most 1 MiB together."
  @spec next(pid()) :: [binary()] | {:missing, reason :: String.t()}
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
    serve_frames(fn -> frames(made, [], 0) end)
  rescue
    # The meter has ended meanwhile.
    error in ArgumentError ->
      reason = Exception.message(error)
      serve_frames(fn -> {:missing, reason} end)
  end

  defp frames(made, frames, bytes) when bytes < @enough_bytes do
    case Report.frame(made) do
      nil when frames == [] -> {:missing, "was asked for more than it has"}
      nil -> Enum.reverse(frames)
      frame -> frames(made, [frame | frames], bytes + byte_size(frame))
    end
  end

  defp frames(_made, frames, _bytes), do: Enum.reverse(frames)

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
