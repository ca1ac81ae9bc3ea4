defmodule AdTally.Windows.Flush do
  @moduledoc false
  # Has a process of a server deliver all that it has, and waits for as long as it makes progress. What is
  # left after `timeout` milliseconds without any is lost.
  #
  # The process sends its progress to the one that waits, so that one that hangs is noticed as well.

  @enforce_keys [:to, :timeout, :step, :timer, :progress, :since]
  defstruct @enforce_keys

  @opaque t :: %__MODULE__{}

  # A process that answers late but works gets this much more.
  @grace 500
  # The longest time that a process can wait.
  @longest_wait 0xFFFF_FFFF
  # Progress is checked ten times in a timeout, but for very short and long ones.
  @shortest_step 10
  @longest_step 1_000

  @doc """
  Waits until a process has delivered all: `:ok`, `{:left, count}` of what is lost, or `:hangs` or
  `:gone` of the process.
  """
  @spec await(pid(), pos_integer()) :: :ok | {:left, non_neg_integer()} | :hangs | :gone
  def await(pid, timeout) do
    tag = Process.monitor(pid)
    GenServer.cast(pid, {:flush, {self(), tag}, timeout})
    result = receive_answer(tag, min(timeout + @grace, @longest_wait))
    Process.demonitor(tag, [:flush])
    result
  end

  defp receive_answer(tag, timeout) do
    receive do
      {^tag, :progress} -> receive_answer(tag, timeout)
      {^tag, answer} -> answer
      {:DOWN, ^tag, :process, _pid, _reason} -> :gone
    after
      timeout -> :hangs
    end
  end

  @doc "Begins, in the process that is asked. It gets `:check_flush` from now on, for `check/2`."
  @spec begin({pid(), reference()}, pos_integer(), progress :: term()) :: t()
  def begin(to, timeout, progress) do
    step = timeout |> div(10) |> max(@shortest_step) |> min(@longest_step)
    fields = [to: to, timeout: timeout, step: step, timer: timer(step), progress: progress]
    struct!(__MODULE__, [since: now()] ++ fields)
  end

  @doc "Whether to continue. Progress is any term that differs from the one before, and never comes back."
  @spec check(t(), progress :: term()) :: {:go_on, t()} | :over
  def check(%{progress: progress} = flush, progress) do
    if now() - flush.since >= flush.timeout,
      do: :over,
      else: {:go_on, %{flush | timer: timer(flush.step)}}
  end

  def check(%{to: {pid, tag}} = flush, progress) do
    send(pid, {tag, :progress})
    {:go_on, %{flush | progress: progress, since: now(), timer: timer(flush.step)}}
  end

  @doc "Ends it with an answer."
  @spec answer(t(), :ok | {:left, non_neg_integer()}) :: :ok
  def answer(%{to: {pid, tag}} = flush, answer) do
    Process.cancel_timer(flush.timer)
    send(pid, {tag, answer})
    :ok
  end

  defp timer(step), do: Process.send_after(self(), :check_flush, step)
  defp now, do: System.monotonic_time(:millisecond)
end
