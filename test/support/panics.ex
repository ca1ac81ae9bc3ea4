defmodule AdTally.Test.Panics do
  @moduledoc """
  Panics in native code, for `AdTally.Test.FreshVM`: each writes to standard error.
  """

  alias AdTally.{Counters, Native}

  @doc "What a panic does to its caller and to the table, step by step."
  def one do
    counters = Counters.new(metrics: [:n])
    Counters.add(counters, :key, :n)
    raised = panic(counters)

    %{
      raised: raised,
      total_after: Counters.get(counters, :key, :n),
      added_after: Counters.add(counters, :key, :n),
      # A drain waits for adds under way: it would hang if the panic had left one.
      drained: Counters.drain(counters),
      drained_next: Counters.drain(counters)
    }
  end

  @doc """
  Panics in several processes that add before and after each, while another one
  drains: the exceptions that were not as expected, and all that was drained.
  """
  def many(processes, panics) do
    counters = Counters.new(metrics: [:n])

    tasks =
      for _ <- 1..processes do
        Task.async(fn -> for n <- 1..panics, do: add_and_panic(counters, n) end)
      end

    drainer = Task.async(fn -> drain_until_told(counters, 0) end)
    raised = tasks |> Task.await_many(:infinity) |> Enum.concat()
    send(drainer.pid, :stop)
    %{raised: Enum.frequencies(raised), drained: Task.await(drainer, :infinity)}
  end

  defp add_and_panic(counters, n) do
    :ok = Counters.add(counters, rem(n, 10), :n)
    raised = panic(counters)
    :ok = Counters.add_many(counters, [{n, :n, 1}, {:hot, :n, 1}])
    raised
  end

  defp panic(counters) do
    Native.counters_panic(counters)
  rescue
    exception -> exception
  end

  defp drain_until_told(counters, sum) do
    sum = sum + (counters |> Counters.drain() |> Enum.map(fn {_, row} -> row.n end) |> Enum.sum())

    receive do
      :stop -> sum + (counters |> Counters.drain() |> Enum.map(&elem(&1, 1).n) |> Enum.sum())
    after
      0 -> drain_until_told(counters, sum)
    end
  end
end
