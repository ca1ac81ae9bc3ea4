defmodule AdTally.Sink.FileAttemptsTest do
  # What deliveries leave behind that fail, are killed, or come again.
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.Sink.Files

  @moduletag :tmp_dir
  @kinds [:counters, :reach, :overflow]

  # With a file of each kind.
  defp window_of_all_kinds(rows \\ 10) do
    rows = for page <- 1..rows, do: {{page, "us"}, [views: page], page}
    window(rows, reach: [by: [:page]], max_keys: length(rows) - 1)
  end

  defp contents(dir), do: for(name <- names(dir), do: {name, lines_of(Path.join(dir, name))})

  defp lines_of(path),
    do: path |> File.read!() |> :zlib.gunzip() |> String.split("\n", trim: true)

  # Such that nothing can be renamed to it.
  defp block(path) do
    File.rm_rf!(path)
    File.mkdir_p!(Path.join(path, "full"))
  end

  test "a window that is delivered again replaces its own files", %{tmp_dir: dir} do
    window = window_of_all_kinds()
    assert Files.deliver(window, dir: dir) == :ok
    assert [counters, overflow, reach] = names(dir)

    assert [Path.basename(counters)] ==
             Enum.uniq(Enum.map([counters, overflow, reach], &Path.basename/1))

    bytes = for name <- names(dir), do: File.read!(Path.join(dir, name))

    for name <- names(dir), do: File.write!(Path.join(dir, name), "of an earlier attempt")
    File.write!(Path.join(dir, unfinished(reach)), "of a killed attempt")
    assert Files.deliver(window, dir: dir) == :ok
    assert names(dir) == [counters, overflow, reach]
    assert for(name <- names(dir), do: File.read!(Path.join(dir, name))) == bytes
  end

  test "a kind of which it has no lines has no file, of an earlier attempt neither", %{
    tmp_dir: dir
  } do
    window = window([{{1, 2}, [views: 3]}])
    assert Files.deliver(window, dir: dir) == :ok
    assert [counters] = names(dir)
    assert File.ls!(dir) == ["counters"]

    for kind <- ["reach", "overflow"],
        stale = String.replace_prefix(counters, "counters", kind),
        name <- [stale, unfinished(stale)] do
      path = Path.join(dir, name)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, "stale")
    end

    assert Files.deliver(window, dir: dir) == :ok
    assert names(dir) == [counters]
  end

  test "an attempt that fails leaves no file, whichever kind it fails at", %{tmp_dir: dir} do
    window = window_of_all_kinds()
    assert Files.deliver(window, dir: Path.join(dir, "all")) == :ok

    for name <- names(Path.join(dir, "all")) do
      dir = Path.join(dir, "blocked at #{Path.dirname(name)}")
      block(Path.join(dir, name))
      assert {:error, reason} = Files.deliver(window, dir: dir)
      assert is_atom(reason)
      assert names(dir) == []

      File.rm_rf!(Path.join(dir, name))
      assert Files.deliver(window, dir: dir) == :ok
      assert length(names(dir)) == 3
    end
  end

  test "but the files of one that was taken before stay", %{tmp_dir: dir} do
    window = window_of_all_kinds()
    assert Files.deliver(window, dir: dir) == :ok
    [counters, overflow, reach] = names(dir)
    block(Path.join(dir, reach))
    assert {:error, _reason} = Files.deliver(window, dir: dir)
    assert names(dir) == [counters, overflow]
  end

  test "nor does one that raises or that cannot make a folder", %{tmp_dir: dir} do
    window = window_of_all_kinds()
    assert catch_error(Files.deliver(%{window | native: make_ref()}, dir: dir))
    assert names(dir) == []

    File.write!(Path.join(dir, "reach"), "no folder")
    assert {:error, reason} = Files.deliver(window, dir: dir)
    assert reason in [:enotdir, :eexist]
    assert names(dir) == ["reach"]
  end

  test "after one that was killed files are whole, and all are there where counters are", %{
    tmp_dir: dir
  } do
    window = window_of_all_kinds(2_000)
    {time, :ok} = :timer.tc(fn -> Files.deliver(window, dir: Path.join(dir, "all")) end)
    expected = contents(Path.join(dir, "all"))
    [counters, overflow, reach] = names(Path.join(dir, "all"))
    dir = Path.join(dir, "killed")
    there = fn name -> fn -> File.exists?(Path.join(dir, name)) end end
    after_a_while = for step <- 0..9, do: fn -> Process.sleep(div(time * step, 10_000)) == :ok end
    # Between two renames, unless it is quicker.
    at_a_file =
      List.duplicate([there.(unfinished(counters)), there.(overflow), there.(reach)], 10)

    finished =
      for moment <- after_a_while ++ List.flatten(at_a_file) do
        File.rm_rf!(dir)
        {pid, monitor} = spawn_monitor(fn -> Files.deliver(window, dir: dir) end)
        wait_for(moment)
        Process.exit(pid, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}

        finished = for kind <- @kinds, paths(dir, kind) != [], do: kind
        if :counters in finished, do: assert(finished == @kinds)
        if :reach in finished, do: assert(:overflow in finished)

        for {name, lines} <- expected, path = Path.join(dir, name), File.exists?(path) do
          assert lines_of(path) == lines
        end

        assert Files.deliver(window, dir: dir) == :ok
        assert contents(dir) == expected
        finished
      end

    assert [] in finished
  end

  defp wait_for(moment), do: unless(moment.(), do: wait_for(moment))

  defp unfinished(name), do: Path.join(Path.dirname(name), "_" <> Path.basename(name) <> ".part")
end
