defmodule AdTally.Test.Responsiveness do
  @moduledoc """
  How long others have to wait: for a scheduler beside an operation, and for a native call to
  end. The modules below are tables of operations, each of which is measured by the same code.
  """

  import ExUnit.Assertions

  alias AdTally.Native
  alias AdTally.Test.Ticker

  @millisecond 1_000
  @gap_limit 10 * @millisecond

  # A native call and what times it take fewer. A look through a roomy heap took 300,000 and more.
  @reductions 20_000

  # Words enough for several lists of a million rows, and for what binaries of theirs
  # count for. A process that begins with this much collects no garbage on the way:
  # moving a million rows takes tens of milliseconds, with the library or without it,
  # and would hide what it does.
  @roomy [min_heap_size: 40_000_000, min_bin_vheap_size: 100_000_000]

  @typedoc """
  What might hold others up: `setup` makes what `operation` works on. `plain` builds as much in
  Elixir alone.
  """
  @type beside :: %{
          required(:name) => String.t(),
          required(:setup) => (... -> term()),
          required(:operation) => (term() -> term()),
          required(:plain) => (... -> term())
        }

  @typedoc """
  Native calls that are timed: `operation` gets a function that times a call and returns its time
  and its result, and what `setup` has made, and returns times. `limit` is in microseconds, a
  millisecond where none is given; `clock` that of the scheduler's threads, or of the dirty ones;
  `quick` ones are not left out by `bin/test --quick`.
  """
  @type calls :: %{
          required(:name) => String.t(),
          required(:setup) => (... -> term()),
          required(:operation) => (([term()] -> term()), term() -> [integer() | :unknown]),
          optional(:limit) => pos_integer(),
          optional(:quick) => true,
          optional(:clock) => (... -> {integer(), integer()})
        }

  @callback beside() :: [beside()]
  @callback calls() :: [calls()]

  @doc """
  A process that ticks every millisecond sees no gap over 10 ms beside the operation.

  In turn the operation, and plain Elixir for at least as long. What holds a scheduler does so
  every time, so the median of the turns tells.

  Where plain Elixir alone leaves longer gaps, the machine is too busy, or too small, to
  tell. Then the test is skipped, and says so: before the operation, or after it when the
  machine became busy meanwhile.
  """
  def assert_no_gap(operation) do
    ticker = Ticker.start_link()
    baseline = worst_gap_beside_plain(ticker, operation.plain, 1, 0)

    if baseline > @gap_limit,
      do: skip_for_gaps(baseline),
      else: ticker |> turns(operation) |> judge()
  end

  @doc """
  Of a hundred native calls 99 take no longer than the limit, of their thread's time.

  The time is what the thread has worked in a call: the clock on the wall goes on while
  the system has put the thread aside. That of a call during which the process moved to
  another thread is not known, nor that of one during which it did something else for the VM, nor that
  of one during which a host took a processor of a virtual machine for itself: the thread's clock goes
  on then, 12 ms where it was seen.

  A call that fills fresh memory waits for the machine, which on some virtual ones takes 7 microseconds
  for each page. A call may be over the limit for as long as plain Elixir takes to make an array of 512
  KiB, which is more than any of the calls fills. Then the test is skipped, and says so.
  """
  def assert_short_calls(%{setup: setup, operation: operation} = calls) do
    clock = Map.get(calls, :clock, &Native.thread_time/0)
    limit = Map.get(calls, :limit, @millisecond)
    timed = &thread_timed(&1, clock)
    await_no_literals_to_free()

    before = fresh_memory()
    known = known_times(fn -> operation.(timed, setup.()) end)
    baseline = max(before, fresh_memory())

    longest = percentile(known, 99)

    cond do
      longest <= limit ->
        :ok

      longest <= limit + baseline ->
        skip(
          "#{longest} microseconds, on a machine that takes #{baseline} for an array of 512 KiB"
        )

      true ->
        flunk(
          "the longest of #{length(known)} calls, in microseconds: #{inspect(Enum.take(known, -20))}"
        )
    end
  catch
    :interrupted ->
      skip("the time of most calls is not known, because the processor was taken away meanwhile")
  end

  defp thread_timed(function, clock) do
    {stolen, reductions} = {stolen(), reductions()}
    {thread, begin} = clock.()
    result = function.()
    {same_or_other, now} = clock.()
    alone? = reductions() - reductions < @reductions and stolen() == stolen
    known? = thread == same_or_other and alone?
    {if(known?, do: div(now - begin, 1_000), else: :unknown), result}
  end

  # In the thread that makes it, whichever thread's calls are timed.
  defp fresh_memory do
    call = fn ->
      words = :atomics.new(65_536, [])
      for word <- 1..65_536//64, do: :ok = :atomics.put(words, word, word)
    end

    times = fn -> for _ <- 1..100, do: call |> thread_timed(&Native.thread_time/0) |> elem(0) end
    times |> known_times() |> percentile(99)
  end

  defp known_times(measure) do
    times = in_a_roomy_process(measure)
    known = times |> Enum.reject(&(&1 == :unknown)) |> Enum.sort()
    if length(known) > div(length(times), 2), do: known, else: throw(:interrupted)
  end

  defp reductions, do: self() |> Process.info(:reductions) |> elem(1)

  # The time that a host took, in the ticks of the system; nothing where no such figure is known.
  defp stolen do
    with {:ok, stat} <- File.read("/proc/stat"),
         ["cpu" | times] <- stat |> String.split("\n", parts: 2) |> hd() |> String.split(),
         do: Enum.at(times, 7)
  end

  @doc "A process on each scheduler that calls the function so many times with what `setup` has made."
  def on_all_schedulers(what, setup, times, call) do
    numbers = Enum.to_list(1..1_000)

    %{
      name: "processes on all schedulers, with #{what} over and over",
      setup: setup,
      operation: fn made -> call_on_all_schedulers(times, fn -> call.(made) end) end,
      plain: fn -> call_on_all_schedulers(10 * times, fn -> Enum.sum(numbers) end) end
    }
  end

  defp call_on_all_schedulers(times, call) do
    1..System.schedulers_online()
    |> Enum.map(fn _ -> Task.async(fn -> Enum.each(1..times, fn _ -> call.() end) end) end)
    |> Task.await_many(:infinity)
  end

  @doc "The rest of a list, of what a native call returns that has taken some of it."
  def rest({rest, _next_or_overflowed}), do: rest

  @doc "The times of all calls of `step` that a list takes, each of which returns the rest of it."
  def list_times(timed, items, step, times \\ [])
  def list_times(_timed, [], _step, times), do: times

  def list_times(timed, items, step, times) do
    {time, rest} = timed.(fn -> step.(items) end)
    list_times(timed, rest, step, [time | times])
  end

  @doc "The times of all calls that show rows, each of which is given those there are."
  def rows_times(timed, show, rows \\ [], times \\ []) do
    case timed.(fn -> show.(rows) end) do
      {time, {:more, rows}} -> rows_times(timed, show, rows, [time | times])
      # It frees the table too, on a dirty scheduler.
      {_time, {:done, _rows}} -> times
    end
  end

  defp turns(ticker, %{setup: setup, operation: operation, plain: plain}) do
    for _ <- 1..3 do
      {gap, elapsed} =
        in_a_roomy_process(fn ->
          made = setup.()
          gap_beside(ticker, fn -> operation.(made) end)
        end)

      {gap, worst_gap_beside_plain(ticker, plain, elapsed, 0)}
    end
  end

  defp judge(turns) do
    {gaps, baselines} = Enum.unzip(turns)

    cond do
      percentile(Enum.sort(gaps), 50) <= @gap_limit ->
        :ok

      Enum.max(baselines) > @gap_limit ->
        skip_for_gaps(Enum.max(baselines))

      true ->
        flunk("worst gaps in microseconds, with the library and without: #{inspect(turns)}")
    end
  end

  defp skip_for_gaps(baseline) do
    skip(
      "this machine leaves gaps of up to #{baseline} microseconds " <>
        "beside plain Elixir alone, which is over the limit of #{@gap_limit}"
    )
  end

  # ExUnit skips nothing once it runs.
  defp skip(reason), do: IO.puts("\nSkipped: #{running_test()}: #{reason}.")

  defp running_test do
    {:current_stacktrace, frames} = Process.info(self(), :current_stacktrace)

    Enum.find_value(frames, "a test", fn {module, function, _arity, _location} ->
      name = Atom.to_string(function)
      if String.starts_with?(name, "test "), do: "#{inspect(module)}, #{name}"
    end)
  end

  defp worst_gap_beside_plain(_ticker, _plain_work, left, worst) when left <= 0, do: worst

  defp worst_gap_beside_plain(ticker, plain_work, left, worst) do
    {gap, elapsed} = in_a_roomy_process(fn -> gap_beside(ticker, plain_work) end)
    worst_gap_beside_plain(ticker, plain_work, left - elapsed, max(worst, gap))
  end

  defp gap_beside(ticker, run) do
    Ticker.worst_gap(ticker)
    {elapsed, _} = timed(run)
    {Ticker.worst_gap(ticker), elapsed}
  end

  # The least value that is not below `percent` of them.
  defp percentile(sorted, percent),
    do: Enum.at(sorted, ceil(length(sorted) * percent / 100) - 1)

  defp timed(function) do
    begin = System.monotonic_time(:microsecond)
    result = function.()
    {System.monotonic_time(:microsecond) - begin, result}
  end

  defp in_a_roomy_process(function) do
    {pid, monitor} =
      :erlang.spawn_opt(fn -> exit({:result, function.()}) end, [:monitor | @roomy])

    assert_receive {:DOWN, ^monitor, :process, ^pid, reason}
    assert {:result, result} = reason
    result
  end

  # After a module is purged, or an entry of `:persistent_term` erased, as each meter's is that stops, a process of
  # the VM has all others look for it in their heaps, one after the other. A roomy one does that for 50 ms, on a dirty
  # scheduler, in the midst of whatever call it is: then its time is not known. So that few are, what is left of other
  # tests is waited for, for some seconds: until that process is still for a while, since no message tells.
  defp await_no_literals_to_free do
    started = {:initial_call, {:erts_literal_area_collector, :start, 0}}
    collector = Enum.find(Process.list(), &(Process.info(&1, :initial_call) == started))
    if collector, do: await_still(collector, 10, now() + 3_000)
  end

  defp await_still(pid, times, deadline) do
    unless times == 0 or now() > deadline,
      do: await_still(pid, if(still?(pid), do: times - 1, else: 10), deadline)
  end

  defp still?(pid) do
    {:reductions, before} = Process.info(pid, :reductions)
    Process.sleep(10)
    {:reductions, now} = Process.info(pid, :reductions)
    # To be asked takes one.
    now - before < 10
  end

  defp now, do: System.monotonic_time(:millisecond)
end
