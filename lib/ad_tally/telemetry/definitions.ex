defmodule AdTally.Telemetry.Definitions do
  @moduledoc false
  # What of the telemetry events `AdTally.Telemetry.metrics/0` makes metrics of.

  @type kind :: :counter | :sum | :last_value | :summary

  @typedoc "A metric: the event, the measurement, tags, and the unit of the measurement with that which is wanted."
  @type t :: {kind(), event :: [atom()], measurement :: atom(), tags :: [atom()], unit :: term()}

  @outcomes [:applied, :duplicate, :late, :future, :no_window, :overflow, :refused, :busy]
  @touches [:applied, :duplicate, :late, :future, :refused, :busy]
  @adjustments [:applied, :superseded, :unknown, :retracted, :future, :refused]
  @settled [:attributed, :unattributed, :repeated, :revised, :finalised_early]
  @evicted [:evicted_touches, :evicted_users, :evicted_orders, :overflow, :linked, :forgotten]
  @calls [
    :reserved,
    :again,
    :paced,
    :no_budget,
    :unknown,
    :future,
    :full,
    :busy,
    :confirmed,
    :late,
    :over_price,
    :duplicate,
    :unknown_reservation,
    :elsewhere,
    :released,
    :expired,
    :no_book
  ]
  @budgets [
    :budget_micros,
    :spent_micros,
    :reserved_micros,
    :leased_micros,
    :target_micros,
    :overspent_micros,
    :presumed_micros
  ]

  @doc "All of them."
  @spec all() :: [t(), ...]
  def all do
    List.flatten([
      of(:sum, [:meter, :events], [:received | @outcomes], [:meter]),
      memory([:meter, :memory], [:meter]),
      of(:sum, [:attribution, :events], attribution(), [:attribution]),
      memory([:attribution, :memory], [:attribution]),
      of(:counter, [:window, :closed], [:rows], [:part]),
      of(:sum, [:window, :closed], [:rows], [:part]),
      took([:window, :closed], :duration, [:part]),
      of(:counter, [:sink, :delivered], [:duration], [:part, :sink]),
      took([:sink, :delivered], :duration, [:part, :sink]),
      of(:last_value, [:sink, :delivered], [:waiting], [:part, :sink]),
      of(:counter, [:sink, :failed], [:duration], [:part, :sink]),
      of(:last_value, [:sink, :failed], [:waiting, :failures], [:part, :sink]),
      of(:counter, [:sink, :dropped], [:waiting], [:part, :sink]),
      for(what <- [:handed, :failed, :dropped], do: of(:sum, [:late, what], [:events], [:meter])),
      of(:sum, [:pacer, :tick], @calls, [:pacer]),
      of(:last_value, [:pacer, :tick], [:campaigns, :lost_nodes | @budgets], [:pacer]),
      took([:pacer, :tick], :duration, [:pacer]),
      of(:last_value, [:store, :state], [:lag], [:store], :millisecond),
      of(:last_value, [:store, :state], [:waiting_bytes, :disk_bytes], [:store], :byte),
      of(:sum, [:store, :state], [:busy], [:store]),
      of(:sum, [:store, :committed], [:commits, :records], [:store]),
      of(:sum, [:store, :committed], [:bytes], [:store], :byte),
      took([:store, :committed], :longest, [:store]),
      of(:counter, [:store, :failed], [:lag], [:store]),
      took([:store, :compacted], :duration, [:store, :part])
    ])
  end

  defp attribution do
    for(
      kind <- [:touches, :conversions],
      outcome <- [:received | @touches],
      do: :"#{kind}_#{outcome}"
    ) ++
      for(outcome <- [:received | @adjustments], do: :"adjustments_#{outcome}") ++
      @settled ++ @evicted
  end

  defp memory(event, tags) do
    [
      of(:last_value, event, [:bytes], tags, :byte),
      of(:last_value, event, [:open_windows, :retained_windows], tags)
    ]
  end

  defp took(event, measurement, tags),
    do: of(:summary, event, [measurement], tags, {:native, :millisecond})

  defp of(kind, event, measurements, tags, unit \\ :unit),
    do: for(measurement <- measurements, do: {kind, [:ad_tally | event], measurement, tags, unit})

  @doc "Metadata with the tag `:part`, the name of the meter or the attribution, where it is of one."
  @spec tag_values(map()) :: map()
  def tag_values(%{meter: name} = metadata), do: Map.put(metadata, :part, name)
  def tag_values(%{attribution: name} = metadata), do: Map.put(metadata, :part, name)
  def tag_values(metadata), do: metadata
end
