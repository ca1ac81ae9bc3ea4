defmodule AdTally.Pacer.Server do
  @moduledoc false
  # The process of a pacer on one node. It owns the native table, has this node's leases renewed each second, and
  # grants those of the budgets whose coordinator this node is (`AdTally.Pacer.Rounds`). Reservations are native
  # calls of whoever makes them, and send no message to it, unless they are another node's.

  use GenServer

  require Logger

  alias AdTally.{FrequencyCap, Named, Native, StoreError}
  alias AdTally.Pacer.{Events, Peers, Rounds, Syncs}
  alias AdTally.Store.Part

  # A lease is for some seconds, so a round may be missed.
  @renewal 1_000

  # How long telemetry handlers may take at the end.
  @telemetry_wait 1_000

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    Named.claim(config.name, AdTally.Pacer)
    native = open(config)
    Part.watch(config.part)
    :ok = Native.pacer_wake(native)
    {:ok, events} = Events.start(config, native)

    state = %{
      config: config,
      native: native,
      syncs: Syncs.new(config.part && fn -> Part.begin_sync(config.part) end),
      peers: Peers.new(config),
      events: events,
      # Callers who wait until a coordinator has answered what it was asked, and since when.
      waiting: %{},
      # Whether money is noted that waits for the store, and who waits for what comes after it.
      freeing: Rounds.idle(),
      # When the last round began; whether one is asked for, and was in the last second; how long after the last one the
      # next one may be.
      renewed_at: nil,
      woken?: false,
      awake?: false,
      pause: 0
    }

    about = %{store: Part.store(config.part), peers: state.peers.counters}
    Named.put(config.name, AdTally.Pacer, native, native, about)
    {:ok, state, {:continue, :begin}}
  end

  defp open(%{table: table, part: nil}), do: Native.pacer_new(table)

  defp open(%{table: table, part: part}) do
    {native, _epoch} = Part.open!(part, &Native.pacer_new_in(&1, table))

    with {:error, {kind, reason}} <- Native.pacer_begin(native),
         do: raise(StoreError, kind: kind, reason: reason)

    native
  end

  @impl true
  def handle_continue(:begin, %{config: %{clock: :manual}} = state), do: {:noreply, state}

  def handle_continue(:begin, state) do
    Process.send_after(self(), :tick, state.config.tick)
    handle_info(:renew, state)
  end

  @impl true
  def handle_info(:renew, state) do
    Process.send_after(self(), :renew, @renewal)
    {:noreply, state |> sweep() |> Rounds.rest() |> Rounds.renew()}
  end

  def handle_info(:renew_woken, state), do: {:noreply, Rounds.renew(%{state | woken?: false})}

  # A budget had no money on this node. Native code says so once in a round.
  def handle_info(:ad_tally_pacer_wake, state), do: {:noreply, Rounds.wake(state)}

  def handle_info(:tick, state) do
    Process.send_after(self(), :tick, state.config.tick)
    {:noreply, state |> Rounds.renew() |> Rounds.later([:tick])}
  end

  def handle_info({:ad_tally_pacer, _fingerprint, _node, _what} = message, state) do
    case Peers.read(state.peers, message) do
      {:ok, node, what} -> {:noreply, Rounds.told(state, node, what)}
      {:refused, peers} -> {:noreply, %{state | peers: peers}}
    end
  end

  def handle_info({tag, answer}, state) when is_reference(tag) do
    case Syncs.synced(state.syncs, tag, answer) do
      :unknown -> {:noreply, state}
      {answer, actions, syncs} -> {:noreply, Rounds.act(%{state | syncs: syncs}, actions, answer)}
    end
  end

  def handle_info(:sync_again, state), do: {:noreply, %{state | syncs: Syncs.again(state.syncs)}}

  def handle_info({:EXIT, events, reason}, %{events: events} = state),
    do: {:stop, {:telemetry, reason}, state}

  def handle_info(message, state) do
    case Part.handle_info(message, state.config.part) do
      {:stop, reason} -> {:stop, reason, state}
      :go_on -> {:noreply, state}
    end
  end

  # Of a budget. A node that calls another one than its coordinator has other :nodes or another :seed, and two
  # coordinators would spend it twice.
  @impl true
  def handle_call({:of, campaign, request}, from, state) do
    own? = Native.pacer_coordinator(state.native, campaign) == node()

    if own? and (request == :status or Peers.agree?(state.peers)),
      do: coordinate(request, campaign, from, state),
      else: {:reply, {:error, :no_coordinator}, state}
  end

  # Once this node has the plans that another coordinator has now.
  def handle_call({:ask, coordinator}, from, state) do
    if coordinator in state.peers.others,
      do: {:noreply, Rounds.ask(state, coordinator, from)},
      else: {:reply, {:error, :no_coordinator}, state}
  end

  # Of reservations of this node that another node confirms or releases.
  def handle_call({:confirm, reservation, price, at}, _from, state),
    do: {:reply, Native.pacer_confirm(state.native, reservation, price, at), state}

  def handle_call({:release, reservation}, _from, state),
    do: {:reply, Native.pacer_release(state.native, reservation), state}

  def handle_call({:release, caps, reservation}, _from, state),
    do: {:reply, release(state.native, caps, reservation), state}

  def handle_call(:info, _from, state),
    do: {:reply, {Native.pacer_info(state.native), Peers.info(state.peers)}, state}

  def handle_call({:tick, at}, from, %{config: %{clock: :manual}} = state) do
    case Native.pacer_set_time(state.native, at) do
      :ok ->
        actions = [:tick, {:later, {:reply_free, from}}]
        {:noreply, state |> sweep() |> Rounds.renew() |> Rounds.later(actions)}

      earlier ->
        {:reply, earlier, state}
    end
  end

  def handle_call({:tick, _at}, _from, state), do: {:reply, :system, state}

  # A message that was sent by mistake must not end the process.
  def handle_call(_other, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast(_other, state), do: {:noreply, state}

  # First the name goes, so that nobody finds the table any more.
  @impl true
  def terminate(_reason, %{config: config} = state) do
    Named.erase(config.name)

    if Events.flush(state.events, @telemetry_wait) != :ok do
      Logger.warning("#{state.peers.shown} stops while a telemetry handler has not returned")
    end

    if config.part,
      do: Part.leave(config.part, state.native),
      else: Native.table_end(state.native)
  end

  # The answer waits until the plan is in the store, and this node has its first lease.
  defp coordinate({:put, plan}, campaign, from, state),
    do: change(fn -> put(state.native, campaign, plan) end, from, state)

  defp coordinate(:delete, campaign, from, state),
    do: change(fn -> Native.pacer_delete(state.native, campaign) end, from, state)

  defp coordinate(:status, campaign, _from, state),
    do: {:reply, Native.pacer_status(state.native, campaign), state}

  # Of a later version of the library.
  defp coordinate(_request, _campaign, _from, state),
    do: {:reply, {:error, :no_coordinator}, state}

  # While the disk does not answer nobody may wait for it without a bound.
  defp change(change, from, state) do
    with false <- Syncs.full?(state.syncs),
         {:ok, granted} <- change.() do
      actions = [{:apply, granted}, {:reply_free, from}, :changed]
      {:noreply, Rounds.later(state, actions)}
    else
      true -> {:reply, {:error, :busy}, state}
      other -> {:reply, other, state}
    end
  end

  # What the caller's node takes, such as a time zone that it knows, this one may not.
  defp put(native, campaign, plan) do
    Native.pacer_put(native, campaign, plan)
  rescue
    error in ArgumentError -> {:refused, Exception.message(error)}
  end

  # With a reservation of `AdTally.Admission` this node has counted an event, in the caps of that name.
  defp release(native, caps, reservation) do
    case Named.find(FrequencyCap, caps) do
      nil ->
        Native.pacer_release(native, reservation)

      caps ->
        try do
          Native.admission_release(caps, native, reservation)
        rescue
          # The caps ended after they were found: only the money can be given back. With a store the event stays counted.
          ArgumentError -> Native.pacer_release(native, reservation)
        end
    end
  end

  # Reservations whose time to live is over.
  defp sweep(state) do
    Rounds.steps(&Native.pacer_sweep(state.native, &1))
    state
  end
end
