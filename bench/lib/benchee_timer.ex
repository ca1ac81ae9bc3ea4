defmodule AdTally.Bench.BencheeTimer do
  @moduledoc """
  Measures with Benchee, where it is installed.

  Benchee prints its own table, of whole passes with the loop in them. Its
  samples are returned, for the ratios that `AdTally.Bench.Report` makes of them.
  """

  alias AdTally.Bench.{Group, Pass}

  # Absent wherever Hex is.
  @compile {:no_warn_undefined, Benchee}

  @seconds %{full: 3, quick: 0.5}

  @doc "Whether Benchee is there."
  @spec available?() :: boolean()
  def available?, do: Code.ensure_loaded?(Benchee)

  @doc "Measures the contenders of a group and their empty loops."
  @spec measure(Group.t(), AdTally.Bench.Job.size()) :: AdTally.Bench.Timer.samples()
  def measure(group, size) do
    suite =
      Benchee.run(Map.new(group.contenders ++ Group.loops(group), &scenario/1),
        title: group.title,
        time: @seconds[size],
        warmup: @seconds[size] / 4,
        print: [benchmarking: false, configuration: false]
      )

    Map.new(suite.scenarios, fn scenario ->
      {scenario.name, Enum.map(scenario.run_time_data.samples, &round/1)}
    end)
  end

  # What before_each returns is what the function is called with, and what that
  # returns is what after_each gets.
  defp scenario(contender) do
    run = fn pass ->
      Pass.run(pass)
      pass
    end

    hooks = [before_each: fn _no_input -> Pass.ready(contender) end, after_each: &Pass.finish/1]
    {contender.label, {run, hooks}}
  end
end
