defmodule AdTally.Windows do
  @moduledoc false
  # What a meter and an attribution have in common: a process that owns the native table and closes its
  # windows, and a process for each sink. `AdTally.Windows.Source` is what they do not have in common.

  alias AdTally.Store.Part
  alias AdTally.Windows.{Deadline, Delivery, Memory, Server, Source}

  @typedoc """
  How one is started:

    * `:source` - the module, an `AdTally.Windows.Source`
    * `:name` - of the process and of the entry in `:persistent_term`
    * `:table` - what `c:AdTally.Windows.Source.new/1` gets. May hold secrets: it is not kept
    * `:names` - the names in rows, for windows and reports
    * `:clock` - `:system` or `:events`
    * `:sinks` - as `AdTally.Windows.Sinks.new!/1` returns them
    * `:lateness`, `:tick`, `:max_waiting`, `:retain`, `:flush`, `:telemetry_interval`, `:warning_interval` -
      numbers
    * `:store`, `:part` - the name of the store that keeps it, and it as that knows it, or `nil`
    * `:on_stop` - `:keep_open` or `:close`

  The source may have further ones.
  """
  @type config :: %{
          required(:source) => module(),
          required(:name) => atom(),
          required(:table) => term(),
          required(:names) => map(),
          required(:clock) => :system | :events,
          required(:sinks) => [{module(), keyword()}],
          required(:store) => atom(),
          required(:part) => Part.t() | nil,
          required(:on_stop) => :keep_open | :close,
          required(:lateness) => non_neg_integer(),
          required(:tick) => pos_integer(),
          required(:max_waiting) => pos_integer(),
          required(:retain) => pos_integer(),
          required(:flush) => pos_integer(),
          required(:telemetry_interval) => pos_integer(),
          required(:warning_interval) => pos_integer(),
          optional(atom()) => term()
        }

  @spec start_link(config()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(Server, config, name: config.name)

  @doc "How a supervisor has it as a child: it waits for as long as sinks make progress."
  @spec child_spec(module(), keyword()) :: Supervisor.child_spec()
  def child_spec(module, options) do
    %{
      id: {module, Keyword.get(options, :name)},
      start: {module, :start_link, [options]},
      shutdown: :infinity
    }
  end

  @doc "Closes all windows that have something in them, and returns once every sink has taken them."
  @spec close(Source.t(), Deadline.t()) :: :ok | {:error, :timeout | :dropped}
  def close(owner, time_left) do
    {sequences, deliveries} = Server.call(owner, :close, time_left.())
    Server.asking(owner, fn -> await(deliveries, sequences, time_left) end)
  catch
    :exit, {:timeout, _call} -> {:error, :timeout}
  end

  defp await([], _sequences, _time_left), do: :ok

  defp await([delivery | deliveries], sequences, time_left) do
    with :ok <- Delivery.await(delivery, sequences, time_left.()),
         do: await(deliveries, sequences, time_left)
  end

  @doc """
  What `info/2` has of either: closed windows, sinks and memory. `info` is what the source said, and
  `value` its name's.
  """
  @spec info(Source.t(), Source.value(), info :: map(), Deadline.t()) :: map()
  def info({source, _name} = owner, value, info, time_left) do
    {closed_windows, deliveries, retained} = Server.call(owner, :info, time_left.())

    Server.asking(owner, fn ->
      sinks = for delivery <- deliveries, do: Delivery.info(delivery, time_left.())
      gone = fn -> Source.raise_not_running(owner) end
      memory = Memory.parts(source, value, info, retained, gone)
      bytes = Memory.sum(memory)
      %{closed_windows: closed_windows, sinks: sinks, memory: memory, memory_bytes: bytes}
    end)
  end

  @doc "Asks a process of one that may end before it answers: raises that it does not run then."
  @spec asking(Source.t(), (... -> answer)) :: answer when answer: term()
  defdelegate asking(owner, ask), to: Server
end
