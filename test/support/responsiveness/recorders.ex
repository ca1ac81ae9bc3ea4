defmodule AdTally.Test.Responsiveness.Recorders do
  @moduledoc "Two processes that record as fast as they can, and what may happen meanwhile."

  alias AdTally.{Event, Meter}

  @name __MODULE__.Ads

  @doc "Starts a meter with these options more, and calls the function with its name while they record."
  def record(options, meanwhile) do
    common = [
      name: @name,
      dimensions: [:campaign, :creative],
      metrics: [:impressions, :spend_micros],
      reach: [by: [:campaign]],
      dedupe: [window: 60_000, capacity: 10_000_000]
    ]

    {:ok, meter} = Meter.start_link(common ++ options)
    recorders = for first <- [0, 1], do: spawn_link(fn -> go_on(first) end)
    meanwhile.(@name)
    Enum.each(recorders, &kill/1)
    GenServer.stop(meter)
  end

  @doc "Has another process make a report every 100 milliseconds, for so many of them."
  def report(name, milliseconds), do: report_until(name, now() + milliseconds)

  @doc "A new directory."
  def directory do
    name = "ad_tally_responsiveness_#{System.pid()}_#{System.unique_integer([:positive])}"
    path = Path.join(System.tmp_dir!(), name)
    File.mkdir_p!(path)
    path
  end

  # Returns once it records no more: the meter is stopped next.
  defp kill(recorder) do
    Process.unlink(recorder)
    down = Process.monitor(recorder)
    Process.exit(recorder, :kill)

    receive do
      {:DOWN, ^down, :process, ^recorder, :killed} -> :ok
    end
  end

  defp go_on(id) do
    Meter.record(@name, %Event{
      id: id,
      at: System.system_time(:millisecond),
      dimensions: {rem(id, 20), rem(id, 500)},
      user: rem(id, 50_021),
      metrics: [impressions: 1, spend_micros: 3]
    })

    go_on(id + 2)
  end

  defp report_until(name, deadline) do
    Process.sleep(100)
    reporter = Task.async(fn -> Meter.report(name, by: [:campaign]) end)
    true = length(Task.await(reporter, :infinity)) <= 20
    if now() < deadline, do: report_until(name, deadline)
  end

  defp now, do: System.monotonic_time(:millisecond)
end
