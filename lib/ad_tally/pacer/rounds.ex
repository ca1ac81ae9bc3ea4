defmodule AdTally.Pacer.Rounds do
  @moduledoc false
  # How leases are renewed, and plans and rates get to nodes. In a round this node reports to coordinators what it has
  # spent, and is granted what it needs. Where it is a coordinator itself it grants, to itself in the same way.
  # Nothing is granted before that is in the coordinator's store: it is an action that waits for a sync.
  #
  # The state is that of `AdTally.Pacer.Server`, which see.

  require Logger

  alias AdTally.{Native, Options}
  alias AdTally.Pacer.{Events, Peers, Syncs}

  # Between two rounds that are asked for: at first, and where some always are.
  @soonest 50
  @latest 1_000

  # Whoever has asked for longer than that does not wait any more.
  @asked_for 20_000

  @type state :: map()

  @doc "Begins a round."
  @spec renew(state()) :: state()
  def renew(%{native: native} = state) do
    state = free(state, [])
    peers = Peers.begin_round(state.peers)
    own = report(native, peers, Native.pacer_reports(native, 0), [])
    state = %{forget(state) | peers: Peers.end_round(peers), renewed_at: milliseconds()}

    granted =
      for {frame, last?} <- own,
          grants?(state),
          {:ok, granted} <- [Native.pacer_renew(native, node(), frame, last?)],
          frame <- granted,
          do: frame

    later(state, if(granted == [], do: [], else: [{:apply, granted}]))
  end

  # Those for other coordinators are sent, and those for this node returned.
  defp report(native, peers, {next, reports}, own) do
    {mine, others} = Enum.split_with(reports, fn {node, _frame, _last?} -> node == node() end)
    for {node, frame, last?} <- others, do: Peers.tell(peers, node, {:reports, frame, last?})
    own = Enum.reduce(mine, own, fn {_node, frame, last?}, own -> [{frame, last?} | own] end)

    if next == :done,
      do: Enum.reverse(own),
      else: report(native, peers, Native.pacer_reports(native, next), own)
  end

  # Not while nodes disagree about who coordinates what, nor while so much waits for the disk already.
  defp grants?(state), do: Peers.agree?(state.peers) and not Syncs.full?(state.syncs)

  @doc """
  Asks a coordinator for the plans that this node lacks, for a caller who is answered once they are here. That is one
  small message, so many callers may ask, and says nothing of what was spent: that has its rounds.
  """
  @spec ask(state(), node(), GenServer.from()) :: state()
  def ask(state, coordinator, from) do
    asked = make_ref()
    frame = Native.pacer_ask(state.native, coordinator)
    Peers.tell(state.peers, coordinator, {:reports, frame, true})
    Peers.tell(state.peers, coordinator, {:round, asked})
    %{state | waiting: Map.put(state.waiting, asked, {from, milliseconds()})}
  end

  # Callers whose coordinator has not answered.
  defp forget(state) do
    now = milliseconds()

    waiting =
      for {_asked, {_from, since}} = one <- state.waiting, now - since < @asked_for, do: one

    %{state | waiting: Map.new(waiting)}
  end

  @doc "A round is asked for: soon, but less and less so while others are."
  @spec wake(state()) :: state()
  def wake(%{woken?: true} = state), do: state

  # A simulation has its rounds when it says so.
  def wake(%{config: %{clock: :manual}} = state), do: state

  def wake(state) do
    begin = (state.renewed_at || milliseconds()) + max(state.pause, @soonest)
    Process.send_after(self(), :renew_woken, max(begin - milliseconds(), 0))
    pause = state.pause |> max(@soonest) |> Kernel.*(2) |> min(@latest)
    %{state | woken?: true, awake?: true, pause: pause}
  end

  @doc "A second is over. If no round was asked for in it, the next one that is begins at once."
  @spec rest(state()) :: state()
  def rest(%{awake?: false} = state), do: %{state | pause: 0}
  def rest(state), do: %{state | awake?: false}

  @doc "What another node has said."
  @spec told(state(), node(), term()) :: state()
  def told(state, node, {:reports, frame, last?}) when is_binary(frame) and is_boolean(last?) do
    with true <- grants?(state),
         {:ok, granted} <- Native.pacer_renew(state.native, node, frame, last?) do
      later(state, for(frame <- granted, do: {:tell, node, {:granted, frame}}))
    else
      # A report has totals, so the next one has all of this one.
      false -> state
      {:error, reason} -> refused(state, node, reason)
    end
  end

  def told(state, node, {:round, round}),
    do: later(state, [{:tell_answered, node, round}])

  def told(state, node, {:granted, frame}) when is_binary(frame),
    do: apply_granted(state, node, [frame])

  def told(state, node, {:answered, round, time}) when is_integer(time),
    do: answered(%{state | peers: Peers.answered(state.peers, node, round, time)}, round)

  def told(state, _node, :changed), do: wake(state)

  # Of a later version of the library, or malformed.
  def told(state, _node, _what), do: state

  @doc """
  Does something once all that was recorded until now is in the store. While so much waits for a disk that does not
  answer, what the next round brings again is left out.
  """
  @spec later(state(), [Syncs.action()]) :: state()
  def later(state, actions) do
    actions =
      if Syncs.full?(state.syncs), do: Enum.reject(actions, &comes_again?/1), else: actions

    {actions, syncs} = Syncs.add(state.syncs, actions)
    act(%{state | syncs: syncs}, actions, :ok)
  end

  defp comes_again?({:tell_answered, _node, _round}), do: true
  defp comes_again?({:tell, _node, _what}), do: true
  defp comes_again?({:apply, _granted}), do: true
  defp comes_again?(:tick), do: true
  defp comes_again?(_action), do: false

  @doc "Does what has waited for a sync, unless the disk has refused it."
  @spec act(state(), [Syncs.action()], :ok | {:error, term()}) :: state()
  def act(state, actions, :ok), do: Enum.reduce(actions, state, &act(&2, &1))

  # What was granted is granted again, to the next report. What was noted stays pending, and is noted in the next round.
  def act(state, actions, {:error, _reason}), do: Enum.reduce(actions, state, &give_up(&2, &1))

  defp give_up(%{freeing: freeing} = state, {:free, _noted, callers}) do
    for from <- callers ++ freeing.callers, do: GenServer.reply(from, :ok)
    %{state | freeing: idle()}
  end

  defp give_up(state, {:later, action}), do: give_up(state, action)

  defp give_up(state, {:reply_free, from}) do
    GenServer.reply(from, {:error, :busy})
    state
  end

  defp give_up(state, _action), do: state

  defp act(state, {:free, noted, callers}) do
    :ok = Native.pacer_free_pending(state.native, noted)
    for from <- callers, do: GenServer.reply(from, :ok)
    %{asked?: asked?, callers: next} = state.freeing
    state = %{state | freeing: idle()}
    if asked?, do: note_pending(state, next), else: state
  end

  defp act(state, {:apply, granted}), do: apply_granted(state, node(), granted)

  defp act(state, {:tell, node, what}) do
    Peers.tell(state.peers, node, what)
    state
  end

  # With the time at which it is sent.
  defp act(state, {:tell_answered, node, round}),
    do: act(state, {:tell, node, {:answered, round, System.system_time(:millisecond)}})

  # Once what the actions before it wait for is done too.
  defp act(state, {:later, action}), do: later(state, [action])

  # Once money that is granted by now can be used.
  defp act(state, {:reply_free, from}), do: free(state, [from])

  defp act(state, :changed) do
    for node <- state.peers.others, do: Peers.tell(state.peers, node, :changed)
    state
  end

  # By what was spent until now. The nodes get their new rates with the next grants.
  defp act(state, :tick) do
    begin = System.monotonic_time()
    steps(&Native.pacer_tick(state.native, &1))
    Events.ticked(state.events, System.monotonic_time() - begin, length(state.peers.lost))
    renew(state)
  end

  defp apply_granted(state, node, frames) do
    frames |> Enum.reduce(state, &apply_frame(&2, node, &1)) |> free([])
  end

  defp apply_frame(state, node, frame) do
    case Native.pacer_apply(state.native, node, frame) do
      {:ok, new, without_room, unreadable} ->
        warn_of_room(state, without_room)
        tell_of_unreadable(state, node, unreadable)
        # What is new here has no money yet.
        if new > 0, do: wake(%{state | pause: @soonest}), else: state

      {:error, reason} ->
        refused(state, node, reason)
    end
  end

  defp warn_of_room(_state, 0), do: :ok

  defp warn_of_room(state, campaigns) do
    Logger.warning(
      "#{state.peers.shown} has no room for #{campaigns} campaigns that another node has taken: they are unknown here. " <>
        "Start it with more :max_campaigns"
    )
  end

  # Money that was granted or given back may be used once this node's own record of that is in the store. What is free by
  # then is noted once at a time: what comes meanwhile is noted next. Callers who wait for it are answered.
  defp free(%{config: %{part: nil}} = state, callers) do
    for from <- callers, do: GenServer.reply(from, :ok)
    state
  end

  defp free(%{freeing: %{noted?: true} = freeing} = state, callers),
    do: %{state | freeing: %{freeing | asked?: true, callers: callers ++ freeing.callers}}

  defp free(state, callers), do: note_pending(state, callers)

  defp note_pending(state, callers) do
    case Native.pacer_note_pending(state.native) do
      nil ->
        for from <- callers, do: GenServer.reply(from, :ok)
        state

      noted ->
        later(%{state | freeing: %{idle() | noted?: true}}, [{:free, noted, callers}])
    end
  end

  @doc "The state in which no money is noted."
  @spec idle() :: map()
  def idle, do: %{noted?: false, asked?: false, callers: []}

  defp refused(state, _node, :busy), do: state

  defp refused(state, node, reason) do
    text = "what #{node} has sent is refused: #{reason}"
    %{state | peers: Peers.log_refusal(state.peers, :frame, text)}
  end

  # Once for each change of a plan, since this node asks for it once.
  defp tell_of_unreadable(_state, _node, []), do: :ok

  defp tell_of_unreadable(state, node, [{campaign, reason} | _] = unreadable) do
    Logger.error(
      "#{state.peers.shown}: this node cannot read #{length(unreadable)} plans of #{node}, so it has no money for their " <>
        "campaigns. One is that of #{Options.shown(campaign)}: #{reason}. Give all nodes the same version of AdTally " <>
        "and the same database of time zones. Then start this pacer again"
    )
  end

  # Whoever asked that. Rounds have numbers, and nobody waits for them.
  defp answered(state, asked) do
    case Map.pop(state.waiting, asked) do
      {nil, _waiting} ->
        state

      {{from, _since}, waiting} ->
        GenServer.reply(from, :ok)
        %{state | waiting: waiting}
    end
  end

  @doc "Calls a native function from step to step."
  @spec steps((non_neg_integer() -> non_neg_integer() | :done)) :: :ok
  def steps(step), do: steps(step, step.(0))
  defp steps(_step, :done), do: :ok
  defp steps(step, next), do: steps(step, step.(next))

  defp milliseconds, do: System.monotonic_time(:millisecond)
end
