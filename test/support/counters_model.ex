defmodule AdTally.Test.CountersModel do
  @moduledoc """
  What `AdTally.Counters` does, for one process, as a plain map that is obviously
  right.

  Each function returns what its namesake returns, with lists sorted, and those
  that change something return the model after it as well. `:refused` stands for
  an `ArgumentError`.
  """

  @enforce_keys [:metrics, :max_keys, :overflow, :drained_overflow]
  defstruct [:metrics, :max_keys, :overflow, :drained_overflow, rows: %{}]

  def new(metrics: metrics, max_keys: max_keys) do
    zero = Map.new(metrics, &{&1, 0})
    %__MODULE__{metrics: metrics, max_keys: max_keys, overflow: zero, drained_overflow: zero}
  end

  def add(model, key, metric, amount) do
    if valid?(model, {key, metric, amount}) do
      add_valid(model, key, metric, amount)
    else
      {:refused, model}
    end
  end

  def add_many(model, items) do
    if Enum.all?(items, &valid?(model, &1)) do
      {results, model} =
        Enum.map_reduce(items, model, fn {key, metric, amount}, model ->
          add_valid(model, key, metric, amount)
        end)

      case Enum.count(results, &(&1 == :overflow)) do
        0 -> {:ok, model}
        overflowed -> {{:overflow, overflowed}, model}
      end
    else
      {:refused, model}
    end
  end

  def get(model, key), do: if(key?(key), do: model.rows[key], else: :refused)

  def get(model, key, metric) do
    if key?(key) and metric in model.metrics do
      Map.get(model.rows[key] || %{}, metric, 0)
    else
      :refused
    end
  end

  def to_list(model), do: Enum.sort(model.rows)

  def drain_with_overflow(model) do
    drained = Map.merge(model.drained_overflow, model.overflow, fn _, a, b -> a + b end)
    empty = new(metrics: model.metrics, max_keys: model.max_keys)
    {{to_list(model), model.overflow}, %{empty | drained_overflow: drained}}
  end

  # Without the memory, and without striped rows: one process meets nobody.
  def info(model) do
    overflow = Map.merge(model.drained_overflow, model.overflow, fn _, a, b -> a + b end)
    %{keys: map_size(model.rows), max_keys: model.max_keys, striped_keys: 0, overflow: overflow}
  end

  defp add_valid(model, key, metric, amount) do
    known? = is_map_key(model.rows, key)

    cond do
      not known? and map_size(model.rows) >= model.max_keys ->
        overflow(model, metric, amount)

      not known? ->
        model = put_in(model.rows[key], Map.new(model.metrics, &{&1, 0}))
        add_valid(model, key, metric, amount)

      not int64?(model.rows[key][metric] + amount) ->
        overflow(model, metric, amount)

      true ->
        {:ok, update_in(model.rows[key][metric], &(&1 + amount))}
    end
  end

  defp overflow(model, metric, amount),
    do: {:overflow, update_in(model.overflow[metric], &(&1 + amount))}

  defp valid?(model, {key, metric, amount}),
    do: key?(key) and metric in model.metrics and int64?(amount)

  defp valid?(_model, _item), do: false

  defp key?(key) when is_tuple(key) do
    tuple_size(key) in 1..8 and key |> Tuple.to_list() |> Enum.all?(&element?/1)
  end

  defp key?(key), do: element?(key)

  defp element?(element),
    do:
      is_atom(element) or int64?(element) or (is_binary(element) and byte_size(element) <= 65_536)

  defp int64?(term),
    do: is_integer(term) and term >= -0x8000_0000_0000_0000 and term <= 0x7FFF_FFFF_FFFF_FFFF
end
