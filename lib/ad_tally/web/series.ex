defmodule AdTally.Web.Series do
  @moduledoc false
  # Takes a snapshot each second, and keeps its numbers as series (`AdTally.Web.Ring`), in a table that requests read:
  #
  #     :config            the options of the page
  #     :snapshot          the last one
  #     :times             when samples were taken
  #     {:series, name}    {ring, :total | :value, unit}
  #
  # What is kept is bounded: at most so many series, and budgets of so many campaigns. A campaign's budget is sampled
  # from when somebody looks at it, and before that where there is room.

  use GenServer

  alias AdTally.{Metrics, Named, Native, Pacer}
  alias AdTally.Web.{Names, Ring, Samples}

  require Named

  @period 1_000

  # Twelve megabytes. With them all, a sample takes less than a millisecond.
  @most_series 1_000

  # Each has three series.
  @most_campaigns 64
  @of_campaign [:spent_micros, :target_micros, :pass]

  # Parts of a rate that is between 0 and 1.
  @millionths 1_000_000

  @doc "The table of a page. Requests read it."
  @spec table(atom()) :: atom()
  def table(name), do: Module.concat(name, Series)

  @spec start_link(AdTally.Web.Config.t()) :: GenServer.on_start()
  def start_link(config),
    do: GenServer.start_link(__MODULE__, config, name: table(config.name))

  @doc "The options of a page, or `nil` where it does not run."
  @spec config(atom()) :: AdTally.Web.Config.t() | nil
  def config(name), do: read(name, :config)

  @doc "The last snapshot."
  @spec snapshot(atom()) :: map()
  def snapshot(name), do: read(name, :snapshot)

  defp read(name, key) do
    :ets.lookup_element(table(name), key, 2)
  rescue
    ArgumentError -> nil
  end

  @doc "Samples the budget of a campaign from now on, as those who are looked at."
  @spec watch(atom(), pacer :: atom(), campaign :: term()) :: :ok
  def watch(name, pacer, campaign),
    do: GenServer.cast(table(name), {:watch, {pacer, campaign}})

  @doc "The names of all series with their units."
  @spec names(atom()) :: [{binary(), unit :: binary()}]
  def names(name) do
    table(name)
    |> :ets.select([{{{:series, :"$1"}, {:_, :_, :"$2"}}, [], [{{:"$1", :"$2"}}]}])
    |> Enum.sort()
  end

  @doc "The begin of series in Unix seconds, and of each of them its unit and points. Unknown ones have none."
  @spec points(atom(), [binary()], Ring.step()) ::
          {begin :: integer(), [{binary(), unit :: binary() | nil, [number() | nil]}]}
  def points(name, names, step) do
    table = table(name)
    {times, begun} = :ets.lookup_element(table, :times, 2)
    last = Integer.floor_div(time(begun), step * 1_000)
    # The sample of this period may not have been taken yet.
    last = if Ring.get(times, step, last), do: last, else: last - 1
    periods = (last - Map.fetch!(Ring.sizes(), step) + 1)..last

    points =
      for name <- names do
        case :ets.lookup(table, {:series, name}) do
          [{_key, {ring, :total, unit}}] -> {name, unit, Ring.rates(ring, times, step, periods)}
          [{_key, {ring, :value, unit}}] -> {name, unit, shown(unit, ring, times, step, periods)}
          [] -> {name, nil, List.duplicate(nil, Range.size(periods))}
        end
      end

    {periods.first * step + moved(begun), points}
  end

  @doc "How much a total has grown by second in the last seconds, as far as they are known."
  @spec rate(atom(), binary(), seconds :: pos_integer()) :: float() | nil
  def rate(name, of, seconds) do
    table = table(name)
    {times, begun} = :ets.lookup_element(table, :times, 2)
    last = Integer.floor_div(time(begun), 1_000)

    case :ets.lookup(table, {:series, of}) do
      [{_key, {ring, :total, _unit}}] -> Ring.rate(ring, times, (last - seconds)..last)
      _none -> nil
    end
  end

  defp shown("ratio", ring, times, step, periods) do
    for value <- Ring.values(ring, times, step, periods), do: value && value / @millionths
  end

  defp shown(_unit, ring, times, step, periods), do: Ring.values(ring, times, step, periods)

  # Unix milliseconds as they were when this began, so that a clock that is set does not move samples.
  defp time(begun), do: System.monotonic_time(:millisecond) + begun

  # By how many seconds the clock was set since.
  defp moved(begun), do: round((System.time_offset(:millisecond) - begun) / 1_000)

  @doc "The names of the series of a campaign's budget."
  @spec of_campaign(pacer :: atom(), campaign :: term()) :: [{atom(), binary()}]
  def of_campaign(pacer, campaign) do
    for field <- @of_campaign,
        do: {field, "pacer:#{Names.name(pacer)}:campaign:#{Names.key(campaign)}:#{field}"}
  end

  @impl true
  def init(config) do
    table = :ets.new(table(config.name), [:named_table, :protected, read_concurrency: true])
    begun = System.time_offset(:millisecond)
    times = Ring.new()
    :ets.insert(table, {:times, {times, begun}})

    state = %{
      table: table,
      times: times,
      begun: begun,
      # By step, the last period that was sampled.
      last: %{1 => nil, 60 => nil},
      series: %{},
      campaigns: %{}
    }

    state = sample(state)
    # Whoever finds this finds the others.
    :ets.insert(table, {:config, config})
    {:ok, state}
  end

  @impl true
  def handle_cast({:watch, {_pacer, _key} = campaign}, state) do
    now = System.monotonic_time()

    {:noreply,
     %{state | campaigns: state.campaigns |> Map.put(campaign, now) |> drop_campaigns()}}
  end

  # A message that was sent by mistake must not end the process, and lose the curves of a day.
  def handle_cast(_other, state), do: {:noreply, state}

  @impl true
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_info(:sample, state), do: {:noreply, sample(state)}
  def handle_info(_other, state), do: {:noreply, state}

  # Those that nobody has looked at for longest.
  defp drop_campaigns(campaigns) when map_size(campaigns) <= @most_campaigns, do: campaigns

  defp drop_campaigns(campaigns) do
    {oldest, _seen} = Enum.min_by(campaigns, fn {_campaign, seen} -> seen end)
    Map.delete(campaigns, oldest)
  end

  # Once a period, however late.
  defp sample(state) do
    time = time(state.begun)
    Process.send_after(self(), :sample, @period - Integer.mod(time, @period))
    periods = for step <- [1, 60], do: {step, Integer.floor_div(time, step * 1_000)}
    due = for {step, period} <- periods, state.last[step] != period, do: {step, period}
    if due == [], do: state, else: take(state, time, due)
  end

  defp take(state, time, due) do
    snapshot = Metrics.snapshot()
    :ets.insert(state.table, {:snapshot, snapshot})

    state =
      if List.keymember?(due, 60, 0),
        do: %{state | campaigns: find_campaigns(state.campaigns, snapshot)},
        else: state

    samples = Samples.of(snapshot) ++ campaigns(state.campaigns, snapshot)
    for {step, period} <- due, do: Ring.put(state.times, step, period, time)
    series = Enum.reduce(samples, state.series, &put(&1, &2, state.table, due, time))

    %{
      state
      | series: end_series(series, state.table, due, time),
        last: Map.merge(state.last, Map.new(due))
    }
  end

  defp put({name, kind, unit, value}, series, table, due, time) do
    case series do
      %{^name => {ring, _seen}} ->
        write(ring, due, value)
        %{series | name => {ring, time}}

      _new when map_size(series) < @most_series ->
        ring = Ring.new()
        write(ring, due, value)
        :ets.insert(table, {{:series, name}, {ring, kind, unit}})
        Map.put(series, name, {ring, time})

      _full ->
        series
    end
  end

  defp write(ring, due, value) do
    for {step, period} <- due, do: Ring.put(ring, step, period, value)
  end

  # Those that were not among the samples: of a part that has ended. They are forgotten once nothing is left to
  # show, or when others need their place.
  defp end_series(series, table, due, time) do
    {ended, running} = Enum.split_with(series, fn {_name, {_ring, seen}} -> seen != time end)

    kept =
      if map_size(series) < @most_series,
        do: Enum.filter(ended, fn {_name, {_ring, seen}} -> time - seen < kept_for() end),
        else: []

    for {_name, {ring, _seen}} <- kept, do: write(ring, due, nil)

    for {name, _series} <- ended -- kept, do: :ets.delete(table, {:series, name})
    if ended == [], do: series, else: Map.new(running ++ kept)
  end

  defp kept_for, do: Ring.sizes()[60] * 60_000

  ## Budgets

  # Fills the room that nobody has asked for, and that of budgets which have ended.
  defp find_campaigns(campaigns, snapshot) do
    known = for {campaign, _status} <- statuses(campaigns, snapshot), do: campaign
    campaigns = Map.take(campaigns, known)
    # Whoever is asked for has a later time.
    long_ago = System.monotonic_time() - System.convert_time_unit(86_400, :second, :native)

    found =
      for {pacer, _info} <- snapshot.pacers,
          {_next, some} = first_campaigns(pacer),
          {campaign, _status} <- some,
          not is_map_key(campaigns, {pacer, campaign}),
          do: {{pacer, campaign}, long_ago}

    found
    |> Enum.take(@most_campaigns - map_size(campaigns))
    |> Map.new()
    |> Map.merge(campaigns)
  end

  defp first_campaigns(pacer) do
    Native.pacer_campaigns(Named.fetch!(Pacer, pacer), 0)
  rescue
    ArgumentError -> {:done, []}
  end

  defp campaigns(campaigns, snapshot) do
    for {{pacer, campaign}, status} <- statuses(campaigns, snapshot),
        {field, name} <- of_campaign(pacer, campaign),
        do: sampled(field, name, status)
  end

  defp sampled(:pass, name, status),
    do: {name, :value, "ratio", round(status.pass * @millionths)}

  defp sampled(field, name, status), do: {name, :value, "micros", Map.fetch!(status, field)}

  # As this node's tables have them, without a message: where another node is the coordinator there is none here. Those
  # of a pacer are read in one call: for each call the VM wakes another thread.
  defp statuses(campaigns, snapshot) do
    by_pacer =
      Enum.group_by(Map.keys(campaigns), fn {pacer, _campaign} -> pacer end, &elem(&1, 1))

    for {pacer, campaigns} <- by_pacer,
        is_map_key(snapshot.pacers, pacer),
        {campaign, %{} = status} <- Enum.zip(campaigns, statuses_of(pacer, campaigns)),
        do: {{pacer, campaign}, status}
  end

  defp statuses_of(pacer, campaigns) do
    Native.pacer_statuses(Named.fetch!(Pacer, pacer), campaigns)
  rescue
    # It has ended meanwhile.
    ArgumentError -> []
  end
end
