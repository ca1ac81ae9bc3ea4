defmodule AdTally.Bench.WrongResultError do
  @moduledoc "What was timed did something other than what it should have done."

  defexception [:label, :expected, :counted]

  @impl true
  def message(error) do
    "#{error.label}: expected #{inspect(error.expected)}, counted #{inspect(error.counted)}"
  end
end
