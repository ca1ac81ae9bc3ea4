defmodule AdTally.Web.ReportsTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias AdTally.Web.Reports

  setup context do
    name = Module.concat(__MODULE__, "Page#{context.line}")
    start_supervised!({Reports, %{name: name}})
    [name: name, made: :counters.new(1, [])]
  end

  # A report that counts how often it is made, and is that number.
  defp get(name, made, key, options \\ []) do
    make = fn ->
      Process.sleep(Keyword.get(options, :takes, 0))
      :counters.add(made, 1, 1)
      Keyword.get(options, :made, {:ok, :counters.get(made, 1)})
    end

    view = Keyword.get(options, :view, :all)
    Reports.get(name, key, make, view, fn made, at, took -> {view, made, at, took} end)
  end

  test "is made once for all who ask while it is", %{name: name, made: made} do
    asked = for _ <- 1..20, do: Task.async(fn -> get(name, made, :a, takes: 100) end)
    assert [{:ok, {:all, 1, at, took}}] = asked |> Task.await_many(10_000) |> Enum.uniq()
    assert abs(at - System.system_time(:millisecond)) < 5_000
    assert took >= 100
    assert :counters.get(made, 1) == 1
  end

  test "is not made anew within a second, whatever is shown of it", %{name: name, made: made} do
    assert {:ok, {:all, 1, at, _took}} = get(name, made, :a)
    assert {:ok, {:some, 1, ^at, _took}} = get(name, made, :a, view: :some)
    assert {:ok, {:all, 1, ^at, _took}} = get(name, made, :a)
    assert :counters.get(made, 1) == 1
  end

  test "that is older is shown, and made anew meanwhile", %{name: name, made: made} do
    assert {:ok, {:all, 1, _at, _took}} = get(name, made, :a)
    Process.sleep(1_100)
    assert {:ok, {:all, 1, _at, _took}} = get(name, made, :a, takes: 50)
    Process.sleep(500)
    assert {:ok, {:all, 2, _at, _took}} = get(name, made, :a)
  end

  test "that takes long is made seldom: in a two-hundredth of the time", %{name: name, made: made} do
    assert {:ok, {:all, 1, _at, _took}} = get(name, made, :a, takes: 50)
    Process.sleep(1_500)
    assert {:ok, {:all, 1, _at, _took}} = get(name, made, :a)
    Process.sleep(200)
    assert :counters.get(made, 1) == 1
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

    assert asked |> Task.await_many(10_000) |> Enum.uniq() == [{:ok, :made}]
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

  test "that somebody waits for is not forgotten, however many there are", %{name: name} do
    server = Reports.server(name)
    test = self()

    make = fn ->
      send(test, {:making, self()})
      receive do: (:go -> {:ok, :made})
    end

    # Requests of one process come in their order.
    asked =
      for key <- 1..40 do
        shown = fn made, _at, _took -> {key, made} end
        :gen_server.send_request(server, {:get, key, make, :all, shown})
      end

    send(server, :forget)

    for _ <- 1..40 do
      assert_receive {:making, maker}, 5_000
      send(maker, :go)
    end

    for {request, key} <- Enum.zip(asked, 1..40),
        do: assert({:reply, {:ok, {^key, :made}}} = :gen_server.receive_response(request, 5_000))
  end

  test "that fails, or crashes, is an error for who has asked, and is tried again", %{
    name: name,
    made: made
  } do
    assert get(name, made, :a, made: {:error, 404, "no meter"}) == {:error, 404, "no meter"}

    assert {:error, 503, message} =
             Reports.get(name, :b, fn -> exit(:crashed) end, :all, fn made, _at, _took -> made end)

    assert message =~ "could not be made"
    Process.sleep(1_100)
    get(name, made, :a)
    Process.sleep(300)
    assert {:ok, {:all, 2, _at, _took}} = get(name, made, :a)
  end
end
