defmodule AdTally.Windows.Deadline do
  @moduledoc false
  # Until when a call with a `:timeout` may take.

  alias AdTally.Options

  @typedoc "Returns the milliseconds that are left, and exits as `GenServer.call/3` once none are."
  @type t :: (... -> timeout())

  @doc "`call` is what the exit names: `{module, function, arguments}`."
  @spec new(keyword(), timeout(), mfa :: {module(), atom(), [term()]}) :: t()
  def new(options, default, call) do
    case Options.timeout!(options, default) do
      :infinity ->
        fn -> :infinity end

      timeout ->
        end_ = now() + timeout

        fn ->
          left = end_ - now()
          if left > 0, do: left, else: exit({:timeout, call})
        end
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
