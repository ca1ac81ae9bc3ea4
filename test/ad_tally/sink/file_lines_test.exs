defmodule AdTally.Sink.FileLinesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter
  import AdTally.Test.SinkFiles

  alias AdTally.{Meter, Sketch}
  alias AdTally.Sink.Files

  @minute 60_000
  # Monday, 1 June 2026.
  @begin 1_780_272_000_000

  setup :own_name

  @tag :tmp_dir
  test "files have a line for every row", %{name: name, tmp_dir: dir} do
    start(name, sinks: [{Files, dir: dir}])
    assert Meter.record(name, event(id: 1, user: 7)) == :ok

    assert Meter.record(
             name,
             event(dimensions: {42, "a \"b\"\\\n\x01ü", nil}, metrics: [spend_micros: -3])
           ) == :ok

    assert Meter.record(name, event(at: @begin + @minute, dimensions: {42, <<255>>, true})) == :ok
    stop_supervised!(name)

    assert ["counters/date=2026-06-01/" <> first, "counters/date=2026-06-01/" <> second, reach] =
             names(dir)

    assert first =~ ~r/^#{@begin}_.*_1\.ndjson\.gz$/
    assert second =~ ~r/^#{@begin + @minute}_.*_2\.ndjson\.gz$/
    assert reach == "reach/date=2026-06-01/" <> first

    lines = lines(dir, :counters)
    [epoch] = Regex.run(~r/"epoch":(\d+)/, hd(lines), capture: :all_but_first)

    common = fn sequence ->
      begin = @begin + (sequence - 1) * @minute

      ~s({"meter":"#{inspect(name)}","node":"#{node()}","epoch":#{epoch},"sequence":#{sequence},) <>
        ~s("partial":true,"starts_at":#{begin},"ends_at":#{begin + @minute})
    end

    assert Enum.sort(lines) ==
             Enum.sort([
               ~s(#{common.(1)},"campaign":42,"creative":7,"country":"us","impressions":1,"clicks":0,"spend_micros":0}),
               ~s(#{common.(1)},"campaign":42,"creative":"a \\"b\\"\\\\\\n\\u0001ü","country":null,"impressions":0,"clicks":0,"spend_micros":-3}),
               ~s(#{common.(2)},"campaign":42,"creative":"base64:/w==","country":true,"impressions":1,"clicks":0,"spend_micros":0})
             ])

    begin = ~s(#{common.(1)},"campaign":42,"reach_sketch":")
    assert [line] = lines(dir, :reach)
    assert String.starts_with?(line, begin)
    [_, bytes] = Regex.run(~r/"reach_sketch":"([^"]+)"\}$/, line)
    {:ok, sketch} = bytes |> Base.decode64!() |> Sketch.from_binary()
    assert Float.round(Sketch.estimate(sketch), 3) == 1.0
  end
end
