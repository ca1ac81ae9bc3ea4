defmodule AdTally.Native.TermsTest do
  # What is read in place must be what the VM's own functions read. Not async:
  # the switch between the two is the library's, not a process'.
  use ExUnit.Case

  alias AdTally.{Conversion, Counters, Event, FrequencyCap, Meter, Native, Reach, Sketch, Touch}
  alias AdTally.Test.{NativeAttribution, Terms}

  setup do
    on_exit(fn -> Native.read_in_place(true) end)
  end

  test "this VM's terms and events are read in place, and info/0 says so" do
    Native.read_in_place(true)

    assert AdTally.info().reads_in_place == %{terms: true, events: true},
           "OTP #{System.otp_release()} lays terms out in a new way"
  end

  test "info/0 says when they are not" do
    Native.read_in_place(false)
    assert AdTally.info().reads_in_place == %{terms: false, events: false}
  end

  test "any term is the same key, or no key, both ways" do
    for term <- Terms.all(), key <- [term, {term}, {1, term}, {term, "creative", term}] do
      assert both_ways(fn -> added(key, :n, 1) end) |> same?(), "differs: #{inspect(key)}"
    end
  end

  test "any term is the same metric and the same amount, or none, both ways" do
    for term <- Terms.all() do
      assert both_ways(fn -> added(1, term, 1) end) |> same?(), "differs: #{inspect(term)}"
      assert both_ways(fn -> added(1, :n, term) end) |> same?(), "differs: #{inspect(term)}"
    end
  end

  test "any term is the same list of items, or none, both ways" do
    for term <- Terms.all(),
        items <- [term, [term], [{1, :n, 1} | term], [{1, :n, 1}, {term, :n, term}, term]] do
      assert both_ways(fn -> added_many(items) end) |> same?(), "differs: #{inspect(items)}"
    end
  end

  test "any term is the same user, or no user, both ways" do
    for term <- Terms.all() do
      for call <- [
            &Reach.add(&1, :key, term),
            &Reach.add_many(&1, [{:key, 1}, {:key, term}]),
            &Reach.add_many(&1, :key, [1, term])
          ] do
        assert both_ways(fn -> shown(call) end) |> same?(), "differs: #{inspect(term)}"
      end

      assert both_ways(fn -> answer(fn -> Sketch.from_users([term, 1]) end) end) |> same?(),
             "differs: #{inspect(term)}"
    end
  end

  test "any term is the same list of users or of keys and users, or none, both ways" do
    for term <- Terms.all(),
        items <- [term, [term], [{1, 1} | term], [1 | term], [{1, 1}, {term, term}, term]],
        call <- [
          &Reach.add_many(&1, items),
          &Reach.add_many(&1, :key, items),
          &Reach.add_many(&1, term, [1, 2]),
          &Reach.estimate_union(&1, items)
        ] do
      assert both_ways(fn -> shown(call) end) |> same?(), "differs: #{inspect(items)}"
    end
  end

  test "any term is the same table or the same rules, or none, both ways" do
    caps = FrequencyCap.new(capacity: 10)
    {compiled, answers} = FrequencyCap.rules!([{1, 3_600_000}])

    for term <- Terms.all(),
        call <- [
          fn -> Counters.get(term, :key, :n) end,
          fn -> Reach.estimate(term, :key) end,
          fn -> FrequencyCap.check(term, :ad, 1, {compiled, answers}, 1_000) end,
          fn -> FrequencyCap.check(caps, :ad, 1, {term, answers}, 1_000) end,
          fn -> FrequencyCap.admissible(caps, [{:ad, {term, answers}}], 1, 1_000) end
        ] do
      assert both_ways(fn -> answer(call) end) |> same?(), "differs: #{inspect(term)}"
    end

    assert FrequencyCap.check(caps, :ad, 1, {compiled, answers}, 1_000) == :ok
  end

  test "any term is the same scope and user, the same list of scopes, or none, both ways" do
    rules = FrequencyCap.rules!([{1, 3_600_000}])

    for term <- Terms.all(),
        call <- [
          &FrequencyCap.admit(&1, term, 1, rules, 1_000),
          &FrequencyCap.admit(&1, 1, term, rules, 1_000),
          &FrequencyCap.admit(&1, 1, 1, rules, term),
          &FrequencyCap.admissible(&1, [{term, rules}, {1, rules}], 1, 1_000),
          &FrequencyCap.admissible(&1, [{1, rules} | term], term, 1_000),
          &FrequencyCap.admissible(&1, [term], 1, 1_000),
          &FrequencyCap.admit_all(&1, [{term, rules}, {2, rules}], 1, 1_000)
        ] do
      decided = fn ->
        caps = FrequencyCap.new(capacity: 10, fingerprint_bits: 64)
        first = answer(fn -> call.(caps) end)
        # Counted or not, and under the same key.
        {first, answer(fn -> call.(caps) end), FrequencyCap.info(caps).pairs}
      end

      assert both_ways(decided) |> same?(), "differs: #{inspect(term)}"
    end
  end

  test "any term is the same event, or none, both ways" do
    event = %Event{at: 1_780_272_000_000, dimensions: {1, "us", :web}, user: 7}
    event = %{event | metrics: [n: 1, m: 2]}

    events =
      for {term, number} <- Enum.with_index(Terms.all()),
          event = %{event | id: {:number, number}},
          event <- [
            term,
            %{event | id: term},
            %{event | at: term},
            %{event | dimensions: term},
            %{event | dimensions: {1, term, :web}},
            %{event | user: term},
            %{event | metrics: term},
            %{event | metrics: [term, {:n, 1}]},
            %{event | metrics: [{:n, 1} | term]},
            %{event | metrics: [{term, 1}]},
            %{event | metrics: [n: term]},
            %{event | touch: term},
            # As large as an event, or with all of its fields.
            %{event | __struct__: term},
            Map.from_struct(event),
            event |> Map.delete(:user) |> Map.put(:users, term),
            Map.put(event, :more, term)
          ],
          do: event

    assert [{answers, report, info}, {others, other_report, other_info}] =
             both_ways(fn -> metered(events) end)

    for {event, answer, other} <- Enum.zip([events, answers, others]) do
      assert answer === other, "differs: #{inspect(event)}"
    end

    assert {report, info} === {other_report, other_info}
  end

  test "any term is the same touch, conversion, order and change, or none, both ways" do
    touch = NativeAttribution.touch()
    conversion = NativeAttribution.conversion()

    for {term, number} <- Enum.with_index(Terms.all()) do
      touches = [
        term,
        %{touch | id: term},
        %{touch | id: number, user: term},
        %{touch | at: term},
        %{touch | kind: term},
        %{touch | dimensions: term},
        %{touch | id: number, dimensions: {term, term}},
        %{touch | cost_micros: term},
        %{touch | __struct__: term}
      ]

      conversions = [
        term,
        %{conversion | order: term},
        %{conversion | user: term},
        %{conversion | at: term},
        %{conversion | action: term},
        %{conversion | value_micros: term}
      ]

      seen = fn -> attributed(term, touches, conversions) end
      assert both_ways(seen) |> same?(), "differs: #{inspect(term)}"
    end
  end

  test "an event, a touch and a conversion are read in place, and by the VM's functions as well" do
    for struct <- structs() do
      name = "%#{inspect(struct.__struct__)}{} struct"
      values = values(struct)
      Native.read_in_place(true)
      assert Native.struct_terms(struct) == {name, true, values}
      # Made elsewhere, with keys that are not those of this module's code.
      copy = struct |> :erlang.term_to_binary() |> :erlang.binary_to_term()
      assert Native.struct_terms(copy) == {name, true, values}
      Native.read_in_place(false)
      assert Native.struct_terms(struct) == {name, false, values}
    end
  end

  test "any term is the same struct, or none, both ways" do
    for term <- Terms.all(),
        struct <- structs(),
        field = struct |> Map.from_struct() |> Map.keys() |> Enum.random(),
        term <- [
          term,
          Map.put(struct, field, term),
          %{struct | __struct__: term},
          Map.from_struct(struct),
          struct |> Map.delete(field) |> Map.put(:other, term),
          Map.put(struct, :more, term)
        ] do
      terms = fn ->
        with {name, _in_place?, terms} <- Native.struct_terms(term), do: {name, terms}
      end

      assert both_ways(terms) |> same?(), "differs: #{inspect(term)}"
    end
  end

  test "random users are the same both ways" do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    users = for _ <- 1..10_000, do: Terms.random_user()

    sketches =
      both_ways(fn ->
        # At precision 18 with a mark of each.
        reach = Reach.new(precision: 18)
        for user <- users, do: :ok = Reach.add(reach, :key, user)
        :ok = Reach.add_many(reach, :users, users)
        :ok = Reach.add_many(reach, Enum.map(users, &{:pairs, &1}))
        rows = for {_key, sketch} <- Reach.drain(reach), do: sketch
        [Sketch.from_users(users, precision: 18) | rows]
      end)

    assert [_one] = sketches |> Enum.concat() |> Enum.uniq(), "differs with seed #{seed}"
  end

  test "random keys are the same both ways, and come back as they went in" do
    seed = :rand.uniform(1_000_000)
    :rand.seed(:exsss, seed)
    keys = for _ <- 1..5_000, do: Terms.random_key()

    for in_place? <- [true, false] do
      Native.read_in_place(in_place?)
      counters = Counters.new(metrics: [:n])
      :ok = Counters.add_many(counters, Enum.map(keys, &{&1, :n, 1}))
      for key <- keys, do: :ok = Counters.add(counters, key, :n)

      # What was written one way is found the other way.
      Native.read_in_place(not in_place?)
      for key <- keys, do: :ok = Counters.add(counters, key, :n)

      expected = keys |> Enum.frequencies() |> Map.new(fn {key, n} -> {key, %{n: 3 * n}} end)
      assert Map.new(Counters.drain(counters)) == expected, "differs with seed #{seed}"
    end
  end

  defp structs do
    [
      %Event{id: 1, at: 2, dimensions: {3}, user: 4, metrics: [n: 5], touch: :click},
      %Touch{id: 1, user: 2, at: 3, kind: :click, dimensions: {4}, cost_micros: 5},
      %Conversion{order: 1, user: 2, at: 3, action: :purchase, value_micros: 4}
    ]
  end

  # In the order in which the native library names its fields.
  defp values(%Event{} = event),
    do: [event.id, event.at, event.dimensions, event.user, event.metrics, event.touch]

  defp values(%Touch{} = touch),
    do: [touch.id, touch.user, touch.at, touch.kind, touch.dimensions, touch.cost_micros]

  defp values(%Conversion{order: order, user: user, at: at, action: action} = conversion),
    do: [order, user, at, action, conversion.value_micros]

  # What calls with each of them come to.
  defp attributed(term, touches, conversions) do
    attribution = NativeAttribution.new()

    call = fn function, arguments ->
      answer(fn -> apply(Native, function, [attribution | arguments]) end)
    end

    touched = for touch <- touches, do: call.(:attribution_touch, [touch])
    listed = for touch <- touches, do: call.(:attribution_touch_many, [[touch]])
    converted = for conversion <- conversions, do: call.(:attribution_convert, [conversion])
    all = for conversion <- conversions, do: call.(:attribution_convert_many, [[conversion]])
    at = NativeAttribution.at()

    asked = [
      call.(:attribution_credits, ["o-9"]),
      call.(:attribution_credits, [term]),
      call.(:attribution_adjust, [term, :retract, at]),
      call.(:attribution_adjust, ["o-9", {:restate, term}, at]),
      call.(:attribution_adjust, ["o-9", term, at]),
      call.(:attribution_adjust, ["o-9", {:restate, 1}, term]),
      call.(:attribution_link, [term, "ann"]),
      call.(:attribution_link, ["ann", term]),
      call.(:attribution_forget, [term])
    ]

    info = Native.attribution_info(attribution)
    {touched, listed, converted, all, asked, info.touches, info.conversions, info.users}
  end

  defp both_ways(fun) do
    for in_place? <- [true, false] do
      Native.read_in_place(in_place?)
      fun.()
    end
  end

  defp same?([one, other]), do: one === other

  defp added(key, metric, amount) do
    counters = Counters.new(metrics: [:n], max_keys: 10)
    outcome(fn -> Counters.add(counters, key, metric, amount) end, counters)
  end

  defp added_many(items) do
    counters = Counters.new(metrics: [:n], max_keys: 10)
    outcome(fn -> Counters.add_many(counters, items) end, counters)
  end

  # What two calls with each event and one with a list of it come to.
  defp metered(events) do
    {:ok, meter} =
      Meter.start_link(
        name: __MODULE__,
        dimensions: [:a, :b, :c],
        metrics: [:n, :m],
        clock: :events,
        reach: [by: [:a, :c]],
        dedupe: [window: 1_000, capacity: 10_000]
      )

    answers =
      for event <- events do
        record = fn -> answer(fn -> Meter.record(__MODULE__, event) end) end
        {record.(), record.(), answer(fn -> Meter.record_many(__MODULE__, [event, event]) end)}
      end

    seen = {answers, Meter.report(__MODULE__), Meter.info(__MODULE__).events}
    GenServer.stop(meter)
    seen
  end

  defp outcome(fun, counters), do: {answer(fun), Enum.sort(Counters.to_list(counters))}

  defp shown(call) do
    reach = Reach.new(max_keys: 10)
    {answer(fn -> call.(reach) end), Enum.sort(Reach.to_list(reach))}
  end

  defp answer(fun) do
    fun.()
  rescue
    error in ArgumentError -> error
  end
end
