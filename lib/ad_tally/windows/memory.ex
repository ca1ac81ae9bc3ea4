defmodule AdTally.Windows.Memory do
  @moduledoc false
  # What a source takes, in bytes, by what it is for.

  alias AdTally.Windows.{Retained, Source}

  @type t :: %{
          required(:retained_windows) => non_neg_integer(),
          required(:waiting_windows) => non_neg_integer(),
          optional(atom()) => non_neg_integer()
        }

  @doc "`info` is what the source says. `gone` is called if it has ended."
  @spec parts(module(), Source.value(), map(), Retained.t(), (... -> no_return())) :: t()
  def parts(source, value, info, retained, gone) do
    retained_bytes = Retained.bytes(retained, gone)

    Map.merge(source.memory(value, info), %{
      retained_windows: retained_bytes,
      # What is closed and not retained is waiting, or was a moment ago.
      waiting_windows: max(info.closed_bytes - retained_bytes, 0)
    })
  end

  @doc """
  Bytes of open windows. `some` returns those of a few windows, the first ones that begin at a time or later,
  and the time to go on from, or `nil` at the end.
  """
  @spec open_windows((from :: non_neg_integer() -> {bytes, non_neg_integer() | nil})) :: bytes
        when bytes: non_neg_integer()
  def open_windows(some), do: open_windows(some, 0, 0)

  defp open_windows(some, from, bytes) do
    case some.(from) do
      {more, nil} -> bytes + more
      {more, next} -> open_windows(some, next, bytes + more)
    end
  end

  @spec sum(t()) :: non_neg_integer()
  def sum(parts), do: parts |> Map.values() |> Enum.sum()
end
