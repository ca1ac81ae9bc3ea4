defmodule AdTally.Native.ResourceTest do
  use ExUnit.Case, async: true

  @moduletag :slow

  alias AdTally.{Counters, Reach}
  alias AdTally.Test.{FreshVM, ResidentMemory, TableChurn}

  unless ResidentMemory.known?(), do: @moduletag(skip: "the system has no /proc/self/status")

  @megabyte 1_000_000

  # Megabytes that 20,000 tables take if they stay, at least, and a table of 20,000 keys.
  for {module, kept, filled} <- [{Counters, 20, 1}, {Reach, 60, 3}] do
    test "20,000 tables of #{inspect(module)} leave no memory behind" do
      # What it would be if they stayed, so that the limit means something.
      assert churn(:kept_tables, [unquote(module), 20_000]) > unquote(kept) * @megabyte
      assert churn(:dropped_tables, [unquote(module), 20_000]) < 5 * @megabyte
    end

    @tag :exhaustive
    @tag timeout: :infinity
    test "a million tables of #{inspect(module)} leave no memory behind" do
      # 5 bytes a table.
      assert churn(:dropped_tables, [unquote(module), 1_000_000]) < 5 * @megabyte
    end

    test "drains of #{inspect(module)} that are dropped in the middle leave no memory behind" do
      # A fifth of what it would be, if they stayed.
      limit = 20 * unquote(filled) * @megabyte
      assert churn(:dropped_drains, [unquote(module), 100, 20_000]) < limit
    end

    test "drains of #{inspect(module)} leave no memory behind" do
      limit = 20 * unquote(filled) * @megabyte
      assert churn(:whole_drains, [unquote(module), 100, 20_000]) < limit
    end
  end

  defp churn(function, arguments), do: FreshVM.call(TableChurn, function, arguments)
end
