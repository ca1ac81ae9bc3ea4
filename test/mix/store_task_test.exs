defmodule Mix.Tasks.AdTally.StoreTest do
  # The shell is that of the whole VM.
  use ExUnit.Case

  import AdTally.Test.Stores

  alias AdTally.{Counters, Store}
  alias Mix.Tasks

  @moduletag :capture_log

  setup context do
    shell = Mix.shell()
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(shell) end)
    {:ok, dir: dir(), names: names(context)}
  end

  defp start(%{names: names, dir: dir}) do
    start_tree([
      {Store, name: names.store, dir: dir},
      {Counters, name: names.counters, store: names.store, metrics: [:clicks]}
    ])
  end

  defp said(lines \\ []) do
    receive do
      {:mix_shell, :info, [line]} -> said([line | lines])
    after
      0 -> lines |> Enum.reverse() |> Enum.join("\n")
    end
  end

  test "it prints what is there, also while the store is in use",
       %{names: names, dir: dir} = context do
    tree = start(context)
    for key <- 1..100, do: Counters.add(names.counters, key, :clicks)
    assert Store.sync(names.store) == :ok
    Tasks.AdTally.Store.run([dir])
    said = said()
    assert said =~ ~r/#{Regex.escape(dir)}: .* in \d+ files, opened 1 times/
    assert said =~ "A start reads it in about"
    assert said =~ ~r/Counters\d+ \(counters\) .* rows 100/
    stop_tree(tree)
    Tasks.AdTally.Store.run([dir])
    assert said() =~ "rows 100"
  end

  test "--backup copies a store that is in use, and the copy goes on",
       %{names: names, dir: dir} = context do
    tree = start(context)
    for key <- 1..100, do: Counters.add(names.counters, key, :clicks)
    assert Store.sync(names.store) == :ok
    copy = dir()
    Tasks.AdTally.Store.run([dir, "--backup", copy])

    assert said() =~
             ~r/#{Regex.escape(dir)} is copied to #{Regex.escape(copy)}: .*, every byte checked/

    Counters.add(names.counters, 1, :clicks)
    stop_tree(tree)

    start(%{context | dir: copy})
    assert length(Counters.to_list(names.counters)) == 100
    assert Counters.get(names.counters, 1) == %{clicks: 1}

    # Nothing is written over.
    assert_raise Mix.Error, ~r/empty directory/, fn ->
      Tasks.AdTally.Store.run([dir, "--backup", copy])
    end
  end

  test "a file that is damaged is an error that names it", %{names: names, dir: dir} = context do
    tree = start(context)
    for key <- 1..100, do: Counters.add(names.counters, key, :clicks)
    assert Store.sync(names.store) == :ok
    for key <- 1..100, do: Counters.add(names.counters, key, :clicks)
    stop_tree(tree)
    [journal | _] = dir |> Path.join("journal-*") |> Path.wildcard() |> Enum.sort()
    <<begin::binary-size(200), byte, rest::binary>> = File.read!(journal)
    File.write!(journal, [begin, Bitwise.bxor(byte, 1), rest])
    error = assert_raise Mix.Error, fn -> Tasks.AdTally.Store.run([dir]) end
    assert error.message =~ Path.basename(journal)
    assert error.message =~ "byte"

    # So does a start, until it is to go on without it.
    Process.flag(:trap_exit, true)
    options = [name: names.store, dir: dir]

    assert {:error, {%AdTally.StoreError{kind: :corrupt, reason: reason}, []}} =
             Store.start_link(options)

    assert reason =~ Path.basename(journal)
    assert reason =~ "with the option `repair`"
    assert {:ok, store} = Store.start_link(options ++ [repair: :truncate])
    assert Store.info(names.store).dropped_bytes > 0
    GenServer.stop(store)
  end

  test "without a directory, or with other arguments, it says how it is used", %{dir: dir} do
    for arguments <- [[], [dir, dir], [dir, "--copy", dir], ["--backup", dir]] do
      assert_raise Mix.Error, ~r/Usage: mix ad_tally.store DIR \[--backup TO\]/, fn ->
        Tasks.AdTally.Store.run(arguments)
      end
    end

    assert_raise Mix.Error, ~r/No such file/, fn -> Tasks.AdTally.Store.run([dir]) end
    File.mkdir_p!(dir)
    assert_raise Mix.Error, ~r/there is no store/, fn -> Tasks.AdTally.Store.run([dir]) end
  end
end
