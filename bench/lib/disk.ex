defmodule AdTally.Bench.Disk do
  @moduledoc "What the disk of a store takes for what a store asks of it."

  @doc "Appends so many bytes so often, and returns the nanoseconds that a write and `fdatasync` of each took."
  @spec syncs(Path.t(), pos_integer(), pos_integer()) :: [non_neg_integer()]
  def syncs(dir, bytes, count) do
    path = Path.join(dir, "ad_tally_bench_#{System.pid()}.disk")
    {:ok, file} = :file.open(path, [:raw, :binary, :append])

    try do
      for _number <- 1..count, do: sync(file, :crypto.strong_rand_bytes(bytes))
    after
      :ok = :file.close(file)
      File.rm!(path)
    end
  end

  defp sync(file, bytes) do
    begin = System.monotonic_time()
    :ok = :file.write(file, bytes)
    :ok = :file.datasync(file)
    System.convert_time_unit(System.monotonic_time() - begin, :native, :nanosecond)
  end
end
