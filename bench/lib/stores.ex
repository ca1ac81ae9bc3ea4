defmodule AdTally.Bench.Stores do
  @moduledoc """
  Stores for contenders that have one (`store: true`), in directories that are removed once the process of the
  job has ended. Nothing is written while a pass is timed, unless more is recorded than wakes the store: each pass
  begins with empty buffers.
  """

  alias AdTally.Store

  # Longer than a pass.
  @interval 60_000

  @doc "The store that options ask for, if they do, and the other options."
  @spec pop(keyword()) :: {Store.name() | nil, keyword()}
  def pop(options) do
    {wanted?, options} = Keyword.pop(options, :store, false)
    {if(wanted?, do: start(interval: @interval)), options}
  end

  @doc "The option of who writes to a store."
  @spec option(Store.name() | nil) :: keyword()
  def option(nil), do: []
  def option(store), do: [store: store]

  @doc "Has all that was recorded be written."
  @spec empty(Store.name() | nil) :: :ok
  def empty(nil), do: :ok
  def empty(store), do: :ok = Store.sync(store)

  @doc "Returns once the directories of jobs that have ended are removed."
  @spec await_removed() :: :ok
  def await_removed do
    unless Path.wildcard(prefix() <> "*") == [] do
      Process.sleep(10)
      await_removed()
    end

    :ok
  end

  defp prefix, do: Path.join(System.tmp_dir!(), "ad_tally_bench_#{System.pid()}_")

  @doc "Starts a store with these options. It ends after the calling process."
  @spec start(keyword()) :: Store.name()
  def start(options) do
    job = self()

    # Of a process of its own: a store has to end after those who write to it, and they end with the job's.
    holder = spawn(fn -> hold(job, options) end)
    receive do: ({^holder, name} -> name)
  end

  defp hold(job, options) do
    number = System.unique_integer([:positive])
    name = :"#{__MODULE__}.#{number}"
    dir = prefix() <> "#{number}"
    monitor = Process.monitor(job)
    {:ok, store} = Store.start_link([name: name, dir: dir] ++ options)
    send(job, {self(), name})
    receive do: ({:DOWN, ^monitor, :process, _pid, _reason} -> :ok)
    # Those who write end at the same time.
    Process.sleep(500)
    GenServer.stop(store)
    File.rm_rf!(dir)
  end
end
