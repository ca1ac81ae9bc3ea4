defmodule AdTally.Test.NativeStores do
  @moduledoc """
  Stores and their parts without their processes, for tests of the boundary.
  """

  import ExUnit.Assertions
  import ExUnit.Callbacks

  alias AdTally.Native

  @doc "A directory of the test's own."
  @spec directory() :: Path.t()
  def directory do
    number = System.unique_integer([:positive])
    path = Path.join(System.tmp_dir!(), "ad_tally_store_#{System.pid()}_#{number}")
    on_exit(fn -> File.rm_rf!(path) end)
    path
  end

  @doc "Opens a store that is stopped at the end of the test. Nothing is written but what is synced, unless options say so."
  @spec open(Path.t(), keyword()) :: reference()
  def open(directory, options \\ []) do
    assert {:opened, store} = Native.store_open(directory, [interval: 3_600_000] ++ options)
    on_exit(fn -> Native.store_stop(store) end)
    store
  end

  @doc "Returns once what was recorded is on disk."
  @spec sync(reference()) :: :ok | {:error, String.t()}
  def sync(store) do
    reference = make_ref()
    Native.store_sync(store, reference)
    assert_receive {^reference, result}
    result
  end

  @doc "What a process that is killed now leaves behind: a copy of its directory."
  @spec left_behind(Path.t()) :: Path.t()
  def left_behind(directory) do
    copy = directory()
    {:ok, _report} = Native.store_backup(directory, copy)
    copy
  end

  @doc "How a directory is opened, in another VM."
  @spec open_and_stop(Path.t()) :: atom()
  def open_and_stop(directory) do
    {how, store} = Native.store_open(directory, [])
    :ok = Native.store_stop(store)
    how
  end

  @doc "Counts an impression of a key with an atom, in another VM."
  @spec write_atom(Path.t(), String.t()) :: :ok
  def write_atom(directory, atom) do
    {:opened, store} = Native.store_open(directory, interval: 3_600_000)

    :ok =
      store |> counters() |> Native.counters_add({:campaign, String.to_atom(atom)}, :impressions)

    Native.store_stop(store)
  end

  @doc "Counters that are a part of a store, with all that it has of them."
  @spec counters(reference(), String.t(), pos_integer()) :: reference()
  def counters(store, name \\ "counters", max_keys \\ 1_000),
    do: part(:counters, store, name, [[:impressions, :clicks], max_keys, nil])

  @doc "A table of sketches that is a part of a store."
  @spec reach(reference(), String.t()) :: reference()
  def reach(store, name \\ "reach"), do: part(:reach, store, name, [12, 1_000, nil, nil])

  @doc "A table of ids that is a part of a store."
  @spec dedupe(reference(), String.t()) :: reference()
  def dedupe(store, name \\ "dedupe"),
    do: part(:dedupe, store, name, [3_600_000, 10_000, false, nil])

  @doc "Caps that are a part of a store."
  @spec caps(reference(), String.t()) :: reference()
  def caps(store, name \\ "caps") do
    tiers = [{60_000, 86_400_000}]
    part(:caps, store, name, [{10_000, 10_000}, tiers, true, false, nil, nil])
  end

  @minute 60_000

  @doc """
  A meter of events by campaign and country that is a part of a store, whose clock is its events. `metrics:`,
  `olds:` and `touches:` may be others.
  """
  @spec meter(reference(), keyword()) :: reference()
  def meter(store, options \\ []), do: whole(new_meter(store, options))

  @doc "The same, as it is made."
  @spec new_meter(reference(), keyword()) :: term()
  def new_meter(store, options \\ []) do
    metrics = Keyword.get(options, :metrics, [:impressions, :clicks])
    olds = Keyword.get(options, :olds, [])
    stored = {store, Keyword.get(options, :name, "meter"), inspect(metrics), inspect(options)}

    Native.meter_new_in(
      stored,
      olds,
      {@minute, 0, nil, 10_000},
      {metrics, 2, 1_000},
      {[0], 12, 1_000, nil},
      {100 * @minute, 10_000, false},
      Keyword.get(options, :touches),
      nil
    )
  end

  @doc "An attribution of one dimension that is a part of a store."
  @spec attribution(reference(), String.t()) :: reference()
  def attribution(store, name \\ "attribution") do
    kinds = [click: 604_800_000, view: 86_400_000]
    actions = [purchase: :every, signup: :once_per_user]
    names = {1, kinds, actions, [:last_touch, :linear]}
    options = {true, false, 16, 1_000, 1_000, 2_592_000_000, 1_000}

    {store, name, "", ""}
    |> Native.attribution_new_in([], {@minute, 0, nil}, names, options, nil)
    |> whole()
  end

  defp part(kind, store, name, arguments) do
    stored = {store, name, inspect(arguments), inspect(arguments)}
    whole(apply(Native, :"#{kind}_new_in", [stored | arguments]))
  end

  defp whole({:ok, table, %{state: state}}) when state in [:new, :live], do: table

  defp whole({:ok, table, %{state: :stored}}) do
    assert Native.table_load(table) == :ok
    table
  end
end
