defmodule AdTally.Sink.FilesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.Sink.Files
  alias AdTally.Test.{FreshVM, LargeWindow, ResidentMemory}

  @moduletag :tmp_dir

  describe "a stop with all rows in one window" do
    # 102 MB of lines and 3.9 GB of memory when all of them were built at once.
    unless ResidentMemory.known?(), do: @describetag(skip: "the system has no /proc/self/status")

    test "writes 300,000 rows with at most 64 MB more, and loses none", %{tmp_dir: dir} do
      stop(300_000, dir)
    end

    @tag :exhaustive
    test "writes 2,000,000 rows with at most 64 MB more, and loses none", %{tmp_dir: dir} do
      stop(2_000_000, dir)
    end

    defp stop(rows, dir) do
      %{grown: grown, resident: resident, names: names} =
        FreshVM.call(LargeWindow, :stop, [rows, dir])

      assert grown <= 64_000_000
      assert resident <= 64_000_000

      # What is not whole has another name, and in the end only what is whole is there.
      assert [counters, reach] = names(dir)
      unfinished = for file <- [counters, reach], do: unfinished(file)
      assert Enum.sort(names -- [counters, reach]) == Enum.sort(unfinished)

      spend =
        for [spend] <- spends(paths(dir, :counters)), reduce: {0, 0} do
          {lines, sum} -> {lines + 1, sum + String.to_integer(spend)}
        end

      assert spend == {rows, LargeWindow.spend(rows)}
      assert Enum.count(hd(paths(dir, :reach)) |> File.stream!([:compressed])) == div(rows, 10)
    end

    defp unfinished(file),
      do: Path.join(Path.dirname(file), "_" <> Path.basename(file) <> ".part")

    defp spends([path]) do
      path
      |> File.stream!([:compressed])
      |> Stream.map(&Regex.run(~r/"spend_micros":(\d+)\}$/, &1, capture: :all_but_first))
    end
  end

  test "rows of the longest keys are written in pieces as well", %{tmp_dir: dir} do
    long = :binary.copy("0123456789abcdef", 4_096)

    rows =
      for page <- 1..40, do: {{"#{page}" <> binary_part(long, 2, 65_534), long}, [views: page]}

    assert Files.deliver(window(rows), dir: dir) == :ok
    lines = lines(dir, :counters)
    assert length(lines) == 40

    views =
      for line <- lines,
          [n] <- Regex.scan(~r/"views":(\d+)\}$/, line, capture: :all_but_first),
          do: n

    assert Enum.sort(views) == Enum.sort(Enum.map(1..40, &"#{&1}"))
    assert Enum.all?(lines, &(byte_size(&1) > 2 * 65_000))
  end

  test "dimensions and metrics are in their declared order, overflow too", %{tmp_dir: dir} do
    # Alphabetical order would be another one.
    dimensions = [:zone, :page, :country, :area]
    metrics = [:views, :clicks, :spend, :bids]
    sketches = [by: [:page, :zone]]
    options = [dimensions: dimensions, metrics: metrics, reach: sketches, max_keys: 1]

    rows =
      for zone <- [1, 2],
          do: {{zone, 2, 3, 4}, Enum.shuffle(bids: 4, views: 1, spend: 3, clicks: 2), 7}

    assert Files.deliver(window(rows, options), dir: dir) == :ok
    amounts = ~s("views":1,"clicks":2,"spend":3,"bids":4)
    assert [counters] = lines(dir, :counters)
    assert String.ends_with?(counters, ~s(,"zone":1,"page":2,"country":3,"area":4,#{amounts}}))
    assert [reach] = lines(dir, :reach)
    assert reach =~ ~r/"ends_at":\d+,"zone":1,"page":2,"reach_sketch":"[^"]+"\}$/
    assert [overflow] = lines(dir, :overflow)
    assert [_, bytes] = Regex.run(~r/"ends_at":\d+,#{amounts},"reach_sketch":"(.*)"\}$/, overflow)
    assert AdTally.Sketch.estimate(sketch!(bytes)) == 1.0
  end

  test "chunks are whole lines, those of the file, and the same ones each time", %{tmp_dir: dir} do
    rows = for page <- 1..5_000, do: {{page, "us"}, [views: page], page}
    window = window(rows, reach: [by: [:page], max_keys: 1_000], max_keys: 4_999)

    chunks =
      for kind <- [:counters, :reach, :overflow], do: Files.chunks(window, kind, bytes: 10_000)

    assert [counters, reach, [overflow]] = Enum.map(chunks, &Enum.to_list/1)
    again = Enum.map(chunks, &Enum.to_list/1)
    assert [counters, reach, [overflow]] == again

    {last, full} = List.pop_at(counters, -1)
    assert length(full) > 50 and byte_size(last) < 11_000
    assert Enum.all?(full, &(byte_size(&1) in 10_000..11_000 and String.ends_with?(&1, "}\n")))

    assert Files.deliver(window, dir: dir) == :ok

    for {kind, chunks} <- [counters: counters, reach: reach, overflow: [overflow]] do
      assert lines(dir, kind) == chunks |> IO.iodata_to_binary() |> String.split("\n", trim: true)
    end

    assert_raise ArgumentError, ~r/size/, fn -> Files.chunks(window, :counters, size: 10_000) end

    assert_raise ArgumentError,
                 ~r/expected :kind to be :counters or :reach or :overflow, got: :x/,
                 fn ->
                   Files.chunks(window, :x)
                 end

    for bytes <- [0, -1, 1.5, "many"] do
      assert_raise ArgumentError, ~r/expected :bytes to be an integer from 1/, fn ->
        Files.chunks(window, :counters, bytes: bytes)
      end
    end

    typed = window |> Files.chunks(:reach, types: [country: :integer]) |> Enum.join()
    assert typed =~ ~r/"page":\d+,"misfits":null,"reach_sketch"/
    wrong = fn -> Files.chunks(window, :counters, types: [views: :integer]) end

    assert_raise ArgumentError,
                 ~r/expected :types to have dimensions of \[:page, :country\]/,
                 wrong
  end
end
