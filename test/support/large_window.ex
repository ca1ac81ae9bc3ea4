defmodule AdTally.Test.LargeWindow do
  @moduledoc "A meter that is stopped with all its rows in one window, for `AdTally.Test.FreshVM`."

  alias AdTally.{Event, Meter}
  alias AdTally.Test.{ResidentMemory, SinkFiles}

  @at 1_780_272_000_000
  @dimensions [:campaign, :creative, :country]
  @metrics [:impressions, :clicks, :spend_micros]

  @doc """
  Stops a meter with so many rows, and a tenth as many sketches, by its supervisor and with its default
  options: by how many bytes the VM and the operating system process grew meanwhile, and which names
  files had in the directory.
  """
  def stop(rows, dir) do
    sinks = [{AdTally.Sink.Files, dir: dir}]
    names = [name: __MODULE__, dimensions: @dimensions, metrics: @metrics]
    options = [clock: :events, max_keys: rows, reach: [by: [:campaign]], sinks: sinks]
    {:ok, supervisor} = Supervisor.start_link([{Meter, names ++ options}], strategy: :one_for_one)

    1..rows
    |> Stream.map(&event(&1, rows))
    |> Stream.chunk_every(5_000)
    |> Enum.each(&(%{overflow: 0} = Meter.record_many(__MODULE__, &1)))

    :erlang.garbage_collect()
    sampler = spawn_link(fn -> sample(dir, {0, 0}, MapSet.new()) end)
    {total, resident} = memory()
    :ok = Supervisor.stop(supervisor, :normal, :infinity)
    send(sampler, {:stop, self()})

    receive do
      {:sampled, {most_total, most_resident}, names} ->
        %{grown: most_total - total, resident: most_resident - resident, names: Enum.sort(names)}
    end
  end

  @doc "The sum of the last metric."
  def spend(rows), do: div(rows * (rows + 1), 2)

  defp event(number, rows) do
    dimensions = {rem(number, max(div(rows, 10), 1)), "creative-#{number}", "us"}
    metrics = [impressions: 1, spend_micros: number]
    %Event{at: @at, user: number, dimensions: dimensions, metrics: metrics}
  end

  defp memory, do: {:erlang.memory(:total), ResidentMemory.bytes()}

  defp sample(dir, {total, resident}, names) do
    {total_now, resident_now} = memory()
    most = {max(total, total_now), max(resident, resident_now)}
    names = dir |> SinkFiles.names() |> Enum.into(names)

    receive do
      {:stop, pid} -> send(pid, {:sampled, most, names})
    after
      1 -> sample(dir, most, names)
    end
  end
end
