defmodule AdTally.Event do
  @moduledoc """
  Something that happened: what `AdTally.Meter.record/2` takes.

    * `:at` - when, in Unix milliseconds
    * `:dimensions` - a tuple of what it is counted under, one value for each dimension of the
      meter, in their order: integers, binaries or atoms
    * `:metrics` - a keyword list of metrics and what is added to them; one metric may be there
      more than once
    * `:id` - what it is known by where events are delivered more than once, a key as in
      `AdTally.Dedupe`; `nil` for none
    * `:user` - who it was, an integer or a binary, for sketches of reach; `nil` for nobody
  """

  alias AdTally.{Dedupe, Reach}

  @enforce_keys [:at, :dimensions]
  defstruct [:at, :dimensions, id: nil, user: nil, metrics: []]

  @typedoc "An event."
  @type t :: %__MODULE__{
          at: non_neg_integer(),
          dimensions: tuple(),
          id: Dedupe.id() | nil,
          user: Reach.user() | nil,
          metrics: [{metric :: atom(), amount :: integer()}]
        }
end
