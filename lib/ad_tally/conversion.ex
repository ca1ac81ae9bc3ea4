defmodule AdTally.Conversion do
  @moduledoc """
  A conversion: somebody did what a promotion is for. `AdTally.Attribution.convert/2` takes it.

    * `:order` - which conversion it is: an integer of 64 bits (-2^63 to 2^63 - 1), or a
      binary of 1 to 65,536 bytes. By it copies are recognised, credits are read, and
      refunds are made
    * `:user` - who it was, as in `AdTally.Touch`
    * `:at` - when, in Unix milliseconds
    * `:action` - which of the attribution's conversions, such as `:purchase` or `:signup`
    * `:value_micros` - what it is worth, in millionths of a unit of the currency:
      -(2^62 - 1) to 2^62 - 1
  """

  alias AdTally.FrequencyCap

  @enforce_keys [:order, :user, :at, :action]
  defstruct [:order, :user, :at, :action, value_micros: 0]

  @typedoc "Which conversion."
  @type order :: integer() | binary()

  @typedoc "A conversion."
  @type t :: %__MODULE__{
          order: order(),
          user: FrequencyCap.user(),
          at: non_neg_integer(),
          action: atom(),
          value_micros: integer()
        }
end
