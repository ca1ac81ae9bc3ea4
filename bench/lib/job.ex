defmodule AdTally.Bench.Job do
  @moduledoc """
  A subject to measure: a module in `jobs/`. It has either `c:groups/1` or `c:text/1`.
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

  @doc "Measures what is compared with nothing, checks it, and returns its tables."
  @callback text(size()) :: iodata()

  @optional_callbacks groups: 1, text: 1

  @doc "Whether a job compares contenders."
  @spec compares?(module()) :: boolean()
  def compares?(job), do: Code.ensure_loaded?(job) and function_exported?(job, :groups, 1)
end
