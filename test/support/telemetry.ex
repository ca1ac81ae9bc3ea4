# What tests need of the library of that name, where it is not there.
unless Code.ensure_loaded?(:telemetry) do
  defmodule :telemetry do
    @moduledoc false

    def attach_many(id, events, fun, config) do
      for event <- events do
        handlers = :persistent_term.get({__MODULE__, event}, [])
        :persistent_term.put({__MODULE__, event}, [{id, fun, config} | handlers])
      end

      :ok
    end

    def execute(event, measurements, metadata) do
      for {_id, fun, config} <- :persistent_term.get({__MODULE__, event}, []),
          do: fun.(event, measurements, metadata, config)

      :ok
    end
  end
end
