defmodule AdTally.Windows.PartsTest do
  # The processes of a meter: what they leave in the log, what they do about what hangs, and about
  # what is sent to them by mistake.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import ExUnit.CaptureLog

  alias AdTally.{Counters, Event, Meter}
  alias AdTally.Windows.{Delivery, Emitter}

  @at 1_780_272_000_000
  @credential "hunter2-credential"
  @secret "SECRET of 16 by."

  defmodule Keyed do
    @behaviour AdTally.Sink

    # Its options do not match.
    @impl true
    def deliver(_window, password: :none), do: :ok
  end

  defmodule Hanging do
    @behaviour AdTally.Sink

    @impl true
    def deliver(window, to: pid) do
      send(pid, {:attempt, self(), window.sequence})
      receive(do: (:go_on -> :ok))
    end
  end

  def hang(events) do
    send(hd(events).user |> String.to_existing_atom(), {:late, self()})
    receive(do: (:go_on -> :ok))
  end

  setup do
    {:ok, name: Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")}
  end

  defp start(name, options) do
    fixed = [name: name, dimensions: [:page], metrics: [:views], clock: :events]
    spec = Supervisor.child_spec({Meter, fixed ++ options}, restart: :temporary)
    start_supervised!(spec)
  end

  defp record(name, at \\ @at, user \\ nil),
    do: Meter.record(name, %Event{at: at, user: user, dimensions: {1}, metrics: [views: 1]})

  defp parts(meter) do
    {:links, links} = Process.info(meter, :links)
    Enum.filter(links, &(is_pid(&1) and :proc_lib.translate_initial_call(&1) |> part?()))
  end

  defp part?({module, :init, 1}), do: module in [Delivery, Emitter, Meter.Late]
  defp part?(_other), do: false

  describe "neither credentials of sinks nor secrets are in the log" do
    for {whose, at} <- [{"a meter", 0}, {"a part of a meter", 1}, {"another part", 2}] do
      test "when #{whose} is killed", %{name: name} do
        sinks = [{Keyed, password: @credential}]
        reach = [by: [:page], secret: @secret]

        log =
          capture_log(fn ->
            meter = start(name, sinks: sinks, reach: reach, window: 100, lateness: 1)
            assert record(name) == :ok
            assert record(name, @at + 1_000) == :ok
            # A delivery has failed, and its pause goes on.
            await(fn -> match?([%{failed: failed}] when failed > 0, Meter.info(name).sinks) end)
            parts = [_, _] = parts(meter)
            monitors = Enum.map([meter | parts], &Process.monitor/1)
            Process.exit(Enum.at([meter | parts], unquote(at)), :kill)
            for monitor <- monitors, do: assert_receive({:DOWN, ^monitor, _, _, _})
          end)

        assert log =~ "#{inspect(Keyed)} has not taken window 1"
        refute log =~ @credential
        refute log =~ @secret
      end
    end
  end

  describe "what hangs for more than a minute is named in the log" do
    test "a sink", %{name: name} do
      meter = start(name, sinks: [{Hanging, to: self()}], window: 100, lateness: 1)
      assert record(name) == :ok
      assert record(name, @at + 1_000) == :ok
      assert_receive {:attempt, pid, 1}

      assert checks(meter) =~
               "#{inspect(name)}: the attempt of #{inspect(Hanging)} to take a window"

      send(pid, :go_on)
      await(fn -> match?([%{delivered: 1}], Meter.info(name).sinks) end)
      refute checks(meter) =~ inspect(name)
    end

    test "the function of :on_late", %{name: name} do
      Process.register(self(), name)
      meter_name = Module.concat(name, "Meter")
      late = {__MODULE__, :hang}
      meter = start(meter_name, on_late: late, window: 100, lateness: 1, reach: [by: [:page]])
      assert record(meter_name, @at + 1_000) == :ok
      await(fn -> record(meter_name, @at, Atom.to_string(name)) == :late end)
      assert_receive {:late, pid}

      assert checks(meter) =~
               "#{inspect(meter_name)}: #{inspect(__MODULE__)}.hang, the function of :on_late"

      send(pid, :go_on)
    end

    test "a telemetry handler, which is killed, so that the others go on", %{name: name} do
      test = self()

      handler = fn _event, _measurements, metadata, _config ->
        if metadata[:meter] == name do
          send(test, {:handled, self(), metadata.sequence})
          if metadata.sequence == 1, do: Process.sleep(:infinity)
        end
      end

      :ok = :telemetry.attach(name, [:ad_tally, :window, :closed], handler, nil)
      on_exit(fn -> :telemetry.detach(name) end)
      meter = start(name, window: 100, lateness: 1)
      for step <- 0..2, do: assert(record(name, @at + 1_000 * step) == :ok)
      assert_receive {:handled, pid, 1}
      monitor = Process.monitor(pid)
      assert checks(meter) =~ "#{inspect(name)}: a telemetry handler, which is ended now,"
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
      assert_receive {:handled, _pid, 2}
    end

    # As if two minutes had passed.
    defp checks(meter) do
      capture_log(fn ->
        for _minute <- 1..2, part <- parts(meter) do
          send(part, :check_attempt)
          :sys.get_state(part)
        end
      end)
    end
  end

  test "a message that was sent to a meter or a table's owner by mistake does not end it", %{
    name: name
  } do
    meter = start(name, [])
    owner = start_supervised!({Counters, name: Module.concat(name, "Counters"), metrics: [:n]})

    for pid <- [meter, owner] do
      GenServer.cast(pid, :mistake)
      send(pid, :mistake)
      assert GenServer.call(pid, :mistake) == {:error, :unknown_call}
      assert Process.alive?(pid)
    end
  end

  test "an attempt ends with the delivery that has begun it", %{name: name} do
    meter = start(name, sinks: [{Hanging, to: self()}], window: 100, lateness: 1)
    assert record(name) == :ok
    assert record(name, @at + 1_000) == :ok
    assert_receive {:attempt, attempt, 1}
    monitor = Process.monitor(attempt)
    {:links, links} = Process.info(attempt, :links)

    capture_log(fn ->
      Enum.each(links, &Process.exit(&1, :kill))
      assert_receive {:DOWN, ^monitor, :process, ^attempt, :killed}
      monitor = Process.monitor(meter)
      assert_receive {:DOWN, ^monitor, :process, ^meter, _reason}
    end)
  end
end
