defmodule AdTally.Event do
  @moduledoc """
  An ad event, as `AdTally.Meter.record/2` takes it.

    * `:at` - the event time, in Unix milliseconds
    * `:dimensions` - a tuple with one value for each dimension of the meter, in their order:
      integers, binaries or atoms
    * `:metrics` - a keyword list of metrics and the amounts to add; a metric may occur more than
      once
    * `:id` - by which copies of the event are recognised, a key as in `AdTally.Dedupe`; `nil`
      for an event that is never delivered twice, and where the column of ids is empty: `""`, or
      a tuple with `nil` or `""` in it, would make all of those copies of the first, and is refused
    * `:user` - who saw or clicked it, an integer or a binary, for reach; `nil` if unknown
    * `:touch` - the kind of touch that the event is for the meter's `attribution:`, such as
      `:click`; `nil` if it is none. A meter without `attribution:` ignores it
  """

  alias AdTally.{Dedupe, Reach}

  @enforce_keys [:at, :dimensions]
  defstruct [:at, :dimensions, id: nil, user: nil, metrics: [], touch: nil]

  @typedoc "An event."
  @type t :: %__MODULE__{
          at: non_neg_integer(),
          dimensions: tuple(),
          id: Dedupe.id() | nil,
          user: Reach.user() | nil,
          metrics: [{metric :: atom(), amount :: integer()}],
          touch: atom()
        }
end
