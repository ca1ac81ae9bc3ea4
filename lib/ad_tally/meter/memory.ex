defmodule AdTally.Meter.Memory do
  @moduledoc false
  # What a meter takes, in bytes, by what it is for.

  alias AdTally.Native
  alias AdTally.Meter.{Late, Retained}

  @type t :: %{
          ids: non_neg_integer(),
          open_windows: non_neg_integer(),
          retained_windows: non_neg_integer(),
          waiting_windows: non_neg_integer(),
          late_events: non_neg_integer()
        }

  @doc "`info` is that of `Native.meter_info/1`. `gone` is called if the meter has ended."
  @spec parts(map(), reference(), Retained.t(), Late.t() | nil, (... -> no_return())) :: t()
  def parts(info, native, retained, late, gone) do
    retained_bytes = Retained.bytes(retained, gone)

    %{
      ids: info.id_bytes,
      open_windows: open_bytes(native, 0, 0),
      retained_windows: retained_bytes,
      # What is closed and not retained is waiting, or was a moment ago.
      waiting_windows: max(info.closed_bytes - retained_bytes, 0),
      late_events: Late.memory(late)
    }
  end

  @spec sum(t()) :: non_neg_integer()
  def sum(parts), do: parts |> Map.values() |> Enum.sum()

  # A few windows at a time.
  defp open_bytes(native, from, bytes) do
    case Native.meter_open_bytes(native, from) do
      {more, nil} -> bytes + more
      {more, next} -> open_bytes(native, next, bytes + more)
    end
  end
end
