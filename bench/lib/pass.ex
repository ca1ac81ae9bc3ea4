defmodule AdTally.Bench.Pass do
  @moduledoc """
  One pass of a contender, in three steps so that only the middle one is timed:
  its processes get ready, run, and look at what came out.
  """

  alias AdTally.Bench.{Contender, Inputs, Loop}

  @enforce_keys [:contender, :tasks]
  defstruct @enforce_keys

  @type t :: %__MODULE__{contender: Contender.t(), tasks: [Task.t()]}

  @doc "Starts the processes; each gets its inputs and waits."
  @spec ready(Contender.t()) :: t()
  def ready(contender) do
    contender.prepare && contender.prepare.()
    # Only what they need: what a process is started with is copied.
    %{inputs: inputs, repeats: repeats, fun: fun, summary: summary} = contender
    caller = self()

    tasks =
      for process <- 0..(contender.processes - 1) do
        Task.async(fn -> work(caller, Inputs.get(inputs, process), repeats, fun, summary) end)
      end

    Enum.each(tasks, fn %{pid: pid} -> receive(do: ({:ready, ^pid} -> :ok)) end)
    %__MODULE__{contender: contender, tasks: tasks}
  end

  @doc "Runs it: the nanoseconds from the first start to the last end."
  @spec run(t()) :: pos_integer()
  def run(%{tasks: tasks} = pass) do
    Enum.each(tasks, &send(&1.pid, :go))

    {starts, ends} =
      tasks
      |> Enum.map(fn %{pid: pid} -> receive(do: ({:ran, ^pid, from, to} -> {from, to})) end)
      |> Enum.unzip()

    :counters.add(pass.contender.passes, 1, 1)
    System.convert_time_unit(Enum.max(ends) - Enum.min(starts), :native, :nanosecond)
  end

  @doc "Waits for the processes to end, and checks their last results."
  @spec finish(t()) :: :ok
  def finish(%{contender: contender, tasks: tasks}) do
    summaries = Task.await_many(tasks, :infinity)
    if contender.summary, do: Enum.each(summaries, &Contender.check_summary!(contender, &1))
    :ok
  end

  defp work(caller, inputs, repeats, fun, summary) do
    send(caller, {:ready, self()})
    receive(do: (:go -> :ok))

    from = System.monotonic_time()
    result = Loop.run(inputs, repeats, fun)
    to = System.monotonic_time()

    send(caller, {:ran, self(), from, to})
    summary && summary.(result)
  end
end
