defmodule AdTally.Frame do
  @moduledoc """
  Frames: the binaries that a table is exported as.

  `AdTally.Counters.export/1` and its like make a stream of frames, each a binary of at most 1 MiB.
  A frame stands alone: it has the table's options, its place in its stream, and a checksum (CRC-32C).
  `import/2` of the same module puts frames into a table. Frames can lie one behind the other in a file:

      iex> counters = AdTally.Counters.new(metrics: [:clicks])
      iex> AdTally.Counters.add(counters, {42, :us}, :clicks)
      iex> path = Path.join(System.tmp_dir!(), "counters-#{System.unique_integer([:positive])}")
      iex> counters |> AdTally.Counters.export() |> Stream.into(File.stream!(path)) |> Stream.run()
      iex> {:ok, frame} = path |> AdTally.Frame.stream!() |> Enum.at(0) |> AdTally.Frame.describe()
      iex> fresh = frame.module.new(frame.options)
      iex> {:ok, %{rows: 1, complete?: true}} = AdTally.Counters.import(fresh, AdTally.Frame.stream!(path))
      iex> File.rm!(path)
      iex> AdTally.Counters.get(fresh, {42, :us})
      %{clicks: 1}

  A frame means the same in any VM, of any release of Erlang/OTP and on any machine.
  The checksum finds accidents. It does not protect against who changes a frame on purpose:
  transfer and keep frames where only you can write.
  """

  alias AdTally.{FrameError, Frames, Native, Options}

  @typedoc "A frame, or several one behind the other."
  @type t :: binary()

  @typedoc """
  What an import took: see `AdTally.Counters.import/2`.
  """
  @type imported :: %{
          frames: non_neg_integer(),
          rows: non_neg_integer(),
          already_taken: non_neg_integer(),
          overflow: non_neg_integer(),
          complete?: boolean()
        }

  @typedoc """
  What a frame says of itself.

    * `:module` - of which module the table was: `AdTally.Counters`, `AdTally.Reach`, `AdTally.Dedupe`,
      `AdTally.FrequencyCap` or `AdTally.Attribution`
    * `:options` - with them `new/1` of that module makes an equal table, with the same seed. Only a
      `:secret` is not among them. For an attribution they are the options that an import compares, and
      its budgets, but not `:name`, `:dimensions`, and the options of windows and sinks
    * `:secret?` - whether the table had one
    * `:newest` - the newest time that the table had seen when the export began, in Unix milliseconds,
      or `nil` where that does not matter
    * `:stream` - 16 bytes that all frames of an export have, and no other
    * `:number` - the frame's number in it, from 0
    * `:last?` - whether it is the last one
    * `:rows` - how many rows it has
  """
  @type description :: %{
          module: module(),
          options: keyword(),
          secret?: boolean(),
          newest: non_neg_integer() | nil,
          stream: <<_::128>>,
          number: non_neg_integer(),
          last?: boolean(),
          rows: non_neg_integer()
        }

  # Of other kinds are messages between nodes.
  @modules %{
    "counters" => AdTally.Counters,
    "reach" => AdTally.Reach,
    "dedupe" => AdTally.Dedupe,
    "frequency_cap" => AdTally.FrequencyCap,
    "attribution" => AdTally.Attribution
  }

  @doc """
  What a frame says of itself. Its rows are not checked.

      iex> dedupe = AdTally.Dedupe.new(capacity: 1_000, window: 60_000)
      iex> [frame] = Enum.to_list(AdTally.Dedupe.export(dedupe))
      iex> {:ok, %{module: AdTally.Dedupe, options: options, number: 0, last?: true}} = AdTally.Frame.describe(frame)
      iex> {options[:capacity], options[:window], options[:fingerprint_bits]}
      {1_000, 60_000, 28}
      iex> {:error, error} = AdTally.Frame.describe(binary_part(frame, 0, 100))
      iex> error.field
      "length"
  """
  @spec describe(t()) :: {:ok, description()} | {:error, FrameError.t()}
  def describe(frame) when is_binary(frame) do
    case Native.frame_describe(frame) do
      {:error, byte, field, reason} ->
        {:error, %FrameError{frame: 0, byte: byte, field: field, reason: reason}}

      {kind, last?, number, stream, rows, settings} when is_map_key(@modules, kind) ->
        given = Map.new(settings)

        {:ok,
         %{
           module: @modules[kind],
           options: options(settings),
           secret?: given["secret"] == true,
           newest: given["newest"],
           stream: stream,
           number: number,
           last?: last?,
           rows: rows
         }}

      {kind, _last?, _number, _stream, _rows, _settings} ->
        reason = "#{kind}, expected that of a table, which can be exported"
        {:error, %FrameError{frame: 0, byte: 10, field: "kind", reason: reason}}
    end
  end

  def describe(other),
    do: raise(ArgumentError, "expected a binary, got: #{Options.shown(other)}")

  @doc """
  The frames of a file, read one at a time. They were written one behind the other.

  Raises `File.Error` when it is read and there is none. Where the file is no frame, what is left of it is
  given in pieces: `import/2` says what is wrong with the first one.
  """
  @spec stream!(Path.t()) :: Enumerable.t()
  # Not File.stream!/3, which Elixir 1.16 calls with other arguments than those before it.
  def stream!(path) do
    Stream.resource(
      fn -> File.open!(path, [:read, :raw, :binary, read_ahead: 65_536]) end,
      fn file ->
        case Frames.next_of_file(file, path) do
          "" -> {:halt, file}
          frame -> {[frame], file}
        end
      end,
      &File.close/1
    )
  end

  # What is no option of `new/1` is left out.
  @options [
    :seed,
    :max_keys,
    :precision,
    :window,
    :capacity,
    :max_capacity,
    :fingerprint_bits,
    :tiers,
    :lifetime,
    :max_ahead,
    :prevail,
    :touches_per_user,
    :users,
    :orders,
    :adjustable_for
  ]
  @by_name Map.new(@options, &{Atom.to_string(&1), &1})

  defp options(settings), do: Enum.flat_map(settings, &option/1)

  # At most 72 atoms, which the table that is made of them has too.
  defp option({"metrics", names}), do: [metrics: Enum.map(names, &String.to_atom/1)]
  defp option({"touches", kinds}), do: [touches: named(kinds, & &1)]
  defp option({"conversions", actions}), do: [conversions: named(actions, &String.to_atom/1)]
  defp option({"models", models}), do: [models: Enum.map(models, &model/1)]
  defp option({"collapse", true}), do: [collapse: :consecutive]
  defp option({name, value}) when is_map_key(@by_name, name), do: [{@by_name[name], value}]
  defp option(_other), do: []

  defp named(pairs, said),
    do: Enum.map(pairs, fn {name, of} -> {String.to_atom(name), said.(of)} end)

  defp model({"time_decay", half_life}), do: {:time_decay, half_life}
  defp model({name, nil}), do: String.to_atom(name)
end
