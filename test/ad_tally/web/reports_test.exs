defmodule AdTally.Web.ReportsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Polling, only: [await: 1]
  import ExUnit.CaptureLog

  alias AdTally.Web.Reports

  setup context do
    name = Module.concat(__MODULE__, "Page#{context.line}")
    time = :counters.new(1, [])
    clock = fn -> :counters.get(time, 1) end
    start_supervised!(%{id: name, start: {Reports, :start_link, [%{name: name}, clock]}})
    [name: name, made: :counters.new(1, []), time: time]
  end

  # A report that counts how often it is made, and is that number.
  defp get(name, made, key, options \\ []) do
    make = fn ->
      Keyword.get(options, :takes, fn -> :ok end).()
      :counters.add(made, 1, 1)
      Keyword.get(options, :made, {:ok, :counters.get(made, 1)})
    end

    view = Keyword.get(options, :view, :all)
    Reports.get(name, key, make, view, fn made, at, took -> {view, made, at, took} end)
  end

  # Milliseconds that pass.
  defp later(time, milliseconds), do: :counters.add(time, 1, milliseconds)

  # Returns once all is made that was asked for before: another report is made after it.
  defp finish(name),
    do: {:ok, :made} = Reports.get(name, make_ref(), fn -> {:ok, :made} end, :all, &only/3)

  defp only(made, _at, _took), do: made

  # Requests of one process come in their order, and none is waited for.
  defp request(name, key, make, view, patience \\ 10_000) do
    answer = fn made, _at, took -> {view, made, took} end
    :gen_server.send_request(Reports.server(name), {:get, key, make, view, answer, patience})
  end

  # Returns once all that was requested before has come.
  defp come(name), do: :sys.get_state(Reports.server(name))

  defp answer(request) do
    assert {:reply, answer} = :gen_server.receive_response(request, :infinity)
    answer
  end

  # A report that is made once the test wants it.
  defp held(test) do
    fn ->
      send(test, {:making, self()})
      receive do: (:go -> {:ok, :made})
    end
  end

  test "is made once for all who ask while it is", %{name: name, time: time} do
    make = held(self())
    asked = for view <- 1..20, do: request(name, :a, make, view)
    assert_receive {:making, maker}
    later(time, 100)
    send(maker, :go)
    assert Enum.map(asked, &answer/1) == for(view <- 1..20, do: {:ok, {view, :made, 100}})
    finish(name)
    refute_received {:making, _other}
  end

  test "is not made anew within a second, whatever is shown of it", context do
    %{name: name, made: made, time: time} = context
    before = System.system_time(:millisecond)
    assert {:ok, {:all, 1, at, 0}} = get(name, made, :a)
    assert at in before..System.system_time(:millisecond)
    later(time, 999)
    assert {:ok, {:some, 1, ^at, 0}} = get(name, made, :a, view: :some)
    assert {:ok, {:all, 1, ^at, 0}} = get(name, made, :a)
    finish(name)
    assert :counters.get(made, 1) == 1
  end

  test "that is older is shown, and made anew meanwhile", context do
    %{name: name, made: made, time: time} = context
    assert {:ok, {:all, 1, _at, 0}} = get(name, made, :a)
    later(time, 1_000)
    assert {:ok, {:all, 1, _at, 0}} = get(name, made, :a)
    await(fn -> match?({:ok, {:all, 2, _at, 0}}, get(name, made, :a)) end)
    finish(name)
    assert :counters.get(made, 1) == 2
  end

  test "that is much older is not shown any more", context do
    %{name: name, made: made, time: time} = context
    assert {:ok, {:all, 1, _at, 0}} = get(name, made, :a)
    later(time, 3_000)
    assert {:ok, {:all, 2, _at, 0}} = get(name, made, :a)
  end

  test "that takes long is made seldom: in a three-hundredth of the time", context do
    %{name: name, made: made, time: time} = context
    assert {:ok, {:all, 1, _at, 50}} = get(name, made, :a, takes: fn -> later(time, 50) end)
    later(time, 14_999)
    assert {:ok, {:all, 1, _at, 50}} = get(name, made, :a)
    finish(name)
    assert :counters.get(made, 1) == 1
    later(time, 1)
    assert {:ok, {:all, 1, _at, 50}} = get(name, made, :a)
    finish(name)
    assert :counters.get(made, 1) == 2
  end

  test "is made after another one, not beside it", %{name: name, made: made} do
    running = :counters.new(1, [])

    make = fn ->
      :counters.add(running, 1, 1)
      1 = :counters.get(running, 1)
      Process.sleep(20)
      :counters.sub(running, 1, 1)
      :counters.add(made, 1, 1)
      {:ok, :made}
    end

    asked =
      for key <- 1..10,
          do:
            Task.async(fn ->
              Reports.get(name, key, make, :all, fn made, _at, _took -> made end)
            end)

    assert asked |> Task.await_many(:infinity) |> Enum.uniq() == [{:ok, :made}]
    assert :counters.get(made, 1) == 10
  end

  test "that cannot be shown is an error for who has asked, and ends nothing", context do
    %{name: name, made: made} = context
    server = Process.whereis(Reports.server(name))
    unexpected = fn _made, _at, _took -> Enum.sort(:unexpected) end
    ask = fn -> Reports.get(name, :a, fn -> {:ok, 1} end, :unexpected, unexpected) end

    log =
      capture_log(fn ->
        assert {:error, 503, "this report could not be shown: see the log"} = ask.()
        assert {:error, 503, "this report could not be shown: see the log"} = ask.()
      end)

    assert log =~ "could not be shown: ** (Protocol.UndefinedError)"
    assert log =~ "Enum.sort/2"
    assert {:ok, {:all, 1, _at, _took}} = get(name, made, :a)
    assert Process.whereis(Reports.server(name)) == server
  end

  test "that somebody waits for is not forgotten, however many there are", context do
    %{name: name, time: time} = context
    asked = for key <- 1..33, do: request(name, key, held(self()), key, 100_000)
    # All of them have been asked for, and nobody has asked again for a minute.
    come(name)
    later(time, 60_000)
    send(Reports.server(name), :forget)

    for _ <- 1..33 do
      assert_receive {:making, maker}
      send(maker, :go)
    end

    for {request, key} <- Enum.zip(asked, 1..33),
        do: assert({:ok, {^key, :made, _took}} = answer(request))
  end

  test "is refused at once where 32 others wait, and made once there is room", context do
    %{name: name, made: made} = context
    asked = for key <- 1..33, do: request(name, key, held(self()), key)
    assert {:error, 503, message} = get(name, made, 34)

    assert message ==
             "32 other reports wait to be made before this one: ask again in a few seconds"

    # One that waits already takes no room.
    asked = asked ++ [request(name, 33, held(self()), 33)]
    assert_receive {:making, maker}
    send(maker, :go)
    assert_receive {:making, maker}
    asked = asked ++ [request(name, 34, held(self()), 34)]
    send(maker, :go)

    for _ <- 3..34 do
      assert_receive {:making, maker}
      send(maker, :go)
    end

    for {request, key} <- Enum.zip(asked, Enum.to_list(1..33) ++ [33, 34]),
        do: assert({:ok, {^key, :made, 0}} = answer(request))

    assert :counters.get(made, 1) == 0
  end

  test "that was made before is shown, however many others wait", context do
    %{name: name, made: made, time: time} = context
    assert {:ok, {:all, 1, at, 0}} = get(name, made, :a)
    later(time, 1_000)
    for key <- 1..33, do: request(name, key, held(self()), key)
    assert {:ok, {:all, 1, ^at, 0}} = get(name, made, :a)
  end

  test "that all who have waited for it have given up is not made", context do
    %{name: name, time: time} = context
    first = request(name, 1, held(self()), 1, 30_000)
    assert_receive {:making, maker}
    for key <- 2..10, do: request(name, key, held(self()), key)
    come(name)
    later(time, 1)
    second = request(name, 2, held(self()), 2)
    third = request(name, 11, held(self()), 11, 9_999)
    come(name)
    later(time, 9_999)
    send(maker, :go)
    assert {:ok, {1, :made, 10_000}} = answer(first)
    # Of the second one somebody has given up, and somebody waits.
    assert_receive {:making, maker}
    send(maker, :go)
    assert {:ok, {2, :made, 0}} = answer(second)
    finish(name)
    refute_received {:making, _maker}
    assert :gen_server.receive_response(third, 0) == :timeout
  end

  test "that is asked for again after all had given up is made", context do
    %{name: name, made: made, time: time} = context
    request(name, 1, held(self()), 1)
    assert_receive {:making, maker}
    for key <- 2..33, do: request(name, key, held(self()), key)
    come(name)
    later(time, 10_000)
    # The others take no room any more.
    again = request(name, 34, held(self()), 34)
    come(name)
    later(time, 1)
    send(maker, :go)
    assert_receive {:making, maker}
    send(maker, :go)
    assert {:ok, {34, :made, 0}} = answer(again)
    assert {:ok, {:all, 1, _at, 0}} = get(name, made, 2)
    refute_received {:making, _maker}
  end

  test "that was asked for before many others is forgotten", context do
    %{name: name, made: made, time: time} = context

    for key <- 1..40 do
      later(time, 1)
      assert {:ok, {:all, ^key, _at, 0}} = get(name, made, key)
    end

    send(Reports.server(name), :forget)
    for key <- 9..40, do: assert({:ok, {:all, ^key, _at, 0}} = get(name, made, key))
    for key <- 1..8, do: assert({:ok, {:all, _made, _at, 0}} = get(name, made, key))
    assert :counters.get(made, 1) == 48
  end

  test "that takes long is not made each time for somebody who comes once a minute", context do
    %{name: name, made: made, time: time} = context
    assert {:ok, {:all, 1, at, 500}} = get(name, made, :a, takes: fn -> later(time, 500) end)

    for _minute <- 1..2 do
      later(time, 60_000)
      send(Reports.server(name), :forget)
      assert {:ok, {:all, 1, ^at, 500}} = get(name, made, :a)
    end

    # Once it may be made again, it is forgotten.
    later(time, 30_001)
    send(Reports.server(name), :forget)
    assert {:ok, {:all, 2, _at, 0}} = get(name, made, :a)
  end

  test "of each of a thousand campaigns is not kept for half a minute", context do
    %{name: name, made: made, time: time} = context

    for key <- 1..1_000 do
      assert {:ok, {:all, ^key, _at, 0}} = get(name, made, {:campaign, key})
      if rem(key, 10) == 0, do: later(time, 1)
    end

    assert {:ok, {:all, 1_000, _at, 0}} = get(name, made, {:campaign, 1_000})
    assert {:ok, {:all, 1_001, _at, 0}} = get(name, made, {:campaign, 900})
  end

  test "that fails is an error for who has asked, and no longer than a second", context do
    %{name: name, made: made, time: time} = context
    # However long it took.
    failing = [made: {:error, 404, "no meter"}, takes: fn -> later(time, 9_999) end]
    assert get(name, made, :a, failing) == {:error, 404, "no meter"}
    later(time, 999)
    assert get(name, made, :a) == {:error, 404, "no meter"}
    assert :counters.get(made, 1) == 1
    later(time, 1)
    assert {:ok, {:all, 2, _at, 0}} = get(name, made, :a)
  end

  test "that fails after longer than anybody waits is not made again for as long", context do
    %{name: name, made: made, time: time} = context
    failing = [made: {:error, 503, "too long"}, takes: fn -> later(time, 30_000) end]
    assert {:error, 503, "too long"} = get(name, made, :a, failing)
    later(time, 9_999)
    assert {:error, 503, "too long"} = get(name, made, :a)
    assert :counters.get(made, 1) == 1
    later(time, 1)
    assert {:ok, {:all, 2, _at, 0}} = get(name, made, :a)
  end

  test "that crashes, in whatever way, is an error for who has asked, and is logged", context do
    %{name: name, made: made} = context
    server = Process.whereis(Reports.server(name))

    for {make, why} <- [
          {fn -> exit({:noproc, {GenServer, :call, [Ended, :report, 5_000]}}) end,
           "** (exit) exited in: GenServer.call(Ended, :report, 5000)"},
          {fn -> raise "no report" end, "** (RuntimeError) no report"},
          {fn -> throw(:no_report) end, "** (throw) :no_report"},
          {fn -> Process.exit(self(), {:ended_by, :another}) end, "{:ended_by, :another}"}
        ] do
      log =
        capture_log(fn ->
          assert Reports.get(name, make_ref(), make, :all, &only/3) ==
                   {:error, 503, "this report could not be made: see the log"}
        end)

      # Once.
      assert [before, _after] = String.split(log, why)
      assert String.ends_with?(before, "a report of AdTally.Web could not be made: ")
    end

    assert {:ok, {:all, 1, _at, 0}} = get(name, made, :a)
    assert Process.whereis(Reports.server(name)) == server
  end
end
