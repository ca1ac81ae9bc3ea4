defmodule AdTally.Native.HostileArgumentsTest do
  # Arguments as large or as deep as memory allows, wherever a function takes one. What is
  # refused is refused within a millisecond of a scheduler's thread, with a message of a few
  # lines. Not async: calls are timed.
  use ExUnit.Case

  alias AdTally.{Event, FrequencyCap, Meter, Native, Sketch}
  alias AdTally.Test.ArgumentPositions

  @at 1_780_272_000_000
  @million 1_000_000

  # Long lists are worked through in several calls, which other tests time one by one.
  @in_steps [
    :reach_add_many,
    :reach_add_many_users,
    :reach_estimate_union,
    :sketch_from_users,
    :pacer_open_campaigns,
    :pacer_open_tail
  ]

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
    huge = huge()
    text = :binary.copy("0123456789", 10_000_000)
    deep = fn wrap -> Enum.reduce(1..@million, 1, fn _, term -> wrap.(term) end) end

    simple = [
      {"a huge integer", huge},
      {"a huge negative integer", -huge},
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

  test "whatever is refused is refused within a millisecond, in a few lines", %{name: name} do
    slow =
      in_a_process_that_collects_no_garbage(fn ->
        calls = ArgumentPositions.calls(name)

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

  # Of ten million digits, or where that is more than the VM allows (OTP 29), of a million.
  defp huge do
    # The compiler must not compute it.
    Bitwise.bsl(1, Enum.sum([33_219_281]))
  rescue
    SystemLimitError -> Bitwise.bsl(1, 3_321_928)
  end

  # The least thread time of three calls, in microseconds, and what came of it: a machine's
  # interruption lengthens one of them, the work all. What is taken is no refusal to be timed.
  defp shortest(call) do
    case timed(call) do
      {_took, :ok} -> {0, :ok}
      refused -> shortest(call, [refused | for(_ <- 1..2, do: timed(call))])
    end
  end

  defp shortest(call, results) do
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
    assert_receive {:DOWN, ^monitor, :process, ^pid, reason}
    assert {:result, result} = reason
    result
  end
end
