defmodule AdTally.Meter.ReservedNamesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles, only: [lines: 2]

  alias AdTally.{Event, Meter}
  alias AdTally.Windows.ReservedNames
  alias AdTally.Sink.Files

  defmodule Tenants do
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, _options), do: :ok

    @impl true
    def reserved_names(options), do: options[:columns]
  end

  @at 1_780_272_000_000

  defp start(options) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    defaults = [name: name, dimensions: [:campaign], metrics: [:clicks], clock: :events]
    {:ok, _meter} = Meter.start_link(Keyword.merge(defaults, options))
    name
  end

  defp refused(options) do
    assert_raise(ArgumentError, fn -> start(options) end).message
  end

  test "reserved names are refused for dimensions and metrics, with the reason and another name" do
    names = ReservedNames.all(:meter)

    for name <- names, {option, other} <- [dimensions: :metrics, metrics: :dimensions] do
      message = refused([{option, [:page, name]}, {other, [:views]}])

      assert message =~
               "expected #{inspect(option)} to have no reserved name, and #{inspect(name)}"

      assert message =~
               ~r/(sinks add to their lines|reports add to their rows|engines add to lines that they read)/

      assert message =~ "another name would be :event_#{String.trim_leading("#{name}", "_")}"
    end

    for name <- ~w(kind node sequence epoch partial window_start window_end meter reach reach_low
                   reach_high reach_sketch overflow starts_at ends_at date misfits window_time filename
                   _corrupt_record)a,
        do: assert(name in names)
  end

  test "whatever their case, which is one column to a warehouse" do
    assert refused(dimensions: [:Kind]) =~ "another name would be :event_kind"
    assert refused(metrics: [:NODE]) =~ "another name would be :event_node"
    assert refused(metrics: [:clicks, :Clicks]) =~ "differ in case only"
    assert refused(dimensions: [:clicks]) =~ "other names than the metrics"
    assert refused(dimensions: [:CLICKS]) =~ "other names than the metrics"
  end

  test "names that begin like columns of engines are reserved" do
    for name <- [:_path, :_FILE_NAME, :_, :__index_level_0__],
        do: assert(refused(dimensions: [name]) =~ "engines add to lines that they read")

    assert refused(dimensions: [:_path]) =~ "another name would be :event_path"
  end

  test "another name is one that is not in use" do
    assert refused(dimensions: [:kind], metrics: [:event_kind]) =~ "would be :event_kind_2"
    assert refused(dimensions: [:kind, :Event_Kind_2, :event_kind]) =~ "would be :event_kind_3"
  end

  test "nil, true and false are no names" do
    for name <- [nil, true, false],
        option <- [:dimensions, :metrics],
        do: assert(refused([{option, [name]}]) =~ "different atoms")
  end

  test "a sink reserves names of its own" do
    sinks = [{Tenants, columns: [:tenant, :campaign]}]
    assert refused(sinks: sinks) =~ ":campaign is one that #{inspect(Tenants)} adds"
    assert refused(sinks: sinks, dimensions: [:page], metrics: [:Tenant]) =~ ":Tenant is one that"
    assert start(sinks: [{Tenants, columns: [:tenant]}])
    assert start(dimensions: [:page, :tenant])
  end

  # The list has to have every name that they add.
  @tag :tmp_dir
  test "lines of files and rows of reports add no other names", %{tmp_dir: dir} do
    sinks = [{Files, dir: dir, types: [campaign: :integer]}]
    options = [max_keys: 1, reach: [by: [:campaign]], sinks: sinks]
    name = start(options)
    event = %Event{at: @at, user: 7, dimensions: {42}, metrics: [clicks: 1]}
    assert Meter.record(name, event) == :ok
    assert Meter.record(name, %{event | dimensions: {43}}) == :overflow
    rows = Meter.report(name)
    GenServer.stop(name)
    kinds = [:counters, :reach, :overflow]
    lines = for kind <- kinds, [line] <- [lines(dir, kind)], do: line
    assert length(lines) == 3
    text = Enum.join(lines)
    fields = ~r/"(\w+)":/ |> Regex.scan(text, capture: :all_but_first) |> List.flatten()
    keys = for row <- rows, key <- Map.keys(row), do: Atom.to_string(key)
    names = ["campaign", "clicks" | Enum.map(ReservedNames.all(:meter), &Atom.to_string/1)]
    assert Enum.uniq(fields ++ keys) -- names == []
  end
end
