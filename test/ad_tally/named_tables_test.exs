defmodule AdTally.NamedTablesTest do
  # What named tables and meters have in common, over all modules that have them.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling

  alias AdTally.{Counters, Dedupe, Event, FrequencyCap, Meter, Named, Native, Reach}

  require Named

  @moduletag :capture_log

  @at 1_780_272_000_000
  # Microseconds after an owner's death, from which on its table refuses.
  @grace 50_000

  @options %{
    Counters => [metrics: [:clicks], max_keys: 1_000],
    Reach => [precision: 12, max_keys: 1_000],
    FrequencyCap => [capacity: 1_000],
    Dedupe => [capacity: 1_000],
    Meter => [dimensions: [:campaign], metrics: [:clicks], clock: :events]
  }

  # Every function that takes a table, what it is given besides, and what it answers for a table in
  # which the calls before it have left what they do.
  defp calls(Counters) do
    exported([
      {:add, [1, :clicks], :ok},
      {:add, [1, :clicks, 2], :ok},
      {:add_many, [[{1, :clicks, 3}]], :ok},
      # More than one native call takes.
      {:add_many, [List.duplicate({1, :clicks, 1}, 5_000)], :ok},
      {:get, [1], %{clicks: 5_006}},
      {:get, [1, :clicks], 5_006},
      {:to_list, [], [{1, %{clicks: 5_006}}]},
      {:info, [], &(&1.keys == 1)},
      {:drain, [], [{1, %{clicks: 5_006}}]},
      {:drain_with_overflow, [], {[], %{clicks: 0}}}
    ])
  end

  defp calls(Reach) do
    sketch = AdTally.Sketch.from_users(["ann", "bob"])

    exported([
      {:add, [1, "ann"], :ok},
      {:add_many, [[{1, "bob"}]], :ok},
      {:add_many, [1, ["ann", "bob"]], :ok},
      {:merge, [1, sketch], :ok},
      {:estimate, [1], &(round(&1) == 2)},
      {:estimate_union, [[1, 2]], &(round(&1) == 2)},
      {:sketch, [1], sketch},
      {:to_list, [], [{1, sketch}]},
      {:info, [], &(&1.keys == 1)},
      {:drain, [], [{1, sketch}]},
      {:drain_with_overflow, [], &match?({[], _overflow}, &1)}
    ])
  end

  defp calls(FrequencyCap) do
    rules = FrequencyCap.rules!([{2, :timer.hours(1)}])
    capped = {:capped, {2, :timer.hours(1)}}
    now = System.system_time(:millisecond)

    exported([
      {:admit, [:ad, 1, rules, now], :ok},
      {:check, [:ad, 1, rules, now], :ok},
      {:check, [:ad, 1, rules], :ok},
      {:admit, [:ad, 1, rules], :ok},
      {:check, [:ad, 1, rules], capped},
      {:count, [:ad, 1, :timer.hours(2), now + 600_000], 2},
      {:release, [:ad, 1, now], :ok},
      {:record, [:ad, 1, now], :ok},
      {:record, [:ad, 2], :ok},
      {:opens_at, [:ad, 1, rules, now], &(&1 > now)},
      {:admit_all, [[{:ad, rules}], 1, now], {:capped, :ad, {2, :timer.hours(1)}}},
      {:admissible, [[{:ad, rules}, {:other, rules}], 1, now], [:other]},
      {:sweep, [now], 0},
      {:info, [], &(&1.pairs == 2)}
    ])
  end

  defp calls(Dedupe) do
    exported([
      {:first?, [7], true},
      {:first?, [7], false},
      {:first?, [8, System.system_time(:millisecond)], true},
      {:info, [], &(&1.ids == 2)}
    ])
  end

  # A meter has no reference to compare with: these are refused only.
  defp calls(Meter) do
    [
      {:record, [event(1)], :ok},
      {:record_many, [[event(1)]], :ok},
      {:record_many, [[event(1)], [on_refused: :skip]], :ok},
      {:record_many, [[]], :ok},
      {:info, [], :ok},
      {:report, [], :ok},
      {:close, [], :ok}
    ]
  end

  # Those of every table: a stream of frames, and how many were taken of none.
  defp exported(calls) do
    [
      {:export, [], &(&1 |> Enum.to_list() |> Enum.all?(fn frame -> is_binary(frame) end))},
      {:import, [[]], &match?({:ok, %{frames: 0, rows: 0}}, &1)},
      {:import!, [[]], &match?(%{frames: 0, rows: 0}, &1)}
    ] ++ calls
  end

  defp event(number),
    do: %Event{at: @at, id: number, dimensions: {number}, metrics: [clicks: 1]}

  defp call({function, arguments, _expected}, module, table),
    do: apply(module, function, [table | arguments])

  defp expected?(answer, {_function, _arguments, expected}) when is_function(expected),
    do: expected.(answer)

  defp expected?(answer, {_function, _arguments, expected}), do: answer == expected

  # Those that take no table.
  @others [:new, :child_spec, :start_link, :rules, :rules!, :compiled!, :compile_all]

  defp refused(module, table, message) do
    for call <- calls(module),
        do: assert_raise(ArgumentError, message, fn -> call(call, module, table) end)
  end

  # Counts something that it has not counted before: whether it did.
  defp count(Counters, table, number), do: Counters.add(table, number, :clicks) == :ok
  defp count(Reach, table, number), do: Reach.add(table, 1, number) == :ok
  defp count(FrequencyCap, table, number), do: FrequencyCap.record(table, :ad, number, @at) == :ok
  defp count(Dedupe, table, number), do: Dedupe.first?(table, number, @at)

  defp count(Meter, name, number) when rem(number, 2) == 0,
    do: Meter.record_many(name, [event(number)]).ok == 1

  defp count(Meter, name, number), do: Meter.record(name, event(number)) == :ok

  defp counted(Counters, table), do: Counters.info(table).keys
  defp counted(Reach, table), do: round(Reach.estimate(table, 1))
  defp counted(FrequencyCap, table), do: FrequencyCap.info(table).pairs
  defp counted(Dedupe, table), do: Dedupe.info(table).ids
  defp counted(Meter, name), do: Meter.info(name).events.applied

  defp no_name(Meter), do: ~r/^expected the name of an AdTally.Meter, an atom, got: /
  defp no_name(module), do: ~r/^expected an #{inspect(module)} table/

  # What calls may be given.
  defp handles(Meter, name), do: [name]
  defp handles(module, name), do: [name, Named.fetch!(module, name)]

  defp name, do: :"#{inspect(__MODULE__)}.#{System.unique_integer([:positive])}"

  defp child(module, name), do: {module, [{:name, name} | @options[module]]}

  defp start_link(module, name), do: module.start_link([{:name, name} | @options[module]])

  defp now, do: System.monotonic_time(:microsecond)

  defp kill(pid) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
    now()
  end

  @tables [Counters, Reach, FrequencyCap, Dedupe]

  for module <- @tables do
    describe "a table of #{inspect(module)}:" do
      @module module

      test "by name every function does what it does by reference" do
        name = name()
        {:ok, _supervisor} = Supervisor.start_link([child(@module, name)], strategy: :one_for_one)
        table = @module.new(@options[@module])

        for call <- calls(@module), table <- [table, name] do
          answer = call(call, @module, table)
          assert expected?(answer, call), "#{inspect(call)} answers #{inspect(answer)}"
        end

        tried = for {function, _arguments, _expected} <- calls(@module), do: function

        functions =
          for {function, _arity} <- @module.__info__(:functions),
              function not in @others,
              do: function

        assert Enum.uniq(functions) -- tried == []
      end

      test "options are those of new/1 and a name" do
        options = @options[@module]
        name = name()

        for {options, message} <- [
              {options, "expected a keyword list of options with a :name"},
              {[], "expected a keyword list of options with a :name"},
              {:name, "expected a keyword list of options with a :name"},
              {[{:name, nil} | options], "expected :name to be an atom, got: nil"},
              {[{:name, "caps"} | options], "expected :name to be an atom, got: \"caps\""},
              {[name: name, name: name] ++ options, "unknown or repeated options [:name]"},
              {[{:name, name}, {:colour, 1} | options], "unknown or repeated options [:colour]"}
            ] do
          error = assert_raise ArgumentError, fn -> @module.start_link(options) end
          assert error.message =~ message
        end

        for {option, value} <- options do
          wrong = Keyword.put(options, option, -value_of(value))
          error = assert_raise ArgumentError, fn -> @module.new(wrong) end

          assert_raise ArgumentError, error.message, fn ->
            @module.start_link([{:name, name} | wrong])
          end
        end

        assert Process.whereis(name) == nil
      end
    end
  end

  for module <- [Meter | @tables] do
    describe "#{inspect(module)}:" do
      @module module

      test "every function rejects a name that nobody has, and names it" do
        for name <- [name(), nil], do: refused(@module, name, Named.not_running(@module, name))
      end

      test "every function rejects what is neither a table nor a name" do
        for other <- ["name", {:name}, 7, 0, -1, 1.5, [], {}, self(), make_ref()],
            do: refused(@module, other, no_name(@module))
      end

      test "several are children of one supervisor, and know nothing of each other" do
        names = for _ <- 1..3, do: name()
        children = for name <- names, do: child(@module, name)
        {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)

        for {name, counts} <- Enum.zip(names, 0..2), number <- 1..counts//1 do
          assert count(@module, name, number)
        end

        assert for(name <- names, do: counted(@module, name)) == [0, 1, 2]
        assert %{active: 3} = Supervisor.count_children(supervisor)
      end

      test "a second one of a name is refused, and the first one goes on" do
        name = name()
        {:ok, owner} = start_link(@module, name)
        assert count(@module, name, 1)
        assert start_link(@module, name) == {:error, {:already_started, owner}}
        assert counted(@module, name) == 1
      end

      test "what a process has counted is there when that has crashed" do
        name = name()
        {:ok, _owner} = start_link(@module, name)

        {pid, monitor} =
          spawn_monitor(fn ->
            true = count(@module, name, 1)
            exit(:crashed)
          end)

        assert_receive {:DOWN, ^monitor, :process, ^pid, :crashed}
        assert counted(@module, name) == 1
      end

      test "once its owner is stopped a table is refused, and the next one starts empty" do
        name = name()

        for _ <- 1..10 do
          {:ok, owner} = start_link(@module, name)
          assert count(@module, name, 1)
          assert counted(@module, name) == 1
          :ok = GenServer.stop(owner)

          refused(@module, name, Named.not_running(@module, name))
        end
      end

      test "nothing is counted that begins more than 50 ms after its owner was killed" do
        name = name()
        Process.flag(:trap_exit, true)
        {:ok, owner} = start_link(@module, name)
        handles = handles(@module, name)
        test = self()

        counting =
          for {table, first} <- Enum.zip(handles, [1, 1_000_000]) do
            Task.async(fn ->
              count(@module, table, first)
              send(test, :counts)
              count_until_refused(@module, table, first + 1)
            end)
          end

        for _ <- counting, do: assert_receive(:counts)
        killed_at = kill(owner)

        for {last, message} <- Task.await_many(counting, :infinity) do
          # One that was refused at its next call has counted nothing since.
          assert last == nil or last - killed_at < @grace
          assert message == Named.not_running(@module, name)
        end

        # The reference as well, whoever still has it.
        for table <- handles,
            do: refused(@module, table, Named.not_running(@module, name))

        await(fn -> :persistent_term.get(name, nil) == nil end)
      end

      test "rejects a name that is a key of somebody else's, and what is there is no table" do
        name = name()
        :persistent_term.put(name, :mine)

        assert_raise ArgumentError, ~r/no key of :persistent_term/, fn ->
          start_link(@module, name)
        end

        refused(@module, name, Named.not_running(@module, name))
        assert :persistent_term.get(name) == :mine
        :persistent_term.erase(name)
      end

      test "a supervisor starts it again, empty, and what is counted from then on is in it" do
        name = name()
        {:ok, _supervisor} = Supervisor.start_link([child(@module, name)], strategy: :one_for_one)
        assert count(@module, name, 1) and count(@module, name, 2)
        first = Named.fetch!(@module, name)
        kill(Process.whereis(name))
        await(fn -> another?(@module, name, first) end)
        assert counted(@module, name) == 0
        assert count(@module, name, 1)
        assert counted(@module, name) == 1
      end
    end
  end

  test "a table without a name outlives the process that made it" do
    for module <- @tables do
      table = Task.await(Task.async(fn -> module.new(@options[module]) end), :infinity)
      assert count(module, table, 1)
      assert counted(module, table) == 1
    end
  end

  test "a name is that of a table of one module only" do
    name = name()
    {:ok, _owner} = start_link(Counters, name)
    assert_raise ArgumentError, Named.not_running(Dedupe, name), fn -> Dedupe.first?(name, 1) end
    assert {:error, {:already_started, _pid}} = start_link(Dedupe, name)
  end

  test "an owner that is asked what it does not know goes on" do
    name = name()
    {:ok, owner} = start_link(Counters, name)
    send(owner, :what)
    assert :sys.get_state(owner) |> elem(0) == name
    assert Counters.add(name, 1, :clicks) == :ok
  end

  test "what is no table has no owner" do
    assert_raise ArgumentError, fn -> Native.table_end(make_ref()) end
    assert_raise ArgumentError, fn -> Native.table_own(:table, :name) end
  end

  defp value_of(value) when is_integer(value), do: value
  defp value_of(_other), do: 1

  # When it was last counted, and why no more.
  defp count_until_refused(module, table, number, last \\ nil) do
    begin = now()

    case counts(module, table, number) do
      :ok -> count_until_refused(module, table, number + 1, begin)
      message -> {last, message}
    end
  end

  defp counts(module, table, number) do
    count(module, table, number)
    :ok
  rescue
    error in ArgumentError -> error.message
  end

  defp another?(module, name, first) do
    Named.fetch!(module, name) != first
  rescue
    ArgumentError -> false
  end
end
