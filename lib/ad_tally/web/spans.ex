defmodule AdTally.Web.Spans do
  @moduledoc false
  # The times of the windows that a report reads: open and retained ones.

  alias AdTally.Windows.{Server, Source}

  @timeout 5_000

  @typedoc "The begins of windows in order, and the end of the last one, in Unix milliseconds."
  @type t :: {[non_neg_integer()], non_neg_integer() | nil}

  @doc "Of a meter or an attribution."
  @spec of(Source.t(), native :: reference()) :: t()
  def of({source, _name} = owner, native) do
    {_names, retained, _sequence} = Server.call(owner, :report, @timeout)
    open = open(source, native, 0)

    closed =
      try do
        :ets.select(retained, [
          {{:_, :_, :_, :"$1", :_}, [], [{{{:map_get, :start, :"$1"}, {:map_get, :end, :"$1"}}}]}
        ])
      rescue
        ArgumentError -> Source.raise_not_running(owner)
      end

    spans = Enum.sort(open ++ closed)
    ends = Enum.map(spans, &elem(&1, 1))
    {spans |> Enum.map(&elem(&1, 0)) |> Enum.dedup(), Enum.max(ends, fn -> nil end)}
  end

  defp open(source, native, from) do
    case source.open(native, from) do
      [] ->
        []

      some ->
        for({start, ends, _rows, _native} <- some, do: {start, ends}) ++
          open(source, native, elem(List.last(some), 1))
    end
  end
end
