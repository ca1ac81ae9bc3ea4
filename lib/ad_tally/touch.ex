defmodule AdTally.Touch do
  @moduledoc """
  A touch: somebody saw or clicked a promotion. `AdTally.Attribution.touch/2` takes it.

    * `:id` - by which copies of the touch are recognised, and by which touches of the same millisecond
      are ordered: an integer of 64 bits (-2^63 to 2^63 - 1), or a binary of 1 to 65,536 bytes. A binary
      is given back as its hash, an integer of 64 bits that is the same in every VM
    * `:user` - who it was: an integer, a binary, an atom or a tuple of those, as in
      `AdTally.FrequencyCap`. `nil` and `""`, alone or in a tuple, are refused: otherwise all touches
      without a user would be those of one user
    * `:at` - when, in Unix milliseconds
    * `:kind` - which of the attribution's kinds of touches, such as `:click` or `:view`
    * `:dimensions` - a tuple with one value for each dimension of the attribution, in their
      order: integers, binaries or atoms
    * `:cost_micros` - what it has cost, in millionths of a unit of the currency: 0 to
      2^62 - 1
  """

  alias AdTally.FrequencyCap

  @enforce_keys [:id, :user, :at, :kind, :dimensions]
  defstruct [:id, :user, :at, :kind, :dimensions, cost_micros: 0]

  @typedoc "By which copies of a touch are recognised."
  @type id :: integer() | binary()

  @typedoc "A touch."
  @type t :: %__MODULE__{
          id: id(),
          user: FrequencyCap.user(),
          at: non_neg_integer(),
          kind: atom(),
          dimensions: tuple(),
          cost_micros: non_neg_integer()
        }
end
