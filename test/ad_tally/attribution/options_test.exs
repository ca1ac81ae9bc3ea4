defmodule AdTally.Attribution.OptionsTest do
  use ExUnit.Case, async: true

  alias AdTally.Attribution
  alias AdTally.Sink.Files
  alias AdTally.Windows.ReservedNames

  defmodule Tenants do
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, _options), do: :ok

    @impl true
    def reserved_names(_options), do: [:tenant]
  end

  defmodule Shown do
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, _options), do: :ok

    @impl true
    def validate_names(_options, names), do: {:error, inspect(Enum.sort(names))}
  end

  @day 24 * 3_600_000

  setup context do
    name = Module.concat(__MODULE__, "Attribution#{context.line}")

    good = [
      name: name,
      dimensions: [:campaign, :creative],
      touches: [click: 7 * @day, view: @day],
      conversions: [purchase: :every]
    ]

    [name: name, good: good]
  end

  defp refused(good, options) do
    assert_raise(ArgumentError, fn -> Attribution.start_link(Keyword.merge(good, options)) end).message
  end

  test "rejects wrong options by name, and says what would have been right", %{good: good} do
    for {options, words} <- [
          {[name: nil], "expected :name to be an atom, got: nil"},
          {[dimensions: []], "expected :dimensions to be a list of one to 8 different atoms"},
          {[dimensions: [:a, :a]], "expected :dimensions to be"},
          {[dimensions: [:a, :A]],
           "expected :dimensions to have no two names that differ in case"},
          {[dimensions: [:a | :b]], "expected :dimensions to be"},
          {[touches: []],
           "expected :touches to be one to 8 kinds of touches, the strongest first"},
          {[touches: [:click]], "got: [:click]"},
          {[touches: [click: 0]], "an integer from 1 to 140737488355327"},
          {[touches: [click: 0x8000_0000_0000]], "got: [click: 140737488355328]"},
          {[touches: [click: 1.5]], "expected :touches"},
          {[touches: [click: 1, click: 2]], "each once"},
          {[touches: [nil: 1]], "expected :touches"},
          {[touches: %{click: 1}], "got: %{click: 1}"},
          {[touches: [{:click, 1} | :view]], "expected :touches"},
          {[touches: for(kind <- 1..9, do: {:"kind_#{kind}", 1})], "expected :touches"},
          {[conversions: nil], "expected :conversions to be one to 64 actions"},
          {[conversions: [purchase: :once]], ":every, :once_per_user or :once_per_touch"},
          {[conversions: [buy: :every, buy: :once_per_user]], "each once"},
          {[conversions: for(n <- 1..65, do: {:"action_#{n}", :every})], "expected :conversions"},
          {[models: []], "expected :models to be a list of one to 8 different models"},
          {[models: :linear], "got: :linear"},
          {[models: [:linear, :linear]], "different models"},
          {[models: [:markov]], "of :last_touch, :first_touch, :linear, :position_based and"},
          {[models: [:time_decay]], "{:time_decay, half_life} with milliseconds"},
          {[models: [{:time_decay, 0}]], "an integer from 1 to"},
          {[models: for(days <- 1..9, do: {:time_decay, days * @day})], "one to 8"},
          {[prevail: nil], "expected :prevail to be true or false, got: nil"},
          {[collapse: true], "expected :collapse to be nil or :consecutive, got: true"},
          {[touches_per_user: 0],
           "expected :touches_per_user to be an integer from 1 to 255, got: 0"},
          {[touches_per_user: 256], "from 1 to 255, got: 256"},
          {[users: 0], "expected :users to be an integer from 1 to 1000000000"},
          {[orders: 1.0], "expected :orders to be an integer from 1"},
          {[adjustable_for: 0], "expected :adjustable_for to be milliseconds"},
          {[max_keys: 16_777_215],
           "expected :max_keys to be an integer from 1 to 16777214, got: 16777215"},
          {[window: 0], "expected :window to be milliseconds"},
          {[lateness: -1], "expected :lateness to be milliseconds"},
          {[clock: :none], "expected :clock to be :system or :events, got: :none"},
          {[clock: :events, max_ahead: 1], "expected no :max_ahead with clock: :events"},
          {[max_ahead: 0], "expected :max_ahead to be milliseconds"},
          {[seed: -1], "expected :seed to be an integer from 0 to 2^64 - 1"},
          {[retain: 0], "expected :retain to be milliseconds"},
          {[max_waiting: 0], "expected :max_waiting to be an integer from 1"},
          {[flush: 0x1_0000_0000], "expected :flush to be milliseconds, an integer from 1 to"},
          {[telemetry_interval: 0], "expected :telemetry_interval to be milliseconds"},
          {[warning_interval: 0], "expected :warning_interval to be milliseconds"},
          {[sinks: [Files]], "expected :sinks to be a list of {module, options}"},
          {[sinks: [{Files, []}]], "AdTally.Sink.Files in :sinks are wrong: it needs dir:"},
          {[sinks: [{Files, dir: "a", types: [country: :string]}]],
           "to have dimensions of [:campaign, :creative] only, got: [:country]"},
          {[metrics: [:clicks]], "unknown or repeated options [:metrics], known are :name,"},
          {[max_open_windows: 7], "unknown or repeated options [:max_open_windows]"}
        ] do
      message = refused(good, options)
      assert message =~ words, "#{inspect(options, limit: 5)}: #{message}"
    end
  end

  test "what is required is asked for", %{good: good} do
    for {option, words} <- [
          name: "expected :name to be an atom",
          dimensions: "expected :dimensions to be a list",
          touches: "such as [click: :timer.hours(24 * 7), view: :timer.hours(24)], got: nil",
          conversions: "such as [purchase: :every], got: nil"
        ] do
      good = Keyword.delete(good, option)

      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn ->
        Attribution.start_link(good)
      end
    end

    assert_raise ArgumentError, ~r/expected a keyword list of options/, fn ->
      Attribution.start_link(:none)
    end
  end

  test "a long wrong option makes a short message", %{good: good} do
    for {option, value} <- [
          touches: for(n <- 1..100_000, do: {:click, n}),
          models: List.duplicate(:linear, 100_000),
          conversions: [{:buy, String.duplicate("x", 1_000_000)}]
        ],
        do: assert(good |> refused([{option, value}]) |> byte_size() < 1_000)
  end

  test "reserved names are refused, whatever their case, with the reason and another name", %{
    good: good
  } do
    for name <- ReservedNames.all(:attribution) do
      message = refused(good, dimensions: [:campaign, name])
      assert message =~ "expected :dimensions to have no reserved name, and #{inspect(name)}"
      assert message =~ ~r/(sinks add to their|reports add to their|engines add to)/
      assert message =~ "another name would be :event_#{String.trim_leading("#{name}", "_")}"
    end

    assert refused(good, dimensions: [:Model]) =~ "another name would be :event_model"
    assert refused(good, dimensions: [:_path]) =~ "engines add to lines that they read"

    for name <- [:action, :kind, :roas, :touch_id, :unattributed],
        do: assert(name in ReservedNames.all(:attribution))
  end

  test "a sink is shown the names that its windows will have", %{good: good} do
    names = [
      actions: [:purchase],
      dimensions: [:campaign, :creative],
      kinds: [:click, :view],
      models: [:last_touch]
    ]

    assert refused(good, sinks: [{Shown, []}]) =~ inspect(names)
  end

  test "a sink reserves names of its own", %{good: good} do
    assert refused(good, dimensions: [:tenant], sinks: [{Tenants, []}]) =~
             ":tenant is one that #{inspect(Tenants)} adds to what it writes"
  end
end
