defmodule AdTally.Meter.Part do
  @moduledoc false
  # A process that belongs to a meter and ends with it, however that ends.
  #
  # It traps exits, so that it takes along what it has started. A GenServer that is started by
  # start_link/3 and traps exits logs its whole state when its parent is killed: here all that waits, and
  # what sinks were configured with. So it is started without a parent, and linked afterwards.
  #
  #     def init({meter, argument}) do
  #       Part.join(meter)
  #       {:ok, %__MODULE__{meter_pid: meter, ...}}
  #     end
  #
  #     def handle_info({:EXIT, pid, _reason}, %{meter_pid: pid} = state), do: {:stop, :normal, state}
  #     def handle_info(:look, state), ...

  require Logger

  @minute 60_000

  @spec start(module(), term()) :: {:ok, pid()}
  def start(module, argument), do: GenServer.start(module, {self(), argument})

  @spec join(pid()) :: true
  def join(meter) do
    Process.flag(:trap_exit, true)
    Process.link(meter)
    Process.send_after(self(), :look, @minute)
    true
  end

  # Whether what runs was running at the last look, a minute ago, which is logged. Whoever joins gets
  # `:look` once a minute.
  @spec still_runs?(pid() | nil, pid() | nil, String.t()) :: boolean()
  def still_runs?(running, seen, what) do
    Process.send_after(self(), :look, @minute)
    still? = running != nil and running == seen
    if still?, do: Logger.warning("#{what} has been running for more than a minute")
    still?
  end

  # What was raised, without the arguments of the function: they are events, or what a sink was
  # configured with.
  @spec format(Exception.kind(), term(), Exception.stacktrace()) :: String.t()
  def format(kind, reason, stacktrace) do
    stacktrace =
      for frame <- stacktrace do
        with {module, function, arguments, location} when is_list(arguments) <- frame,
             do: {module, function, length(arguments), location}
      end

    Exception.format(kind, reason, stacktrace)
  end
end
