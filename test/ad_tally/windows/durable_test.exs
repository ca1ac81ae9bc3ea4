defmodule AdTally.Windows.DurableTest do
  # The order of closing with a store, on a source and a store that only tell what they were asked.
  use ExUnit.Case, async: true

  alias AdTally.Windows.Durable

  defmodule Source do
    def closed(test, numbered, partial, node, now) do
      send(test, {:closed, numbered, partial, node, now})
      :ok
    end

    def gone(test, natives) do
      send(test, {:gone, natives})
      :ok
    end
  end

  defmodule Window do
    defstruct [:native, :sequence]
  end

  defp new(sinks, sync \\ nil) do
    test = self()

    begin = fn ->
      tag = make_ref()
      send(test, {:sync, tag})
      tag
    end

    Durable.new(Source, self(), sync || begin, sinks)
  end

  defp window(sequence), do: %Window{native: {:native, sequence}, sequence: sequence}
  defp windows(sequences), do: Enum.map(sequences, &window/1)

  defp synced(durable, answer) do
    assert_received {:sync, tag}
    Durable.synced(durable, tag, answer)
  end

  test "a closed window is recorded, synced, handed to the sinks, and gone once the last one has it" do
    durable = Durable.closed(new(2), [window(1)], false)
    node = Atom.to_string(node())
    assert_received {:closed, [{{:native, 1}, 1}], false, ^node, now}
    assert_in_delta now, System.system_time(:millisecond), 10_000

    assert {[%{sequence: 1}], durable} = synced(durable, :ok)
    refute_received {:sync, _tag}
    durable = Durable.taken(durable, 1)
    refute_received {:gone, _natives}
    durable = Durable.taken(durable, 1)
    assert_received {:gone, [{:native, 1}]}
    assert durable.taken == %{}
  end

  test "nothing is recorded or synced where no window was closed" do
    durable = new(1)
    assert Durable.closed(durable, [], false) == durable
    refute_received _anything
  end

  test "without sinks a window is gone once it is durable, and not before" do
    durable = Durable.closed(new(0), windows([1, 2]), true)
    assert_received {:closed, [{{:native, 1}, 1}, {{:native, 2}, 2}], true, _node, _now}
    refute_received {:gone, _natives}
    assert {[_, _], durable} = synced(durable, :ok)
    assert_received {:gone, [{:native, 1}, {:native, 2}]}
    assert durable.taken == %{}
  end

  test "windows that are closed while a sync is under way share the next one, in their order" do
    durable = Durable.closed(new(1), [window(1)], false)
    assert_received {:sync, first}

    durable =
      durable |> Durable.closed(windows([2, 3]), false) |> Durable.closed([window(4)], true)

    refute_received {:sync, _tag}
    assert {[%{sequence: 1}], durable} = Durable.synced(durable, first, :ok)
    assert {windows, durable} = synced(durable, :ok)
    assert Enum.map(windows, & &1.sequence) == [2, 3, 4]
    assert {[], _durable} = Durable.flushed(durable)
  end

  test "no sink gets a window while syncs fail, and all get them in order once one does not" do
    durable = Durable.closed(new(1), windows([1, 2]), false)
    assert {[], durable} = synced(durable, {:error, "no space"})
    durable = Durable.closed(durable, [window(3)], false)
    refute_received {:sync, _tag}
    assert_receive :sync_again
    durable = Durable.again(durable)
    assert {[], durable} = synced(durable, {:error, "no space"})
    assert_receive :sync_again
    durable = Durable.closed(durable, [window(4)], false)
    durable = Durable.again(durable)
    assert {windows, _durable} = synced(durable, :ok)
    assert Enum.map(windows, & &1.sequence) == [1, 2, 3, 4]
  end

  test "a sync that cannot be begun is tried again" do
    test = self()
    sync = fn -> if Process.get(:runs), do: send(test, make_ref()), else: :error end
    durable = Durable.closed(new(1, sync), [window(1)], false)
    assert_receive :sync_again
    durable = Durable.again(durable)
    assert_receive :sync_again
    Process.put(:runs, true)
    durable = Durable.again(durable)
    assert_received tag when is_reference(tag)
    assert {[%{sequence: 1}], _durable} = Durable.synced(durable, tag, :ok)
  end

  test "the answer of another sync hands over nothing" do
    durable = new(1)
    assert Durable.synced(durable, make_ref(), :ok) == :unknown
    durable = Durable.closed(durable, [window(1)], false)
    assert Durable.synced(durable, make_ref(), :ok) == :unknown
    assert {[], paused} = synced(durable, {:error, "no space"})
    assert Durable.synced(paused, make_ref(), :ok) == :unknown
    # Nor does a timer without a pause.
    assert Durable.again(durable) == durable
  end

  test "windows that were closed before are synced and handed over, and not recorded again" do
    durable = Durable.found(new(1), windows([7, 8]))
    refute_received {:closed, _numbered, _partial, _node, _now}
    durable = Durable.closed(durable, [window(9)], false)
    assert {windows, durable} = synced(durable, :ok)
    assert Enum.map(windows, & &1.sequence) == [7, 8]
    assert {[%{sequence: 9}], _durable} = synced(durable, :ok)
  end

  test "a stop hands over all that wait, once everything is durable" do
    durable = Durable.closed(new(1), [window(1)], false)
    durable = Durable.closed(durable, [window(2)], false)
    assert {windows, durable} = Durable.flushed(durable)
    assert Enum.map(windows, & &1.sequence) == [1, 2]
    assert {[], durable} = Durable.flushed(durable)
    durable = durable |> Durable.taken(2) |> Durable.taken(1)
    assert_received {:gone, [{:native, 2}]}
    assert_received {:gone, [{:native, 1}]}
    assert durable.taken == %{}

    # Also after a sync that failed.
    durable = Durable.closed(new(1), [window(3)], false)
    assert_received {:sync, _first}
    assert_received {:sync, tag}
    {[], durable} = Durable.synced(durable, tag, {:error, "no space"})
    assert {[%{sequence: 3}], _durable} = Durable.flushed(durable)
  end
end
