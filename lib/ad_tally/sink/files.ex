defmodule AdTally.Sink.Files do
  @moduledoc """
  Writes one gzipped file of JSON lines for each window.

      {AdTally.Meter, name: MyApp.Ads, sinks: [{AdTally.Sink.Files, dir: "rollups"}], ...}

  While it is written, a file has a name that begins with `_` and ends with `.part`, which Spark,
  Flink and Hive do not read. It is synced and renamed, and then the directory is synced: a
  file under its own name is whole, and survives a crash of the machine. What a failed attempt has
  written is removed. Only a VM or a process that is killed leaves a `.part` file: its
  window was not taken, and one of an earlier run of the meter can be deleted.

  The name of a file has the window's start, and the meter, node, epoch and sequence that tell it
  from all others; delivered again, a window replaces its own file. Rows are read, compressed and
  written in pieces: a window of any size takes a few megabytes more while it is written.

  ## Options

    * `:dir` - the directory, which is made if it is not there. A relative path is one from the
      working directory of the time at which the meter starts. Where the directory cannot be made or
      written to, the window waits and is tried again: a disk may be mounted later. Required.

  ## Lines

  Every line has `kind`, `meter`, `window_start`, `window_end` (Unix milliseconds), `sequence`, `partial`,
  `node` and `epoch`. By kind:

    * `counters` - every dimension and every metric under its name, in the order in which they were
      declared
    * `reach` - the dimensions of `reach: [by: ...]`, and `reach_sketch`, the bytes of an Apache
      DataSketches HLL sketch in Base64
    * `overflow` - every metric: what had no row, if there was any. With `reach_sketch` if users had
      no sketch of their own

  A loader that keeps one copy of each `(meter, node, epoch, sequence)`, sums metrics and merges sketches
  is right under redeliveries and restarts. A binary that is not UTF-8 is written as
  `{"base64": "..."}`.
  """

  @behaviour AdTally.Sink

  alias AdTally.{Options, Sketch, Window}
  alias AdTally.Sink.JSON

  @kinds [:counters, :reach, :overflow]

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

  # Absolute, as the working directory may change.
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
    name = name(window)
    path = Path.join(directory, name)
    unfinished = Path.join(directory, "_" <> name <> ".part")

    try do
      with :ok <- make_directory(directory),
           :ok <- write(unfinished, window),
           :ok <- File.rename(unfinished, path),
           do: sync_directory(directory)
    after
      # It was renamed, or is of no use.
      File.rm(unfinished)
    end
  end

  defp make_directory(directory) do
    if File.dir?(directory),
      do: :ok,
      else: with(:ok <- File.mkdir_p(directory), do: sync_directory(Path.dirname(directory)))
  end

  # The new name must survive a crash of the machine as well. Not every system can open directories, or
  # sync them.
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

  # Names of files have 255 bytes on most systems; a meter's and a node's may have as many each.
  @longest_name 200

  defp name(window) do
    parts = [window.start, window.meter, window.node, window.epoch, window.sequence]
    safe = parts |> Enum.join("_") |> String.replace(~r/[^A-Za-z0-9@._-]/, "-")
    shorten(safe) <> ".ndjson.gz"
  end

  defp shorten(name) when byte_size(name) <= @longest_name, do: name

  defp shorten(name) do
    hash = :erlang.md5(name) |> Base.encode16(case: :lower)
    binary_part(name, 0, @longest_name) <> "-" <> hash
  end

  defp write(path, window) do
    with {:ok, file} <- :file.open(path, [:write, :raw, :binary]) do
      written = with :ok <- write_gzip(file, pieces(window)), do: :file.sync(file)
      closed = :file.close(file)
      with :ok <- written, do: closed
    end
  end

  # With the header and the trailer of gzip around what is deflated.
  @gzip_window_bits 16 + 15

  defp write_gzip(file, pieces) do
    zlib = :zlib.open()

    try do
      :ok = :zlib.deflateInit(zlib, :default, :deflated, @gzip_window_bits, 8, :default)

      with {:ok, unsynced} <- write_pieces(file, zlib, pieces),
           {:ok, _unsynced} <- write_some(file, :zlib.deflate(zlib, [], :finish), unsynced),
           do: :zlib.deflateEnd(zlib)
    after
      :zlib.close(zlib)
    end
  end

  defp write_pieces(file, zlib, pieces) do
    Enum.reduce_while(pieces, {:ok, 0}, fn piece, {:ok, unsynced} ->
      case write_some(file, :zlib.deflate(zlib, piece), unsynced) do
        {:ok, unsynced} -> {:cont, {:ok, unsynced}}
        error -> {:halt, error}
      end
    end)
  end

  # A slow disk is waited for between pieces, where the rows that are read show progress, and not once at
  # the end.
  @sync_every 8 * 1024 * 1024

  defp write_some(file, bytes, unsynced) do
    unsynced = unsynced + IO.iodata_length(bytes)

    with :ok <- :file.write(file, bytes) do
      if unsynced < @sync_every,
        do: {:ok, unsynced},
        else: with(:ok <- :file.datasync(file), do: {:ok, 0})
    end
  end

  # Large enough for a call each, and small beside a line with a sketch of the highest precision, of a
  # third of a megabyte.
  @piece 65_536

  defp pieces(window),
    do: Stream.concat(for kind <- @kinds, do: chunks(window, kind, bytes: @piece))

  @doc """
  The lines of one kind that the file of a window has, for a sink that sends them elsewhere: a lazy
  enumerable of binaries, each of whole lines.

  A chunk ends with the line by which it comes to `bytes:`, 65,536 where it is not given. However often
  it is called for a window, it gives the same chunks in the same order: a window and the position of a
  chunk name the same lines each time that the window is delivered.

      AdTally.Sink.Files.chunks(window, :counters, bytes: 100_000)
  """
  @spec chunks(Window.t(), :counters | :reach | :overflow, bytes: pos_integer()) ::
          Enumerable.t()
  def chunks(window, kind, options \\ []) when kind in @kinds do
    [bytes: bytes] = Keyword.validate!(options, bytes: @piece)

    window
    |> lines(kind)
    |> Stream.chunk_while({[], 0}, &gather(&1, &2, bytes), fn
      {[], 0} -> {:cont, nil}
      {lines, _size} -> {:cont, joined(lines), nil}
    end)
  end

  defp gather(line, {lines, size}, bytes) do
    size = size + IO.iodata_length(line)

    if size < bytes,
      do: {:cont, {[line | lines], size}},
      else: {:cont, joined([line | lines]), {[], 0}}
  end

  defp joined(lines), do: lines |> Enum.reverse() |> IO.iodata_to_binary()

  defp lines(window, :counters), do: counters(window)
  defp lines(window, :reach), do: reach(window)
  defp lines(window, :overflow), do: overflow(window)

  defp counters(window) do
    begin = begin(:counters, window)
    dimensions = Enum.map(window.dimensions, &JSON.name/1)
    metrics = for metric <- window.metrics, do: {metric, JSON.name(metric)}

    window
    |> Window.stream_counters()
    |> Stream.map(fn {values, totals} ->
      line(begin, [members(dimensions, values), amounts(metrics, totals)])
    end)
  end

  defp reach(window) do
    begin = begin(:reach, window)
    dimensions = Enum.map(window.reach_by, &JSON.name/1)

    window
    |> Window.stream_reach()
    |> Stream.map(fn {values, sketch} ->
      line(begin, [members(dimensions, values), ?,, sketch_member(sketch)])
    end)
  end

  defp overflow(window) do
    totals = Window.overflow(window)
    metrics = for metric <- window.metrics, do: {metric, JSON.name(metric)}
    nothing? = Enum.all?(totals, fn {_metric, total} -> total == 0 end)
    sketch = overflow_sketch(Window.reach_overflow(window))
    members = [amounts(metrics, totals), sketch]
    if nothing? and sketch == [], do: [], else: [line(begin(:overflow, window), members)]
  end

  defp overflow_sketch(nil), do: []

  defp overflow_sketch(sketch) do
    if Sketch.estimate(sketch) == 0.0,
      do: [],
      else: [?,, sketch_member(sketch)]
  end

  defp sketch_member(sketch),
    do: :reach_sketch |> JSON.name() |> JSON.member(Base.encode64(Sketch.to_binary(sketch)))

  # What all lines of a kind begin with.
  defp begin(kind, window) do
    common = [
      kind: kind,
      meter: inspect(window.meter),
      window_start: window.start,
      window_end: window.end,
      sequence: window.sequence,
      partial: window.partial,
      node: window.node,
      epoch: window.epoch
    ]

    members = for {name, value} <- common, do: name |> JSON.name() |> JSON.member(value)
    members |> Enum.intersperse(?,) |> IO.iodata_to_binary()
  end

  defp line(begin, members), do: [?{, begin, members, "}\n"]

  defp members(names, values) do
    names
    |> Enum.zip(Tuple.to_list(values))
    |> Enum.map(fn {name, value} -> [?,, JSON.member(name, value)] end)
  end

  # In the order in which the metrics were declared, which a map does not have.
  defp amounts(metrics, totals),
    do: for({metric, name} <- metrics, do: [?,, JSON.member(name, Map.fetch!(totals, metric))])
end
