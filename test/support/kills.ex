defmodule AdTally.Test.Kills do
  @moduledoc """
  A service with a store, `AdTally.Test.Kills.Child`, that is killed again and again while it is
  sent the items of `AdTally.Test.Kills.Plan`. As a broker would, it sends again whatever was not
  synced. Once all items of a round are on disk, the round's windows are closed.
  """

  alias AdTally.Test.Kills.{Plan, VM}

  @patience 60_000
  @measurements 6

  # `shown`: of each pair of a cap how often it was let through, and `times`, when at last.
  # `lost`: how often of what was not on disk when the service was killed.
  defstruct [
    :dir,
    :seed,
    :random,
    :vm,
    :items,
    :life,
    :each,
    round: 0,
    starts: [],
    ready?: false,
    sends?: true,
    pause: 0,
    counts: nil,
    measured: nil,
    waiting: [],
    waited: 0,
    begun: %{},
    shown: %{},
    times: %{},
    lost: %{},
    log: [],
    killed: 0,
    stopped: 0
  ]

  @doc """
  Kills a service so many times, then lets it end in order: `:seed`, `:kills` and `:dir`.

  With `:life` it is killed so many milliseconds after each start, and otherwise much sooner and at random. `:pause` is
  for how many milliseconds it rests after each round, and `:each` a function that is called before a kill, with what it
  has measured of itself, after the start and some times since, and how long the start took.

  Returns how many `:rounds` are complete, how often each pair of a cap was let through
  (`:shown`), how often before it was on disk and the service was killed (`:lost`), how often
  the service has it at the end, where that matters still (`:counts`), and how many events are in its counters
  (`:counted`).
  """
  def run(options) do
    {kills, options} = Keyword.pop!(options, :kills)
    state = struct!(__MODULE__, options)
    state = %{state | random: :rand.seed_s(:exsss, state.seed)} |> begin_round(0)
    state = Enum.reduce(1..kills//1, state, fn _number, state -> killed_life(state) end)

    # What is left of the round, and what another start makes of an orderly stop.
    round = state.round
    state = state |> start() |> follow(&(&1.round > round)) |> stop()
    pairs = counted_pairs(state.times)
    state = %{state | sends?: false} |> start() |> follow(& &1.ready?)
    VM.tell(state.vm, {:count, Enum.map(pairs, &{&1, state.times[&1]})})
    state = state |> follow(& &1.counts) |> stop()
    {counts, counted} = state.counts

    %{
      rounds: state.round,
      shown: state.shown,
      lost: state.lost,
      counts: pairs |> Enum.zip(counts) |> Map.new(),
      counted: counted,
      killed: state.killed,
      stopped: state.stopped
    }
  end

  # What is older is not kept, but of rules for ever.
  defp counted_pairs(times) do
    newest = times |> Map.values() |> Enum.max(fn -> 0 end)

    for {{_scope, _user, {_max, window}, _cycle} = pair, at} <- times,
        window == :lifetime or at > newest - div(Plan.longest(), 2),
        do: pair
  end

  defp killed_life(%{life: ms} = state) when ms != nil do
    begun = now()
    state = state |> start() |> follow(& &1.ready?)
    took = now() - begun
    {first, state} = measure(state)

    {later, state} =
      Enum.map_reduce(1..@measurements, state, fn _number, state ->
        state |> follow(fn _state -> false end, div(ms, @measurements)) |> measure()
      end)

    state.each.(%{start: took, measured: [first | later], rounds: state.round})
    state = kill(state)
    %{state | killed: state.killed + 1}
  end

  # From the first instruction of the VM on, or while it works; and now and then after it was
  # stopped in order.
  defp killed_life(state) do
    {stop?, state} = random(state, 10)
    {early?, state} = random(state, 4)
    {ms, state} = random(state, 600)
    state = if stop? == 1, do: stopped_life(state), else: state
    state = start(state)
    state = if early? == 1, do: state, else: follow(state, & &1.ready?)
    state = state |> follow(fn _state -> false end, ms) |> kill()
    %{state | killed: state.killed + 1}
  end

  defp stopped_life(state) do
    {ms, state} = random(state, 600)

    state =
      state |> start() |> follow(& &1.ready?) |> follow(fn _state -> false end, ms) |> stop()

    %{state | stopped: state.stopped + 1}
  end

  defp random(state, below) do
    {number, random} = :rand.uniform_s(below, state.random)
    {number, %{state | random: random}}
  end

  defp measure(state) do
    VM.tell(state.vm, :measure)
    state = follow(%{state | measured: nil}, & &1.measured)
    {state.measured, state}
  end

  # The service

  defp start(state), do: %{state | vm: VM.start(state.dir, state.seed), ready?: false}

  defp kill(state) do
    VM.kill(state.vm)
    {state, 137} = drain(%{state | sends?: false})
    # What was shown and is not known to be on disk may be gone.
    lost = Enum.reduce(state.waiting, state.lost, &add/2)
    forget_life(%{state | lost: lost})
  end

  defp stop(state) do
    VM.tell(state.vm, :stop)
    {state, 0} = drain(%{state | sends?: false})
    forget_life(state)
  end

  defp forget_life(state),
    do: %{state | vm: nil, sends?: true, waiting: [], waited: 0, begun: %{}}

  defp drain(state) do
    case VM.line(state.vm, @patience) do
      {:ended, status} -> {state, status}
      line when is_binary(line) -> drain(read(state, line))
    end
  end

  # Reads lines until something holds, or for so many milliseconds.
  defp follow(state, until, ms \\ nil) do
    deadline = now() + (ms || @patience)
    follow_until(state, until, deadline, ms != nil)
  end

  defp follow_until(state, until, deadline, may_end?) do
    if until.(state) do
      state
    else
      case VM.line(state.vm, max(deadline - now(), 0)) do
        line when is_binary(line) ->
          state |> read(line) |> follow_until(until, deadline, may_end?)

        :timeout when may_end? ->
          state

        other ->
          failed(state, inspect(other))
      end
    end
  end

  defp now, do: System.monotonic_time(:millisecond)

  # What it writes

  defp read(state, "> " <> line) do
    case String.split(line, " ", parts: 2) do
      ["ready"] -> send_round(%{state | ready?: true})
      ["begin", worker] -> %{state | begun: Map.put(state.begun, worker, state.waited)}
      ["shown", what] -> shown(state, String.split(what))
      ["ack", what] -> acked(state, String.split(what))
      ["closed", round] -> closed(state, String.to_integer(round))
      ["counts", term] -> %{state | counts: decode(term)}
      ["measured", term] -> %{state | measured: decode(term)}
      ["failed", text] -> failed(state, text)
    end
  end

  defp read(state, logged), do: %{state | log: Enum.take([logged | state.log], 40)}

  defp decode(term), do: term |> Base.decode64!() |> :erlang.binary_to_term()

  defp failed(state, what) do
    log = state.log |> Enum.reverse() |> Enum.join("\n")

    moment = "seed #{state.seed}, after #{state.killed} kills"
    raise "the service did not go on: #{what}, #{moment}; it logged\n#{log}"
  end

  defp shown(state, [worker, index]) do
    {pair, state} = let_through(state, worker, index)
    %{state | waiting: [pair | state.waiting], waited: state.waited + 1}
  end

  defp acked(state, [worker, next | indexes]) do
    # What was shown before it began to sync is on disk.
    {begun, others} = Map.pop!(state.begun, worker)
    waiting = Enum.take(state.waiting, max(state.waited - begun, 0))
    starts = List.replace_at(state.starts, String.to_integer(worker), String.to_integer(next))
    state = %{state | begun: others, waiting: waiting, starts: starts}

    state =
      Enum.reduce(indexes, state, fn index, state ->
        elem(let_through(state, worker, index), 1)
      end)

    if complete?(state), do: send_round(state), else: state
  end

  defp let_through(state, worker, index) do
    {:admit, _mode, scope, user, rule, at} =
      state.items |> Enum.at(String.to_integer(worker)) |> elem(String.to_integer(index))

    pair = {scope, user, rule, Plan.cycle(rule, at)}
    times = Map.update(state.times, pair, at, &max(&1, at))
    {pair, %{state | shown: add(pair, state.shown), times: times}}
  end

  defp closed(%{round: round} = state, round),
    do: state |> begin_round(round + 1) |> send_round()

  defp add(pair, counts), do: Map.update(counts, pair, 1, &(&1 + 1))

  # Rounds

  defp begin_round(state, round) do
    workers = 0..(Plan.workers() - 1)
    items = for worker <- workers, do: List.to_tuple(Plan.items(state.seed, round, worker))
    %{state | round: round, items: items, starts: Enum.map(workers, fn _worker -> 0 end)}
  end

  defp complete?(state), do: state.starts == Enum.map(state.items, &tuple_size/1)

  # Nobody hears it who was killed or is stopped.
  defp send_round(state) do
    if state.sends? do
      what =
        if complete?(state),
          do: {:close, state.round, state.pause},
          else: {:take, state.round, state.starts}

      VM.tell(state.vm, what)
    end

    state
  end
end
