defmodule AdTally.Native.OwnerTest do
  use ExUnit.Case, async: true

  alias AdTally.{Counters, Native}

  # A process that owns the table until it is told to end.
  defp owner(table, name) do
    test = self()

    {owner, monitor} =
      spawn_monitor(fn ->
        :ok = Native.table_own(table, name)
        send(test, {:owned, self()})
        receive(do: (:end -> :ok))
      end)

    assert_receive {:owned, ^owner}
    {owner, monitor}
  end

  defp stop({owner, monitor}) do
    send(owner, :end)
    assert_receive {:DOWN, ^monitor, :process, ^owner, :normal}
  end

  test "a table goes on with its next owner" do
    table = Counters.new(metrics: [:impressions])
    stop(owner(table, :first_owner))
    assert_raise ArgumentError, ~r/:first_owner/, fn -> Counters.add(table, "k", :impressions) end

    second = owner(table, :second_owner)
    assert Counters.add(table, "k", :impressions) == :ok
    stop(second)

    assert_raise ArgumentError, ~r/:second_owner/, fn ->
      Counters.add(table, "k", :impressions)
    end
  end

  # The name of a process is free a moment before the VM says that it has ended.
  test "the end of an earlier owner is not that of a later one" do
    table = Counters.new(metrics: [:impressions])
    first = owner(table, :earlier_owner)
    second = owner(table, :later_owner)
    stop(first)
    assert Counters.add(table, "k", :impressions) == :ok
    stop(second)
    assert_raise ArgumentError, ~r/:later_owner/, fn -> Counters.add(table, "k", :impressions) end
  end
end
