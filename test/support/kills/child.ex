defmodule AdTally.Test.Kills.Child do
  @moduledoc """
  The VM that is killed: it runs `AdTally.Test.Kills.Service`, takes what standard input says to
  take, and writes what became of it to standard output, a line for each, by a system call of its
  own, so that what was written before it is killed is in the pipe.

      ready                        all state is there
      begin WORKER                 the worker is about to sync
      ack WORKER NEXT INDEX...     its items before NEXT are on disk, at INDEX it was let through
      shown WORKER INDEX           the item was let through, and is not on disk yet
      closed ROUND                 the windows of the round are with the sinks
      counts TERM                  how often pairs were counted, and how many events the counters have
      measured TERM                memory, and how many processes, ports and files there are
      failed TEXT                  something went wrong
  """

  alias AdTally.Test.Kills.{Plan, Service}
  alias AdTally.Test.ResidentMemory

  @doc "For `erl -s`: the directory and the seed are plain arguments."
  def main do
    [dir, seed] = Enum.map(:init.get_plain_arguments(), &List.to_string/1)
    {:ok, _} = Application.ensure_all_started(:ad_tally)
    children = Service.children(dir)
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :rest_for_one)
    true = Service.ready?()
    write(output(), "ready\n")
    listen(supervisor, dir, String.to_integer(seed))
  end

  defp listen(supervisor, dir, seed) do
    with line when is_binary(line) <- IO.read(:stdio, :line) do
      case line |> String.trim() |> Base.decode64!() |> :erlang.binary_to_term() do
        {:take, round, starts} -> take(seed, round, starts)
        {:close, round, pause} -> start(fn -> close(round, pause) end)
        {:count, pairs} -> start(fn -> count(pairs) end)
        :measure -> measure(dir)
        :stop -> stop(supervisor)
      end

      listen(supervisor, dir, seed)
    end

    System.halt(0)
  end

  # Whoever records meanwhile is refused, and what it had not synced is sent again.
  defp stop(supervisor) do
    :persistent_term.put({__MODULE__, :stops}, true)
    Supervisor.stop(supervisor)
    System.halt(0)
  end

  defp start(fun) do
    spawn(fn ->
      try do
        fun.()
      catch
        kind, reason ->
          item = inspect(Process.get(:item))
          text = "#{Exception.format(kind, reason, __STACKTRACE__)} with #{item}"
          stops? = :persistent_term.get({__MODULE__, :stops}, false)
          stops? || write(output(), "failed #{text |> String.slice(0, 2_000) |> inspect()}\n")
      end
    end)
  end

  # Each worker from its own item on.
  defp take(seed, round, starts) do
    for {start, worker} <- Enum.with_index(starts) do
      start(fn ->
        items = seed |> Plan.items(round, worker) |> Enum.with_index() |> Enum.drop(start)
        work(items, worker, output())
      end)
    end
  end

  defp work([], _worker, _output), do: :ok

  defp work(items, worker, output) do
    {batch, rest} = Enum.split(items, :rand.uniform(Plan.longest_batch()))
    synced = Enum.filter(batch, &through?(&1, worker, output))
    {_item, last} = List.last(batch)
    write(output, "begin #{worker}\n")
    Service.sync()
    indexes = Enum.map(synced, fn {_item, index} -> " #{index}" end)
    write(output, ["ack #{worker} #{last + 1}", indexes, "\n"])
    work(rest, worker, output)
  end

  # Whether it may be shown once it is on disk.
  defp through?({item, index}, worker, output) do
    Process.put(:item, {worker, index, item})

    case {Service.take(item), item} do
      {true, {:admit, :quick, _, _, _, _}} ->
        write(output, "shown #{worker} #{index}\n")
        false

      {through?, _item} ->
        through? == true
    end
  end

  defp close(round, pause) do
    Service.close()
    Process.sleep(pause)
    write(output(), "closed #{round}\n")
  end

  defp count(pairs) do
    counts =
      Enum.map(pairs, fn {{scope, user, {_max, window}, _cycle}, at} ->
        Service.count(scope, user, window, at)
      end)

    write_term("counts", {counts, Service.counted()})
  end

  defp measure(dir) do
    dir = Service.store_dir(dir)
    # One may be removed just now.
    sizes =
      for file <- File.ls!(dir), {:ok, stat} <- [File.stat(Path.join(dir, file))], do: stat.size

    write_term("measured", %{
      memory: ResidentMemory.bytes(),
      processes: length(Process.list()),
      ports: length(Port.list()),
      disk: Enum.sum(sizes),
      files: length(sizes)
    })
  end

  # Of the process that asks for it: a raw file belongs to one.
  defp output do
    {:ok, output} = :file.open("/dev/stdout", [:raw, :append])
    output
  end

  defp write_term(what, term),
    do: write(output(), [what, " ", term |> :erlang.term_to_binary() |> Base.encode64(), "\n"])

  # With a mark, because logs are written to standard output too.
  defp write(output, line), do: :ok = :file.write(output, ["> " | line])
end
