defmodule AdTally.Pacer.OptionsTest do
  use ExUnit.Case, async: true

  alias AdTally.Pacer

  setup context do
    [name: Module.concat(__MODULE__, "Pacer#{context.line}")]
  end

  defp refused(name, options) do
    options = if Keyword.has_key?(options, :name), do: options, else: [{:name, name} | options]
    assert_raise(ArgumentError, fn -> Pacer.start_link(options) end).message
  end

  test "rejects wrong options by name, and says what would have been right", %{name: name} do
    for {options, words} <- [
          {[name: nil], "expected :name to be an atom, got: nil"},
          {[nodes: []], "expected :nodes to be :this, or a list of one to 255 different names"},
          {[nodes: [:here]], "such as :\"ads@10.0.0.1\", the same on all of them, got: [:here]"},
          {[nodes: ["a@b"]], "got: [\"a@b\"]"},
          {[nodes: [:a@b, :a@b]], "got: [:a@b, :a@b]"},
          {[nodes: [:a@b | :b@b]], "expected :nodes"},
          {[nodes: [:a@b, :b@b]],
           "expected :nodes to have this node, :nonode@nohost, among them, got: [:a@b, :b@b]. It has no name yet"},
          {[tick: 999],
           "expected :tick to be milliseconds, an integer from 1000 to 3600000, got: 999"},
          {[tick: 3_600_001], "got: 3600001"},
          {[tick: 60.0], "got: 60.0"},
          {[clock: :events], "expected :clock to be :system or :manual, got: :events"},
          {[seed: -1], "expected :seed to be an integer from 0 to 2^64 - 1"},
          {[max_campaigns: 0],
           "expected :max_campaigns to be an integer from 1 to 1000000, got: 0"},
          {[max_campaigns: 1_000_001], "got: 1000001"},
          {[max_reservations: 0], "expected :max_reservations to be an integer from 1 to"},
          {[max_ahead: 0], "expected :max_ahead to be milliseconds"},
          {[store: "Store"], "expected :store to be the name of an AdTally.Store"},
          {[store: NoSuchStore], "there is no AdTally.Store named NoSuchStore that runs"},
          {[lease: 5], "unknown or repeated options [:lease], known are :name, :store, :nodes"},
          {[:tick], "expected a keyword list of options"}
        ] do
      message = refused(name, options)
      assert message =~ words, "#{inspect(options)}: #{message}"
    end

    assert Process.whereis(name) == nil
  end

  test "a second one of the same name is refused", %{name: name} do
    {:ok, pid} = Pacer.start_link(name: name)
    assert Pacer.start_link(name: name) == {:error, {:already_started, pid}}
  end

  test "several are children of one supervisor", %{name: name} do
    other = Module.concat(name, Other)
    start_supervised!({Pacer, name: name})
    start_supervised!({Pacer, name: other})
    assert Pacer.put(name, 1, budget_micros: 5_000) == :ok
    assert Pacer.status(other, 1) == {:error, :unknown}
  end

  test "calls raise while it does not run", %{name: name} do
    for call <- [
          &Pacer.put(&1, 1, budget_micros: 1),
          &Pacer.delete(&1, 1),
          &Pacer.reserve(&1, 1, 1, 1, 1),
          &Pacer.confirm(&1, <<>>, 1, 1),
          &Pacer.release(&1, <<>>),
          &Pacer.open(&1, [1], 1, 1),
          &Pacer.status(&1, 1),
          &Pacer.info/1,
          &Pacer.tick(&1, 1)
        ] do
      assert_raise ArgumentError,
                   ~r/there is no AdTally.Pacer named .* that runs: start it under a supervisor/,
                   fn -> call.(name) end

      assert_raise ArgumentError,
                   ~r/expected the name of an AdTally.Pacer, an atom, got: 7/,
                   fn ->
                     call.(7)
                   end
    end
  end

  test "messages that are sent by mistake do not end it", %{name: name} do
    pid = start_supervised!({Pacer, name: name})
    send(pid, :hello)
    send(pid, {:ad_tally_pacer, 7, :other@node, :changed})
    send(pid, {make_ref(), :ok})
    GenServer.cast(name, :hello)
    assert GenServer.call(name, :hello) == {:error, :unknown_call}
    assert Process.whereis(name) == pid
  end
end
