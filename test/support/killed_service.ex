defmodule AdTally.Test.KilledService do
  @moduledoc """
  A service with a store that records in a VM of its own until that is killed, and what it has left.

  Each of its recorders takes numbers from 1 on, in batches. Once a batch is synced, its last number is written to
  the recorder's log: a write to a file survives the death of the process that has made it.
  """

  alias AdTally.{Event, FrequencyCap, Meter, Store}

  @recorders 4
  @batch 50
  @at 1_780_272_000_000

  @doc "Its children. One event is of a recorder and a number, which are its id and its user."
  def children(dir) do
    [
      {Store, name: KilledStore, dir: dir, interval: 20},
      {FrequencyCap,
       name: KilledCaps, store: KilledStore, capacity: 1_000_000, max_ahead: 3_600_000},
      {Meter,
       name: KilledMeter,
       store: KilledStore,
       dimensions: [:recorder],
       metrics: [:events, :numbers],
       reach: [by: [:recorder], precision: 12],
       dedupe: [window: 86_400_000, capacity: 1_000_000, fingerprint_bits: 61],
       clock: :events,
       lateness: 3_600_000}
    ]
  end

  @doc "Starts it and records until the VM is killed. Each recorder goes on after the number that is given."
  def run(dir, logs, after_numbers) do
    {:ok, supervisor} = Supervisor.start_link(children(dir), strategy: :rest_for_one)
    # It outlives the process of this call.
    Process.unlink(supervisor)
    for {recorder, number} <- after_numbers, do: spawn(fn -> record(recorder, logs, number) end)
    System.pid()
  end

  defp record(recorder, logs, number) do
    file = File.open!(log(logs, recorder), [:append, :raw])
    record_on(recorder, file, number)
  end

  defp record_on(recorder, file, number) do
    last = number + @batch
    for number <- (number + 1)..last, do: {:ok, _} = {:ok, deliver(recorder, number)}
    :ok = Store.sync(KilledStore)
    :ok = :file.write(file, "#{last}\n")
    record_on(recorder, file, last)
  end

  @doc "What a broker delivers, for the first time or again: the outcomes of the meter and of the caps."
  def deliver(recorder, number) do
    at = @at + number

    event = %Event{
      id: {recorder, number},
      user: "#{recorder}-#{number}",
      at: at,
      dimensions: {recorder},
      metrics: [events: 1, numbers: number]
    }

    {Meter.record(KilledMeter, event),
     FrequencyCap.admit(KilledCaps, {:recorder, recorder}, number, [{1, 3_600_000}], at)}
  end

  @doc "The last number of each recorder that was synced, 0 where none was."
  def synced(logs) do
    for recorder <- 1..@recorders do
      number =
        case File.read(log(logs, recorder)) do
          {:ok, text} -> text |> String.split("\n") |> last_whole()
          {:error, :enoent} -> 0
        end

      {recorder, number}
    end
  end

  # What is after the last newline was being written.
  defp last_whole(lines), do: lines |> Enum.drop(-1) |> List.last("0") |> String.to_integer()

  @doc "How many numbers after those that were synced may have been recorded."
  def unsynced, do: @batch

  defp log(logs, recorder), do: Path.join(logs, "recorder-#{recorder}")
end
