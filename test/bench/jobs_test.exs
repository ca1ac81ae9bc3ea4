Code.require_file("../../bench/load.exs", __DIR__)

defmodule AdTally.Bench.JobsTest do
  use ExUnit.Case, async: true

  alias AdTally.Bench
  alias AdTally.Bench.{Contender, Group, Job, Keys, Report, WrongResultError}

  # Stores say where they begin.
  @moduletag :capture_log

  setup_all do
    on_exit(&Bench.Stores.await_removed/0)
  end

  for job <- Bench.jobs(), not Job.compares?(job) do
    test "what #{job.name()} measures is checked, and is told in tables" do
      text = :smoke |> unquote(job).text() |> IO.iodata_to_binary()
      assert text =~ "### "
    end
  end

  for job <- Bench.jobs(), Job.compares?(job) do
    test "what #{job.name()} times counts right, and it is compared with what is in the group" do
      for group <- unquote(job).groups(:smoke) do
        labels = Enum.map(group.contenders, & &1.label)
        assert labels == Enum.uniq(labels)

        for contender <- group.contenders do
          assert contender.check || contender.summary
          assert List.wrap(contender.scaling_of) -- labels == []
          assert contender.yardsticks -- labels == []
        end

        samples = Bench.measure(group, group.rounds)
        assert Enum.all?(labels, &(length(samples[&1]) == group.rounds))
        # One more than the rounds: the first pass warms up.
        assert Enum.all?(group.contenders, &(:counters.get(&1.passes, 1) == group.rounds + 1))

        text = group |> Report.text(samples) |> IO.iodata_to_binary()
        assert Enum.all?(labels, &(text =~ &1))
      end
    end
  end

  test "a contender that leaves an add out is refused" do
    total = :counters.new(1, [])
    add = fn number -> number != 3 && :counters.add(total, 1, 1) end
    check = fn passes -> {5 * passes, :counters.get(total, 1)} end

    assert_raise WrongResultError, "forgetful: expected 10, counted 8", fn ->
      Bench.measure(group([Contender.new("forgetful", [1, 2, 3, 4, 5], add, check: check)]), 1)
    end
  end

  test "a contender whose last result is wrong is refused" do
    options = [summary: &Function.identity/1, expected_summary: :ok]
    contender = Contender.new("failing", [1], fn _ -> :overflow end, options)

    assert_raise WrongResultError, "failing: expected :ok, counted :overflow", fn ->
      Bench.measure(group([contender]), 1)
    end
  end

  test "every process of a pass does every repeat of every input" do
    total = :counters.new(1, [])
    add = fn number -> :counters.add(total, 1, number) end
    contender = Contender.new("sum", [1, 2, 3], add, repeats: 5, processes: 4)

    assert Contender.operations(contender) == 60
    assert %{"sum" => [_]} = Bench.measure(group([contender]), 1)
    # A pass to warm up and one round.
    assert :counters.get(total, 1) == 2 * 5 * 4 * (1 + 2 + 3)
  end

  test "figures are net of the loop, the best and the median, an operation" do
    ours = Contender.new("ours", [1, 2], & &1, operations_per_input: 5, yardsticks: ["theirs"])
    theirs = Contender.new("theirs", [1], & &1, operations_per_input: 10)

    samples = %{
      "ours" => [500, 350, 700],
      "theirs" => [1_100, 1_300],
      Contender.empty_loop(ours).label => [100, 50],
      Contender.empty_loop(theirs).label => [100]
    }

    group = group([ours, theirs])

    assert Report.figures(group, samples) == %{
             "ours" => %{best: 30.0, median: 42.5},
             "theirs" => %{best: 100.0, median: 110.0}
           }

    text = group |> Report.text(samples) |> IO.iodata_to_binary()
    assert text =~ "0.30 x (median 0.39 x) the time of theirs: ours\n"
  end

  test "scaling is in operations a second" do
    one = Contender.new("one", [1], & &1)
    two = Contender.new("two", [1], & &1, processes: 2, scaling_of: "one")
    loops = for loop <- [one, two], into: %{}, do: {Contender.empty_loop(loop).label, [0]}
    samples = Map.merge(loops, %{"one" => [100], "two" => [120]})

    text = [one, two] |> group() |> Report.text(samples) |> IO.iodata_to_binary()
    assert text =~ "1.67 x (median 1.67 x) the adds a second of one: two\n"
  end

  test "keys are visited in another order than they are inserted" do
    keys = Keys.distinct(1_000)
    assert length(Enum.uniq(keys.inserted)) == 1_000
    assert keys.inserted != keys.visited
    assert Enum.sort(keys.inserted) == Enum.sort(keys.visited)
  end

  test "the command line names jobs, and what it does not know is refused by name" do
    assert Bench.parse([]) == {:ok, Bench.jobs(), :full}
    assert Bench.parse(["--quick", "drain"]) == {:ok, [Bench.Jobs.Drain], :quick}
    assert {:error, "unknown: --fast, nothing\n" <> usage} = Bench.parse(["nothing", "--fast"])
    assert usage =~ "  hot_key "
  end

  defp group(contenders) do
    %Group{title: "a test", unit: "add", rounds: 1, contenders: contenders}
  end
end
