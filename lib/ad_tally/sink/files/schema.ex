defmodule AdTally.Sink.Files.Schema do
  @moduledoc false
  # Declarations of tables: each engine has its words for the types, and its way to write a column.

  alias AdTally.Sink.Files.Tables

  @type engine :: :bigquery | :spark | :flink | :duckdb

  # JSON for a dimension without a type where the engine has that, else text. DuckDB does not read Base64
  # into its BLOB by itself.
  @words %{
    bigquery: %{
      text: "STRING",
      integer: "INTEGER",
      boolean: "BOOLEAN",
      any: "JSON",
      sketch: "BYTES"
    },
    spark: %{
      text: "STRING",
      integer: "BIGINT",
      boolean: "BOOLEAN",
      any: "STRING",
      sketch: "BINARY"
    },
    flink: %{
      text: "STRING",
      integer: "BIGINT",
      boolean: "BOOLEAN",
      any: "STRING",
      sketch: "BYTES"
    },
    duckdb: %{
      text: "VARCHAR",
      integer: "BIGINT",
      boolean: "BOOLEAN",
      any: "JSON",
      sketch: "VARCHAR"
    }
  }

  @doc "The engines that there are declarations for."
  @spec engines() :: [engine(), ...]
  def engines, do: @words |> Map.keys() |> Enum.sort()

  @doc "The declaration of a table. `dir` is where the folders of all kinds are, for an engine that needs it."
  @spec declaration(engine(), AdTally.Sink.Files.kind(), [Tables.column()], Path.t() | nil) ::
          String.t()
  def declaration(:bigquery, _kind, columns, _dir) do
    fields =
      for {name, type, need} <- columns do
        mode = need |> Atom.to_string() |> String.upcase()

        ~s(  {"name": #{in_quotes(name, ?")}, "type": "#{word(:bigquery, type)}", "mode": "#{mode}"})
      end

    "[\n" <> Enum.join(fields, ",\n") <> "\n]\n"
  end

  def declaration(:spark, _kind, columns, _dir) do
    Enum.map_join(columns, ", ", fn {name, type, _need} ->
      in_quotes(name, ?`) <> " " <> word(:spark, type)
    end)
  end

  def declaration(:flink, kind, columns, dir) do
    columns =
      for {name, type, _need} <- columns ++ [{"date", :text, :required}],
          do: "  #{in_quotes(name, ?`)} #{word(:flink, type)}"

    # As the sink writes: a relative path is one from the working directory.
    folder = Path.join(if(dir, do: Path.expand(dir), else: "/DIR"), Atom.to_string(kind))

    """
    CREATE TABLE `#{kind}` (
    #{Enum.join(columns, ",\n")}
    ) PARTITIONED BY (`date`) WITH (
      'connector' = 'filesystem',
      'path' = #{in_quotes("file://" <> folder, ?')},
      'format' = 'json'
    )
    """
  end

  def declaration(:duckdb, _kind, columns, _dir) do
    columns =
      Enum.map_join(columns, ", ", fn {name, type, _need} ->
        "#{in_quotes(name, ?')}: '#{word(:duckdb, type)}'"
      end)

    "{#{columns}}"
  end

  defp word(engine, type), do: @words[engine][type]

  # JSON escapes a quote by a backslash, SQL by another quote.
  defp in_quotes(name, ?"),
    do: ~s(") <> String.replace(name, ["\\", "\""], &("\\" <> &1)) <> ~s(")

  defp in_quotes(name, quote),
    do: <<quote>> <> String.replace(name, <<quote>>, <<quote, quote>>) <> <<quote>>
end
