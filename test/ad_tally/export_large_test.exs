defmodule AdTally.ExportLargeTest do
  # How long ten million take to leave and to come in again, and in how many bytes.
  use ExUnit.Case

  alias AdTally.{Dedupe, FrequencyCap}

  @moduletag :exhaustive
  @moduletag timeout: :infinity

  @count 10_000_000
  @at 1_780_272_000_000
  @seconds 5
  # Of the table's bytes.
  @share 1.2

  for bits <- [16, 64] do
    test "ten million pairs of caps, #{bits} bits" do
      options = [capacity: @count, fingerprint_bits: unquote(bits)]
      caps = FrequencyCap.new(options)
      fill(&FrequencyCap.record(caps, rem(&1, 10), div(&1, 10), @at + rem(&1, 1_000) * 1_000_000))
      check("caps, #{unquote(bits)} bits", FrequencyCap, caps, options)
    end
  end

  for bits <- [28, 61] do
    test "ten million ids, #{bits} bits" do
      options = [capacity: @count, fingerprint_bits: unquote(bits)]
      dedupe = Dedupe.new(options)
      fill(&Dedupe.first?(dedupe, &1, @at + div(&1, 20_000)))
      check("ids, #{unquote(bits)} bits", Dedupe, dedupe, options)
    end
  end

  defp fill(act) do
    1..@count
    |> Stream.chunk_every(div(@count, 8))
    |> Task.async_stream(&Enum.each(&1, act), timeout: :infinity, max_concurrency: 2)
    |> Stream.run()
  end

  defp check(what, module, table, options) do
    {export, frames} = :timer.tc(fn -> Enum.to_list(module.export(table)) end)
    {:ok, frame} = AdTally.Frame.describe(hd(frames))
    other = module.new(Keyword.merge(options, frame.options))
    {import, {:ok, imported}} = :timer.tc(fn -> module.import(other, frames) end)

    [bytes, in_memory] = [
      Enum.sum(Enum.map(frames, &byte_size/1)),
      module.info(table).memory_bytes
    ]

    IO.puts(
      "\n#{what}: #{in_memory} bytes in memory, #{bytes} in #{length(frames)} frames " <>
        "(#{Float.round(bytes / in_memory, 2)}); out in #{div(export, 1_000)} ms, in again in #{div(import, 1_000)} ms"
    )

    assert imported.complete? and imported.overflow == 0
    assert count(module, other) == count(module, table)
    assert bytes <= @share * in_memory
    assert export <= @seconds * 1_000_000 and import <= @seconds * 1_000_000
  end

  defp count(FrequencyCap, caps), do: FrequencyCap.info(caps).pairs
  defp count(Dedupe, dedupe), do: Dedupe.info(dedupe).ids
end
