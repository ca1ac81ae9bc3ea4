defmodule AdTally.GuidesTest do
  # Names of processes and modules are the guide's.
  use ExUnit.Case

  alias AdTally.Meter
  alias Broadway.Message

  defmodule Elsewhere do
    @moduledoc false
    # What a reader's service has and the guide does not show.
    def code do
      quote do
        defmodule MyApp.Broker do
          def publish(topic, bytes) do
            send(AdTally.GuidesTest, {:published, topic, :erlang.binary_to_term(bytes)})
            :ok
          end
        end

        defmodule MyApp.Alerts do
          def sink(event, _measurements, metadata, _config),
            do: send(AdTally.GuidesTest, {:alert, event, metadata.meter})
        end
      end
    end
  end

  @tag :tmp_dir
  test "the production guide takes caps out and puts them back", %{tmp_dir: dir} do
    [[_all, handover]] =
      Regex.scan(
        ~r/```elixir\n(defmodule MyApp.Handover.*?)```/s,
        File.read!("guides/production.md")
      )

    Code.eval_string(handover)
    [handover, path] = [MyApp.Handover, Path.join(dir, "caps.frames")]
    assert apply(handover, :load, [path]) == {:ok, :nothing}
    rules = [{1, :timer.hours(1)}]

    options = [name: MyApp.Caps] ++ apply(handover, :options, [path])
    start_supervised!({AdTally.FrequencyCap, options})
    assert AdTally.FrequencyCap.admit(MyApp.Caps, :home, "ann", rules) == :ok
    apply(handover, :save, [path])
    stop_supervised!({AdTally.FrequencyCap, MyApp.Caps})

    options = [name: MyApp.Caps] ++ apply(handover, :options, [path])
    start_supervised!({AdTally.FrequencyCap, options})
    assert {:ok, %{rows: 1, complete?: true}} = apply(handover, :load, [path])
    assert {:capped, _rule} = AdTally.FrequencyCap.admit(MyApp.Caps, :home, "ann", rules)
  end

  @tag :tmp_dir
  test "the code of the guide to begin with does what it says", %{tmp_dir: dir} do
    Process.register(self(), __MODULE__)
    Code.eval_quoted(Elsewhere.code())
    store = AdTally.Test.Stores.dir()

    snippets =
      for [snippet] <-
            Regex.scan(~r/```elixir\n(.*?)```/s, File.read!("guides/getting_started.md"),
              capture: :all_but_first
            ),
          do:
            snippet
            |> String.replace(~s("rollups"}), ~s("#{dir}"}), global: false)
            |> String.replace(~s("/var/lib/my_app/ads"), ~s("#{store}"))

    [installing, application, server, showing, pipeline, reporting, sink, late, watching] =
      snippets

    {{:module, deps, _code, _last}, _binding} =
      Code.eval_string("defmodule MyApp.MixProject do\n#{installing}end")

    assert [{:ad_tally, requirement}] = deps.deps()
    assert Version.match?(to_string(Application.spec(:ad_tally, :vsn)), requirement)

    for module <- [sink, late, server, pipeline, application], do: Code.eval_string(module)
    {:ok, supervisor} = apply(MyApp.Application, :start, [:normal, []])
    Process.unlink(supervisor)
    Code.eval_string(watching)
    Code.eval_string(showing)

    # Two events from a broker, one of which comes again in another batch.
    now = System.system_time(:millisecond)
    click = "01JEX5M3Z7,click,#{now},42,7,us,ann,0"
    impression = "01JEX5M3Z7,impression,#{now},42,8,us,ben,1250"
    handle([click, impression])
    handle([impression])

    Code.eval_string(reporting)

    # One event of a newer version, whose time is in microseconds, is refused: its message alone fails.
    newer = "01JEX5M3ZA,click,#{now * 1_000},42,7,us,ann,0"
    batch = for line <- [impression, newer, click], do: message(line)
    assert [%{status: :ok}, rejected, %{status: :ok}] = batch(batch)
    assert rejected?(rejected, "a time is")
    assert %{events: %{applied: 3, duplicate: 3, refused: 1}} = Meter.info(MyApp.Ads)

    # What cannot be parsed leaves the queue.
    assert rejected?(message("click"), "no match of right hand side")
    unknown = "01JEX5M3Z8,view,#{now},42,8,us,ben,1250"
    assert rejected?(message(unknown), "no function clause matching")

    long_past = "01JEX5M3Z9,click,#{now - 3_600_000},42,7,us,ann,0"
    handle([long_past])
    assert_receive {:published, "late", %AdTally.Event{id: {"click", "01JEX5M3Z9"}}}
    assert %{events: %{late: 1}} = Meter.info(MyApp.Ads)

    # A stop leaves windows open, and the next start goes on with them.
    Supervisor.stop(supervisor)
    refute_received {:published, "rollups", _window}
    {:ok, supervisor} = apply(MyApp.Application, :start, [:normal, []])
    Process.unlink(supervisor)
    handle([click, impression])
    assert %{events: %{applied: 0, duplicate: 2}} = Meter.info(MyApp.Ads)
    assert Meter.close(MyApp.Ads) == :ok
    Supervisor.stop(supervisor)
    assert_received {:published, "rollups", {{MyApp.Ads, _node, _epoch, 1}, _start, rows}}

    assert {{42, 8, "us"}, %{impressions: 1, clicks: 0, conversions: 0, spend_micros: 1_250}} in rows

    assert [_ | _] = files = AdTally.Test.SinkFiles.names(dir)
    assert Enum.all?(files, &String.ends_with?(&1, ".ndjson.gz"))
    refute_received {:alert, _event, _meter}
    :telemetry.execute([:ad_tally, :sink, :failed], %{}, %{meter: MyApp.Ads})
    assert_received {:alert, [:ad_tally, :sink, :failed], MyApp.Ads}
  end

  @tag :capture_log
  test "the pipeline of the guide on durability counts every event once, over a kill of everything" do
    dir = AdTally.Test.Stores.dir()

    [supervisor, pipeline, probe, _watching] =
      for [snippet] <-
            Regex.scan(~r/```elixir\n(.*?)```/s, File.read!("guides/durability.md"),
              capture: :all_but_first
            ),
          do: snippet

    for module <- [supervisor, pipeline, probe], do: Code.eval_string(module)
    assert apply(MyApp.Probe, :status, []) == 503
    {:ok, tree} = apply(MyApp.Ads.Supervisor, :start_link, [[dir: dir]])
    Process.unlink(tree)
    assert apply(MyApp.Probe, :status, []) == 200

    now = System.system_time(:millisecond)
    clicks = for id <- 1..20, do: "click-#{id},#{now},42,ann-#{id},350000"
    handle(clicks, MyApp.Clicks)
    AdTally.Test.Stores.kill_tree(tree)
    {:ok, tree} = apply(MyApp.Ads.Supervisor, :start_link, [[dir: dir]])
    Process.unlink(tree)

    # All of them come again, with new ones and a bad one.
    handle(clicks, MyApp.Clicks)
    more = for id <- 21..30, do: "click-#{id},#{now},42,ann-#{id},350000"
    bad = message("click-31,#{now * 1_000},42,ann-31,350000", MyApp.Clicks)
    more = Enum.map(more, &message(&1, MyApp.Clicks))
    assert (more ++ [bad]) |> batch(MyApp.Clicks) |> List.last() |> rejected?("a time is")
    assert rejected?(message("click-32", MyApp.Clicks), "no match of right hand side")

    assert [%{clicks: 30, spend_micros: 10_500_000}] = Meter.report(MyApp.Meter)
    assert AdTally.Attribution.info(MyApp.Attribution).users == 30
    Supervisor.stop(tree)
  end

  defp handle(lines, pipeline \\ MyApp.AdEvents) do
    messages = Enum.map(lines, &message(&1, pipeline))
    assert batch(messages, pipeline) == messages
  end

  # As the acknowledger of a message.
  def configure(nil, options, more), do: {:ok, Keyword.merge(options, more)}

  defp rejected?(%{status: {:failed, reason}, acknowledger: {_module, nil, options}}, text),
    do: options == [on_failure: :reject] and reason =~ text

  defp message(line, pipeline \\ MyApp.AdEvents) do
    message = struct!(Message, data: line, acknowledger: {__MODULE__, nil, []})
    apply(pipeline, :handle_message, [:default, message, %{}])
  end

  defp batch(messages, pipeline \\ MyApp.AdEvents),
    do: apply(pipeline, :handle_batch, [:default, messages, %{}, %{}])
end
