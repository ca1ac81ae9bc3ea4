defmodule AdTally.Guides.WarehouseTablesTest do
  use ExUnit.Case

  alias AdTally.{Attribution, Meter}
  alias AdTally.Sink.Files

  @guide File.read!("guides/warehouse.md")

  for {module, folder, kinds} <- [
        {Meter, "rollups", [:counters, :reach, :overflow]},
        {Attribution, "credits", [:credits, :touches]}
      ] do
    @tag :tmp_dir
    test "the guide's #{inspect(module)} starts, and its tables have the columns of its files", %{
      tmp_dir: dir
    } do
      module = unquote(module)
      start = Regex.escape("{#{inspect(module)},")
      [code] = Regex.run(~r/```elixir\n(#{start}.*?)```/s, @guide, capture: :all_but_first)
      code = String.replace(code, ~s("#{unquote(folder)}"), inspect(dir))
      {{^module, options} = child, _binding} = Code.eval_string(code)
      start_supervised!(child)

      declared = Files.schema(options, :duckdb)

      for kind <- unquote(kinds) do
        files = Regex.escape("read_json('#{unquote(folder)}/#{kind}/")

        assert [[columns]] =
                 Regex.scan(~r/#{files}.*?columns = (\{.*?\})\)/s, @guide, capture: :all_but_first)

        assert plain(columns) == plain(declared[kind])
      end
    end
  end

  # The guide breaks lines, and leaves out the quotes that names need elsewhere.
  defp plain(columns), do: String.replace(columns, ["'", "\n", " "], "")
end
