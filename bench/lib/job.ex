defmodule AdTally.Bench.Job do
  @moduledoc """
  A subject to measure: a module in `jobs/`.
  """

  alias AdTally.Bench.Group

  @typedoc """
  How much work: `:full` for figures to quote, `:quick` for a look in seconds,
  `:smoke` to see in milliseconds that it works.
  """
  @type size :: :full | :quick | :smoke

  @doc "What it is called on the command line."
  @callback name() :: String.t()

  @doc "What it measures, in a line."
  @callback about() :: String.t()

  @doc "Sets everything up: what is compared with what."
  @callback groups(size()) :: [Group.t()]
end
