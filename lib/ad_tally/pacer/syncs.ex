defmodule AdTally.Pacer.Syncs do
  @moduledoc false
  # What a pacer's process does once what it depends on is on disk: a grant is sent, money is free again, a caller
  # is answered. Whatever waits while a sync is under way shares the next one. Without a store nothing waits.
  #
  # The process gets `{tag, answer}` of a sync, and `:sync_again` after a pause in which none could be begun.

  @enforce_keys [:sync]
  defstruct @enforce_keys ++ [waiting: [], syncing: nil]

  @typedoc "What is to be done, as the process understands it."
  @type action :: term()

  @typedoc """
  `sync` begins a sync, of which the calling process gets `{tag, :ok | {:error, reason}}`, and returns the tag, or
  `:error` where that cannot be begun now. `nil` without a store.
  """
  @type t :: %__MODULE__{
          sync: (() -> reference() | :error) | nil,
          # The newest first.
          waiting: [action()],
          syncing: {reference(), [action()]} | :pause | nil
        }

  # Until the next process of a store that has crashed has begun.
  @pause 100

  # Rounds of many nodes, for some seconds.
  @most 1_000

  @spec new((() -> reference() | :error) | nil) :: t()
  def new(sync), do: %__MODULE__{sync: sync}

  @doc "Actions that wait for a sync of all that was recorded until now: which of them can be done at once."
  @spec add(t(), [action()]) :: {[action()], t()}
  def add(%{sync: nil} = syncs, actions), do: {actions, syncs}
  def add(syncs, []), do: {[], syncs}

  def add(syncs, actions),
    do: {[], begin(%{syncs | waiting: Enum.reverse(actions, syncs.waiting)})}

  @doc "The answer of a sync: what waited for it, and whether that is on disk. `:unknown` where it is of no sync of these."
  @spec synced(t(), reference(), :ok | {:error, term()}) ::
          {:ok | {:error, term()}, [action()], t()} | :unknown
  def synced(%{syncing: {tag, actions}} = syncs, tag, answer),
    do: {answer, actions, begin(%{syncs | syncing: nil})}

  def synced(_syncs, _tag, _answer), do: :unknown

  @doc "The pause is over."
  @spec again(t()) :: t()
  def again(%{syncing: :pause} = syncs), do: begin(%{syncs | syncing: nil})
  def again(syncs), do: syncs

  @doc "Whether so much waits, because the disk does not answer, that what will come again is not taken."
  @spec full?(t()) :: boolean()
  def full?(syncs), do: length(syncs.waiting) >= @most

  defp begin(%{syncing: nil, waiting: [_ | _]} = syncs) do
    case syncs.sync.() do
      :error ->
        Process.send_after(self(), :sync_again, @pause)
        %{syncs | syncing: :pause}

      tag ->
        %{syncs | syncing: {tag, Enum.reverse(syncs.waiting)}, waiting: []}
    end
  end

  defp begin(syncs), do: syncs
end
