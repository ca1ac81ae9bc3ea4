defmodule AdTally.Sink.SchemaTest do
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.Sink.Files
  alias AdTally.Test.JSON

  doctest Files

  @common ~w(meter node epoch sequence partial starts_at ends_at)
  @engines [:bigquery, :spark, :flink, :duckdb]
  @names [dimensions: [:page, :country], metrics: [:views, :spend]]
  @typed @names ++ [reach: [by: [:country, :page]], types: [page: :integer, country: :string]]

  test "dimensions have their types, and misfits come after them" do
    assert Files.schema(@typed, :spark).counters ==
             "`meter` STRING, `node` STRING, `epoch` BIGINT, `sequence` BIGINT, `partial` BOOLEAN, " <>
               "`starts_at` BIGINT, `ends_at` BIGINT, `page` BIGINT, `country` STRING, `misfits` STRING, " <>
               "`views` BIGINT, `spend` BIGINT"

    assert Files.schema(@typed, :spark).reach =~
             ~r/ends_at` BIGINT, `page` BIGINT, `country` STRING, `misfits` STRING, `reach_sketch` BINARY$/

    assert Files.schema(@typed, :spark).overflow =~
             ~r/ends_at` BIGINT, `views` BIGINT, `spend` BIGINT, `reach_sketch` BINARY$/
  end

  test "without types a dimension is JSON or text, and there are no misfits" do
    words = %{bigquery: "JSON", spark: "STRING", flink: "STRING", duckdb: "JSON"}

    for engine <- @engines do
      assert %{counters: counters} = tables = Files.schema(@names, engine)
      assert Map.keys(tables) == [:counters, :overflow]
      assert counters =~ ~r/page\W+(type": ")?#{words[engine]}/
      refute counters =~ "misfits"
      refute tables.overflow =~ "reach_sketch"
    end
  end

  test "BigQuery's is JSON" do
    [first | _] = fields = bigquery(@typed, :counters)
    assert first == [{"name", "meter"}, {"type", "STRING"}, {"mode", "REQUIRED"}]
    assert [{"name", "page"}, {"type", "INTEGER"}, {"mode", "NULLABLE"}] in fields
    assert [{"name", "misfits"}, {"type", "STRING"}, {"mode", "NULLABLE"}] in fields

    assert List.last(bigquery(@typed, :reach)) == [
             {"name", "reach_sketch"},
             {"type", "BYTES"},
             {"mode", "REQUIRED"}
           ]

    assert List.last(bigquery(@typed, :overflow)) == [
             {"name", "reach_sketch"},
             {"type", "BYTES"},
             {"mode", "NULLABLE"}
           ]
  end

  defp bigquery(options, kind) do
    ["[" | lines] = Files.schema(options, :bigquery)[kind] |> String.split("\n", trim: true)
    {"]", lines} = List.pop_at(lines, -1)

    for line <- lines,
        do:
          line
          |> String.trim()
          |> String.trim(",")
          |> String.replace(~r/([:,]) /, "\\1")
          |> JSON.decode!()
  end

  test "Flink's is a table, over the sink's directory if there is one" do
    assert Files.schema([dir: "/var/o'clock"] ++ @names, :flink).overflow == """
           CREATE TABLE `overflow` (
             `meter` STRING,
             `node` STRING,
             `epoch` BIGINT,
             `sequence` BIGINT,
             `partial` BOOLEAN,
             `starts_at` BIGINT,
             `ends_at` BIGINT,
             `views` BIGINT,
             `spend` BIGINT,
             `date` STRING
           ) PARTITIONED BY (`date`) WITH (
             'connector' = 'filesystem',
             'path' = 'file:///var/o''clock/overflow',
             'format' = 'json'
           )
           """

    assert Files.schema(@names, :flink).counters =~ "'path' = 'file:///DIR/counters'"
    relative = Files.schema(@names ++ [dir: "rollups"], :flink).counters
    assert relative =~ "'path' = 'file://#{File.cwd!()}/rollups/counters'"
  end

  test "names are quoted" do
    options = [dimensions: [:"it's", :"a`b", :order], metrics: [:"say \"n\\\""]]

    assert Files.schema(options, :duckdb).counters =~
             "'it''s': 'JSON', 'a`b': 'JSON', 'order': 'JSON'"

    assert Files.schema(options, :spark).counters =~
             "`it's` STRING, `a``b` STRING, `order` STRING"

    assert Files.schema(options, :flink).counters =~ "  `a``b` STRING,\n"
    assert [{"name", "say \"n\\\""} | _] = options |> bigquery(:counters) |> List.last()
  end

  test "the options of a meter do as they are, with those of its sink" do
    sinks = [{Other, []}, {Files, dir: "/rollups", types: [page: :integer]}]
    meter = @names ++ [name: :ads, window: 1_000, reach: false, sinks: sinks]
    assert %{counters: counters} = Files.schema(meter, :flink)
    assert counters =~ "`page` BIGINT,\n  `country` STRING,\n  `misfits` STRING"
    assert counters =~ "'path' = 'file:///rollups/counters'"
    assert Files.schema(meter ++ [types: [page: :string]], :flink).counters =~ "`page` STRING"
  end

  test "what is refused elsewhere is refused here" do
    for {options, words} <- [
          {[], "expected :dimensions"},
          {[metrics: [:views]], "expected :dimensions"},
          {[dimensions: [:page], metrics: ["views"]], "expected :metrics"},
          {[dimensions: [:page], metrics: [:date]], ":date is one that sinks add"},
          {@names ++ [reach: [by: [:views]]], "expected :by"},
          {@names ++ [reach: true], "expected :by"},
          {@names ++ [types: [:page]], "expected :types"},
          {@names ++ [types: [views: :integer]], "expected :types to have dimensions of"},
          {:names, "expected a keyword list"}
        ] do
      assert_raise(ArgumentError, fn -> Files.schema(options, :spark) end).message =~
        words
        |> assert()
    end

    for engine <- [:hive, "spark", nil] do
      assert_raise ArgumentError, ~r/expected :engine to be :bigquery or/, fn ->
        Files.schema(@names, engine)
      end
    end
  end

  @tag :tmp_dir
  test "the columns are those of the lines, in their order", %{tmp_dir: dir} do
    for types <- [[], [page: :integer]], by <- [[:page], [:country, :page], nil] do
      File.rm_rf!(dir)
      reach = if by, do: [by: by], else: false
      rows = for page <- 1..2, do: {{page, "us"}, [views: 1], page}
      options = @names ++ [reach: reach]
      window = window(rows, options ++ [max_keys: 1])
      assert Files.deliver(window, dir: dir, types: types) == :ok

      for {kind, columns} <- Files.schema(options ++ [types: types], :duckdb) do
        columns = for [_, name] <- Regex.scan(~r/'(\w+)': '\w+'/, columns), do: name
        assert Enum.take(columns, 7) == @common
        assert rows(dir, kind) != []
        for row <- rows(dir, kind), do: assert(Enum.map(row, &elem(&1, 0)) == columns)
      end
    end
  end
end
