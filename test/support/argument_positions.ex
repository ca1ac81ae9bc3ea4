defmodule AdTally.Test.ArgumentPositions do
  @moduledoc """
  Every place where a public function takes an argument, for tests that put wrong ones there.
  """

  alias AdTally.{Admission, Counters, Dedupe, Event, FrequencyCap, Meter, Native, Pacer, Reach}
  alias AdTally.Sketch

  alias AdTally.Test.NativeAttribution

  @at 1_780_272_000_000

  @doc """
  Functions of one argument that call one of the library's with it, each in another place, by
  name. `name` is that of a running meter of one dimension and the metric `n`. What is right in
  a place is taken there.
  """
  @spec calls(atom()) :: [{atom(), (term() -> term())}]
  def calls(name) do
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
      caps_rule_offset: &FrequencyCap.rules!([{1, {:day, &1}}]),
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
      meter_record_many_name: &Meter.record_many(&1, [event]),
      meter_info_name: &Meter.info/1,
      meter_report_name: &Meter.report/1,
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
    ] ++ attribution_calls() ++ pacer_calls(caps, rules)
  end

  # A pacer of its own, which ends with the calling process.
  defp pacer_calls(caps, rules) do
    name = __MODULE__.Pacer
    _running = Pacer.start_link(name: name, clock: :manual)
    :ok = Pacer.tick(name, @at)
    :ok = Pacer.put(name, 1, budget_micros: 1_000_000)
    {:ok, reservation} = Pacer.reserve(name, 1, 1, 1, @at)
    parts = {caps, name}
    put = &Pacer.put(name, 2, [{:budget_micros, 1}, &1])

    [
      pacer_reserve_name: &Pacer.reserve(&1, 1, 2, 1, @at),
      pacer_reserve_campaign: &Pacer.reserve(name, &1, 2, 1, @at),
      pacer_reserve_request: &Pacer.reserve(name, 1, &1, 1, @at),
      pacer_reserve_price: &Pacer.reserve(name, 1, 2, &1, @at),
      pacer_reserve_at: &Pacer.reserve(name, 1, 2, 1, &1),
      pacer_reserve_options: &Pacer.reserve(name, 1, 2, 1, @at, &1),
      pacer_reserve_ttl: &Pacer.reserve(name, 1, 2, 1, @at, ttl: &1),
      pacer_reserve_table: &Native.pacer_reserve(&1, 1, 2, 1, @at, 1_000),
      pacer_confirm_reservation: &Pacer.confirm(name, &1, 1, @at),
      pacer_confirm_price: &Pacer.confirm(name, reservation, &1, @at),
      pacer_confirm_at: &Pacer.confirm(name, reservation, 1, &1),
      pacer_release_reservation: &Pacer.release(name, &1),
      pacer_open_campaigns: &Pacer.open(name, &1, 1, @at),
      pacer_open_campaign: &Pacer.open(name, [&1], 1, @at),
      pacer_open_tail: &Pacer.open(name, [1 | &1], 1, @at),
      pacer_open_request: &Pacer.open(name, [1], &1, @at),
      pacer_open_at: &Pacer.open(name, [1], 1, &1),
      pacer_put_name: &Pacer.put(&1, 1, budget_micros: 1),
      pacer_put_campaign: &Pacer.put(name, &1, budget_micros: 1),
      pacer_put_options: &Pacer.put(name, 2, &1),
      pacer_put_budget: &Pacer.put(name, 2, budget_micros: &1),
      pacer_put_period: &put.({:period, &1}),
      pacer_put_zone: &put.({:period, {:daily, &1}}),
      pacer_put_flight: &put.({:period, {:flight, &1, 2 ** 47}}),
      pacer_put_pace: &put.({:pace, &1}),
      pacer_put_daily_max: &put.({:daily_max, &1}),
      pacer_put_price: &put.({:price_micros, &1}),
      pacer_delete_campaign: &Pacer.delete(name, &1),
      pacer_status_campaign: &Pacer.status(name, &1),
      pacer_info_name: &Pacer.info/1,
      pacer_tick_at: &Pacer.tick(name, &1),
      pacer_nodes: &Pacer.start_link(name: :hostile, nodes: &1, tick: 0),
      pacer_tick: &Pacer.start_link(name: :hostile, tick: &1, clock: :none),
      admission_admit_parts: &Admission.admit(&1, 1, 1, rules, 2, 1, @at),
      admission_admit_caps: &Admission.admit({&1, name}, 1, 1, rules, 2, 1, @at),
      admission_admit_pacer: &Admission.admit({caps, &1}, 1, 1, rules, 2, 1, @at),
      admission_admit_campaign: &Admission.admit(parts, &1, 1, rules, 2, 1, @at),
      admission_admit_user: &Admission.admit(parts, 1, &1, rules, 2, 1, @at),
      admission_admit_rules: &Admission.admit(parts, 1, 1, &1, 2, 1, @at),
      admission_admit_request: &Admission.admit(parts, 1, 1, rules, &1, 1, @at),
      admission_admit_price: &Admission.admit(parts, 1, 1, rules, 2, &1, @at),
      admission_admit_at: &Admission.admit(parts, 1, 1, rules, 2, 1, &1),
      admission_admit_ttl: &Admission.admit(parts, 1, 1, rules, 2, 1, @at, ttl: &1),
      admission_release: &Admission.release(parts, &1),
      admission_admissible: &Admission.admissible(parts, 1, &1, 1, @at),
      admission_admissible_item: &Admission.admissible(parts, 1, [&1], 1, @at),
      admission_admissible_user: &Admission.admissible(parts, &1, [{1, rules}], 1, @at),
      admission_admissible_request: &Admission.admissible(parts, 1, [{1, rules}], &1, @at)
    ]
  end

  defp attribution_calls do
    attribution = NativeAttribution.new()
    touch = NativeAttribution.touch()
    conversion = NativeAttribution.conversion()
    adjust = &Native.attribution_adjust(attribution, &1, &2, &3)

    [
      attribution_table: &Native.attribution_touch(&1, touch),
      attribution_touch: &Native.attribution_touch(attribution, &1),
      attribution_touch_id: &Native.attribution_touch(attribution, %{touch | id: &1}),
      attribution_touch_user: &Native.attribution_touch(attribution, %{touch | user: &1}),
      attribution_touch_at: &Native.attribution_touch(attribution, %{touch | at: &1}),
      attribution_touch_kind: &Native.attribution_touch(attribution, %{touch | kind: &1}),
      attribution_touch_dimensions:
        &Native.attribution_touch(attribution, %{touch | dimensions: &1}),
      attribution_touch_dimension:
        &Native.attribution_touch(attribution, %{touch | dimensions: {&1, 1}}),
      attribution_touch_cost: &Native.attribution_touch(attribution, %{touch | cost_micros: &1}),
      attribution_touch_many: &Native.attribution_touch_many(attribution, [touch, &1]),
      attribution_touch_many_tail: &Native.attribution_touch_many(attribution, [touch | &1]),
      attribution_convert: &Native.attribution_convert(attribution, &1),
      attribution_convert_order:
        &Native.attribution_convert(attribution, %{conversion | order: &1}),
      attribution_convert_user:
        &Native.attribution_convert(attribution, %{conversion | user: &1}),
      attribution_convert_at: &Native.attribution_convert(attribution, %{conversion | at: &1}),
      attribution_convert_action:
        &Native.attribution_convert(attribution, %{conversion | action: &1}),
      attribution_convert_value:
        &Native.attribution_convert(attribution, %{conversion | value_micros: &1}),
      attribution_convert_many: &Native.attribution_convert_many(attribution, [conversion, &1]),
      attribution_credits: &Native.attribution_credits(attribution, &1),
      attribution_adjust_order: &adjust.(&1, :retract, @at),
      attribution_adjust_change: &adjust.("o-9", &1, @at),
      attribution_adjust_value: &adjust.("o-9", {:restate, &1}, @at),
      attribution_adjust_at: &adjust.("o-9", :retract, &1),
      attribution_link_alias: &Native.attribution_link(attribution, &1, "ann"),
      attribution_link_user: &Native.attribution_link(attribution, "ann", &1),
      attribution_link_some: &Native.attribution_link_some(attribution, &1),
      attribution_forget: &Native.attribution_forget(attribution, &1)
    ]
  end

  # Of no metrics, so that no meter starts.
  defp meter_options, do: [name: :hostile, dimensions: [:a], metrics: []]
end
