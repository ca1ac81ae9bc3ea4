defmodule AdTally.Sink.AttributionFilesTest do
  # The files of an attribution's windows.
  use ExUnit.Case, async: true

  import AdTally.Test.{AttributionWindows, SinkFiles}, except: [window: 2, window: 1]

  alias AdTally.Attribution
  alias AdTally.Sink.Files
  alias AdTally.Test.AttributionWindows

  @moduletag :tmp_dir
  @common ~w(meter node epoch sequence partial starts_at ends_at)
  @credits ~w(model order_id action kind touch_id campaign creative touched_at converted_at adjusted_at
              conversions_ppm value_micros truncated revision)
  @touches ~w(kind campaign creative overflow touches cost_micros)

  defp window(fun, more \\ []), do: AttributionWindows.window(fun, more)

  # Of some dimensions and orders: touches of all, and a conversion of each.
  defp of(dimensions, orders, more \\ []) do
    window(
      fn name ->
        for {dimensions, id} <- Enum.with_index(dimensions, 1),
            do: :ok = Attribution.touch(name, touch(id, dimensions: dimensions, cost_micros: id))

        for order <- orders,
            do: :ok = Attribution.convert(name, conversion(order, after: 9, value_micros: 1))
      end,
      more
    )
  end

  defp values(rows, name), do: for(row <- rows, do: :proplists.get_value(name, row))

  test "a line of credits has all columns in their order", %{tmp_dir: dir} do
    window =
      window(fn name ->
        :ok = Attribution.touch(name, touch(-3, dimensions: {42, "summer"}))
        :ok = Attribution.convert(name, conversion("o-9", after: 20, value_micros: 11))
        :ok = Attribution.convert(name, conversion(10, user: "eve", after: 20, value_micros: -5))
        :ok = Attribution.adjust(name, "o-9", {:restate, 1}, begin() + 30)
      end)

    assert Files.deliver(window, dir: dir) == :ok
    rows = for row <- rows(dir, :credits), {"model", "linear"} in row, do: row
    assert length(rows) == 3

    for row <- rows(dir, :credits) do
      assert Enum.map(row, &elem(&1, 0)) == @common ++ @credits
      assert {"meter", inspect(window.attribution)} == hd(row)

      assert Enum.slice(row, 3, 4) == [
               {"sequence", 1},
               {"partial", true},
               {"starts_at", begin()},
               {"ends_at", begin() + 60_000}
             ]
    end

    assert for(row <- rows, do: row |> Enum.drop(7) |> Enum.map(&elem(&1, 1))) |> Enum.sort() ==
             Enum.sort([
               [
                 "linear",
                 "o-9",
                 "purchase",
                 "click",
                 -3,
                 42,
                 "summer",
                 begin(),
                 begin() + 20,
                 nil,
                 1_000_000,
                 11,
                 false,
                 1
               ],
               [
                 "linear",
                 "o-9",
                 "purchase",
                 "click",
                 -3,
                 42,
                 "summer",
                 begin(),
                 begin() + 20,
                 begin() + 30,
                 0,
                 -10,
                 false,
                 1
               ],
               [
                 "linear",
                 "10",
                 "purchase",
                 nil,
                 nil,
                 nil,
                 nil,
                 nil,
                 begin() + 20,
                 nil,
                 1_000_000,
                 -5,
                 false,
                 1
               ]
             ])
  end

  test "a line of touches too, and those without room say so", %{tmp_dir: dir} do
    window =
      window(
        fn name ->
          for id <- 1..3,
              do: :ok = Attribution.touch(name, touch(id, dimensions: {id, "x"}, cost_micros: id))
        end,
        max_keys: 1
      )

    assert Files.deliver(window, dir: dir) == :ok
    assert [first, overflow] = rows(dir, :touches)
    assert Enum.map(first, &elem(&1, 0)) == @common ++ @touches
    assert Enum.drop(first, 7) |> Enum.map(&elem(&1, 1)) == ["click", 1, "x", false, 1, 1]
    assert Enum.drop(overflow, 7) |> Enum.map(&elem(&1, 1)) == ["click", nil, nil, true, 2, 5]
    assert [touches] = names(dir)
    assert touches =~ ~r"^touches/date=2026-06-01/1780272000000_.*\.ndjson\.gz$"
  end

  test "dimensions have their types, and what does not fit is beside them", %{tmp_dir: dir} do
    dimensions = [{7, "a"}, {"seven", :b}, {nil, 3}, {<<255>>, <<255>>}, {8, "base64:"}]
    window = of(dimensions, ["o"], models: [:linear])
    types = [campaign: :integer, creative: :string]
    assert Files.deliver(window, dir: dir, types: types) == :ok

    expected = [
      [7, "a", nil],
      [nil, "b", ~s({"campaign":"seven"})],
      [nil, "3", nil],
      [nil, "base64:/w==", ~s({"campaign":"base64:/w=="})],
      [8, "base64:YmFzZTY0Og==", nil]
    ]

    for kind <- [:credits, :touches] do
      written =
        for row <- rows(dir, kind),
            do:
              for(
                name <- ["campaign", "creative", "misfits"],
                do: :proplists.get_value(name, row)
              )

      assert Enum.sort(written) == Enum.sort(expected)
    end

    assert [first | _] = rows(dir, :credits)
    names = Enum.map(first, &elem(&1, 0))
    assert Enum.slice(names, 11, 5) == ~w(touch_id campaign creative misfits touched_at)
  end

  test "orders are text, whatever they are", %{tmp_dir: dir} do
    orders = [42, -1, "o-9", "quote\"d", "base64:", <<255>>, "Ünï"]
    window = of([], orders, models: [{:time_decay, 1_000}])
    assert Files.deliver(window, dir: dir) == :ok
    rows = rows(dir, :credits)

    assert Enum.sort(values(rows, "order_id")) ==
             Enum.sort([
               "42",
               "-1",
               "o-9",
               "quote\"d",
               "base64:YmFzZTY0Og==",
               "base64:/w==",
               "Ünï"
             ])

    assert rows |> values("model") |> Enum.uniq() == ["time_decay:1000"]
  end

  test "a cost past 64 bits is split into lines that sum up", %{tmp_dir: dir} do
    most = Bitwise.bsl(1, 62) - 1

    window =
      window(fn name ->
        for id <- 1..5, do: :ok = Attribution.touch(name, touch(id, cost_micros: most))
      end)

    assert Files.deliver(window, dir: dir) == :ok
    rows = rows(dir, :touches)
    # What has no room in the row is more than 64 bits as well.
    assert values(rows, "overflow") == [false, true, true]
    assert rows |> values("cost_micros") |> Enum.sum() == 5 * most
    assert rows |> values("cost_micros") |> Enum.all?(&(&1 <= 0x7FFF_FFFF_FFFF_FFFF))
    assert values(rows, "touches") == [5, 0, 0]
  end

  test "credits are put in place last, and a failed attempt leaves nothing", %{tmp_dir: dir} do
    window = of([{1, 2}], [9])
    assert Files.deliver(window, dir: dir) == :ok
    assert [credits, touches] = names(dir)
    bytes = File.read!(Path.join(dir, credits))
    assert Path.basename(credits) == Path.basename(touches)

    # Nothing can be renamed to it.
    for {blocked, other} <- [{credits, touches}, {touches, credits}] do
      File.rm_rf!(dir)
      File.mkdir_p!(Path.join([dir, blocked, "full"]))
      assert {:error, _reason} = Files.deliver(window, dir: dir)
      refute File.exists?(Path.join(dir, other))
      assert names(dir) == []
    end

    # As a VM leaves it that is killed between the two.
    File.rm_rf!(dir)
    File.mkdir_p!(Path.join(dir, Path.dirname(touches)))
    File.write!(Path.join(dir, touches), "of a killed attempt")
    assert Files.deliver(window, dir: dir) == :ok
    assert names(dir) == [credits, touches]
    assert File.read!(Path.join(dir, credits)) == bytes
  end

  test "chunks are the lines of the files, of its own kinds", %{tmp_dir: dir} do
    window = of(for(id <- 1..500, do: {id, "x"}), 1..500, touches_per_user: 1)
    assert Files.kinds(window) == [:credits, :touches]
    assert Files.deliver(window, dir: dir) == :ok

    for kind <- Files.kinds(window) do
      chunks = window |> Files.chunks(kind, bytes: 10_000) |> Enum.to_list()

      assert length(chunks) > 5 and
               chunks == Enum.to_list(Files.chunks(window, kind, bytes: 10_000))

      assert chunks |> Enum.join() |> String.split("\n", trim: true) == lines(dir, kind)
    end

    assert_raise ArgumentError,
                 ~r/expected :kind to be :credits or :touches, got: :counters/,
                 fn ->
                   Files.chunks(window, :counters)
                 end
  end

  describe "the schema" do
    @options [
      dimensions: [:campaign, :creative],
      touches: [click: 1],
      conversions: [purchase: :every]
    ]

    test "has the columns of the lines, in their order", %{tmp_dir: dir} do
      for types <- [[], [campaign: :integer]] do
        File.rm_rf!(dir)
        assert Files.deliver(of([{1, 2}], [9]), dir: dir, types: types) == :ok
        tables = Files.schema(@options ++ [types: types], :duckdb)
        assert tables |> Map.keys() |> Enum.sort() == [:credits, :touches]

        for {kind, columns} <- tables do
          columns = for [_, name] <- Regex.scan(~r/'(\w+)': '\w+'/, columns), do: name
          assert Enum.take(columns, 7) == @common
          assert rows(dir, kind) != []
          for row <- rows(dir, kind), do: assert(Enum.map(row, &elem(&1, 0)) == columns)
        end
      end
    end

    test "says what may be null, and is of an attribution's options as they are" do
      sinks = [{Files, dir: "/var/credits", types: [campaign: :integer]}]
      options = @options ++ [name: MyApp.Attribution, sinks: sinks]
      columns = Files.schema(options, :bigquery).credits

      for {name, type, mode} <- [
            {"order_id", "STRING", "REQUIRED"},
            {"kind", "STRING", "NULLABLE"},
            {"touch_id", "INTEGER", "NULLABLE"},
            {"campaign", "INTEGER", "NULLABLE"},
            {"creative", "JSON", "NULLABLE"},
            {"touched_at", "INTEGER", "NULLABLE"},
            {"converted_at", "INTEGER", "REQUIRED"},
            {"adjusted_at", "INTEGER", "NULLABLE"},
            {"truncated", "BOOLEAN", "REQUIRED"}
          ] do
        assert columns =~ ~s({"name": "#{name}", "type": "#{type}", "mode": "#{mode}"})
      end

      assert Files.schema(options, :flink).touches =~ "'path' = 'file:///var/credits/touches'"

      assert Files.schema(options, :spark).touches =~
               "`overflow` BOOLEAN, `touches` BIGINT, `cost_micros` BIGINT"
    end

    test "refuses what an attribution refuses" do
      for {options, words} <- [
            {[touches: [click: 1]], "expected :dimensions"},
            {[touches: [click: 1], dimensions: [:order_id]], ":order_id is one that sinks add"},
            {[touches: [click: 1], dimensions: [:page], types: [pages: :string]],
             "expected :types"}
          ] do
        assert_raise(ArgumentError, fn -> Files.schema(options, :spark) end).message =~
          words |> assert()
      end

      # A metric of a meter may have that name.
      assert %{counters: _} = Files.schema([dimensions: [:page], metrics: [:cost_micros]], :spark)
    end
  end
end
