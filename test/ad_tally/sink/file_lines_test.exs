defmodule AdTally.Sink.FileLinesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.AdsMeter

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

    assert [first, second] = dir |> File.ls!() |> Enum.sort()
    assert first =~ ~r/^#{@begin}_.*_1\.ndjson\.gz$/

    lines =
      dir |> Path.join(first) |> File.read!() |> :zlib.gunzip() |> String.split("\n", trim: true)

    [epoch] = Regex.run(~r/"epoch":(\d+)/, hd(lines), capture: :all_but_first)

    common =
      ~s("meter":"#{inspect(name)}","window_start":#{@begin},"window_end":#{@begin + @minute},"sequence":1,"partial":true,"node":"#{node()}","epoch":#{epoch})

    {:ok, sketch} =
      Sketch.from_binary(
        Base.decode64!(
          hd(Regex.run(~r/"reach_sketch":"([^"]+)"/, List.last(lines), capture: :all_but_first))
        )
      )

    assert Float.round(Sketch.estimate(sketch), 3) == 1.0

    assert Enum.sort(Enum.take(lines, 2)) ==
             Enum.sort([
               ~s({"kind":"counters",#{common},"campaign":42,"creative":7,"country":"us","impressions":1,"clicks":0,"spend_micros":0}),
               ~s({"kind":"counters",#{common},"campaign":42,"creative":"a \\"b\\"\\\\\\n\\u0001ü","country":null,"impressions":0,"clicks":0,"spend_micros":-3})
             ])

    assert [_, _, reach] = lines

    assert String.starts_with?(
             reach,
             ~s({"kind":"reach",#{common},"campaign":42,"reach_sketch":")
           )

    line = dir |> Path.join(second) |> File.read!() |> :zlib.gunzip()
    assert line =~ ~s("creative":{"base64":"/w=="},"country":true)
  end
end
