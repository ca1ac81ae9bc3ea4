defmodule AdTally.Test.SinkFiles do
  @moduledoc "Reads what `AdTally.Sink.Files` wrote into a directory."

  alias AdTally.Test.JSON

  @doc "The names of all files, finished or not, from the directory on, in order."
  @spec names(Path.t()) :: [String.t()]
  def names(dir) do
    for path <- dir |> Path.join("**") |> Path.wildcard(match_dot: true) |> Enum.sort(),
        File.regular?(path),
        do: Path.relative_to(path, dir)
  end

  @doc "The paths of the finished files of a kind, in order."
  @spec paths(Path.t(), :counters | :reach | :overflow) :: [Path.t()]
  def paths(dir, kind),
    do: dir |> Path.join("#{kind}/date=*/[0-9]*.ndjson.gz") |> Path.wildcard() |> Enum.sort()

  @doc "Their lines, as they are."
  @spec lines(Path.t(), :counters | :reach | :overflow) :: [String.t()]
  def lines(dir, kind) do
    for path <- paths(dir, kind), line <- path |> File.stream!([:compressed]) do
      String.trim_trailing(line, "\n")
    end
  end

  @doc "Their lines, each as a list of names and values in their order."
  @spec rows(Path.t(), :counters | :reach | :overflow) :: [[{String.t(), term()}]]
  def rows(dir, kind), do: for(line <- lines(dir, kind), do: JSON.decode!(line))
end
