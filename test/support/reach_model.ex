defmodule AdTally.Test.ReachModel do
  @moduledoc """
  What `AdTally.Reach` does, for one process, as a plain map from keys to sets of
  users that is obviously right. Sketches are those of `AdTally.Sketch.from_users/2`.

  Each function returns what its namesake returns, with lists sorted, and those
  that change something return the model after it as well. `:refused` stands for
  an `ArgumentError`.
  """

  alias AdTally.Sketch
  alias AdTally.Test.Sketches

  @enforce_keys [:precision, :max_keys, :secret]
  defstruct [
    :precision,
    :max_keys,
    :secret,
    rows: %{},
    overflow: MapSet.new(),
    overflow_adds: 0
  ]

  def new(options), do: struct!(__MODULE__, options)

  def add(model, key, user) do
    if key?(key) and user?(user), do: show(model, key, [user]), else: {:refused, model}
  end

  def add_many(model, pairs) do
    if Enum.all?(pairs, &pair?/1) do
      model = Enum.reduce(pairs, {0, model}, &count_overflow/2)
      answer(model)
    else
      {:refused, model}
    end
  end

  def add_many(model, key, users) do
    if key?(key) and Enum.all?(users, &user?/1) do
      users |> Enum.map(&{key, &1}) |> Enum.reduce({0, model}, &count_overflow/2) |> answer()
    else
      {:refused, model}
    end
  end

  # The sketch is that of users with those options.
  def merge(model, key, users, options) do
    cond do
      not key?(key) -> {:refused, model}
      options[:secret] != model.secret -> {{:error, :different_secret}, model}
      users == [] -> {:ok, model}
      loses_precision?(model, users, options) -> {coarser(options[:precision]), model}
      true -> show(model, key, users)
    end
  end

  def sketch(model, key) do
    cond do
      not key?(key) -> :refused
      users = model.rows[key] -> of(model, users)
      true -> nil
    end
  end

  def estimate(model, key), do: estimate_union(model, [key])

  def estimate_union(model, keys) do
    if Enum.all?(keys, &key?/1) do
      users = for key <- keys, user <- model.rows[key] || [], into: MapSet.new(), do: user
      model |> of(users) |> Sketch.estimate()
    else
      :refused
    end
  end

  def to_list(model) do
    Enum.sort(for {key, users} <- model.rows, do: {key, of(model, users)})
  end

  def drain_with_overflow(model) do
    overflow = of(model, model.overflow)
    {{to_list(model), overflow}, %{model | rows: %{}, overflow: MapSet.new()}}
  end

  # Without the memory.
  def info(model) do
    dense = Enum.count(model.rows, fn {_, users} -> Sketches.dense?(of(model, users)) end)
    keys = map_size(model.rows)

    model
    |> Map.take([:precision, :max_keys])
    |> Map.merge(%{keys: keys, dense: dense, sparse: keys - dense, overflow: model.overflow_adds})
  end

  # Shows users to a key, as one add.
  defp show(model, key, users) do
    users = MapSet.new(users, &bytes/1)

    if is_map_key(model.rows, key) or map_size(model.rows) < model.max_keys do
      {:ok,
       update_in(model.rows, &Map.update(&1, key, users, fn u -> MapSet.union(u, users) end))}
    else
      overflow = MapSet.union(model.overflow, users)
      {:overflow, %{model | overflow: overflow, overflow_adds: model.overflow_adds + 1}}
    end
  end

  defp count_overflow({key, user}, {overflowed, model}) do
    case show(model, key, [user]) do
      {:ok, model} -> {overflowed, model}
      {:overflow, model} -> {overflowed + 1, model}
    end
  end

  defp answer({0, model}), do: {:ok, model}
  defp answer({overflowed, model}), do: {{:overflow, overflowed}, model}

  # Coupons have no precision, registers do.
  defp loses_precision?(model, users, options) do
    options[:precision] < model.precision and Sketches.dense?(Sketch.from_users(users, options))
  end

  defp coarser(precision), do: {:error, {:coarser_precision, precision}}

  defp of(model, users) do
    users |> Enum.to_list() |> Sketch.from_users(precision: model.precision, secret: model.secret)
  end

  # An integer is the user that its 8 bytes are.
  defp bytes(user) when is_integer(user), do: <<user::little-64>>
  defp bytes(user), do: user

  defp pair?({key, user}), do: key?(key) and user?(user)
  defp pair?(_other), do: false

  defp user?(user) when is_integer(user), do: user in -(2 ** 63)..(2 ** 64 - 1)
  defp user?(user), do: is_binary(user) and user != ""

  defp key?(key) when is_tuple(key),
    do: tuple_size(key) in 1..8 and key |> Tuple.to_list() |> Enum.all?(&element?/1)

  defp key?(key), do: element?(key)

  defp element?(element) when is_integer(element), do: element in -(2 ** 63)..(2 ** 63 - 1)
  defp element?(element) when is_binary(element), do: byte_size(element) <= 65_536
  defp element?(element), do: is_atom(element)
end
