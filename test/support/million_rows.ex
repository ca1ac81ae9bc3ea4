defmodule AdTally.Test.MillionRows do
  @moduledoc "Meters with a million rows of counters, in open and closed windows, and reports of them."

  alias AdTally.{Event, Meter}
  alias AdTally.Test.ResidentMemory

  @at 1_780_272_000_000
  @minute 60_000
  @rows 1_000_000
  @dimensions [:campaign, :creative, :country]

  @doc "Starts a meter of that name whose rows belong to so many campaigns, with a user each."
  @spec start(atom(), pos_integer(), keyword()) :: pid()
  def start(name, campaigns, options \\ []) do
    names = [name: name, dimensions: @dimensions, metrics: [:impressions, :spend_micros]]

    {:ok, meter} =
      Meter.start_link(names ++ [clock: :events, reach: [by: [:campaign]]] ++ options)

    # Not in the caller: to collect what is left of a million events takes tens of milliseconds.
    fn -> record(name, campaigns) end |> Task.async() |> Task.await(:infinity)
    meter
  end

  defp record(name, campaigns) do
    1..@rows
    |> Stream.map(&event(&1, campaigns))
    |> Stream.chunk_every(5_000)
    |> Enum.each(fn events -> %{ok: 5_000} = Meter.record_many(name, events) end)
  end

  # Half of them in a window that is closed by the others.
  defp event(number, campaigns) do
    dimensions = {rem(number, campaigns), "creative-#{number}", "us"}
    at = if number <= div(@rows, 2), do: @at, else: @at + 60 * @minute
    metrics = [impressions: 1, spend_micros: number]
    %Event{at: at, dimensions: dimensions, user: number, metrics: metrics}
  end

  @doc """
  By how much the VM's memory and that of the operating system process grow at most while reports of ten
  groups are made of a million rows, for `AdTally.Test.FreshVM`.
  """
  @spec report_memory() :: %{total: integer(), resident: integer(), spend: integer()}
  def report_memory do
    start(__MODULE__, 10)
    :erlang.garbage_collect()
    {total, resident} = memory()
    sampler = spawn_link(fn -> sample({0, 0}) end)
    reports = for _ <- 1..3, do: Meter.report(__MODULE__, by: [:campaign])
    send(sampler, {:stop, self()})

    receive do
      {:sampled, {most_total, most_resident}} ->
        spend = for(row <- hd(reports), do: row.spend_micros) |> Enum.sum()
        %{total: most_total - total, resident: most_resident - resident, spend: spend}
    end
  end

  defp memory, do: {:erlang.memory(:total), ResidentMemory.bytes()}

  defp sample({total, resident}) do
    {total_now, resident_now} = memory()
    most = {max(total, total_now), max(resident, resident_now)}

    receive do
      {:stop, pid} -> send(pid, {:sampled, most})
    after
      1 -> sample(most)
    end
  end
end
