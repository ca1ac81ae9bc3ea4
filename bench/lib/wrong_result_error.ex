defmodule AdTally.Bench.WrongResultError do
  @moduledoc "What was timed did something other than what it should have done."

  defexception [:label, :expected, :counted]

  @doc "Raises unless what was counted is what was expected."
  @spec equal!(String.t(), term(), term()) :: :ok
  def equal!(_label, same, same), do: :ok

  def equal!(label, expected, counted),
    do: raise(__MODULE__, label: label, expected: expected, counted: counted)

  @impl true
  def message(error) do
    "#{error.label}: expected #{inspect(error.expected)}, counted #{inspect(error.counted)}"
  end
end
