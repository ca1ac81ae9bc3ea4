defmodule AdTally.Windows.Found do
  @moduledoc false
  # What a source in a store has of its earlier processes: closed windows that not all sinks have taken.
  #
  # Most have a number, and are delivered under it. Some have none yet: the process was killed before it gave one, or
  # the window was open and of another shape, such as a meter's with other metrics, and is closed as it is.

  alias AdTally.Windows.Source

  @enforce_keys [:sequence, :numbered, :others]
  defstruct @enforce_keys

  @typedoc """
    * `:sequence` - the greatest number that was given
    * `:numbered` - windows with a number, in its order
    * `:others` - those without, in the order in which they get one: periods, the names in their rows, and
      whether they are closed before their time, in runs of the same
  """
  @type t :: %__MODULE__{
          sequence: non_neg_integer(),
          numbered: [struct()],
          others: [{partial :: boolean(), [{Source.period(), names :: map()}]}]
        }

  @spec new(map(), Source.native(), epoch :: integer()) :: t()
  def new(%{part: nil}, _native, _epoch), do: %__MODULE__{sequence: 0, numbered: [], others: []}

  def new(%{source: source} = config, native, epoch) do
    {numbered, others} =
      native
      |> source.undelivered()
      |> Enum.split_with(fn {_, _, _, _, _shape, sequence, _, _} -> sequence != nil end)

    %__MODULE__{
      sequence: source.sequence(native),
      numbered: Enum.map(numbered, &window(&1, config, epoch)),
      others: others(others, config, native)
    }
  end

  defp window({start, end_, _rows, native, shape, sequence, partial, node}, config, epoch) do
    fields = %{
      native: native,
      start: start,
      end: end_,
      sequence: sequence,
      partial: partial,
      # A node that has written to the directory.
      node: String.to_atom(node),
      epoch: epoch
    }

    config.source.window(config.name, fields, names(shape, config))
  end

  defp others([], _config, _native), do: []

  defp others(found, config, native) do
    newest = config.source.info(native).newest

    for {start, end_, rows, window, shape, nil, _partial, _node} <- found do
      partial = end_ + config.lateness > clock(shape, config, newest)
      {partial, {{start, end_, rows, window}, names(shape, config)}}
    end
    |> Enum.chunk_by(&elem(&1, 0))
    |> Enum.map(fn [{partial, _window} | _] = run -> {partial, Enum.map(run, &elem(&1, 1))} end)
  end

  # One of another shape was open when the process before ended, and time has stood since.
  defp clock(shape, %{clock: :system, part: %{text: shape}}, _newest),
    do: System.system_time(:millisecond)

  defp clock(_shape, _config, newest), do: newest

  defp names(shape, %{part: %{text: shape}, names: names}), do: names
  defp names(shape, %{source: source, names: names}), do: source.names(shape, names)

  @doc "The number before that of the first window that is still to be delivered."
  @spec delivered(t()) :: non_neg_integer()
  def delivered(%{numbered: [first | _]}), do: first.sequence - 1
  def delivered(%{sequence: sequence}), do: sequence
end
