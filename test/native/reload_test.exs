defmodule AdTally.Native.ReloadTest do
  # In VMs of their own: what they load, delete and purge is the whole VM's.
  use ExUnit.Case, async: true

  alias AdTally.Test.{FreshVM, Reloading}

  setup do
    name = "ad_tally_reload_#{System.pid()}_#{System.unique_integer([:positive])}"
    directory = Path.join(System.tmp_dir!(), name)
    on_exit(fn -> File.rm_rf(directory) end)
    %{directory: directory}
  end

  test "loading the module again is refused, and what records meanwhile loses nothing" do
    refused = {:error, :on_load_failure}
    result = FreshVM.call(Reloading, :while_in_use, [2])

    assert result.loads == [{refused, refused, false, true, refused}]
    assert %{raised: [], lost: []} = result
    assert result.turns > 10

    assert Enum.frequencies(result.logged) == %{
             {:notice,
              "AdTally.Native was not loaded again: the VM goes on with the native library and the " <>
                "AdTally.Native that it has. For another version, restart the VM."} => 6
           }
  end

  test "a module that was deleted takes the library over, and what records meanwhile loses nothing" do
    result = FreshVM.call(Reloading, :while_deleted, [5])

    assert result.loads == [{true, :ok, true}]
    assert %{raised: [], lost: []} = result
    assert result.turns > 10
  end

  test "another build of the library is not loaded while the first one is there",
       %{directory: directory} do
    copy(directory)
    File.mkdir_p!(directory <> "/ad_tally/priv/native")
    File.cp!(library(), directory <> "/ad_tally/priv/native/" <> Path.basename(library()))
    result = FreshVM.call(Reloading, :another_build, [directory])

    assert {:raised, AdTally.NotLoadedError, message} = result.refused
    assert message =~ directory

    assert message =~
             "another build of it was loaded before and cannot be exchanged: restart the VM"

    assert {:module, AdTally.Native} = result.loaded
    assert {:ok, :ok} = result.new_table

    assert {:raised, ArgumentError, "expected an AdTally.Counters table, got: " <> _} =
             result.old_table
  end

  test "a library that is put in place later is loaded by the next load", %{directory: directory} do
    copy(directory)
    result = FreshVM.call(Reloading, :installed_later, [directory, library()])

    assert {:raised, AdTally.NotLoadedError, message} = result.missing
    assert message =~ directory
    assert {{:module, AdTally.Native}, {:raised, AdTally.NotLoadedError, ^message}} = result.again
    assert result.installed == {{:module, AdTally.Native}, {:ok, :ok}}
    assert result.in_use == {{:error, :on_load_failure}, {:ok, :ok}}
    assert result.left == nil
  end

  # The application without the library.
  defp copy(directory) do
    File.mkdir_p!(directory <> "/ad_tally")
    File.cp_r!(Application.app_dir(:ad_tally, "ebin"), directory <> "/ad_tally/ebin")
  end

  defp library do
    [library] = :ad_tally |> Application.app_dir("priv/native/ad_tally_nif.*") |> Path.wildcard()
    library
  end
end
