defmodule AdTally.Reach.ModelTest do
  use ExUnit.Case, async: true

  alias AdTally.{Reach, Sketch}
  alias AdTally.Test.{ReachModel, ReachOperations}

  @sequences 150
  @operations 100

  test "whatever is done, the table does as the model does" do
    # ExUnit has seeded this process, from the seed that it prints.
    for _ <- 1..@sequences, do: compare(_seed = :rand.uniform(2 ** 32))
  end

  # To see one sequence again, call this with the seed that its failure showed.
  defp compare(seed) do
    :rand.seed(:exsss, seed)
    options = ReachOperations.options()
    reach = Reach.new(options)

    # Whatever came before, the end shows all that there is.
    (ReachOperations.sequence(@operations, options) ++ [info: [], drain_with_overflow: []])
    |> Enum.with_index(1)
    |> Enum.reduce(ReachModel.new(options), fn {{name, arguments}, number}, model ->
      {expected, model} = expected(model, name, arguments)
      actual = actual(reach, name, arguments)

      if actual != expected do
        where = "seed #{seed}, operation #{number}, with #{inspect(options)}"
        flunk(where <> different(name, arguments, actual, expected))
      end

      model
    end)

    :rand.seed(:exsss, seed + 1)
  end

  defp different(name, arguments, actual, expected) do
    "\n#{name} with #{inspect(arguments)}" <>
      "\nthe table has #{inspect(actual)}\nthe model #{inspect(expected)}"
  end

  defp expected(model, name, arguments)
       when name in [:add, :add_many, :merge, :drain_with_overflow],
       do: apply(ReachModel, name, [model | arguments])

  defp expected(model, name, arguments),
    do: {apply(ReachModel, name, [model | arguments]), model}

  defp actual(reach, :merge, [key, users, options]),
    do: actual(reach, :merge, [key, Sketch.from_users(users, options)])

  defp actual(reach, name, arguments) do
    case {name, apply(Reach, name, [reach | arguments])} do
      {:to_list, rows} -> Enum.sort(rows)
      {:drain_with_overflow, {rows, overflow}} -> {Enum.sort(rows), overflow}
      {:info, info} -> Map.delete(info, :memory_bytes)
      {_name, result} -> result
    end
  rescue
    ArgumentError -> :refused
  end
end
