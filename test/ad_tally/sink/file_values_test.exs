defmodule AdTally.Sink.FileValuesTest do
  # What is written of values that a column of an engine would not take.
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.Sink.Files
  alias AdTally.Sketch

  @moduletag :tmp_dir
  @least -0x8000_0000_0000_0000
  @most 0x7FFF_FFFF_FFFF_FFFF

  # The columns of a window of these values of a dimension, in no order.
  defp columns(values, types, dir, metric \\ :views) do
    window = window(for(value <- values, do: {{value, 7}, [views: 1]}), reach: [by: [:page]])
    File.rm_rf!(dir)
    assert Files.deliver(window, dir: dir, types: types) == :ok

    for row <- rows(dir, :counters) do
      assert [_, _, _, _, _, _, _, {"page", page}, {"country", 7} | rest] = row
      {misfits, amounts} = Enum.split(rest, -1)
      assert [{"#{metric}", 1}] == amounts
      assert Enum.map(misfits, &elem(&1, 0)) == if(types == [], do: [], else: ["misfits"])
      {page, :proplists.get_value("misfits", misfits, nil)}
    end
    |> Enum.sort()
  end

  @values [
    {42, 42},
    {@least, @least},
    {@most, @most},
    {"42", "42"},
    {"", ""},
    {"summer", "summer"},
    {:autumn, "autumn"},
    {nil, nil},
    {true, true},
    {false, false},
    {"a\"\\\n\0\u2028\u{1F600}", "a\"\\\n\0\u2028\u{1F600}"},
    {<<255>>, "base64:/w=="},
    {<<0xED, 0xA0, 0x80>>, "base64:7aCA"},
    {"base64:/w==", "base64:YmFzZTY0Oi93PT0="},
    {:"base64:", "base64:YmFzZTY0Og=="},
    {"Base64:", "Base64:"}
  ]

  test "without a type a value is JSON's", %{tmp_dir: dir} do
    assert columns(Enum.map(@values, &elem(&1, 0)), [], dir) ==
             Enum.sort(for {_value, written} <- @values, do: {written, nil})
  end

  test "in a string column every value is its text", %{tmp_dir: dir} do
    expected =
      for {_value, written} <- @values, do: {if(written == nil, do: nil, else: "#{written}"), nil}

    assert columns(Enum.map(@values, &elem(&1, 0)), [page: :string], dir) == Enum.sort(expected)
  end

  test "in an integer column what is none is null, and what it is is beside it", %{tmp_dir: dir} do
    expected =
      for {_value, written} <- @values do
        if is_integer(written) or written == nil,
          do: {written, nil},
          else: {nil, [{"page", written}]}
      end

    columns = columns(Enum.map(@values, &elem(&1, 0)), [page: :integer], dir)

    decoded =
      for {page, misfits} <- columns, do: {page, misfits && AdTally.Test.JSON.decode!(misfits)}

    assert Enum.sort(decoded) == Enum.sort(expected)
  end

  test "with types of other dimensions there is the column of misfits too", %{tmp_dir: dir} do
    assert columns([1, "x"], [country: :integer], dir) == [{1, nil}, {"x", nil}]
  end

  test "several misfits are one object, in reach only of its dimensions", %{tmp_dir: dir} do
    types = [country: :integer, page: :integer]
    window = window([{{"a\"b", :us}, [views: 1], 7}], reach: [by: [:page]])
    assert Files.deliver(window, dir: dir, types: types) == :ok
    assert [counters] = lines(dir, :counters)

    assert counters =~
             ~S(,"page":null,"country":null,"misfits":"{\"page\":\"a\\\"b\",\"country\":\"us\"}","views":1})

    assert [reach] = lines(dir, :reach)
    assert reach =~ ~S(,"page":null,"misfits":"{\"page\":\"a\\\"b\"}","reach_sketch":")
  end

  describe "amounts past 64 bits" do
    defp overflow(amounts, options) do
      rows = for amount <- amounts, do: {{2, 2}, [views: amount, spend: 1], options[:user]}

      window(
        [{{1, 1}, [views: 1], options[:user]} | rows],
        [metrics: [:views, :spend], max_keys: 1] ++ options[:meter]
      )
    end

    test "are split into lines that fit and sum up", %{tmp_dir: dir} do
      for {amounts, lines} <- [
            {[@most], [@most]},
            {[@least], [@least]},
            {[@most, 1], [@most, 1]},
            {[@least, -1], [@least, -1]},
            {[@most, @most, @most, 5], [@most, @most, @most, 5]},
            {[@least, @least], [@least, @least]},
            {[@most, @least], [-1]}
          ] do
        File.rm_rf!(dir)
        assert Files.deliver(overflow(amounts, meter: []), dir: dir) == :ok
        rows = rows(dir, :overflow)
        assert for(row <- rows, do: :proplists.get_value("views", row)) == lines
        assert Enum.sum(lines) == Enum.sum(amounts)
        spend = for row <- rows, do: :proplists.get_value("spend", row)
        assert spend == [length(amounts) | List.duplicate(0, length(lines) - 1)]
        assert Enum.all?(rows, &(not List.keymember?(&1, "reach_sketch", 0)))
        assert [_row] = rows(dir, :counters)
      end
    end

    test "and the sketch is in the first of them", %{tmp_dir: dir} do
      meter = [reach: [by: [:page], max_keys: 1]]
      window = overflow([@most, @most, @most], meter: meter, user: 7)
      assert Files.deliver(window, dir: dir) == :ok
      assert [first, second, third] = for(row <- rows(dir, :overflow), do: List.last(row))
      assert {"reach_sketch", sketch} = first
      assert sketch |> sketch!() |> Sketch.estimate() |> Float.round(3) == 1.0
      assert {second, third} == {{"reach_sketch", nil}, {"reach_sketch", nil}}
    end

    test "nobody without a sketch is null there", %{tmp_dir: dir} do
      window = overflow([@most, @most], meter: [reach: [by: [:page]]], user: nil)
      assert Files.deliver(window, dir: dir) == :ok
      assert [_, _] = rows = rows(dir, :overflow)
      assert Enum.all?(rows, &(List.last(&1) == {"reach_sketch", nil}))
    end
  end
end
