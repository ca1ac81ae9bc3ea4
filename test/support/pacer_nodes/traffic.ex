defmodule AdTally.Test.PacerNodes.Traffic do
  @moduledoc """
  Requests on one node: processes that reserve, and confirm, release or forget, a little later, here or on another
  node. For another node to confirm, a reservation is put into that node's directory, where one process looks for
  files, so that it gets there whatever becomes of the connections and of either node, once or more often.
  """

  alias AdTally.Pacer
  alias AdTally.Test.PacerNodes.Log

  @ways [confirm: 60, elsewhere: 15, twice: 5, release: 8, forget: 12]
  @doc """
  Starts the processes: `:dir`, `:node` (the number of this node), `:nodes` (how many there are), `:life` (which start of
  this node), `:name` of the pacer, `:campaigns`, and maybe `:workers`, `:amounts`, `:prices` (in percent of the amount), `:ttl`,
  `:pause` (milliseconds at most between two requests), `:later` (milliseconds at most until it is confirmed) and `:ways`
  (how often what is done).
  """
  def start(options) do
    options =
      Map.merge(
        %{
          workers: 2,
          amounts: 500..1_500,
          prices: 50..100,
          ttl: 4_000,
          pause: 4,
          later: 200,
          ways: @ways
        },
        Map.new(options)
      )

    :persistent_term.put({__MODULE__, :stops}, false)
    File.mkdir_p!(box(options.dir, options.node))
    workers = for number <- 1..options.workers, do: spawn(fn -> worker(options, number) end)
    courier = spawn(fn -> courier(options) end)
    :persistent_term.put({__MODULE__, :processes}, [courier | workers])
  end

  @doc "Ends it in order: what was reserved is settled as it would have been."
  def stop do
    :persistent_term.put({__MODULE__, :stops}, true)

    for pid <- :persistent_term.get({__MODULE__, :processes}) do
      monitor = Process.monitor(pid)

      receive do
        {:DOWN, ^monitor, :process, _pid, reason} when reason in [:normal, :noproc] -> :ok
      end
    end

    :ok
  end

  defp stops?, do: :persistent_term.get({__MODULE__, :stops})

  # Reservations

  defp worker(options, number) do
    file = Log.open(options.dir, "#{options.node}-#{options.life}-#{number}")
    id = "#{options.node}-#{options.life}-#{number}"
    work(Map.merge(options, %{file: file, id: id, next: 1, due: []}))
  end

  defp work(state) do
    if stops?() do
      settle(state.due, state)
    else
      {now_due, due} = Enum.split_with(state.due, fn {time, _what} -> time <= Log.time() end)
      settle(now_due, state)
      state = request(%{state | due: due})
      Process.sleep(:rand.uniform(state.pause + 1) - 1)
      work(state)
    end
  end

  defp settle(due, state), do: for({_time, what} <- due, do: settle_one(what, state))

  defp request(%{file: file, ttl: ttl} = state) do
    campaign = Enum.random(state.campaigns)
    amount = Enum.random(state.amounts)
    id = "#{state.id}-#{state.next}"
    at = System.os_time(:millisecond)
    answer = Pacer.reserve(state.name, campaign, id, amount, at, ttl: ttl)
    state = %{state | next: state.next + 1}

    case answer do
      {:ok, reservation} ->
        time = Log.time()
        Log.write(file, {:reserved, id, campaign, amount, at, ttl, time})
        price = max(div(amount * Enum.random(state.prices), 100), 1)
        what = {way(state.ways), id, reservation, price, at + ttl}
        due = time + 1_000 * :rand.uniform(state.later + 1) - 1_000
        %{state | due: [{due, what} | state.due]}

      answer ->
        Log.write(file, {:denied, campaign, answer, amount, Log.time()})
        Process.sleep(2)
        state
    end
  end

  defp way(ways) do
    number = :rand.uniform(ways |> Keyword.values() |> Enum.sum())

    Enum.reduce_while(ways, number, fn {way, count}, number ->
      if number <= count, do: {:halt, way}, else: {:cont, number - count}
    end)
  end

  defp settle_one({:forget, _id, _reservation, _price, _to}, _state), do: :ok

  defp settle_one({:release, id, reservation, _price, _to}, state) do
    Log.write(state.file, {:release, id, Log.time()})
    Pacer.release(state.name, reservation)
  end

  defp settle_one({:elsewhere, id, reservation, price, to}, state) do
    other = Enum.random(Enum.to_list(1..state.nodes) -- [state.node])
    text = :erlang.term_to_binary({id, reservation, price, to})
    path = Path.join(box(state.dir, other), id)
    File.write!(path <> ".part", text)
    File.rename!(path <> ".part", path)
  end

  defp settle_one({:twice, id, reservation, price, to}, state) do
    for _ <- 1..2, do: confirm(state, state.file, id, reservation, price, to)
  end

  defp settle_one({:confirm, id, reservation, price, to}, state),
    do: confirm(state, state.file, id, reservation, price, to)

  # What could come too late is left out, as nothing is promised of it.
  defp confirm(%{name: name, ttl: ttl}, file, id, reservation, price, to) do
    now = System.os_time(:millisecond)

    if now < to - div(ttl, 4) do
      Log.write(file, {:confirm, id, price, Log.time()})
      answer = Pacer.confirm(name, reservation, price, now)
      Log.write(file, {:confirmed, id, answer, Log.time()})
      answer
    end
  end

  # Confirms of other nodes' reservations

  defp box(dir, node), do: Path.join([dir, "boxes", "#{node}"])

  defp courier(options), do: deliver(options, %{}, 0)

  defp deliver(options, under_way, count) do
    dir = box(options.dir, options.node)

    # Others may put files there for ever.
    names =
      for name <- if(stops?(), do: [], else: File.ls!(dir)),
          not String.ends_with?(name, ".part"),
          name not in Map.values(under_way),
          do: name

    begun =
      for {name, number} <- Enum.with_index(names, count), into: %{} do
        path = Path.join(dir, name)
        {_pid, monitor} = spawn_monitor(fn -> deliver_one(options, path, number) end)
        {monitor, name}
      end

    under_way = under_way |> Map.merge(begun) |> ended(20)

    if not stops?() or under_way != %{},
      do: deliver(options, under_way, count + length(names))
  end

  defp ended(under_way, wait) do
    receive do
      {:DOWN, monitor, :process, _pid, :normal} -> ended(Map.delete(under_way, monitor), 0)
    after
      wait -> under_way
    end
  end

  defp deliver_one(options, path, number) do
    {id, reservation, price, to} = path |> File.read!() |> :erlang.binary_to_term()
    # Lines of several processes do not mix, as each is one call.
    file = Log.open(options.dir, "#{options.node}-#{options.life}-courier-#{rem(number, 8)}")

    case confirm(options, file, id, reservation, price, to) do
      {:error, reason} when reason in [:unreachable, :busy] -> Process.sleep(200)
      _answered_or_too_late -> File.rm!(path)
    end
  end
end
