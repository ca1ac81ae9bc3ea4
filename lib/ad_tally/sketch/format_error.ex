defmodule AdTally.Sketch.FormatError do
  @moduledoc """
  Says why bytes are not a sketch.

    * `:field` - what was wrong: `:length`, `:serial_version`, `:family`, `:mode`,
      `:preamble`, `:precision`, `:flags`, `:list_count`, `:set_count`, `:slots`,
      `:coupons`, `:register`, `:smallest_register`, `:count_of_the_smallest_register`,
      `:number_of_exceptions` or `:exceptions`
    * `:reason` - its value, and what it may be
  """
  defexception [:field, :reason]

  @type t :: %__MODULE__{field: atom(), reason: String.t()}

  @impl true
  def message(%{reason: reason}), do: "not a DataSketches HLL sketch: #{reason}"
end
