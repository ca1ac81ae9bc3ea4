defmodule AdTally.Sink.FileNamesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.Sink.Files

  @moduletag :tmp_dir

  defp deliver(window, dir) do
    assert Files.deliver(window, dir: dir) == :ok
    for path <- paths(dir, :counters), do: Path.basename(path)
  end

  test "a name has the start, the meter, the node, the epoch and the sequence", %{tmp_dir: dir} do
    window = %{
      window([{{1, 2}, []}])
      | meter: MyApp.Ads,
        node: :"ads@10.0.0.7",
        epoch: 17,
        sequence: 4
    }

    assert deliver(window, dir) ==
             ["1780272000000_Elixir.MyApp.Ads_ads@10.0.0.7_17_4.ndjson.gz"]
  end

  test "the date is that of the window's start in UTC", %{tmp_dir: dir} do
    for {at, date} <- [
          {0, "1970-01-01"},
          {951_782_400_000 - 1, "2000-02-28"},
          {951_782_400_000, "2000-02-29"},
          {1_795_910_399_999, "2026-11-28"},
          # The last time that a meter takes.
          {140_737_488_355_327, "6429-10-17"}
        ] do
      dir = Path.join(dir, date)
      assert Files.deliver(window([{{1, 2}, []}], at: at), dir: dir) == :ok
      assert [path] = paths(dir, :counters)
      assert Path.relative_to(Path.dirname(path), dir) == "counters/date=" <> date
    end
  end

  test "meters of names that are longer than a file's can be have files of their own", %{
    tmp_dir: dir
  } do
    window = window([{{1, 2}, []}])
    names = for last <- ["a", "b"], do: :"#{String.duplicate("ü", 200)}#{last}"
    for name <- names, do: deliver(%{window | meter: name}, dir)
    assert [one, other] = deliver(%{window | meter: hd(names)}, dir)
    assert byte_size("_" <> one <> ".part") <= 255 and byte_size("_" <> other <> ".part") <= 255
  end

  test "as have those of names that differ in what file systems do not take only", %{tmp_dir: dir} do
    window = window([{{1, 2}, []}])
    names = [:"a/b", :"a b", :"a=b", :"a\nb", :"a\0b", :ä, :ö, :"../../b", :"a-b"]
    for name <- names, do: deliver(%{window | meter: name}, dir)
    files = deliver(%{window | meter: :"a-b"}, dir)
    assert length(files) == length(names)
    assert Enum.all?(files, &(&1 =~ ~r/^[0-9]+_[A-Za-z0-9@._-]+\.ndjson\.gz$/))

    assert Enum.sort(names(dir)) ==
             Enum.sort(for file <- files, do: "counters/date=2026-06-01/" <> file)

    meters = for row <- rows(dir, :counters), do: :proplists.get_value("meter", row)
    assert Enum.sort(meters) == Enum.sort(Enum.map(names, &inspect/1))
  end
end
