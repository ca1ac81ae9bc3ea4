defmodule AdTally.Windows.Retained do
  @moduledoc false
  # The closed windows that reports still read, in a table that ends with the server. A report
  # reads a few at a time: a message with 40,000 windows would hold a scheduler for 20 ms.

  @read_at_once 100

  @opaque t :: :ets.table()

  @spec new() :: t()
  def new, do: :ets.new(__MODULE__, [:ordered_set, :protected])

  @spec put(t(), [struct()], bytes :: (struct() -> non_neg_integer())) :: :ok
  def put(retained, windows, bytes) do
    now = System.monotonic_time(:millisecond)

    Enum.each(windows, fn window ->
      :ets.insert(retained, {window.sequence, now, window.start, window, bytes.(window)})
    end)
  end

  @doc "Forgets windows that were closed more than so many milliseconds ago."
  @spec forget(t(), non_neg_integer()) :: :ok
  def forget(retained, milliseconds) do
    forget_before(
      retained,
      :ets.first(retained),
      System.monotonic_time(:millisecond) - milliseconds
    )
  end

  defp forget_before(_retained, :"$end_of_table", _oldest), do: :ok

  defp forget_before(retained, sequence, oldest) do
    if :ets.lookup_element(retained, sequence, 2) < oldest do
      :ets.delete(retained, sequence)
      forget_before(retained, :ets.first(retained), oldest)
    else
      :ok
    end
  end

  @spec size(t()) :: non_neg_integer()
  def size(retained), do: :ets.info(retained, :size)

  @doc "Memory that they take. `gone` is called if the server has ended."
  @spec bytes(t(), (... -> no_return())) :: non_neg_integer()
  def bytes(retained, gone) do
    fn -> :ets.select(retained, [{{:_, :_, :_, :_, :"$1"}, [], [:"$1"]}]) end
    |> select(gone)
    |> Enum.sum()
  end

  @doc """
  Windows that begin at `from` or later and before `to`, in their order: a stream of lists of some.
  `gone` is called if the server ends meanwhile.
  """
  @spec stream(t(), non_neg_integer(), non_neg_integer() | :infinity, (... -> no_return())) ::
          Enumerable.t()
  def stream(retained, from, to, gone) do
    # Any integer is less than an atom.
    spec = [
      {{:_, :_, :"$1", :"$2", :_}, [{:andalso, {:>=, :"$1", from}, {:<, :"$1", to}}], [:"$2"]}
    ]

    Stream.unfold(fn -> :ets.select(retained, spec, @read_at_once) end, fn select ->
      case select(select, gone) do
        :"$end_of_table" -> nil
        {windows, more} -> {windows, fn -> :ets.select(more) end}
      end
    end)
  end

  defp select(select, gone) do
    select.()
  rescue
    ArgumentError -> gone.()
  end
end
