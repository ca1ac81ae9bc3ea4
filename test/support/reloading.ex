defmodule AdTally.Test.Reloading do
  @moduledoc """
  Loads of `AdTally.Native` again, for `AdTally.Test.FreshVM`, with meters and tables in use
  meanwhile.
  """

  import AdTally.Test.Polling

  alias AdTally.{Counters, Event, Meter, Native}

  @name __MODULE__

  @doc """
  What loads of all kinds return while four processes record and add, and what these have done
  and seen: `raised` is what any call raised, `lost` what is missing in the meter and the table.
  """
  def while_in_use(times) do
    file = :code.which(Native)
    {:ok, binary} = :file.read_file(file)
    :ok = :logger.add_handler(__MODULE__, __MODULE__, %{config: %{pid: self()}})
    :ok = :logger.remove_handler(:default)

    result =
      beside(fn ->
        for _ <- 1..times, into: MapSet.new() do
          {:code.load_file(Native), :code.load_binary(Native, file, binary), :code.purge(Native),
           :code.soft_purge(Native), :code.load_file(Native)}
        end
      end)

    Map.put(result, :logged, logged())
  end

  @doc false
  def log(%{level: level, msg: message}, %{config: %{pid: pid}}), do: send(pid, {level, message})

  defp logged do
    receive do
      {level, {:string, text}} -> [{level, to_string(text)} | logged()]
      {level, other} -> [{level, other} | logged()]
    after
      0 -> []
    end
  end

  @doc "The same where it is deleted each time, as code reloaders do, and loaded by the next call."
  def while_deleted(times) do
    beside(fn ->
      for _ <- 1..times, into: MapSet.new() do
        # Nobody stays in old code for long, and whoever does must not be killed.
        await(fn -> :code.soft_purge(Native) end)
        deleted = :code.delete(Native)
        {deleted, Native.floor(), :code.is_loaded(Native) != false}
      end
    end)
  end

  @doc """
  Has a build of the library that is another file, in `directory`, loaded after the first one was
  deleted, and again after that was purged: what calls return or raise.
  """
  def another_build(directory) do
    counters = Counters.new(metrics: [:n])
    :ok = Counters.add(counters, 1, :n)
    true = :code.add_patha(to_charlist(directory <> "/ad_tally/ebin"))
    true = :code.delete(Native)
    refused = outcome(fn -> Counters.add(counters, 1, :n) end)
    purged = :code.purge(Native)
    loaded = :code.load_file(Native)
    old_table = outcome(fn -> Counters.add(counters, 1, :n) end)
    new_table = outcome(fn -> Counters.add(Counters.new(metrics: [:n]), 1, :n) end)

    %{
      refused: refused,
      purged: purged,
      loaded: loaded,
      old_table: old_table,
      new_table: new_table
    }
  end

  @doc "Has the library loaded from a directory where it is put only after a first call."
  def installed_later(directory, library) do
    true = :code.add_patha(to_charlist(directory <> "/ad_tally/ebin"))
    missing = outcome(fn -> AdTally.info() end)
    again = {:code.load_file(Native), outcome(fn -> Native.floor() end)}
    :ok = File.mkdir_p!(directory <> "/ad_tally/priv/native")
    File.cp!(library, directory <> "/ad_tally/priv/native/" <> Path.basename(library))

    # The code server loads no module with @on_load while there is an instance before the one in use.
    :code.purge(Native)
    installed = {:code.load_file(Native), outcome(fn -> Native.floor() end)}
    :code.purge(Native)
    in_use = {:code.load_file(Native), outcome(fn -> Native.floor() end)}

    %{
      missing: missing,
      again: again,
      installed: installed,
      in_use: in_use,
      left: :persistent_term.get({Native, :refused}, nil)
    }
  end

  defp beside(load) do
    options = [name: @name, dimensions: [:a], metrics: [:n], clock: :events]
    {:ok, meter} = Meter.start_link(options)
    counters = Counters.new(metrics: [:n])
    tasks = for number <- 1..4, do: Task.async(fn -> use_until_told(number, counters, 0) end)

    loads = load.()
    for task <- tasks, do: send(task.pid, :stop)
    results = Task.await_many(tasks, :infinity)
    done = for {:done, done} <- results, do: done

    # One single event and two of a list a turn, and as many amounts.
    used = 3 * Enum.sum(done)

    seen = %{
      meter: Meter.info(@name).events.applied,
      report: @name |> Meter.report([]) |> total(),
      counters: Counters.get(counters, :key, :n)
    }

    # The meter's own process goes on as well.
    :ok = GenServer.stop(meter)

    %{
      loads: MapSet.to_list(loads),
      turns: Enum.min(done, fn -> 0 end),
      raised: for({:raised, error} <- results, do: error),
      lost: for({part, count} <- seen, count != used, do: {part, count, used})
    }
  end

  defp total(%{rows: rows}), do: total(rows)
  defp total(rows), do: rows |> Enum.map(& &1.n) |> Enum.sum()

  defp use_until_told(number, counters, done) do
    [one, two, three] = for n <- 1..3, do: event({number, done, n})
    :ok = Meter.record(@name, one)
    %{ok: 2} = Meter.record_many(@name, [two, three])
    :ok = Counters.add(counters, :key, :n)
    :ok = Counters.add_many(counters, [{:key, :n, 1}, {:key, :n, 1}])

    receive do
      :stop -> {:done, done + 1}
    after
      0 -> use_until_told(number, counters, done + 1)
    end
  rescue
    error -> {:raised, error}
  end

  defp event(id), do: %Event{id: id, at: 1_780_272_000_000, dimensions: {42}, metrics: [n: 1]}

  defp outcome(call) do
    {:ok, call.()}
  rescue
    error -> {:raised, error.__struct__, Exception.message(error)}
  end
end
