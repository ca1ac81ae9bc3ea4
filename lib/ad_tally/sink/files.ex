defmodule AdTally.Sink.Files do
  @moduledoc """
  Writes one gzipped file of lines of JSON for each window: what BigQuery, Spark, Flink or a
  task of Airflow load as they are.

      {AdTally.Meter, name: MyApp.Ads, sinks: [{AdTally.Sink.Files, dir: "rollups"}], ...}

  A file is written under another name, synced and renamed, so that whoever sees it sees all of
  it, and the directory is synced: then the window is there, whatever happens. Its name has the
  window's start, and the meter, node, epoch and sequence that tell it from all others; delivered
  again, a window replaces its own file. One that ends with `.part` is still being written, or was
  left by a crash and can be deleted: its window was not taken.

  Every line has `kind`, `window_start`, `window_end` (Unix milliseconds), `sequence`, `partial`,
  `node` and `epoch`. By kind:

    * `counters` - every dimension and every metric under its name
    * `reach` - the dimensions of `reach: [by: ...]`, and `reach_sketch`, the bytes of an Apache
      DataSketches HLL sketch in Base64
    * `overflow` - every metric: what had no row, where that is not nothing

  A loader that keeps one copy of each `(node, epoch, sequence)`, sums metrics and unites sketches
  is right under redeliveries and restarts. A binary that is no UTF-8 is written as
  `{"base64": "..."}`.
  """

  @behaviour AdTally.Sink

  alias AdTally.{Options, Sketch, Window}
  alias AdTally.Sink.JSON

  @impl true
  @spec validate(keyword()) :: {:ok, dir: Path.t()} | {:error, String.t()}
  def validate(options) do
    case {Keyword.keys(options) -- [:dir], Keyword.fetch(options, :dir)} do
      {[], {:ok, dir}} ->
        directory(dir)

      {[], :error} ->
        {:error, "it needs dir: \"a directory\""}

      {keys, _dir} ->
        {:error, "unknown or repeated #{Options.shown(keys)}, it has dir: \"a directory\" only"}
    end
  end

  # As it is now, whatever the working directory will be.
  defp directory(dir) do
    path = IO.chardata_to_string(dir)

    if path == "" or String.contains?(path, <<0>>),
      do: no_directory(dir),
      else: {:ok, dir: Path.expand(path)}
  rescue
    _ in [ArgumentError, UnicodeConversionError, FunctionClauseError] -> no_directory(dir)
  end

  defp no_directory(dir),
    do: {:error, "expected :dir to be the path of a directory, got: #{Options.shown(dir)}"}

  @impl true
  @spec deliver(Window.t(), dir: Path.t()) :: :ok | {:error, term()}
  def deliver(window, options) do
    directory = Keyword.fetch!(options, :dir)
    path = Path.join(directory, name(window))
    partial = path <> ".part"

    with :ok <- File.mkdir_p(directory),
         :ok <- write(partial, :zlib.gzip(lines(window))),
         :ok <- File.rename(partial, path),
         do: sync_directory(directory)
  end

  # Its new name has to survive a crash of the machine as well. Not every system opens directories,
  # and not every one that does can sync them.
  defp sync_directory(directory) do
    case :file.open(directory, [:read, :raw, :directory]) do
      {:ok, file} ->
        synced = :file.sync(file)
        :file.close(file)
        if synced in [{:error, :einval}, {:error, :enotsup}], do: :ok, else: synced

      {:error, _reason} ->
        :ok
    end
  end

  defp name(window) do
    parts = [window.start, window.meter, window.node, window.epoch, window.sequence]
    safe = parts |> Enum.join("_") |> String.replace(~r/[^A-Za-z0-9@._-]/, "-")
    safe <> ".ndjson.gz"
  end

  defp write(path, content) do
    with {:ok, file} <- :file.open(path, [:write, :raw, :binary]) do
      written = with :ok <- :file.write(file, content), do: :file.sync(file)
      closed = :file.close(file)
      with :ok <- written, do: closed
    end
  end

  defp lines(window) do
    common = [
      window_start: window.start,
      window_end: window.end,
      sequence: window.sequence,
      partial: window.partial,
      node: window.node,
      epoch: window.epoch
    ]

    [
      for(
        {values, totals} <- Window.counters(window),
        do: line(:counters, common, [named(window.dimensions, values), Map.to_list(totals)])
      ),
      for(
        {values, sketch} <- Window.reach(window),
        do:
          line(:reach, common, [
            named(window.reach_by, values),
            [reach_sketch: sketch |> Sketch.to_binary() |> Base.encode64()]
          ])
      ),
      overflow(window, common)
    ]
  end

  defp overflow(window, common) do
    totals = Window.overflow(window)
    nothing? = Enum.all?(totals, fn {_metric, total} -> total == 0 end)
    if nothing?, do: [], else: line(:overflow, common, [Map.to_list(totals)])
  end

  defp named(names, values), do: Enum.zip(names, Tuple.to_list(values))

  defp line(kind, common, pairs) do
    [JSON.object([{:kind, kind} | common ++ Enum.concat(pairs)]), ?\n]
  end
end
