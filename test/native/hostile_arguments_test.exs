defmodule AdTally.Native.HostileArgumentsTest do
  # Arguments as large or as deep as memory allows, wherever a function takes one. What is
  # refused is refused within a millisecond of a scheduler's thread, with a message of a few
  # lines. Not async: calls are timed.
  use ExUnit.Case

  alias AdTally.{Counters, Dedupe, Event, FrequencyCap, Meter, Native, Reach, Sketch}

  @at 1_780_272_000_000
  @million 1_000_000

  # Long lists are worked through in several calls, which other tests time one by one.
  @in_steps [:reach_add_many, :reach_add_many_users, :reach_estimate_union, :sketch_from_users]

  # Longer than any rule of what would have been right, and a term or two.
  @longest_message 1_000

  setup do
    name = __MODULE__

    options = [name: name, dimensions: [:a], metrics: [:n], clock: :events]
    dedupe = [window: 1_000, capacity: 1_000]
    start_supervised!({Meter, options ++ [reach: [by: [:a]], dedupe: dedupe]})
    %{name: name}
  end

  defp terms do
    long_list = Enum.to_list(1..@million)
    huge = Bitwise.bsl(1, 33_219_281)
    text = :binary.copy("0123456789", 10_000_000)
    deep = fn wrap -> Enum.reduce(1..@million, 1, fn _, term -> wrap.(term) end) end

    simple = [
      {"an integer of ten million digits", huge},
      {"a negative integer of ten million digits", -huge},
      {"a map of 200,000", Map.new(1..200_000, &{&1, &1})},
      {"a map of large keys", %{huge => 1, long_list => 2, text => 3}},
      {"a tuple of a million", List.to_tuple(long_list)},
      {"a list of a million", long_list},
      {"an improper list of a million", long_list ++ :tail},
      {"a charlist of a million", List.duplicate(?a, @million)},
      {"a keyword list of a million", List.duplicate({:n, 1}, @million)},
      {"a keyword list of a large value", [n: huge]},
      {"a list of a million in each other", deep.(&[&1])},
      {"a tuple of a million in each other", deep.(&{&1})},
      {"a map of a million in each other", deep.(&%{a: &1})},
      {"a binary of 100 MB", :binary.copy(<<255>>, 100_000_000)},
      {"a text of 100 MB", text},
      {"a bitstring of 100 MB", <<text::binary, 1::1>>},
      {"a function that holds much", fn -> {long_list, text} end},
      {"an event of large terms",
       %Event{id: huge, at: huge, dimensions: long_list, user: text, metrics: long_list}},
      {"a time of large terms", %{~U[2026-01-01 00:00:00Z] | year: huge, time_zone: text}},
      {"a range of large terms", %{(1..2) | first: huge, last: long_list}},
      {"a made up sketch", %{Sketch.from_users([1]) | bytes: long_list, secret_check: huge}},
      {"an atom of 255 characters", String.to_atom(String.duplicate("日", 255))},
      {"a process", self()},
      {"a port", hd(Port.list())},
      {"a reference", make_ref()},
      {"a float", 1.0e300}
    ]

    in_tuples = for {name, term} <- simple, do: {name <> ", in a tuple", {1, term}}
    simple ++ in_tuples
  end

  # Functions of one argument that takes a hostile term. Those that ask are right about
  # some of the terms (a text is a key, an atom is one), and then nothing is expected.
  defp calls(name) do
    counters = Counters.new(metrics: [:n], max_keys: 100)
    reach = Reach.new(max_keys: 100)
    caps = FrequencyCap.new(capacity: 100)
    rules = FrequencyCap.rules!([{1, :timer.hours(1)}])
    {compiled, answers} = rules
    dedupe = Dedupe.new(capacity: 100)
    sketch = Sketch.from_users([1])
    event = %Event{id: 1, at: @at, dimensions: {1}, user: 1, metrics: [n: 1]}

    [
      counters_add_table: &Counters.add(&1, 1, :n),
      counters_add_key: &Counters.add(counters, &1, :n),
      counters_add_metric: &Counters.add(counters, 1, &1),
      counters_add_amount: &Counters.add(counters, 1, :n, &1),
      counters_get_key: &Counters.get(counters, &1),
      counters_get_metric: &Counters.get(counters, 1, &1),
      counters_add_many: &Counters.add_many(counters, &1),
      counters_add_many_item: &Counters.add_many(counters, [&1]),
      counters_add_many_tail: &Counters.add_many(counters, [{1, :n, 1} | &1]),
      counters_add_many_key: &Counters.add_many(counters, [{&1, :n, 1}]),
      counters_add_many_metric: &Counters.add_many(counters, [{1, &1, 1}]),
      counters_add_many_amount: &Counters.add_many(counters, [{1, :n, &1}]),
      counters_info: &Counters.info(&1),
      counters_to_list: &Counters.to_list(&1),
      counters_metrics: &Counters.new(metrics: &1),
      counters_metric: &Counters.new(metrics: [&1]),
      counters_max_keys: &Counters.new(metrics: [:n], max_keys: &1),
      counters_options: &Counters.new(&1),
      counters_option: &Counters.new([&1]),
      reach_add_table: &Reach.add(&1, 1, 1),
      reach_add_key: &Reach.add(reach, &1, 1),
      reach_add_user: &Reach.add(reach, 1, &1),
      reach_add_many: &Reach.add_many(reach, &1),
      reach_add_many_item: &Reach.add_many(reach, [&1]),
      reach_add_many_pair: &Reach.add_many(reach, [{1, &1}]),
      reach_add_many_key: &Reach.add_many(reach, &1, [1]),
      reach_add_many_users: &Reach.add_many(reach, 1, &1),
      reach_add_many_user: &Reach.add_many(reach, 1, [&1]),
      reach_estimate: &Reach.estimate(reach, &1),
      reach_estimate_union: &Reach.estimate_union(reach, &1),
      reach_estimate_union_key: &Reach.estimate_union(reach, [&1]),
      reach_precision: &Reach.new(precision: &1),
      reach_secret: &Reach.new(secret: &1),
      reach_options: &Reach.new(&1),
      sketch_from_users: &Sketch.from_users(&1),
      sketch_from_user: &Sketch.from_users([&1]),
      sketch_precision: &Sketch.from_users([], precision: &1),
      sketch_of: &Sketch.precision(&1),
      sketch_to_binary: &Sketch.to_binary(&1),
      sketch_deviations: &Sketch.bounds(sketch, &1),
      sketch_union: &Sketch.union(&1),
      caps_admit_table: &FrequencyCap.admit(&1, :ad, 1, rules, @at),
      caps_admit_scope: &FrequencyCap.admit(caps, &1, 1, rules, @at),
      caps_admit_user: &FrequencyCap.admit(caps, :ad, &1, rules, @at),
      caps_admit_rules: &FrequencyCap.admit(caps, :ad, 1, &1, @at),
      caps_admit_compiled: &FrequencyCap.admit(caps, :ad, 1, {&1, answers}, @at),
      caps_admit_at: &FrequencyCap.admit(caps, :ad, 1, rules, &1),
      caps_check_user: &FrequencyCap.check(caps, :ad, &1, rules, @at),
      caps_check_at: &FrequencyCap.check(caps, :ad, 1, rules, &1),
      caps_record_scope: &FrequencyCap.record(caps, &1, 1, @at),
      caps_record_at: &FrequencyCap.record(caps, :ad, 1, &1),
      caps_release_scope: &FrequencyCap.release(caps, &1, 1, @at),
      caps_release_at: &FrequencyCap.release(caps, :ad, 1, &1),
      caps_count_window: &FrequencyCap.count(caps, :ad, 1, &1, @at),
      caps_count_offset: &FrequencyCap.count(caps, :ad, 1, {:day, &1}, @at),
      caps_opens_at: &FrequencyCap.opens_at(caps, :ad, 1, rules, &1),
      caps_admit_all: &FrequencyCap.admit_all(caps, &1, 1, @at),
      caps_admit_all_item: &FrequencyCap.admit_all(caps, [&1], 1, @at),
      caps_admit_all_scope: &FrequencyCap.admit_all(caps, [{&1, rules}], 1, @at),
      caps_admit_all_rules: &FrequencyCap.admit_all(caps, [{:ad, &1}], 1, @at),
      caps_admissible: &FrequencyCap.admissible(caps, &1, 1, @at),
      caps_admissible_item: &FrequencyCap.admissible(caps, [&1], 1, @at),
      caps_admissible_user: &FrequencyCap.admissible(caps, [{:ad, {compiled, answers}}], &1, @at),
      caps_sweep_at: &FrequencyCap.sweep(caps, &1),
      caps_rule: &FrequencyCap.rules!([&1]),
      caps_rule_max: &FrequencyCap.rules!([{&1, 1_000}]),
      caps_rule_window: &FrequencyCap.rules!([{1, &1}]),
      caps_tier: &FrequencyCap.new(tiers: [&1]),
      caps_capacity: &FrequencyCap.new(capacity: &1),
      caps_lifetime: &FrequencyCap.new(lifetime: &1),
      caps_bits: &FrequencyCap.new(fingerprint_bits: &1),
      dedupe_first_table: &Dedupe.first?(&1, 1, @at),
      dedupe_first_id: &Dedupe.first?(dedupe, &1, @at),
      dedupe_first_at: &Dedupe.first?(dedupe, 1, &1),
      dedupe_window: &Dedupe.new(window: &1),
      meter_record_name: &Meter.record(&1, event),
      meter_record: &Meter.record(name, &1),
      meter_record_id: &Meter.record(name, %{event | id: &1}),
      meter_record_at: &Meter.record(name, %{event | at: &1}),
      meter_record_dimensions: &Meter.record(name, %{event | dimensions: &1}),
      meter_record_dimension: &Meter.record(name, %{event | dimensions: {&1}}),
      meter_record_user: &Meter.record(name, %{event | user: &1}),
      meter_record_metrics: &Meter.record(name, %{event | metrics: &1}),
      meter_record_metric: &Meter.record(name, %{event | metrics: [&1]}),
      meter_record_amount: &Meter.record(name, %{event | metrics: [n: &1]}),
      meter_record_many_item: &Meter.record_many(name, [&1]),
      meter_record_many_tail: &Meter.record_many(name, [event, &1]),
      meter_record_many_skip: &Meter.record_many(name, [event, &1], on_refused: :skip),
      meter_record_many_option: &Meter.record_many(name, [event], on_refused: &1),
      meter_name: &Meter.start_link(name: &1, dimensions: [:a], metrics: []),
      meter_dimensions: &Meter.start_link(name: :hostile, dimensions: &1, metrics: [:n]),
      meter_window: &Meter.start_link([window: &1] ++ meter_options()),
      meter_lateness: &Meter.start_link([lateness: &1] ++ meter_options()),
      meter_clock: &Meter.start_link([clock: &1] ++ meter_options()),
      meter_reach: &Meter.start_link([reach: &1] ++ meter_options()),
      meter_reach_by: &Meter.start_link([reach: [by: &1]] ++ meter_options()),
      meter_dedupe: &Meter.start_link([dedupe: &1] ++ meter_options()),
      meter_on_late: &Meter.start_link([on_late: &1] ++ meter_options()),
      shown: &Native.shown/1
    ]
  end

  # Of no metrics, so that no meter starts.
  defp meter_options, do: [name: :hostile, dimensions: [:a], metrics: []]

  @tag timeout: 300_000
  test "whatever is refused is refused within a millisecond, in a few lines", %{name: name} do
    slow =
      in_a_process_that_collects_no_garbage(fn ->
        calls = calls(name)

        for {what, term} <- terms(), {call, function} <- calls, reduce: [] do
          slow ->
            {took, result} = shortest(fn -> function.(term) end)

            with {:raised, message} <- result do
              assert byte_size(message) <= @longest_message, "#{call} of #{what}: #{message}"
            end

            in_steps? = call in @in_steps and what =~ "list of a million" and is_list(term)
            if took > 1_000 and not in_steps?, do: [{call, what, took} | slow], else: slow
        end
      end)

    assert slow == []
  end

  test "lists that Elixir walks through, in turns, are refused as well", %{name: name} do
    caps = FrequencyCap.new(capacity: 100)
    rule = {1, :timer.hours(1)}

    for {call, expected} <- [
          {fn list -> Meter.record_many(name, list) end, "(at index 0 of the list)"},
          {fn list -> Meter.record_many(name, %{list: list}) end, "expected a proper list"},
          {fn list -> FrequencyCap.rules!(Enum.map(list, fn _ -> rule end)) end,
           "one to 16 rules are asked together, not more than 17"},
          {fn list -> FrequencyCap.admit_all(caps, list, 1, @at) end, "(at index 0 of the list)"}
        ] do
      message = assert_raise(ArgumentError, fn -> call.(Enum.to_list(1..@million)) end).message
      assert message =~ expected
      assert byte_size(message) <= @longest_message
    end
  end

  # The least thread time of three calls, in microseconds, and what came of it: a machine's
  # interruption lengthens one of them, the work all.
  defp shortest(call) do
    results = for _ <- 1..3, do: timed(call)
    known = for {took, _result} <- results, took != :unknown, do: took
    {_took, result} = hd(results)
    if known == [], do: shortest(call), else: {Enum.min(known), result}
  end

  defp timed(call) do
    {thread, begin} = Native.thread_time()

    result =
      try do
        call.()
        :ok
      rescue
        error in ArgumentError -> {:raised, error.message}
      end

    {same_or_other, now} = Native.thread_time()
    {if(thread == same_or_other, do: div(now - begin, 1_000), else: :unknown), result}
  end

  # Collecting a million terms takes tens of milliseconds.
  defp in_a_process_that_collects_no_garbage(fun) do
    options = [:monitor, min_heap_size: 60_000_000, min_bin_vheap_size: 200_000_000]
    {pid, monitor} = :erlang.spawn_opt(fn -> exit({:result, fun.()}) end, options)
    assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 280_000
    assert {:result, result} = reason
    result
  end
end
