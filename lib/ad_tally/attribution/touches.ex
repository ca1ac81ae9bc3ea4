defmodule AdTally.Attribution.Touches do
  @moduledoc false
  # Lists of touches, which an attribution takes.

  @behaviour AdTally.Batch

  alias AdTally.Native

  @impl true
  defdelegate take_all(native, touches), to: Native, as: :attribution_touch_many

  @impl true
  defdelegate check_some(native, touches, index), to: Native, as: :attribution_check_touches

  @impl true
  defdelegate refused_some(native, touches, index), to: Native, as: :attribution_refused_touches

  @impl true
  defdelegate take_first(native, touches), to: Native, as: :attribution_touch_first

  @impl true
  defdelegate take_some(native, touches), to: Native, as: :attribution_touch_some

  @impl true
  defdelegate refuse(native, count, reason), to: Native, as: :attribution_refuse_touches

  @impl true
  def nothing?(counts), do: counts |> Tuple.to_list() |> Enum.all?(&(&1 == 0))

  @impl true
  def no_counts, do: %{ok: 0, duplicate: 0, late: 0, future: 0}

  @impl true
  def add(_native, _touches, {ok, duplicate, late, future}, counts) do
    %{
      ok: counts.ok + ok,
      duplicate: counts.duplicate + duplicate,
      late: counts.late + late,
      future: counts.future + future
    }
  end

  # Those of an attribution in a store.
  def add(native, touches, {ok, duplicate, late, future, busy}, counts) do
    native
    |> add(touches, {ok, duplicate, late, future}, counts)
    |> Map.put(:busy, Map.get(counts, :busy, 0) + busy)
  end

  @impl true
  def called, do: "touch_many/3"
end
