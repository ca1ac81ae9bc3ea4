defmodule AdTally.Sink.Files.Writer do
  @moduledoc false
  # Writes lines into a gzipped file and syncs it.

  alias AdTally.Sink.Files.Folder

  # With the header and the trailer of gzip around what is deflated.
  @gzip_window_bits 16 + 15

  # A slow disk is waited for between chunks, where the rows that are read show progress, and not once at
  # the end.
  @sync_every 8 * 1024 * 1024

  @doc """
  Writes chunks of lines. Of none no file is made, and no folder. What is open when it fails or raises is
  closed with the process: an attempt has one of its own.
  """
  @spec write(Path.t(), Enumerable.t()) :: {:ok, :written | :nothing} | {:error, term()}
  def write(path, chunks) do
    chunks
    |> Enum.reduce_while({:ok, nil}, fn chunk, {:ok, open} ->
      with {:ok, {_file, zlib, _unsynced} = open} <- opened(open, path),
           {:ok, open} <- append(open, :zlib.deflate(zlib, chunk)),
           do: {:cont, {:ok, open}},
           else: (error -> {:halt, error})
    end)
    |> finish()
  end

  defp opened(nil, path) do
    with :ok <- path |> Path.dirname() |> Folder.make(),
         {:ok, file} <- :file.open(path, [:write, :raw, :binary]) do
      zlib = :zlib.open()
      :ok = :zlib.deflateInit(zlib, :default, :deflated, @gzip_window_bits, 8, :default)
      {:ok, {file, zlib, 0}}
    end
  end

  defp opened(open, _path), do: {:ok, open}

  defp append({file, zlib, unsynced}, bytes) do
    unsynced = unsynced + IO.iodata_length(bytes)

    with :ok <- :file.write(file, bytes) do
      if unsynced < @sync_every,
        do: {:ok, {file, zlib, unsynced}},
        else: with(:ok <- :file.datasync(file), do: {:ok, {file, zlib, 0}})
    end
  end

  defp finish({:ok, nil}), do: {:ok, :nothing}

  defp finish({:ok, {file, zlib, _unsynced} = open}) do
    with {:ok, _open} <- append(open, :zlib.deflate(zlib, [], :finish)),
         :ok = :zlib.close(zlib),
         :ok <- :file.sync(file),
         :ok <- :file.close(file),
         do: {:ok, :written}
  end

  defp finish(error), do: error
end
