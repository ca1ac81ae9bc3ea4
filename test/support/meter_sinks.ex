defmodule AdTally.Test.MeterSinks do
  @moduledoc """
  Sinks that tell a test what they get.
  """

  defmodule Telling do
    @moduledoc "Sends `{:window, window, counters, reach}` to `:to`, and answers what `:answer` does."

    @behaviour AdTally.Sink

    @impl true
    def deliver(window, options) do
      answer = Keyword.get(options, :answer, fn _window -> :ok end)
      send(options[:to], {:attempt, window.sequence})

      with :ok <- answer.(window) do
        counters = AdTally.Window.counters(window)
        send(options[:to], {:window, window, counters, AdTally.Window.reach(window)})
        :ok
      end
    end
  end

  defmodule Forwarding do
    @moduledoc "Sends `{:window, window}` to `:to`, and reads no rows."

    @behaviour AdTally.Sink

    @impl true
    def deliver(window, to: pid) do
      send(pid, {:window, window})
      :ok
    end
  end
end
