defmodule AdTally.Native.ResourceTest do
  use ExUnit.Case, async: true

  alias AdTally.Test.{FreshVM, ResidentMemory, TableChurn}

  unless ResidentMemory.known?(), do: @moduletag(skip: "the system has no /proc/self/status")

  @megabyte 1_000_000

  test "20,000 tables leave no memory behind" do
    # What it would be if they stayed, so that the limit means something.
    assert FreshVM.call(TableChurn, :kept_tables, [20_000]) > 20 * @megabyte
    assert FreshVM.call(TableChurn, :dropped_tables, [20_000]) < 5 * @megabyte
  end

  @tag :exhaustive
  @tag timeout: :infinity
  test "a million tables leave no memory behind" do
    # 5 bytes a table.
    assert FreshVM.call(TableChurn, :dropped_tables, [1_000_000]) < 5 * @megabyte
  end

  test "drains that are dropped in the middle leave no memory behind" do
    # A table of 20,000 keys is more than 1 MB.
    assert FreshVM.call(TableChurn, :dropped_drains, [100, 20_000]) < 20 * @megabyte
  end

  test "drains leave no memory behind" do
    assert FreshVM.call(TableChurn, :whole_drains, [100, 20_000]) < 20 * @megabyte
  end
end
