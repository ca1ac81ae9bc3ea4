defmodule AdTally.Attribution.Conversions do
  @moduledoc false
  # Lists of conversions, which an attribution takes.

  @behaviour AdTally.Batch

  alias AdTally.Attribution.Touches
  alias AdTally.Native

  @impl true
  defdelegate take_all(native, conversions), to: Native, as: :attribution_convert_many

  @impl true
  defdelegate check_some(native, conversions, index),
    to: Native,
    as: :attribution_check_conversions

  @impl true
  defdelegate refused_some(native, conversions, index),
    to: Native,
    as: :attribution_refused_conversions

  @impl true
  defdelegate take_first(native, conversions), to: Native, as: :attribution_convert_first

  @impl true
  defdelegate take_some(native, conversions), to: Native, as: :attribution_convert_some

  @impl true
  defdelegate refuse(native, count, reason), to: Native, as: :attribution_refuse_conversions

  # Outcomes are those of touches.
  @impl true
  defdelegate nothing?(result), to: Touches

  @impl true
  defdelegate no_counts(), to: Touches

  @impl true
  defdelegate add(native, conversions, result, counts), to: Touches

  @impl true
  def called, do: "convert_many/3"
end
