# What tests need of the library of that name, where it is not there: as there, a handler that raises is
# detached.
unless Code.ensure_loaded?(:telemetry) do
  defmodule :telemetry do
    @moduledoc false

    require Logger

    def attach(id, event, fun, config), do: attach_many(id, [event], fun, config)

    def attach_many(id, events, fun, config) do
      change(fn handlers ->
        if Enum.any?(handlers, &(elem(&1, 0) == id)),
          do: {{:error, :already_exists}, handlers},
          else: {:ok, [{id, events, fun, config} | handlers]}
      end)
    end

    def detach(id) do
      change(fn handlers ->
        case Enum.reject(handlers, &(elem(&1, 0) == id)) do
          ^handlers -> {{:error, :not_found}, handlers}
          others -> {:ok, others}
        end
      end)
    end

    def execute(event, measurements, metadata) do
      for {id, events, fun, config} <- handlers(), event in events do
        try do
          fun.(event, measurements, metadata, config)
        catch
          kind, reason ->
            detach(id)

            Logger.error(
              "Handler #{inspect(id)} has failed and has been detached. " <>
                Exception.format(kind, reason, __STACKTRACE__)
            )
        end
      end

      :ok
    end

    defp handlers, do: :persistent_term.get(__MODULE__, [])

    # Tests attach at once.
    defp change(fun) do
      :global.trans({__MODULE__, self()}, fn ->
        {answer, handlers} = fun.(handlers())
        :persistent_term.put(__MODULE__, handlers)
        answer
      end)
    end
  end
end
