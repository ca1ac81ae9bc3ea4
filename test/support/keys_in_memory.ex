defmodule AdTally.Test.KeysInMemory do
  @moduledoc "What a table's keys take, for `AdTally.Test.FreshVM`."

  alias AdTally.{Counters, Dedupe, FrequencyCap, Reach}
  alias AdTally.Test.ResidentMemory

  @doc """
  Adds to `count` keys of an integer and a short binary, with three metrics: by how
  many bytes the operating system process grew, and what `info` says.
  """
  def counters(count), do: measure(count, &table/1, &fill/2, &Counters.info/1)

  @doc """
  The same of sketches at the default precision, whose users have a long tail: of 100
  keys one has 10,000 users, four have 200, and the others one to eight.
  """
  def reach(count), do: measure(count, &Reach.new(max_keys: &1), &show/2, &Reach.info/1)

  @doc """
  The same of frequency caps of `count` pairs with 1.8 events on average: of 20 pairs
  eleven have one, five have two, three have three and one has six.
  """
  def caps(count) do
    info = &(&1 |> FrequencyCap.info() |> Map.put(:keys, count))
    measure(count, &FrequencyCap.new(capacity: &1, max_capacity: &1), &record/2, info)
  end

  @doc "The same of a table for `count` ids that none has come to yet."
  def no_ids(count) do
    info = &(&1 |> Dedupe.info() |> Map.put(:keys, count))
    measure(count, &Dedupe.new(capacity: &1), fn _table, _count -> :ok end, info)
  end

  defp measure(count, table, fill, info) do
    # Code is loaded and the allocators have begun before the first look.
    ResidentMemory.in_passing(fn -> fill.(table.(1_000), 1_000) end)

    before = ResidentMemory.bytes()
    table = table.(count)
    # Keys are made one by one and are garbage at once, so the VM's own share is the
    # small heap of a process that is gone at the second look.
    ResidentMemory.in_passing(fn -> fill.(table, count) end)
    grown = ResidentMemory.bytes() - before

    # Here, so that the table is alive until after the look.
    %{keys: ^count, memory_bytes: told} = info = info.(table)
    %{grown: grown, told: told, info: info}
  end

  defp table(keys), do: Counters.new(metrics: [:impressions, :clicks, :spend], max_keys: keys)

  defp show(reach, count) do
    [many, some] = for users <- [10_000, 200], do: Enum.to_list(1..users)
    few = for users <- 1..8, into: %{}, do: {users, Enum.to_list(1..users)}

    Enum.each(1..count, fn number ->
      users =
        case rem(number, 100) do
          0 -> many
          rest when rest <= 4 -> some
          rest -> few[rem(rest, 8) + 1]
        end

      :ok = Reach.add_many(reach, {number, "creative-#{rem(number, 1_000)}"}, users)
    end)

    :filled
  end

  defp record(caps, count) do
    events = List.to_tuple(List.duplicate(1, 11) ++ List.duplicate(2, 5) ++ [3, 3, 3, 6])

    for number <- 1..count, _ <- 1..elem(events, rem(number, 20)) do
      :ok = FrequencyCap.record(caps, rem(number, 1_000), number, 1_780_272_000_000)
    end

    :filled
  end

  defp fill(counters, count) do
    Enum.each(1..count, fn number ->
      key = {number, "creative-#{rem(number, 1_000)}"}
      :ok = Counters.add(counters, key, :impressions)
    end)

    :filled
  end
end
