defmodule AdTally.Sink.Files.Folder do
  @moduledoc false
  # Where the files of a window are, and folders that survive a crash of the machine.
  #
  #   DIR/counters/date=2026-11-28/NAME.ndjson.gz        while written: _NAME.ndjson.gz.part

  alias AdTally.Sink
  alias AdTally.Sink.Files

  @doc "The path of a window's file of a kind, and the path that it has while it is written."
  @spec paths(Path.t(), Files.kind(), Files.window()) ::
          {path :: Path.t(), unfinished :: Path.t()}
  def paths(dir, kind, window) do
    folder = Path.join([dir, Atom.to_string(kind), "date=" <> date(window.start)])
    name = name(window) <> ".ndjson.gz"
    {Path.join(folder, name), Path.join(folder, "_" <> name <> ".part")}
  end

  defp date(milliseconds),
    do: milliseconds |> DateTime.from_unix!(:millisecond) |> DateTime.to_date() |> to_string()

  # Names of files have 255 bytes on most systems; a meter's and a node's may have as many each.
  @longest_name 200

  # Every system and object store takes these letters. A hash tells names apart that differ in others, or at
  # their end, only.
  defp name(window) do
    name = Enum.join([window.start | Tuple.to_list(Sink.window_id(window))], "_")
    safe = String.replace(name, ~r/[^A-Za-z0-9@._-]/, "-")

    if safe == name and byte_size(name) <= @longest_name do
      name
    else
      hash = name |> :erlang.md5() |> Base.encode16(case: :lower)
      binary_part(safe, 0, min(byte_size(safe), @longest_name)) <> "-" <> hash
    end
  end

  @doc "Makes a folder with those that it is in, synced each."
  @spec make(Path.t()) :: :ok | {:error, File.posix()}
  def make(folder) do
    parent = Path.dirname(folder)

    if File.dir?(folder) do
      :ok
    else
      with :ok <- make(parent), :ok <- make_one(folder), do: sync(parent)
    end
  end

  # Another meter may have made it meanwhile.
  defp make_one(folder) do
    case File.mkdir(folder) do
      {:error, :eexist} -> if File.dir?(folder), do: :ok, else: {:error, :eexist}
      made -> made
    end
  end

  @doc """
  Syncs the folder of a file, and those above it up to that of all kinds: whoever made one of them may
  have been killed before it was synced.
  """
  @spec sync_above(Path.t()) :: :ok | {:error, File.posix()}
  def sync_above(path) do
    date = Path.dirname(path)
    kind = Path.dirname(date)
    with :ok <- sync(date), :ok <- sync(kind), do: sync(Path.dirname(kind))
  end

  # Not every system can open directories, or sync them.
  defp sync(folder) do
    case :file.open(folder, [:read, :raw, :directory]) do
      {:ok, file} ->
        synced = :file.sync(file)
        :file.close(file)
        if synced in [{:error, :einval}, {:error, :enotsup}], do: :ok, else: synced

      {:error, _reason} ->
        :ok
    end
  end
end
