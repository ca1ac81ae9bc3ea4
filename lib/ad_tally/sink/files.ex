defmodule AdTally.Sink.Files do
  @moduledoc """
  Writes the rows of each window as gzipped lines of JSON, in folders that warehouses and stream engines
  load as they are.

      {AdTally.Meter, name: MyApp.Ads, sinks: [{AdTally.Sink.Files, dir: "rollups"}], ...}
      {AdTally.Attribution, name: MyApp.Attribution, sinks: [{AdTally.Sink.Files, dir: "credits"}], ...}

  A window has a file in each of up to three folders, one for each kind of lines. That of a meter:

      rollups/counters/date=2026-11-28/NAME.ndjson.gz
      rollups/reach/date=2026-11-28/NAME.ndjson.gz
      rollups/overflow/date=2026-11-28/NAME.ndjson.gz

  And that of an attribution:

      credits/credits/date=2026-11-28/NAME.ndjson.gz
      credits/touches/date=2026-11-28/NAME.ndjson.gz

  All lines in a folder have the same columns: it is one table, partitioned by date as Hive does it. The
  date is that of the window's start in UTC. The name has the window's start, and the name, node,
  epoch and sequence that tell it from all others. A kind of which a window has no lines has no file.
  `schema/2` declares the tables for several engines.

  ## Options

    * `:dir` - the directory, which is made if it is not there. A relative path is one from the
      working directory of the time at which it starts. Where the directory cannot be made or
      written to, the window waits and is tried again: a disk may be mounted later. Required.
    * `:types` - the types of dimensions, of any of them: `:integer` or `:string`, like
      `[campaign: :integer, creative: :string]`. See below. Default: none.

  ## Lines

  Every line begins with

    * `meter`, `node` (strings), `epoch` and `sequence` (integers) - the window, `meter` being the name of
      the meter or attribution: a loader that keeps one copy of each `(meter, node, epoch, sequence)` is right
      under redeliveries and restarts
    * `partial` - a boolean, whether the window was closed before its time, because it was stopped:
      one of the next start may have the rest
    * `starts_at`, `ends_at` - integers, Unix milliseconds

  Of a meter then come, always all of them and in the order in which they were declared,

    * in `counters`: every dimension, and every metric. Sum the metrics.
    * in `reach`: the dimensions of `reach: [by: ...]`, and `reach_sketch`, the bytes of an Apache
      DataSketches HLL sketch in Base64. Unite the sketches.
    * in `overflow`: every metric, of what had no row because `:max_keys` were taken. With reach,
      `reach_sketch` too, of users who had no sketch of their own, or null. Sums of `counters` and
      `overflow` together are all that was counted.

  Of an attribution then come, always all of them and in this order,

    * in `credits`, of which each line is what a touch is credited with for a conversion, by a model:
        * `model` - its name, such as `last_touch`; of `{:time_decay, 604_800_000}` it is
          `time_decay:604800000`
        * `order_id`, `action` - strings: the conversion. An integer is written by its digits
        * `kind` (a string), `touch_id` (an integer) and every dimension - the touch, all null in the line of a
          conversion without one. Those of a touch have null dimensions where there were more different ones
          than `:max_keys`
        * `touched_at`, `converted_at`, `adjusted_at` - integers, Unix milliseconds. The first one is null
          without a touch. The last one is null but in lines of a restatement or retraction
        * `conversions_ppm`, `value_micros` - integers: millionths of the conversion, and of its value what the
          touch is credited with. A line of a restatement or retraction has by how much it changes. Sums over
          the lines of one model are net
        * `truncated` - a boolean, whether touches in its lookback were no longer known
        * `revision` - an integer
    * in `touches`: `kind`, every dimension, the boolean `overflow`, and `touches` and `cost_micros`, which are
      integers. Sum them. Where `overflow` is true, there was no room for the dimensions, which are null, or
      for a cost beside those that its row has.

  A number in a line is within a signed 64-bit integer. A total that is not is split: there are several
  lines of the same dimensions then, which sum up to it exactly. Sum in a type that is wide enough, a
  decimal or a 128-bit integer, where that may happen.

  ## Values of dimensions

  | value | no type declared | `:string` | `:integer` |
  | --- | --- | --- | --- |
  | `42` | `42` | `"42"` | `42` |
  | `"42"` | `"42"` | `"42"` | `null`, and in `misfits` |
  | `"summer"`, `:summer` | `"summer"` | `"summer"` | `null`, and in `misfits` |
  | `true` | `true` | `"true"` | `null`, and in `misfits` |
  | `nil` | `null` | `null` | `null` |
  | `<<255>>`, no UTF-8 | `"base64:/w=="` | `"base64:/w=="` | `null`, and in `misfits` |
  | `"base64:"` | `"base64:YmFzZTY0Og=="` | `"base64:YmFzZTY0Og=="` | `null`, and in `misfits` |

  Text that begins with `base64:` is written in Base64 as well, so that what begins like that in
  a file is always the Base64 of the bytes.

  Once `:types` are given, every line that has dimensions has after them the column
  `misfits`: `null`, or a string with the JSON of the values that did not fit, as without a type:
  `"{\\"campaign\\":\\"summer\\"}"`. So no value breaks a load, and none is lost.

  A row of the window is a line of its own, but rows may be written alike. Then several lines of a window
  have the same dimensions, and a loader that sums by dimensions makes them one:

    * `:summer` and `"summer"`, always
    * `42` and `"42"`, or `true` and `"true"`, in a `:string` column. Without a type they remain two values
      of JSON; an engine that reads the column as text makes them one.
    * all that does not fit into an `:integer` column, unless the loader groups by `misfits` too

  ## What a crash leaves

  While it is written, a file has a name that begins with `_` and ends with `.part`, which Spark, Flink
  and Hive do not read. Once all files of a window are written and synced, each is renamed and its folder
  synced, first that of `overflow`, then `reach`, and `counters` last; or first that of `touches`, and
  `credits` last. So a file under its own name is whole, a window with a file in `counters` or `credits` has
  all its files, and they survive a crash of the machine.
  Delivered again, a window replaces its own files, by the same bytes.

  A failed attempt removes what it has written; folders stay. One that is killed, with its VM or alone,
  leaves `.part` files, and if it was renaming, perhaps a file in `reach` or `overflow` without one in
  `counters`, or one in `touches` without that in `credits`. The window is delivered again. Where it cannot be,
  since the VM is gone, it is lost. Its files without one in `counters` can be deleted. A file in `touches`
  alone says nothing of that, because most windows may have touches and no conversions.

  Rows are read, compressed and written in pieces: a window of any size takes a few megabytes more while
  it is written.
  """

  @behaviour AdTally.Sink

  alias AdTally.{Options, Sink}
  alias AdTally.Sink.Files.{Folder, Lines, Schema, Tables, Types, Writer}

  @typedoc "The kinds of lines, each a folder and a table: those of a meter, and those of an attribution."
  @type kind :: :counters | :reach | :overflow | :credits | :touches

  @typedoc "A window of a meter or of an attribution."
  @type window :: Sink.window()

  @doc """
  The declarations of the tables, for an engine, by kind.

    * `:bigquery` - JSON, the schema file of `bq mk` and `bq load`. A dimension without a type is `JSON`, by
      which BigQuery does not group. `date` is added by `--hive_partitioning_mode=AUTO`.
    * `:spark` - DDL for `spark.read.schema(...)`. Spark adds `date` by itself.
    * `:flink` - a `CREATE TABLE` of its filesystem connector
    * `:duckdb` - `columns = ...` of `read_json`, which adds `date` with `hive_partitioning = true`

  Options are those of the meter, `:dimensions`, `:metrics` and `:reach`, and of this sink, `:types` and
  `:dir`; or all options of a meter that has this sink in its `:sinks`. With `:touches` they are those of
  an attribution, of which `:dimensions` are needed. Flink's path is that of `:dir`, or
  without one `file:///DIR/counters`, to be filled in. Where the meter has no reach, there is no table
  of it.

      iex> names = [dimensions: [:campaign, :country], metrics: [:clicks]]
      iex> tables = AdTally.Sink.Files.schema(names ++ [types: [campaign: :integer]], :spark)
      iex> Map.keys(tables)
      [:counters, :overflow]
      iex> columns = String.split(tables.counters, ", ")
      iex> Enum.take(columns, 7)
      ["`meter` STRING", "`node` STRING", "`epoch` BIGINT", "`sequence` BIGINT", "`partial` BOOLEAN",
       "`starts_at` BIGINT", "`ends_at` BIGINT"]
      iex> Enum.drop(columns, 7)
      ["`campaign` BIGINT", "`country` STRING", "`misfits` STRING", "`clicks` BIGINT"]

      iex> attribution = [dimensions: [:campaign], touches: [click: 604_800_000]]
      iex> tables = AdTally.Sink.Files.schema(attribution ++ [types: [campaign: :integer]], :spark)
      iex> tables.touches |> String.split(", ") |> Enum.drop(7)
      ["`kind` STRING", "`campaign` BIGINT", "`misfits` STRING", "`overflow` BOOLEAN", "`touches` BIGINT",
       "`cost_micros` BIGINT"]

  Raises `ArgumentError` for options that the meter, the attribution or the sink would refuse, and for
  another engine.
  """
  @spec schema(keyword(), :bigquery | :spark | :flink | :duckdb) :: %{kind() => String.t()}
  def schema(options, engine) do
    engine = Options.one_of!([engine: engine], :engine, Schema.engines())
    {tables, dir} = Tables.new!(options)

    Map.new(tables, fn {kind, columns} ->
      {kind, Schema.declaration(engine, kind, columns, dir)}
    end)
  end

  @impl true
  @spec validate(keyword()) :: {:ok, keyword()} | {:error, String.t()}
  def validate(options) do
    with :ok <- known(Keyword.keys(options) -- [:dir, :types]),
         {:ok, dir} <- fetch_dir(options),
         {:ok, path} <- directory(dir),
         {:ok, types} <- options |> Keyword.get(:types, []) |> Types.validate(),
         do: {:ok, dir: path, types: types}
  end

  defp known([]), do: :ok

  defp known(keys),
    do: {:error, "unknown or repeated #{Options.shown(keys)}, it has :dir and :types, once each"}

  defp fetch_dir(options) do
    with :error <- Keyword.fetch(options, :dir), do: {:error, "it needs dir: \"a directory\""}
  end

  # Absolute, as the working directory may change.
  defp directory(dir) do
    path = IO.chardata_to_string(dir)

    if path == "" or String.contains?(path, <<0>>),
      do: no_directory(dir),
      else: {:ok, Path.expand(path)}
  rescue
    _ in [ArgumentError, UnicodeConversionError, FunctionClauseError] -> no_directory(dir)
  end

  defp no_directory(dir),
    do: {:error, "expected :dir to be the path of a directory, got: #{Options.shown(dir)}"}

  @impl true
  @spec validate_names(keyword(), AdTally.Sink.names()) :: :ok | {:error, String.t()}
  def validate_names(options, names),
    do: Types.validate_names(Keyword.fetch!(options, :types), names.dimensions)

  # Whatever the types are, the files are the same.
  @impl true
  @spec target(keyword()) :: Path.t()
  def target(options), do: Keyword.fetch!(options, :dir)

  @impl true
  @spec deliver(window(), keyword()) :: :ok | {:error, term()}
  def deliver(window, options) do
    dir = Keyword.fetch!(options, :dir)
    types = Keyword.get(options, :types, [])
    # The first kind is renamed last. Where it is in place, all of a window is.
    files =
      for kind <- window |> kinds() |> Enum.reverse(), do: {kind, Folder.paths(dir, kind, window)}

    try do
      with {:ok, written} <- write(files, window, types), do: put_in_place(written, [])
    after
      # They were renamed, or are of no use.
      for {_kind, {_path, unfinished}} <- files, do: File.rm(unfinished)
    end
  end

  defp write([], _window, _types), do: {:ok, []}

  defp write([{kind, {_path, unfinished} = paths} | files], window, types) do
    with {:ok, result} <- Writer.write(unfinished, chunks(window, kind, types: types)),
         {:ok, written} <- write(files, window, types),
         do: {:ok, [{result, paths} | written]}
  end

  # `new` are files that were not there before. Without all the others they are of no use.
  defp put_in_place([], _new), do: :ok

  defp put_in_place([{result, {path, _unfinished} = paths} | files], new) do
    new = if result == :written and not File.exists?(path), do: [path | new], else: new

    case put_one_in_place(result, paths) do
      :ok ->
        put_in_place(files, new)

      error ->
        Enum.each(new, &File.rm/1)
        error
    end
  end

  defp put_one_in_place(:written, {path, unfinished}),
    do: with(:ok <- File.rename(unfinished, path), do: Folder.sync_above(path))

  # There is one only if something else than this window was written under its name.
  defp put_one_in_place(:nothing, {path, _unfinished}) do
    case File.rm(path) do
      :ok -> Folder.sync_above(path)
      {:error, reason} when reason in [:enoent, :enotdir] -> :ok
      error -> error
    end
  end

  # Large enough for a call each, and small beside a line with a sketch of the highest precision, of a
  # third of a megabyte.
  @chunk 65_536

  @doc """
  The kinds of lines that a window may have, for `chunks/3`: `[:counters, :reach, :overflow]` of a meter,
  `[:credits, :touches]` of an attribution.
  """
  @spec kinds(window()) :: [kind(), ...]
  def kinds(window), do: Lines.of(window).kinds()

  @doc """
  The lines of one kind that the files of a window have, for a sink that sends them elsewhere: a lazy
  enumerable of binaries, each of whole lines.

  A chunk ends with the line by which it comes to `bytes:`, 65,536 where it is not given. `types:` are as
  in the options of this sink. However often it is called for a window, it gives the same chunks in the
  same order: a window and the position of a chunk name the same lines each time that the window is
  delivered.

      AdTally.Sink.Files.chunks(window, :counters, bytes: 100_000)

  Raises `ArgumentError` for another kind, and for options that are wrong.
  """
  @spec chunks(window(), kind(), bytes: pos_integer(), types: keyword()) :: Enumerable.t()
  def chunks(window, kind, options \\ []) do
    kind = Options.one_of!([kind: kind], :kind, kinds(window))
    options = Keyword.validate!(options, bytes: @chunk, types: [])
    bytes = Options.count!(options, :bytes, @chunk)
    types = Types.check!(options[:types], window.dimensions)

    kind
    |> Lines.of(window).stream(window, types)
    |> Stream.chunk_while({[], 0}, &gather(&1, &2, bytes), fn
      {[], 0} -> {:cont, nil}
      {lines, _size} -> {:cont, joined(lines), nil}
    end)
  end

  defp gather(lines, {gathered, size}, bytes) do
    size = size + IO.iodata_length(lines)

    if size < bytes,
      do: {:cont, {[lines | gathered], size}},
      else: {:cont, joined([lines | gathered]), {[], 0}}
  end

  defp joined(lines), do: lines |> Enum.reverse() |> IO.iodata_to_binary()
end
