defmodule AdTally.Web.Health do
  @moduledoc false
  # How everything is: problems, windows, stores, other nodes, and what they have leased.

  alias AdTally.{Named, Native, Pacer}
  alias AdTally.Web.{Config, Names, Overview, Problems, Reports, Series}

  require Named

  # Milliseconds. A pacer's process answers at once, or something is wrong with it.
  @patience 200

  # Milliseconds that health waits for leases, whatever other report is being made.
  @leases_patience 200

  @most_campaigns 10_000

  @doc "The answer to a request of the page."
  @spec answer(Config.t()) :: map()
  def answer(config) do
    {snapshot, peers, problems} = read(config)

    %{
      at: snapshot.at,
      status: Problems.status(problems),
      problems: problems,
      windows:
        windows(snapshot, :meters, "meter") ++ windows(snapshot, :attributions, "attribution"),
      stores: Overview.stores(snapshot),
      pacers: for({name, peers} <- peers, do: pacer(name, peers)),
      leases: leases(config, snapshot),
      missing: Enum.map(snapshot.missing, &Names.name/1)
    }
  end

  @doc "Status and problems."
  @spec check(Config.t()) :: {:ok | :failing, [map()]}
  def check(config) do
    {_snapshot, _peers, problems} = read(config)
    {Problems.status(problems), problems}
  end

  defp read(config) do
    snapshot = Series.snapshot(config.name)
    peers = for name <- Enum.sort(Map.keys(snapshot.pacers)), do: {name, peers(name)}
    {snapshot, peers, Problems.of(config, snapshot, peers, @patience)}
  end

  ## Pacers

  @doc "What the process of a pacer says of other nodes, `nil` if it does not answer."
  @spec peers(atom()) :: map() | nil
  def peers(name) do
    {_info, peers} = GenServer.call(name, :info, @patience)
    peers
  catch
    :exit, _reason -> nil
  end

  @doc "The same as the page has it."
  @spec pacer(atom(), map() | nil) :: map()
  def pacer(name, peers) do
    peers = peers || %{lost_nodes: [], disagreeing_nodes: [], clock_offsets: %{}}

    %{
      name: Names.name(name),
      lost_nodes: Enum.map(peers.lost_nodes, &Names.name/1),
      disagreeing_nodes: Enum.map(peers.disagreeing_nodes, &Names.name/1),
      clock_offsets: Map.new(peers.clock_offsets, fn {node, ms} -> {Names.name(node), ms} end)
    }
  end

  # What nodes hold of the budgets that this node coordinates. Of very many campaigns only the first ones are read. If a
  # long report is being made, none are shown, so that problems are not delayed by more than that.
  defp leases(config, snapshot) do
    names = snapshot.pacers |> Map.keys() |> Enum.sort()
    make = fn -> {:ok, Enum.flat_map(names, &leased/1)} end

    answer = fn made, _at, _took -> made end

    case Reports.get(config.name, {:leases, names}, make, :only, answer, @leases_patience) do
      {:ok, leases} -> leases
      {:error, _status, _message} -> []
    end
  end

  @doc "Those of a pacer, by node."
  @spec leased(atom()) :: [map()]
  def leased(name) do
    native = Named.fetch!(Pacer, name)

    native
    |> leased(Native.pacer_campaigns(native, 0), 0, %{})
    |> sums()
    |> Enum.map(fn {node, {campaigns, micros}} ->
      %{
        pacer: Names.name(name),
        node: Names.name(node),
        campaigns: campaigns,
        micros: micros
      }
    end)
    |> Enum.sort_by(& &1.node)
  rescue
    # It has ended meanwhile.
    ArgumentError -> []
  end

  # By campaign, because one that is put again meanwhile comes again.
  defp leased(native, {next, some}, read, leases) do
    leases = for {campaign, status} <- some, into: leases, do: {campaign, status.nodes}
    read = read + length(some)

    if next == :done or read >= @most_campaigns,
      do: leases,
      else: leased(native, Native.pacer_campaigns(native, next), read, leases)
  end

  defp sums(leases) do
    for {_campaign, nodes} <- leases, {node, micros} <- nodes, reduce: %{} do
      sums -> Map.update(sums, node, {1, micros}, fn {n, sum} -> {n + 1, sum + micros} end)
    end
  end

  defp windows(snapshot, kind, text) do
    for {name, part} <- Enum.sort(snapshot[kind]) do
      sum = fn field -> part.sinks |> Map.values() |> Enum.map(& &1[field]) |> Enum.sum() end

      %{
        kind: text,
        name: Names.name(name),
        open_windows: part.open_windows,
        closed_windows: part[:closed_windows],
        newest: if(part.newest > 0, do: part.newest),
        lag_ms: part.watermark_lag_ms,
        waiting: sum.(:waiting),
        dropped: sum.(:dropped),
        failed: sum.(:failed)
      }
    end
  end
end
