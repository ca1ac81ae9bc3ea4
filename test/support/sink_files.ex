defmodule AdTally.Test.SinkFiles do
  @moduledoc "Closed windows, and what `AdTally.Sink.Files` wrote of them into a directory."

  alias AdTally.{Event, Meter}
  alias AdTally.Test.JSON
  alias AdTally.Test.MeterSinks.Forwarding

  @at 1_780_272_000_000

  @doc """
  A window of some rows, of dimensions and metrics and perhaps a user, as a sink gets it. It belongs to
  nobody else. Its time, and other options of its meter, may be given.
  """
  @spec window([tuple()], keyword()) :: AdTally.Window.t()
  def window(rows, options \\ []) do
    {at, options} = Keyword.pop(options, :at, @at)
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    defaults = [name: name, dimensions: [:page, :country], metrics: [:views], clock: :events]
    options = Keyword.merge(defaults ++ [sinks: [{Forwarding, to: self()}]], options)
    {:ok, meter} = Meter.start_link(options)
    for row <- rows, do: Meter.record(options[:name], event(row, at))
    GenServer.stop(meter)
    receive do: ({:window, window} -> window)
  end

  defp event({dimensions, metrics}, at), do: event({dimensions, metrics, nil}, at)

  defp event({dimensions, metrics, user}, at),
    do: %Event{at: at, dimensions: dimensions, metrics: metrics, user: user}

  @doc "The names of all files, finished or not, from the directory on, in order."
  @spec names(Path.t()) :: [String.t()]
  def names(dir) do
    for path <- dir |> Path.join("**") |> Path.wildcard(match_dot: true) |> Enum.sort(),
        File.regular?(path),
        do: Path.relative_to(path, dir)
  end

  @doc "The paths of the finished files of a kind, in order."
  @spec paths(Path.t(), AdTally.Sink.Files.kind()) :: [Path.t()]
  def paths(dir, kind),
    do: dir |> Path.join("#{kind}/date=*/[0-9]*.ndjson.gz") |> Path.wildcard() |> Enum.sort()

  @doc "Their lines, as they are."
  @spec lines(Path.t(), AdTally.Sink.Files.kind()) :: [String.t()]
  def lines(dir, kind) do
    for path <- paths(dir, kind), line <- path |> File.stream!([:compressed]) do
      String.trim_trailing(line, "\n")
    end
  end

  @doc "Their lines, each as a list of names and values in their order."
  @spec rows(Path.t(), AdTally.Sink.Files.kind()) :: [[{String.t(), term()}]]
  def rows(dir, kind), do: for(line <- lines(dir, kind), do: JSON.decode!(line))

  @doc "The sketch of a line's `reach_sketch`."
  @spec sketch!(String.t()) :: AdTally.Sketch.t()
  def sketch!(base64) do
    {:ok, sketch} = base64 |> Base.decode64!() |> AdTally.Sketch.from_binary()
    sketch
  end
end
