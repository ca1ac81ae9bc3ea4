defmodule AdTally.Frames do
  @moduledoc false
  # Frames out of tables and into them, for all kinds of tables alike. A table is exported and imported a
  # frame a native call, on a dirty scheduler.

  alias AdTally.{FrameError, Native, Options}

  # How a frame begins that is to be cut off from what follows it.
  @header 44
  @none %{frames: 0, rows: 0, already_taken: 0, overflow: 0}

  # `begin` is called now as well, so that a table that is none is told of at once.
  def export(begin) do
    _export = begin.()
    Stream.resource(begin, &next/1, fn _export -> :ok end)
  end

  defp next(export) do
    case Native.export_next(export) do
      nil -> {:halt, export}
      frame -> {[frame], export}
    end
  end

  # `take` takes one frame into the table. Binaries are read as if they were one behind the other.
  def import(frames, take) do
    # What is no table is told of before what is no frame.
    {:error, _byte, _field, _reason} = take.("")
    if Enumerable.impl_for(frames) == nil, do: no_frames!(frames)

    with {:ok, rest, imported, streams} <-
           Enum.reduce_while(frames, {:ok, "", @none, %{}}, &read(&1, &2, take)),
         {:ok, imported, streams} <- last(rest, imported, streams, take) do
      {:ok, Map.put(imported, :complete?, streams != %{} and Enum.all?(streams, &elem(&1, 1)))}
    end
  end

  def import!(frames, take) do
    case __MODULE__.import(frames, take) do
      {:ok, imported} -> imported
      {:error, error} -> raise error
    end
  end

  defp read(binary, {:ok, rest, imported, streams}, take) when is_binary(binary) do
    bytes = if rest == "", do: binary, else: rest <> binary

    case take_whole(bytes, imported, streams, take) do
      {:error, _error} = error -> {:halt, error}
      state -> {:cont, state}
    end
  end

  defp read(other, _state, _take), do: no_frames!(other)

  defp no_frames!(got) do
    raise ArgumentError,
          "expected an enumerable of binaries, as export/1 makes, got: #{Options.shown(got)}"
  end

  # All frames that are whole.
  defp take_whole(bytes, imported, streams, take) do
    case Native.frame_bytes(bytes) do
      length when is_integer(length) and length <= byte_size(bytes) and length > @header ->
        {frame, rest} = :erlang.split_binary(bytes, length)

        with {:ok, imported, streams} <- take(frame, imported, streams, take) do
          if rest == "",
            do: {:ok, rest, imported, streams},
            else: take_whole(rest, imported, streams, take)
        end

      length when is_integer(length) ->
        {:ok, bytes, imported, streams}

      error ->
        error(error, imported)
    end
  end

  # What is left is no whole frame, if it is anything.
  defp last("", imported, streams, _take), do: {:ok, imported, streams}
  defp last(rest, imported, streams, take), do: take(rest, imported, streams, take)

  defp take(frame, imported, streams, take) do
    case take.(frame) do
      {:taken, stream, complete?} ->
        imported = Map.update!(imported, :already_taken, &(&1 + 1))
        {:ok, imported, Map.put(streams, stream, complete?)}

      {:ok, stream, complete?, rows, overflow} ->
        taken = %{frames: 1, rows: rows, already_taken: 0, overflow: overflow}
        imported = Map.merge(imported, taken, fn _name, sum, more -> sum + more end)
        {:ok, imported, Map.put(streams, stream, complete?)}

      {:error, _byte, _field, _reason} = error ->
        error(error, imported)
    end
  end

  defp error({:error, byte, field, reason}, imported) do
    frame = imported.frames + imported.already_taken
    {:error, %FrameError{frame: frame, byte: byte, field: field, reason: reason}}
  end

  # The next frame of a file. Where there is none, what is there.
  def next_of_file(file, path) do
    header = bytes_of_file(file, @header, path)

    case byte_size(header) == @header && Native.frame_bytes(header) do
      length when is_integer(length) -> header <> bytes_of_file(file, length - @header, path)
      _no_frame -> header
    end
  end

  defp bytes_of_file(file, count, path) do
    case :file.read(file, count) do
      {:ok, bytes} -> bytes
      :eof -> ""
      {:error, reason} -> raise File.Error, reason: reason, action: "read", path: path
    end
  end
end
