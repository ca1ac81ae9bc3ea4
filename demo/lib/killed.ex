defmodule AdTally.Demo.Killed do
  @moduledoc """
  The real log through a service of its own operating system process, which is killed (`kill -9`) in the middle
  of it, more than once, and started again. What it has not acknowledged is sent again, as a broker does: the
  files of its meter have every event once.
  """

  alias AdTally.Demo.{Service, Text}
  alias AdTally.{Event, Meter, Sink, Store}

  @store AdTally.Demo.Killed.Store
  @name AdTally.Demo.Killed.Ads
  @batch 250
  @hour 3_600_000
  @seed 20_191_124

  @type row :: {policy :: String.t(), campaign :: String.t()}
  @type result :: %{
          counted: %{row() => %{impressions: non_neg_integer(), clicks: non_neg_integer()}},
          kills: non_neg_integer(),
          sent: pos_integer(),
          duplicates: non_neg_integer(),
          windows: pos_integer(),
          seconds: float()
        }

  @doc "Sends the log in batches to a service that is killed so often, with its files in a directory."
  @spec replay([AdTally.Demo.Log.impression()], non_neg_integer(), Path.t()) :: result()
  def replay(impressions, kills, dir) do
    :rand.seed(:exsss, @seed)
    batches = impressions |> Enum.with_index() |> Enum.chunk_every(@batch)
    # The batches within which it is killed, or soon after.
    killing = 1..(length(batches) - 10) |> Enum.take_random(kills) |> MapSet.new()
    begin = System.monotonic_time(:millisecond)
    state = %{service: start(dir), dir: dir, sent: 0, duplicates: 0}

    state =
      for {batch, number} <- Enum.with_index(batches), reduce: state do
        state ->
          if number in killing, do: Service.kill_within(state.service, :rand.uniform(8))
          acknowledged(state, batch)
      end

    state = finished(state)
    Service.stop(state.service)
    {counted, windows} = counted(dir)

    %{
      counted: counted,
      kills: kills,
      sent: state.sent,
      duplicates: state.duplicates,
      windows: windows,
      seconds: (System.monotonic_time(:millisecond) - begin) / 1_000
    }
  end

  # Sends a batch until it is acknowledged.
  defp acknowledged(state, batch) do
    state = %{state | sent: state.sent + 1}

    case Service.call(state.service, {__MODULE__, :record, [batch]}) do
      {:ok, duplicates} -> %{state | duplicates: state.duplicates + duplicates}
      :killed -> acknowledged(%{state | service: start(state.dir)}, batch)
    end
  end

  # The same for the end of all.
  defp finished(state) do
    case Service.call(state.service, {__MODULE__, :finish, []}) do
      :ok -> state
      :killed -> finished(%{state | service: start(state.dir)})
    end
  end

  defp start(dir), do: Service.start([__ENV__.file], {__MODULE__, :serve, [dir]})

  # What the service does.

  @doc "Starts the service, which goes on where it was when it was killed."
  @spec serve(Path.t()) :: :ok
  def serve(dir) do
    meter = [
      name: @name,
      store: @store,
      dimensions: [:policy, :campaign],
      metrics: [:impressions, :clicks],
      window: @hour,
      lateness: @hour,
      clock: :events,
      dedupe: [window: 6 * @hour, capacity: 100_000],
      sinks: [{Sink.Files, dir: Path.join(dir, "rows")}]
    ]

    children = [{Store, name: @store, dir: Path.join(dir, "store")}, {Meter, meter}]
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    # Its caller is a process of this call alone.
    Process.unlink(supervisor)
    :ok
  end

  @doc "Records a batch and acknowledges it once it is on disk: how many were known."
  @spec record([{AdTally.Demo.Log.impression(), non_neg_integer()}]) ::
          {:ok, duplicates :: non_neg_integer()}
  def record(batch) do
    outcomes = Meter.record_many(@name, Enum.map(batch, &event/1))
    :ok = Store.sync(@store)
    {:ok, outcomes.duplicate}
  end

  @doc "Closes all windows, and returns once they are in files."
  @spec finish() :: :ok
  def finish, do: Meter.close(@name, :infinity)

  defp event({impression, number}) do
    clicks = if impression.clicked?, do: 1, else: 0

    %Event{
      id: number,
      at: impression.at,
      dimensions: {impression.policy, impression.campaign},
      user: impression.segment,
      metrics: [impressions: 1, clicks: clicks]
    }
  end

  # What all files have, and of how many windows there is one.
  defp counted(dir) do
    files = dir |> Path.join("rows/counters/date=*/*.ndjson.gz") |> Path.wildcard()

    rows =
      for file <- files, line <- File.stream!(file, [:compressed]), reduce: %{} do
        rows ->
          [policy, campaign] = for name <- ~w(policy campaign), do: text(line, name)
          [impressions, clicks] = for name <- ~w(impressions clicks), do: number(line, name)

          Map.update(
            rows,
            {policy, campaign},
            %{impressions: impressions, clicks: clicks},
            &%{impressions: &1.impressions + impressions, clicks: &1.clicks + clicks}
          )
      end

    {rows, length(files)}
  end

  defp text(line, name), do: found(~r/"#{name}":"([^"]*)"/, line)
  defp number(line, name), do: ~r/"#{name}":(\d+)/ |> found(line) |> String.to_integer()
  defp found(expression, line), do: expression |> Regex.run(line) |> List.last()

  @doc "What plain maps make of the log."
  @spec expected([AdTally.Demo.Log.impression()]) :: map()
  def expected(impressions) do
    impressions
    |> Enum.group_by(&{&1.policy, &1.campaign})
    |> Map.new(fn {row, of} ->
      {row, %{impressions: length(of), clicks: Enum.count(of, & &1.clicked?)}}
    end)
  end

  @doc "A table of a result."
  @spec table(result()) :: String.t()
  def table(result) do
    rows =
      for {{policy, campaign}, %{impressions: impressions, clicks: clicks}} <-
            Enum.sort(result.counted),
          do: [policy, campaign, Text.integer(impressions), Text.integer(clicks)]

    Text.table(["policy", "campaign", "impressions", "clicks"], rows, 2)
  end
end
