defmodule AdTally.Test.MeterNodes do
  @moduledoc "What tests of reports over nodes have other nodes do."

  alias AdTally.{Event, Meter, Named}
  alias AdTally.Meter.{Report, Source}
  alias AdTally.Test.ReportFrames
  alias AdTally.Windows.Reader

  require Named

  @at 1_780_272_000_000

  @doc "The native report of a meter here."
  def grouped(name, options) do
    native = Meter |> Named.fetch!(name) |> elem(0)
    Reader.grouped({Source, name}, Report, native, options, fn -> 5_000 end)
  end

  @doc "Its frames."
  def frames(name, options), do: name |> grouped(options) |> ReportFrames.frames()

  @doc "Processes that are there for a report over nodes."
  def count_servers do
    Enum.count(Process.list(), fn pid ->
      match?({:current_function, {Meter.Nodes, _, _}}, Process.info(pid, :current_function))
    end)
  end

  @doc "Has a meter have so many rows, with long keys."
  def fill(name, count) do
    for some <- Enum.chunk_every(1..count, 10_000) do
      events =
        for number <- some do
          dimensions = {number, "a creative with a rather long name", "us"}
          %Event{at: @at, dimensions: dimensions, metrics: [clicks: 1]}
        end

      %{ok: 10_000} = Meter.record_many(name, events)
    end

    :ok
  end

  @doc "Has `AdTally.Meter.Nodes` be a module without functions, as an earlier version has none of it."
  def forget, do: replace("")

  @doc """
  Has this node send the first frame of a report only: whoever asks for the second one waits for ever. A process is
  told `{:worker, pid}`, which one asks, and then `:first_frame`, once it has that.
  """
  def send_first_frame(test, name, options) do
    [frame, _another | _others] = frames(name, options)
    :persistent_term.put(__MODULE__, {test, [frame]})

    replace("""
    defdelegate begin(request), to: #{inspect(__MODULE__)}
    defdelegate next(server), to: #{inspect(__MODULE__)}
    """)
  end

  defp replace(functions) do
    Code.put_compiler_option(:ignore_module_conflict, true)
    [_module] = Code.compile_string("defmodule #{inspect(Meter.Nodes)} do #{functions} end")
    :ok
  end

  @doc false
  def begin(request) do
    {test, frames} = :persistent_term.get(__MODULE__)
    send(test, {:worker, request.worker})

    server = fn ->
      receive do: ({:next, from} -> send(from, frames))
      send(test, :first_frame)
      Process.sleep(:infinity)
    end

    {:ok, spawn(server)}
  end

  @doc false
  def next(server) do
    send(server, {:next, self()})
    receive do: (frames -> frames)
  end
end
