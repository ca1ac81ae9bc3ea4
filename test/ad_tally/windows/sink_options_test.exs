defmodule AdTally.Windows.SinkOptionsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Event, Meter}
  alias AdTally.Sink.Files
  alias AdTally.Test.MeterSinks.Telling
  alias AdTally.Test.SinkFiles

  defmodule Topics do
    @behaviour AdTally.Sink

    @impl true
    def deliver(window, options) do
      send(options[:to], {options[:topic], window.sequence})
      :ok
    end

    @impl true
    def validate(options) do
      case options[:topic] do
        nil -> {:ok, Keyword.put(options, :topic, "rollups")}
        topic when is_binary(topic) -> {:ok, options}
        :nonsense -> :what
        _other -> {:error, "expected :topic to be a binary"}
      end
    end

    @impl true
    def target(options), do: options[:topic]
  end

  @at 1_780_272_000_000

  defp start(sinks) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    options = [dimensions: [:campaign], metrics: [:clicks], clock: :events, sinks: sinks]
    {:ok, _meter} = Meter.start_link([name: name] ++ options)
    name
  end

  defp refused(sinks), do: assert_raise(ArgumentError, fn -> start(sinks) end).message

  test "wrong options of files are refused when the meter starts" do
    for {options, words} <- [
          {[], "it needs dir:"},
          {[directory: "rollups"], "unknown or repeated [:directory]"},
          {[dir: "rollups", compress: true], "unknown or repeated [:compress]"},
          {[dir: "a", dir: "b"], "unknown or repeated [:dir]"},
          {[dir: nil], "expected :dir to be the path of a directory, got: nil"},
          {[dir: ""], "expected :dir"},
          {[dir: []], "expected :dir"},
          {[dir: [-1]], "expected :dir"},
          {[dir: 7], "expected :dir"},
          {[dir: "a\0b"], "expected :dir"},
          {[dir: "a", types: [:campaign]], "expected :types to be a keyword list"},
          {[dir: "a", types: %{campaign: :string}], "expected :types"},
          {[dir: "a", types: [campaign: :float]], "got: [campaign: :float]"},
          {[dir: "a", types: [campaign: :string, campaign: :string]], "each once"},
          {[dir: "a", types: [country: :string]],
           "expected :types to have dimensions of [:campaign] only, got: [:country]"}
        ] do
      message = refused([{Files, options}])
      assert message =~ "the options of AdTally.Sink.Files in :sinks are wrong: "
      assert message =~ words
    end
  end

  test "a sink checks its own options, and delivers with what it made of them" do
    assert refused([{Topics, topic: 7}]) =~
             "the options of #{inspect(Topics)} in :sinks are wrong: expected :topic to be a binary"

    assert refused([{Topics, topic: :nonsense}]) =~
             "validate/1 to return {:ok, options} or {:error"

    name = start([{Topics, to: self()}])
    event = %Event{at: @at, dimensions: {42}, metrics: [clicks: 1]}
    assert Meter.record(name, event) == :ok
    GenServer.stop(name)
    assert_received {"rollups", 1}
  end

  test "options that are none are refused, and not shown, since they may hold credentials" do
    for sinks <- [:none, [Files], [{Files}], [{"Files", []}], [{Enum, []}], [{Nobody.There, []}]],
        do: assert(refused(sinks) =~ "expected :sinks to be a list of {module, options}")

    for options <- [%{password: "hush"}, ["hush"], "hush"] do
      message = refused([{Telling, options}])
      assert message =~ "expected :sinks to be a list of {module, options}"
      refute message =~ "hush"
    end
  end

  @tag :tmp_dir
  test "the same sink twice, which would write the same file twice, is refused", %{tmp_dir: dir} do
    for options <- [[], [types: [campaign: :string]]] do
      sinks = [{Files, dir: dir}, {Files, [dir: Path.join(dir, "a/..")] ++ options}]
      assert refused(sinks) =~ "AdTally.Sink.Files is there twice with the same"
    end
  end

  test "a sink says itself what it writes to, by which two are the same or different" do
    two = fn topic -> [{Topics, to: self(), retries: 1}, {Topics, to: self(), topic: topic}] end
    # The default of the first one.
    assert refused(two.("rollups")) =~ "Topics is there twice with the same options or target"
    assert [%{sink: Topics}, %{sink: Topics}] = Meter.info(start(two.("others"))).sinks

    # One that says nothing has its options.
    assert refused([{Telling, to: self()}, {Telling, to: self()}]) =~ "Telling is there twice"
    assert [_, _] = Meter.info(start([{Telling, to: self()}, {Telling, to: nil}])).sinks
    # Of two modules the targets are different whatever they are called.
    assert [_, _] = Meter.info(start([{Telling, topic: "a"}, {Topics, topic: "a"}])).sinks
  end

  # Such as a disk that is not mounted yet: what can be mended while the meter runs is no wrong option.
  @tag :tmp_dir
  test "a directory that cannot be made yet is waited for", %{tmp_dir: dir} do
    path = Path.join(dir, "mounted")
    File.write!(path, "")

    log =
      capture_log(fn ->
        name = start([{Files, dir: Path.join(path, "rollups")}])
        assert Meter.record(name, %Event{at: @at, dimensions: {42}}) == :ok
        assert Meter.record(name, %Event{at: @at + 3_600_000, dimensions: {42}}) == :ok
        await(fn -> match?([%{failed: failed}] when failed > 0, Meter.info(name).sinks) end)
        File.rm!(path)
        await(fn -> match?([%{delivered: 1}], Meter.info(name).sinks) end)
        GenServer.stop(name)
      end)

    assert log =~ "AdTally.Sink.Files has not taken window 1"
    assert [_, _] = path |> Path.join("rollups") |> SinkFiles.paths(:counters)
  end
end
