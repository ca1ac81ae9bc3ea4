defmodule AdTally.Web.HealthTest do
  use ExUnit.Case, async: true

  @moduletag :capture_log

  import AdTally.Test.Polling, only: [await: 1]

  alias AdTally.{Counters, Event, Meter, Pacer, Web}
  alias AdTally.Test.WebJSON
  alias AdTally.Web.{Config, Health, Problems, Reports}

  defmodule Failing do
    @moduledoc false
    @behaviour AdTally.Sink

    @impl true
    def deliver(_window, _options), do: {:error, "as the test wants it"}
  end

  setup context do
    page = Module.concat(__MODULE__, "Page#{context.line}")
    start_supervised!({Web, name: page, port: false})
    [page: page]
  end

  defp get(page, path) do
    {status, _headers, body} = Web.response("GET", path, "", [], name: page)
    {status, WebJSON.decode!(body)}
  end

  defp text(name), do: name |> Atom.to_string() |> String.replace_prefix("Elixir.", "")

  # Other tests have problems of their own.
  defp problems(page, name) do
    {_status, answer} = get(page, "/api/health")
    for problem <- answer["problems"], problem["name"] == text(name), do: problem
  end

  test "a part that has crashed is an error, for load balancers too, until it runs again", %{
    page: page
  } do
    name = Module.concat(page, Crashed)
    {:ok, pid} = Counters.start_link(name: name, metrics: [:clicks])
    await(fn -> problems(page, name) == [] end)
    Process.unlink(pid)
    Process.exit(pid, :kill)
    await(fn -> problems(page, name) != [] end)

    assert [%{"severity" => "error", "kind" => "part", "what" => what, "do" => to_do}] =
             problems(page, name)

    assert what =~ "has crashed"
    assert to_do =~ "log"
    assert {503, %{"status" => "failing", "problems" => problems}} = get(page, "/health")
    assert text(name) in Enum.map(problems, & &1["name"])
    {:ok, pid} = Counters.start_link(name: name, metrics: [:clicks])
    await(fn -> problems(page, name) == [] end)
    GenServer.stop(pid)
  end

  test "a sink that has failed again and again is a warning, and an error once many windows wait",
       %{page: page} do
    name = Module.concat(page, Meter)

    start_supervised!(
      {Meter,
       name: name,
       dimensions: [:campaign],
       metrics: [:clicks],
       clock: :events,
       window: 1_000,
       lateness: 1,
       flush: 1,
       sinks: [{Failing, []}]}
    )

    event = %Event{at: 1_780_272_000_000, dimensions: {42}, metrics: [clicks: 1]}
    for second <- 0..20, do: Meter.record(name, %{event | at: event.at + 1_000 * second})

    await(fn -> Enum.any?(problems(page, name), &(&1["severity"] == "error")) end)
    assert [%{"kind" => "sink", "what" => what}] = problems(page, name)
    assert what =~ ~r/\d+ windows wait for .*Failing, and it has failed \d+ times in a row/
    {_status, answer} = get(page, "/api/health")

    assert %{"waiting" => waiting, "failed" => failed} =
             Enum.find(answer["windows"], &(&1["name"] == text(name)))

    assert waiting >= 10 and failed >= 3
  end

  test "events of which most are not counted are a warning that names the reason", %{page: page} do
    name = Module.concat(page, Meter)
    start_supervised!({Meter, name: name, dimensions: [:campaign], metrics: [:clicks]})
    event = %Event{at: 1_780_272_000_000, dimensions: {42}, metrics: [clicks: 1]}

    await(fn ->
      for _ <- 1..50, do: :late = Meter.record(name, event)
      problems(page, name) != []
    end)

    assert [%{"severity" => "warning", "kind" => "meter", "what" => what, "do" => to_do}] =
             problems(page, name)

    assert what ==
             "100 % of the events of the last minute were not counted, most of them because they came too late"

    assert to_do =~ "more than :lateness (300 s)"
  end

  test "a clock that differs is ahead or behind", %{page: page} do
    nothing = %{missing: [], stores: %{}, meters: %{}, attributions: %{}}
    offsets = %{:"ads@10.0.0.8" => 6_200, :"ads@10.0.0.9" => -7_900}
    peers = %{disagreeing_nodes: [], lost_nodes: [], clock_offsets: offsets}
    problems = Problems.of(Config.new!(name: page, port: false), nothing, [{Paced, peers}], 200)

    assert Enum.map(problems, & &1.what) == [
             "the clock of ads@10.0.0.8 is 6 s ahead of this one",
             "the clock of ads@10.0.0.9 is 7 s behind this one"
           ]
  end

  test "what is wrong does not wait for a report that takes long", %{page: page} do
    test = self()

    long = fn ->
      send(test, {:making, self()})
      receive do: (:go -> {:ok, :made})
    end

    only = fn made, _at, _took -> made end
    report = Task.async(fn -> Reports.get(page, :long, long, :only, only, 60_000) end)
    assert_receive {:making, maker}
    health = Task.async(fn -> get(page, "/api/health") end)
    # Less than a view waits for a report.
    assert {:ok, {200, answer}} = Task.yield(health, 5_000)
    assert %{"leases" => [], "problems" => _problems} = answer
    send(maker, :go)
    assert Task.await(report, :infinity) == {:ok, :made}
  end

  test "leases are those of each node", %{page: page} do
    name = Module.concat(page, Pacer)
    start_supervised!({Pacer, name: name})
    for campaign <- 1..100, do: :ok = Pacer.put(name, campaign, budget_micros: 5_000_000)

    for campaign <- 1..100,
        do: {:ok, _} = Pacer.reserve(name, campaign, 1, 1_000, System.system_time(:millisecond))

    await(fn ->
      {_status, answer} = get(page, "/api/health")
      Enum.any?(answer["leases"], &(&1["pacer"] == text(name)))
    end)

    {_status, answer} = get(page, "/api/health")
    assert [lease] = Enum.filter(answer["leases"], &(&1["pacer"] == text(name)))
    assert lease["node"] == Atom.to_string(node())
    assert lease["campaigns"] == 100
    assert lease["micros"] >= 100_000

    assert %{"lost_nodes" => [], "clock_offsets" => %{}} =
             Enum.find(answer["pacers"], &(&1["name"] == text(name)))
  end

  test "a campaign that is put again while leases are read counts once", %{page: page} do
    name = Module.concat(page, Pacer)
    start_supervised!({Pacer, name: name})
    for campaign <- 1..1_000, do: :ok = Pacer.put(name, campaign, budget_micros: 5_000_000)
    await(fn -> match?([%{campaigns: 1_000}], Health.leased(name)) end)

    start_supervised!(
      {Task,
       fn ->
         for budget <- Stream.iterate(5_000_001, &(&1 + 1)),
             campaign <- 1..1_000,
             do: Pacer.put(name, campaign, budget_micros: budget)
       end}
    )

    for _ <- 1..50, do: assert([%{campaigns: 1_000}] = Health.leased(name))
  end
end
