# What the pipeline in the guide needs of Broadway, where that is not there.
unless Code.ensure_loaded?(Broadway) do
  defmodule Broadway.Message do
    @moduledoc false
    defstruct [:data, :acknowledger, status: :ok]

    def update_data(message, fun), do: %{message | data: fun.(message.data)}

    def configure_ack(%{acknowledger: {module, reference, data}} = message, options) do
      {:ok, data} = module.configure(reference, data, options)
      %{message | acknowledger: {module, reference, data}}
    end

    def failed(message, reason), do: %{message | status: {:failed, reason}}
  end

  defmodule Broadway do
    @moduledoc false
    @callback handle_message(atom(), struct(), term()) :: struct()
    @callback handle_batch(atom(), [struct()], term(), term()) :: [struct()]

    defmacro __using__(_options) do
      quote do
        @behaviour Broadway

        def child_spec(options),
          do: %{id: __MODULE__, start: {__MODULE__, :start_link, [options]}}
      end
    end

    def start_link(module, options) do
      {_producer, _arguments} = options[:producer][:module]
      [default: [concurrency: _]] = options[:processors]
      [default: [batch_size: _, batch_timeout: _]] = options[:batchers]
      Agent.start_link(fn -> module end, name: options[:name])
    end
  end
end
