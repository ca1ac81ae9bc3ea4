defmodule AdTally.Meter.OptionsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

  alias AdTally.Meter
  alias AdTally.Sink.Files

  setup :own_name

  test "rejects wrong options by name", %{name: name} do
    good = [name: name, dimensions: [:campaign], metrics: [:clicks]]

    for {options, words} <- [
          {[name: nil], "expected :name to be an atom"},
          {[dimensions: []], "expected :dimensions to be a list of one to 8 different atoms"},
          {[dimensions: [:a, :a]], "expected :dimensions to be"},
          {[dimensions: [:clicks]], "other names than the metrics"},
          {[metrics: nil], "expected :metrics to be a list of one to 16"},
          {[window: 0], "expected :window to be milliseconds"},
          {[lateness: -1], "expected :lateness to be milliseconds"},
          {[clock: :none], "expected :clock to be :system or :events"},
          {[clock: :events, max_ahead: 1], "expected no :max_ahead with clock: :events"},
          {[reach: [by: []]], "expected :by to have a dimension of [:campaign]"},
          {[reach: [by: [:country]]], "expected :by to be a list of dimensions, of [:campaign]"},
          {[reach: [by: [:campaign], precision: 30]], "expected :precision"},
          {[dedupe: [size: 1]], "in :dedupe: unknown or repeated options [:size]"},
          {[dedupe: [window: 0]], "in :dedupe: expected :window to be milliseconds"},
          {[reach: [by: [:campaign], max_keys: 0]], "in :reach: expected :max_keys"},
          {[dedupe: true], "expected :dedupe to be false or a keyword list of options"},
          {[reach: %{by: [:campaign]}],
           "expected :reach to be false or a keyword list of options"},
          {[flush: 0x1_0000_0000],
           "expected :flush to be milliseconds, an integer from 1 to 4294967295"},
          {[telemetry_interval: 0x1_0000_0000],
           "expected :telemetry_interval to be milliseconds"},
          {[max_waiting: 0], "expected :max_waiting to be an integer from 1"},
          {[retain: -1], "expected :retain to be milliseconds"},
          {[sinks: [Files]], "expected :sinks to be a list of {module, options}"},
          {[sinks: [{Enum, []}]], "expected :sinks to be a list of {module, options}"},
          {[on_late: {Enum, :nothing}], "expected :on_late to be {module, function}"},
          {[on_late: &Function.identity/1], "expected :on_late to be {module, function}"},
          {[what: 1], "unknown or repeated options [:what]"}
        ] do
      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn ->
        Meter.start_link(Keyword.merge(good, options))
      end
    end
  end
end
