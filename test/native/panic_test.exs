defmodule AdTally.Native.PanicTest do
  # Rust reports a panic on standard error, below anything that ExUnit could
  # capture. Hence another VM, whose standard error is a file.
  use ExUnit.Case, async: true

  alias AdTally.Test.{FreshVM, Panics}

  unless System.find_executable("sh"), do: @moduletag(skip: "needs a POSIX shell")

  setup do
    name = "ad_tally_panics_#{System.pid()}_#{System.unique_integer([:positive])}"
    file = Path.join(System.tmp_dir!(), name)
    on_exit(fn -> File.rm(file) end)
    %{stderr: file}
  end

  test "a panic raises in the caller, and the table goes on", %{stderr: file} do
    {result, reports} = run(:one, [], file)

    assert result == %{
             raised: %RuntimeError{
               message: "AdTally.Native.counters_panic panicked: on request"
             },
             total_after: 1,
             added_after: :ok,
             drained: [{:key, %{n: 2}}],
             drained_next: []
           }

    assert reports == 1
  end

  test "a thousand panics in four processes lose no add beside them", %{stderr: file} do
    {result, reports} = run(:many, [4, 250], file)

    assert [{%RuntimeError{}, 1_000}] = Map.to_list(result.raised)
    assert result.drained == 3 * 1_000
    assert reports == 1_000
  end

  defp run(function, arguments, file) do
    result = FreshVM.call(Panics, function, arguments, stderr: file)
    {result, file |> File.read!() |> String.split("on request") |> length() |> Kernel.-(1)}
  end
end
