defmodule AdTally.Demo.Workers do
  @moduledoc """
  Generated events, worked through by one process a scheduler.

  The clock starts when every process has its events and ends when the last one has counted its
  share: the time is that of the counting loop alone.
  """

  alias AdTally.Demo.{Events, Progress, Text}

  # Events between two steps of the progress line.
  @step 10_000

  @typedoc "For each process its number from 0, the events it goes through, and how many times one."
  @type work :: [{non_neg_integer(), [Events.event()], non_neg_integer()}, ...]

  @doc "Shares out so many events."
  @spec work(pos_integer()) :: work()
  def work(events) do
    processes = System.schedulers_online()

    for process <- 0..(processes - 1) do
      more = if process < rem(events, processes), do: 1, else: 0
      {process, Events.draw(process + 1), div(events, processes) + more}
    end
  end

  @doc """
  Has every event counted by `count`, which is given the event and a number that no other one has,
  from 0 on: the microseconds that took.
  """
  @spec measure(work(), String.t(), (Events.event(), non_neg_integer() -> term())) ::
          pos_integer()
  def measure(work, label, count) do
    done = :counters.new(1, [:write_concurrency])
    processes = length(work)
    events = work |> Enum.map(&elem(&1, 2)) |> Enum.sum()

    # Starting a task copies its events to it, so all are started before the clock.
    tasks =
      for {process, drawn, share} <- work do
        Task.async(fn ->
          receive do: (:begin -> :ok)
          cycle(drawn, drawn, process, process + share * processes, processes, @step, count, done)
          System.monotonic_time(:microsecond)
        end)
      end

    begin = System.monotonic_time(:microsecond)
    Enum.each(tasks, &send(&1.pid, :begin))
    ends = Progress.await(tasks, done, events, label)
    max(Enum.max(ends) - begin, 1)
  end

  defp cycle(_all, _rest, number, number, _by, _left, _count, _done), do: :ok

  defp cycle(all, [], number, last, by, left, count, done),
    do: cycle(all, all, number, last, by, left, count, done)

  defp cycle(all, rest, number, last, by, 0, count, done) do
    :counters.add(done, 1, @step)
    cycle(all, rest, number, last, by, @step, count, done)
  end

  defp cycle(all, [event | rest], number, last, by, left, count, done) do
    count.(event, number)
    cycle(all, rest, number + by, last, by, left - 1, count, done)
  end

  @doc "What all events of the work add up to."
  @spec expected(work()) :: %{atom() => integer()}
  def expected(work) do
    work
    |> Enum.map(fn {_process, drawn, share} -> Events.totals(drawn, share) end)
    |> Enum.reduce(&Map.merge(&1, &2, fn _metric, one, sum -> one + sum end))
  end

  @doc "The sums of results that are not those expected, a sentence each."
  @spec differences([map()], %{atom() => integer()}) :: [String.t()]
  def differences(results, expected) do
    for result <- results,
        {metric, sum} <- expected,
        result.sums[metric] != sum,
        do:
          "#{result.label} counted #{Text.integer(result.sums[metric])} #{metric}, " <>
            "generated were #{Text.integer(sum)}"
  end

  @doc "A table of ways to count the same events."
  @spec table(%{events: pos_integer(), processes: pos_integer()}, [map()]) :: String.t()
  def table(%{events: events, processes: processes}, results) do
    rows =
      for result <- results do
        a_second = round(events / result.microseconds * 1_000_000)

        [
          result.label,
          :erlang.float_to_binary(result.microseconds / 1_000_000, decimals: 2) <> " s",
          Text.integer(a_second),
          Text.integer(div(a_second, processes)),
          Text.integer(div(result.bytes, 1024)) <> " KiB"
        ]
      end

    head = ["counted with", "time", "events/s", "events/s a scheduler", "memory"]
    Text.table(head, rows, 1)
  end
end
