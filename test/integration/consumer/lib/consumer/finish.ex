defmodule Consumer.Finish do
  # Once no message has come for three seconds, in the run that is to be the last one: closes all windows,
  # writes what became of its messages, and stops the service.
  use GenServer

  @idle 3_000

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  def note(outcomes), do: GenServer.cast(__MODULE__, {:note, outcomes})

  @impl true
  def init(nil), do: {:ok, %{}, idle()}

  @impl true
  def handle_cast({:note, outcomes}, sums) do
    counts =
      for {outcome, count} when is_integer(count) <- outcomes, into: %{}, do: {outcome, count}

    {:noreply, Map.merge(sums, counts, fn _outcome, one, other -> one + other end), idle()}
  end

  @impl true
  def handle_info(:timeout, sums) do
    :ok = AdTally.Meter.close(Consumer.Ads, 60_000)
    dir = System.fetch_env!("DIR")
    File.write!(Path.join(dir, "finished"), inspect(sums))
    System.stop()
    {:noreply, sums}
  end

  defp idle, do: if(System.get_env("LAST") == "yes", do: @idle, else: :infinity)
end
