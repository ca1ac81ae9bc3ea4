defmodule AdTally.Windows.Durable do
  @moduledoc false
  # The closed windows of a source that has a store, until every sink has taken them:
  #
  #     closed ──a record of it──> waiting ──sync──> with the sinks ──the last one has taken it──> gone
  #
  # A sink gets a window once the disk knows that it is closed, and under which number. So no sink has what a
  # crash would take back, and a window comes again under the same number. Windows that are gone are not
  # delivered after the next start.
  #
  # The server owns this. It gets `{tag, answer}` of a sync, `:sync_again` after one that failed, and
  # `{:taken, sequence}` from the processes that deliver.

  @enforce_keys [:source, :native, :sync, :sinks]
  defstruct @enforce_keys ++ [waiting: [], syncing: nil, taken: %{}]

  @typedoc """
  `sync` begins a sync, of which the calling process gets `{tag, :ok | {:error, reason}}`, and returns the tag,
  or `:error` where that cannot be begun now. `sinks` is how many have to take a window.
  """
  @type t :: %__MODULE__{
          source: module(),
          native: reference(),
          sync: (... -> reference() | :error),
          sinks: non_neg_integer(),
          # The newest first.
          waiting: [struct()],
          syncing: {reference() | :pause, [struct()]} | nil,
          # Of a window that sinks have: the native one, and how many of them have still to take it.
          taken: %{pos_integer() => {reference(), pos_integer()}}
        }

  # Between a sync that failed and the next one. The store tries again by itself meanwhile.
  @pause 100

  @spec new(module(), reference(), (... -> reference() | :error), non_neg_integer()) :: t()
  def new(source, native, sync, sinks),
    do: %__MODULE__{source: source, native: native, sync: sync, sinks: sinks}

  @doc "Windows were closed now, in the order of their numbers: this is recorded, and made durable."
  @spec closed(t(), [struct()], partial :: boolean()) :: t()
  def closed(durable, [], _partial), do: durable

  def closed(durable, windows, partial) do
    numbered = for window <- windows, do: {window.native, window.sequence}
    now = System.system_time(:millisecond)
    :ok = durable.source.closed(durable.native, numbered, partial, Atom.to_string(node()), now)
    found(durable, windows)
  end

  @doc "Windows that a record says were closed, before this process began."
  @spec found(t(), [struct()]) :: t()
  def found(durable, windows),
    do: sync(%{durable | waiting: Enum.reverse(windows, durable.waiting)})

  @doc "The answer of a sync: which windows the sinks get now. `:unknown` where it is of no sync of this one."
  @spec synced(t(), reference(), :ok | {:error, term()}) :: {[struct()], t()} | :unknown
  def synced(%{syncing: {tag, windows}} = durable, tag, :ok) do
    durable = %{durable | syncing: nil}
    {windows, durable |> to_sinks(windows) |> sync()}
  end

  def synced(%{syncing: {tag, windows}} = durable, tag, {:error, _reason}),
    do: {[], pause(durable, windows)}

  def synced(_durable, _tag, _answer), do: :unknown

  @doc "The pause after a sync that failed is over."
  @spec again(t()) :: t()
  def again(%{syncing: {:pause, windows}} = durable),
    do: sync(%{durable | syncing: nil, waiting: durable.waiting ++ Enum.reverse(windows)})

  def again(durable), do: durable

  @doc "A sink has taken a window, or it was dropped for that sink."
  @spec taken(t(), pos_integer()) :: t()
  def taken(durable, sequence) do
    case durable.taken do
      %{^sequence => {native, 1}} ->
        :ok = durable.source.gone(durable.native, [native])
        %{durable | taken: Map.delete(durable.taken, sequence)}

      %{^sequence => {native, sinks}} ->
        %{durable | taken: %{durable.taken | sequence => {native, sinks - 1}}}
    end
  end

  @doc "Everything was made durable by the caller: which windows the sinks get now."
  @spec flushed(t()) :: {[struct()], t()}
  def flushed(durable) do
    syncing = with {_tag, windows} <- durable.syncing, do: windows
    windows = List.wrap(syncing) ++ Enum.reverse(durable.waiting)
    {windows, to_sinks(%{durable | syncing: nil, waiting: []}, windows)}
  end

  defp to_sinks(durable, []), do: durable

  defp to_sinks(%{sinks: 0} = durable, windows) do
    :ok = durable.source.gone(durable.native, for(window <- windows, do: window.native))
    durable
  end

  defp to_sinks(durable, windows) do
    taken = Map.new(windows, &{&1.sequence, {&1.native, durable.sinks}})
    %{durable | taken: Map.merge(durable.taken, taken)}
  end

  # One at a time: those that are closed meanwhile share the next one.
  defp sync(%{syncing: nil, waiting: [_ | _] = waiting} = durable) do
    windows = Enum.reverse(waiting)
    durable = %{durable | waiting: []}

    case durable.sync.() do
      :error -> pause(durable, windows)
      tag -> %{durable | syncing: {tag, windows}}
    end
  end

  defp sync(durable), do: durable

  defp pause(durable, windows) do
    Process.send_after(self(), :sync_again, @pause)
    %{durable | syncing: {:pause, windows}}
  end
end
