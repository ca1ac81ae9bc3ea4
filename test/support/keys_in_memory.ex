defmodule AdTally.Test.KeysInMemory do
  @moduledoc "What a table's keys take, for `AdTally.Test.FreshVM`."

  alias AdTally.Counters
  alias AdTally.Test.ResidentMemory

  @doc """
  Adds to `count` keys of an integer and a short binary, with three metrics: by how
  many bytes the operating system process grew, and what `info` says.
  """
  def measure(count) do
    # Code is loaded and the allocators have begun before the first look.
    ResidentMemory.in_passing(fn -> fill(table(1_000), 1_000) end)

    before = ResidentMemory.bytes()
    counters = table(count)
    # Keys are made one by one and are garbage at once, so the VM's own share is the
    # small heap of a process that is gone at the second look.
    ResidentMemory.in_passing(fn -> fill(counters, count) end)
    grown = ResidentMemory.bytes() - before

    # Here, so that the table is alive until after the look.
    %{keys: ^count, memory_bytes: told} = Counters.info(counters)
    %{grown: grown, told: told}
  end

  defp table(keys), do: Counters.new(metrics: [:impressions, :clicks, :spend], max_keys: keys)

  defp fill(counters, count) do
    Enum.each(1..count, fn number ->
      key = {number, "creative-#{rem(number, 1_000)}"}
      :ok = Counters.add(counters, key, :impressions)
    end)

    :filled
  end
end
