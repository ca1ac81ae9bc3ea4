defmodule AdTally.FrameError do
  @moduledoc """
  Says why a frame was not imported, and where it is wrong.

    * `:frame` - which frame of what was read, from 0
    * `:byte` - which byte of that frame, from 0
    * `:field` - the name of the field that begins there
    * `:reason` - what is there, and what would be right
  """
  defexception [:frame, :byte, :field, :reason]

  @type t :: %__MODULE__{
          frame: non_neg_integer(),
          byte: non_neg_integer(),
          field: String.t(),
          reason: String.t()
        }

  @impl true
  def message(%{frame: frame, byte: byte, field: field, reason: reason}),
    do: "frame #{frame}, byte #{byte}, #{field}: #{reason}"
end
