defmodule AdTally.Test.SteppedClock do
  @moduledoc """
  A VM whose operating system's clock is stepped while it runs: `stepped_clock.c` is loaded
  before the C library, for `AdTally.Test.FreshVM`, and adds as many seconds to its time as a
  file says.
  """

  import AdTally.Test.Polling

  alias AdTally.{Dedupe, Event, FrequencyCap, Meter, Native}
  alias AdTally.Test.FreshVM

  @hour 3_600_000
  # The VM compares its clock with the system's once a minute.
  @patience 90_000

  @doc "Compiles the library into a directory, and returns its path."
  def compile(directory) do
    library = Path.join(directory, "stepped_clock.so")
    source = Path.join(__DIR__, "stepped_clock.c")
    command = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"]
    {"", 0} = System.cmd("cc", command, stderr_to_stdout: true)
    library
  end

  @doc "Calls a function of this module in a VM of that time warp mode, with its clock's file."
  def call(library, mode, function, arguments) do
    file = Path.join(Path.dirname(library), "#{mode}_#{System.unique_integer([:positive])}")
    step(file, 0)

    FreshVM.call(__MODULE__, function, [file | arguments],
      args: [~c"+C", Atom.to_charlist(mode)],
      env: [{~c"LD_PRELOAD", to_charlist(library)}, {~c"STEPPED_CLOCK", to_charlist(file)}]
    )
  end

  @doc """
  What becomes of events at the VM's time before the clock is stepped by so many seconds, and
  after it: where the VM follows the clock, after it has.
  """
  def events_around_a_step(file, seconds) do
    {:ok, _} =
      Meter.start_link(
        name: __MODULE__,
        dimensions: [:campaign],
        metrics: [:clicks],
        window: 1_000,
        lateness: 1_000
      )

    caps = FrequencyCap.new(capacity: 1_000)
    dedupe = Dedupe.new(capacity: 1_000, window: @hour)
    before = events(caps, dedupe, 1)
    offset = System.time_offset(:second)
    step(file, seconds)
    stepped = System.os_time(:second) - div(before.at, 1_000)

    if :erlang.system_info(:time_warp_mode) == :multi_time_warp,
      do: await(fn -> System.time_offset(:second) != offset end, @patience)

    # So that windows were closed by the clock as it is now.
    Process.sleep(2_500)
    followed = System.time_offset(:second) - offset
    %{before: before, after: events(caps, dedupe, 2), stepped: stepped, followed: followed}
  end

  # What becomes of events now.
  defp events(caps, dedupe, user) do
    rules = FrequencyCap.rules!([{1, @hour}])
    at = System.system_time(:millisecond)

    event = %Event{at: at, dimensions: {user}, metrics: [clicks: 1]}

    %{
      at: at,
      native: Native.clock_now() - at,
      meter: {Meter.record(__MODULE__, event), Meter.record_many(__MODULE__, [event]).ok},
      # Each way to give the time sees what the others have counted.
      caps: [
        FrequencyCap.admit(caps, :ad, user, rules),
        FrequencyCap.check(caps, :ad, user, rules),
        FrequencyCap.check(caps, :ad, user, rules, at),
        FrequencyCap.admit(caps, :ad, user, rules, at + 1_000),
        FrequencyCap.admit(caps, :ad, user, rules)
      ],
      first: [Dedupe.first?(dedupe, user), Dedupe.first?(dedupe, user, at)],
      refused: FrequencyCap.info(caps).refused,
      future: Dedupe.info(dedupe).future
    }
  end

  defp step(file, seconds), do: File.write!(file, <<seconds::little-signed-64>>, [:read, :write])
end
