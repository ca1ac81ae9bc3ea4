defmodule AdTally.Pacer.Config do
  @moduledoc false
  # The options of a pacer, checked, and as native code takes them.

  alias AdTally.{Named, Options}
  alias AdTally.Store.Part

  @options [
    :name,
    :store,
    :nodes,
    :tick,
    :clock,
    :seed,
    :max_campaigns,
    :max_reservations,
    :max_ahead
  ]

  # As many as a number of eight bits tells apart.
  @most_nodes 255

  # Between a tick of a second and one of an hour a controller has enough to go by, and reacts in time.
  @ticks 1_000..3_600_000

  @typedoc """
    * `nodes` - all nodes of the pacer, in an order that is the same on all of them
    * `table` - what native code takes
    * `part` - its place in a store, or `nil`
    * `fingerprint` - what has to be the same on all nodes, as a number
  """
  @type t :: %{
          name: atom(),
          nodes: [node(), ...],
          tick: pos_integer(),
          clock: :system | :manual,
          table: tuple(),
          part: Part.t() | nil,
          fingerprint: non_neg_integer()
        }

  # What nodes send to each other. Raised where that changes.
  @protocol 1

  @spec new!(keyword()) :: t()
  def new!(options) do
    {name, _others} = Options.pop_name!(options)
    options = Options.known!(options, @options)
    store = Part.store!(options)
    nodes = nodes!(options)
    seed = Options.seed!(options) || seed(name)
    clock = Options.one_of!(options, :clock, [:system, :manual])
    Named.free!(name)

    tick = tick!(options)

    most = {
      Options.integer!(options, :max_campaigns, 100_000, 1_000_000),
      Options.count!(options, :max_reservations, 1_000_000),
      Options.milliseconds!(options, :max_ahead, 60_000)
    }

    table = {{nodes, own(nodes)}, {clock == :manual, tick}, most, seed}

    shape = [nodes: shape(options, nodes)]

    %{
      name: name,
      nodes: nodes,
      tick: tick,
      clock: clock,
      table: table,
      part: Part.new!(store, {AdTally.Pacer, name}, shape, [{:nodes, :same, ":nodes"}], table),
      fingerprint: :erlang.phash2({@protocol, nodes, seed}, 4_294_967_296)
    }
  end

  # All nodes have to decide alike, so it is not random, and the same after every start.
  defp seed(name) do
    <<seed::unsigned-64, _rest::binary>> = :erlang.md5(["AdTally.Pacer", 0, Atom.to_string(name)])

    seed
  end

  defp nodes!(options) do
    case Keyword.get(options, :nodes, :this) do
      :this -> [node()]
      nodes -> named_nodes!(nodes)
    end
  end

  defp named_nodes!(nodes) do
    cond do
      not Options.distinct_atoms?(nodes, @most_nodes) or not Enum.all?(nodes, &node?/1) ->
        raise ArgumentError,
              "expected :nodes to be :this, or a list of one to #{@most_nodes} different names of nodes such as " <>
                ":\"ads@10.0.0.1\", the same on all of them, got: #{Options.shown(nodes)}"

      node() not in nodes ->
        raise ArgumentError,
              "expected :nodes to have this node, #{inspect(node())}, among them, got: #{Options.shown(nodes)}" <>
                unnamed()

      true ->
        Enum.sort_by(nodes, &Atom.to_string/1)
    end
  end

  defp node?(node), do: node |> Atom.to_string() |> String.contains?("@")

  defp unnamed do
    if Node.alive?(), do: "", else: ". It has no name yet: start it with --name or --sname"
  end

  defp own(nodes), do: Options.place(node(), nodes)

  # A node alone may be named otherwise after its next start.
  defp shape(options, nodes),
    do: if(Keyword.get(options, :nodes, :this) == :this, do: :this, else: nodes)

  defp tick!(options) do
    case Keyword.get(options, :tick, 60_000) do
      tick when is_integer(tick) and tick in @ticks ->
        tick

      other ->
        raise ArgumentError,
              "expected :tick to be milliseconds, an integer from #{@ticks.first} to #{@ticks.last}, got: " <>
                Options.shown(other)
    end
  end
end
