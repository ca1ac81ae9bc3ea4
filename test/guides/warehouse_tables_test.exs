defmodule AdTally.Guides.WarehouseTablesTest do
  use ExUnit.Case

  alias AdTally.Sink.Files

  @guide File.read!("guides/warehouse.md")

  @tag :tmp_dir
  test "the guide's meter starts, and its tables have the columns of that meter's files", %{
    tmp_dir: dir
  } do
    [code] = Regex.run(~r/```elixir\n(\{AdTally.Meter,.*?)```/s, @guide, capture: :all_but_first)
    code = String.replace(code, ~s("rollups"), inspect(dir))
    {{AdTally.Meter, options} = meter, _binding} = Code.eval_string(code)
    start_supervised!(meter)

    shown = Regex.scan(~r/columns = (\{.*?\})\)/s, @guide, capture: :all_but_first)
    declared = Files.schema(options, :duckdb)

    assert for([columns] <- shown, do: plain(columns)) ==
             for(kind <- [:counters, :reach, :overflow], do: plain(declared[kind]))
  end

  # The guide breaks lines, and leaves out the quotes that names need elsewhere.
  defp plain(columns), do: String.replace(columns, ["'", "\n", " "], "")
end
