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

  @spec sum(t()) :: non_neg_integer()
  def sum(parts), do: parts |> Map.values() |> Enum.sum()
end
