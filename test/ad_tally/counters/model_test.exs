defmodule AdTally.Counters.ModelTest do
  use ExUnit.Case, async: true

  alias AdTally.Counters
  alias AdTally.Test.{CountersModel, CountersOperations}

  @sequences 200
  @operations 150

  test "whatever is done, the table does as the model does" do
    # ExUnit has seeded this process, from the seed that it prints.
    for _ <- 1..@sequences, do: compare(_seed = :rand.uniform(2 ** 32))
  end

  # To see one sequence again, call this with the seed that its failure showed.
  defp compare(seed) do
    :rand.seed(:exsss, seed)
    options = [metrics: CountersOperations.metrics(), max_keys: Enum.random([1, 3, 10, 1_000])]
    both = {Counters.new(options), CountersModel.new(options)}

    @operations
    |> CountersOperations.sequence()
    |> Enum.with_index(1)
    |> Enum.reduce(both, fn {{name, arguments}, number}, {counters, model} ->
      {expected, model} = expected(model, name, arguments)
      actual = actual(counters, name, arguments)

      where = "seed #{seed}, operation #{number}, #{name}: "
      if actual != expected, do: flunk(where <> different(arguments, actual, expected))

      rows = counters |> Counters.to_list() |> Enum.sort()
      expected_rows = CountersModel.to_list(model)
      if rows != expected_rows, do: flunk(where <> different(arguments, rows, expected_rows))

      {counters, model}
    end)

    :rand.seed(:exsss, seed + 1)
  end

  defp different(arguments, actual, expected) do
    "with #{inspect(arguments)}\nthe table has #{inspect(actual)}\nthe model #{inspect(expected)}"
  end

  defp expected(model, :add, [key, metric]), do: CountersModel.add(model, key, metric, 1)

  defp expected(model, name, arguments) when name in [:add, :add_many, :drain_with_overflow],
    do: apply(CountersModel, name, [model | arguments])

  defp expected(model, name, arguments),
    do: {apply(CountersModel, name, [model | arguments]), model}

  defp actual(counters, name, arguments) do
    case {name, apply(Counters, name, [counters | arguments])} do
      {:to_list, rows} -> Enum.sort(rows)
      {:drain_with_overflow, {rows, overflow}} -> {Enum.sort(rows), overflow}
      {:info, info} -> Map.delete(info, :memory_bytes)
      {_name, result} -> result
    end
  rescue
    ArgumentError -> :refused
  end
end
