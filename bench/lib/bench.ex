defmodule AdTally.Bench do
  @moduledoc """
  Runs jobs: measures what each compares, checks that what was timed counted
  right, and prints the ratios.
  """

  alias AdTally.Bench.{BencheeTimer, Contender, Group, Inputs, Job, Jobs, Report, Stores, Timer}

  @jobs [
    Jobs.Floor,
    Jobs.Add,
    Jobs.AddParallel,
    Jobs.HotKey,
    Jobs.AddMany,
    Jobs.Drain,
    Jobs.ReachAdd,
    Jobs.ReachSparse,
    Jobs.ReachHotKey,
    Jobs.ReachAddMany,
    Jobs.ReachRivals,
    Jobs.Union,
    Jobs.CapsAdmit,
    Jobs.CapsAdmissible,
    Jobs.Dedupe,
    Jobs.Meter,
    Jobs.MeterSparse,
    Jobs.Attribution,
    Jobs.Pacer,
    Jobs.Store,
    Jobs.StoreLoad,
    Jobs.Metrics,
    Jobs.Report,
    Jobs.Web
  ]

  @doc "All jobs, in the order in which they run."
  @spec jobs() :: [module()]
  def jobs, do: @jobs

  @doc "The command line: `[--quick] [JOB...]`."
  @spec main([String.t()]) :: :ok
  def main(arguments) do
    case parse(arguments) do
      {:ok, jobs, size} ->
        IO.puts(setting())
        Enum.each(jobs, &run(&1, size))

      {:error, message} ->
        IO.puts(:stderr, message)
        System.halt(1)
    end
  end

  @doc "The jobs and the size that a command line asks for."
  @spec parse([String.t()]) :: {:ok, [module()], AdTally.Bench.Job.size()} | {:error, String.t()}
  def parse(arguments) do
    {options, names, invalid} = OptionParser.parse(arguments, strict: [quick: :boolean])
    known = Map.new(@jobs, &{&1.name(), &1})
    unknown = Enum.map(invalid, &elem(&1, 0)) ++ Enum.reject(names, &is_map_key(known, &1))

    cond do
      unknown != [] -> {:error, usage(unknown)}
      names == [] -> {:ok, @jobs, size(options)}
      true -> {:ok, Enum.map(names, &Map.fetch!(known, &1)), size(options)}
    end
  end

  @doc """
  Measures a group with our own timer and checks its counts: the times of a
  pass by label, in nanoseconds.
  """
  @spec measure(Group.t(), pos_integer()) :: Timer.samples()
  def measure(group, rounds), do: group |> Timer.measure(rounds) |> checked(group)

  # A process a job: when it ends, its tables go, whoever made them.
  defp run(job, size) do
    task = fn ->
      IO.puts("\n## #{job.name()}: #{job.about()}")

      if Job.compares?(job),
        do: Enum.each(job.groups(size), &show(&1, size)),
        else: IO.write(["\n" | job.text(size)])
    end

    task |> Task.async() |> Task.await(:infinity)
    Stores.await_removed()
  end

  defp show(group, size) do
    samples =
      if BencheeTimer.available?(),
        do: group |> BencheeTimer.measure(size) |> checked(group),
        else: measure(group, group.rounds)

    IO.write(["\n" | Report.text(group, samples)])
    Enum.each(group.contenders, &Inputs.forget(&1.inputs))
  end

  defp checked(samples, group) do
    Enum.each(group.contenders, &Contender.check!/1)
    samples
  end

  defp size(options), do: if(options[:quick], do: :quick, else: :full)

  defp usage(unknown) do
    jobs = Enum.map_join(@jobs, "\n", &"  #{String.pad_trailing(&1.name(), 16)}#{&1.about()}")

    "unknown: #{Enum.join(unknown, ", ")}\n\nusage: bin/bench [--quick] [JOB...]\n\njobs:\n#{jobs}"
  end

  defp setting do
    timer = if BencheeTimer.available?(), do: "Benchee", else: "bench/lib/timer.ex"

    "Elixir #{System.version()}, OTP #{System.otp_release()} (#{:erlang.system_info(:emu_flavor)}), " <>
      "#{System.schedulers_online()} schedulers, timed by #{timer}"
  end
end
