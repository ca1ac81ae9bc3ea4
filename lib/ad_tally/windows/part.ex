defmodule AdTally.Windows.Part do
  @moduledoc false
  # A process that belongs to a server and ends with it, in whatever way the server ends. It runs code of
  # others (a sink, `:on_late`, telemetry handlers), one attempt after the other, each in a process of its
  # own.
  #
  # It traps exits, so that its attempt ends with it. A GenServer that is started by start_link/3 and traps
  # exits logs its whole state when its parent is killed: here windows, events and the options of sinks. So
  # it is started without a parent, and linked afterwards.
  #
  #     defstruct [:server, attempt: nil, checked: nil, ...]
  #
  #     def init({server, argument}) do
  #       Part.join(server)
  #       {:ok, %__MODULE__{server: server, ...}}
  #     end
  #
  #     def handle_info({:EXIT, pid, _reason}, %{server: pid} = state), do: {:stop, :normal, state}
  #     def handle_info(:check_attempt, state), do: {:noreply, Part.check_attempt(state, "what it does")}
  #     def handle_info({:DOWN, monitor, :process, _pid, reason}, %{attempt: {_, monitor}} = state), ...
  #
  #     def terminate(_reason, state), do: Part.end_attempt(state)

  require Logger

  @minute 60_000

  @type attempt :: {pid(), monitor :: reference()}

  @spec start(module(), term()) :: {:ok, pid()}
  def start(module, argument), do: GenServer.start(module, {self(), argument})

  @spec join(pid()) :: :ok
  def join(server) do
    Process.flag(:trap_exit, true)
    Process.link(server)
    Process.send_after(self(), :check_attempt, @minute)
    :ok
  end

  # Linked, so that it ends with the calling process.
  @spec attempt((... -> term())) :: attempt()
  def attempt(fun), do: :erlang.spawn_opt(fun, [:link, :monitor])

  # Once a minute: warns of an attempt that ran at the check before as well.
  @spec check_attempt(%{attempt: attempt() | nil, checked: attempt() | nil}, String.t()) :: map()
  def check_attempt(%{attempt: attempt} = state, what) do
    Process.send_after(self(), :check_attempt, @minute)
    if hangs?(state), do: Logger.warning("#{what} has been running for more than a minute")
    %{state | checked: attempt}
  end

  # Whether the attempt ran at the last check as well.
  @spec hangs?(map()) :: boolean()
  def hangs?(%{attempt: attempt, checked: checked}), do: attempt != nil and attempt == checked

  @spec end_attempt(map()) :: true
  def end_attempt(%{attempt: nil}), do: true
  def end_attempt(%{attempt: {pid, _monitor}}), do: Process.exit(pid, :kill)

  # What was raised, without the arguments of functions: they are events, or the options of a sink.
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
