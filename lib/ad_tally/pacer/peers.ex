defmodule AdTally.Pacer.Peers do
  @moduledoc false
  # The other nodes of a pacer, and what is said to them. Each node has a round a second, in which it sends to every
  # other one, as that may be a coordinator:
  #
  #     {:reports, frame, last?}  what it has spent of that one's budgets, and which of its plans it knows
  #     {:round, round}           that was all
  #
  # and is answered, once what is granted is in the coordinator's store:
  #
  #     {:granted, frame}         leases, and plans that it does not know
  #     {:answered, round, time}  that was all, and what time it is
  #
  # `:changed` says that there are new plans, and `:refused` that a node is of another configuration. Reports, leases and
  # plans are frames of native code, and totals: one that is lost, comes twice or out of order does no harm. Nothing
  # waits for a node that cannot be reached.

  alias AdTally.Metrics.Parts

  require Logger

  @enforce_keys [:name, :shown, :others, :fingerprint, :counters]
  defstruct @enforce_keys ++
              [
                round: 0,
                round_at: 0,
                heard: %{},
                lost: [],
                clock_offsets: %{},
                disagreeing: [],
                refused_at: %{},
                called_at: nil
              ]

  @typedoc """
    * `others` - the other nodes
    * `fingerprint` - what has to be the same on all of them
    * `counters` - what metrics read
    * `heard` - when a node has answered last, or since when it is asked
    * `lost` - those that have not answered for long
    * `disagreeing` - those of another fingerprint
    * `clock_offsets` - by how many milliseconds clocks are ahead that differ
  """
  @type t :: %__MODULE__{}

  # A lease is for about as long.
  @lost_after 5_000
  @log_pause 60_000
  @call_pause 5_000

  # Of clocks that are kept by NTP none differs by as much.
  @clock_tolerance 5_000

  # How many nodes, as of the last round: what metrics read, without asking the process.
  @counted [:lost, :disagreeing, :clock]

  @spec new(map()) :: t()
  def new(config) do
    others = List.delete(config.nodes, node())
    now = milliseconds()

    %__MODULE__{
      name: config.name,
      shown: "AdTally.Pacer #{inspect(config.name)}",
      others: others,
      fingerprint: config.fingerprint,
      counters: :counters.new(length(@counted), []),
      heard: Map.new(others, &{&1, now})
    }
  end

  @doc "Another node has answered a round, at a time by its clock."
  @spec answered(t(), node(), non_neg_integer(), integer()) :: t()
  def answered(peers, node, round, time) do
    if node in peers.lost, do: Logger.notice("#{peers.shown}: #{node} answers again")
    heard = Map.put(peers.heard, node, milliseconds())
    disagreeing = List.delete(peers.disagreeing, node)
    peers = %{peers | heard: heard, lost: List.delete(peers.lost, node), disagreeing: disagreeing}
    if round == peers.round, do: compare_clocks(peers, node, time), else: peers
  end

  # It was answered between the begin of the round and now, so this is by how much the clocks differ at least.
  defp compare_clocks(peers, node, time) do
    now = System.system_time(:millisecond)
    offset = max(time - now, 0) + min(time - peers.round_at, 0)
    differed? = Map.has_key?(peers.clock_offsets, node)

    cond do
      abs(offset) > @clock_tolerance ->
        unless differed?, do: log_clock(peers, node, offset)
        %{peers | clock_offsets: Map.put(peers.clock_offsets, node, offset)}

      differed? ->
        Logger.notice("#{peers.shown}: the clocks of this node and of #{node} agree again")
        %{peers | clock_offsets: Map.delete(peers.clock_offsets, node)}

      true ->
        peers
    end
  end

  defp log_clock(peers, node, offset) do
    Logger.warning(
      "#{peers.shown}: the clock of #{node} is #{abs(offset)} ms #{if offset > 0, do: "ahead of", else: "behind"} that of " <>
        "this node. No budget is exceeded by that, but where a day begins there is no money until it has begun by both, " <>
        "and reservations for times of the clock that is ahead may be refused as :future"
    )
  end

  @doc "What `AdTally.Pacer.info/1` has of it."
  @spec info(t()) :: map()
  def info(peers) do
    %{
      lost_nodes: peers.lost,
      disagreeing_nodes: peers.disagreeing,
      clock_offsets: peers.clock_offsets
    }
  end

  @doc "How many nodes do not answer, are of another configuration, or have a clock that differs, as of the last round."
  @spec faulty_nodes(:counters.counters_ref()) :: %{atom() => non_neg_integer()}
  def faulty_nodes(counters), do: Parts.counts(counters, @counted)

  @doc "Begins the next round."
  @spec begin_round(t()) :: t()
  def begin_round(peers),
    do: %{peers | round: peers.round + 1, round_at: System.system_time(:millisecond)}

  @doc "All reports of the round are sent. Tells of those that have not answered for long."
  @spec end_round(t()) :: t()
  def end_round(%{others: []} = peers), do: peers

  def end_round(peers) do
    for node <- peers.others, do: tell(peers, node, {:round, peers.round})
    now = milliseconds()
    lost = for {node, heard} <- peers.heard, now - heard > @lost_after, do: node

    for node <- lost -- peers.lost do
      Logger.warning(
        "#{peers.shown}: #{node} has not answered for #{div(@lost_after, 1_000)} seconds. Budgets that it coordinates " <>
          "have no money here once what is leased is spent"
      )
    end

    %{peers | lost: lost} |> count() |> call(now)
  end

  defp count(peers) do
    numbers = [length(peers.lost), length(peers.disagreeing), map_size(peers.clock_offsets)]

    for {number, index} <- Enum.with_index(numbers, 1),
        do: :counters.put(peers.counters, index, number)

    peers
  end

  # Nodes that are not connected are called, which may take seconds and is nobody's matter but its own.
  defp call(peers, now) do
    if peers.called_at == nil or now - peers.called_at >= @call_pause do
      for node <- peers.others -- Node.list(:connected), do: spawn(Node, :connect, [node])
      %{peers | called_at: now}
    else
      peers
    end
  end

  @doc "Sends something to another node, if it is connected and takes it."
  @spec tell(t(), node(), term()) :: :ok
  def tell(peers, node, what) do
    message = {:ad_tally_pacer, peers.fingerprint, node(), what}
    _sent_or_not = :erlang.send({peers.name, node}, message, [:noconnect, :nosuspend])
    :ok
  end

  @doc "What another node has sent, if it is one of these and is of the same configuration."
  @spec read(t(), tuple()) :: {:ok, node(), term()} | {:refused, t()}
  def read(peers, {:ad_tally_pacer, fingerprint, node, what}) when is_atom(node) do
    if fingerprint == peers.fingerprint and node in peers.others,
      do: {:ok, node, what},
      else: {:refused, refuse(peers, node, what)}
  end

  # A mistake of somebody in this system.
  def read(peers, _message), do: {:refused, peers}

  # It is told, as it may not hear of this node otherwise.
  defp refuse(peers, node, what) do
    if what != :refused, do: tell(peers, node, :refused)
    peers = log_refused(peers, node)

    if node in peers.others and node not in peers.disagreeing,
      do: %{peers | disagreeing: [node | peers.disagreeing]},
      else: peers
  end

  @doc """
  Whether all others that were heard of agree on who coordinates what. Where one does not, a budget may have two
  coordinators, each of which would spend it.
  """
  @spec agree?(t()) :: boolean()
  def agree?(peers), do: peers.disagreeing == []

  defp log_refused(peers, node) do
    log_refusal(
      peers,
      :message,
      "a message has come of #{inspect(node)}, which has other :nodes, another :seed or another version of the library. " <>
        consequence(peers, node) <> ": give all nodes the same"
    )
  end

  @doc "Logs that something of a kind was refused, at most once a minute, because it comes each second."
  @spec log_refusal(t(), kind :: atom(), String.t()) :: t()
  def log_refusal(peers, kind, text) do
    now = milliseconds()

    case peers.refused_at do
      %{^kind => at} when now - at < @log_pause ->
        peers

      refused_at ->
        Logger.error("#{peers.shown}: #{text}")
        %{peers | refused_at: Map.put(refused_at, kind, now)}
    end
  end

  defp consequence(peers, node) do
    if node in peers.others,
      do:
        "As a budget may have two coordinators by that, nothing is leased from here to any node",
      else: "Nothing is leased to it from here"
  end

  defp milliseconds, do: System.monotonic_time(:millisecond)
end
