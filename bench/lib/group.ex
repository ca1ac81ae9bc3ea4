defmodule AdTally.Bench.Group do
  @moduledoc """
  Contenders that are measured in turns and compared with each other.
  """

  alias AdTally.Bench.Contender

  @enforce_keys [:title, :unit, :rounds, :contenders]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          title: String.t(),
          # what one operation is, in the singular
          unit: String.t(),
          rounds: pos_integer(),
          contenders: [Contender.t()]
        }

  @doc """
  The empty loops to take off: one for all contenders that loop alike.
  """
  @spec loops(t()) :: [Contender.t()]
  def loops(group) do
    group.contenders |> Enum.map(&Contender.empty_loop/1) |> Enum.uniq_by(& &1.label)
  end
end
