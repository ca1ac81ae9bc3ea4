defmodule AdTally.Sink.FilesTest do
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.{Event, Meter}
  alias AdTally.Sink.Files
  alias AdTally.Test.{FreshVM, LargeWindow, ResidentMemory}
  alias AdTally.Test.MeterSinks.Forwarding

  @at 1_780_272_000_000
  @moduletag :tmp_dir

  # A window of some rows, as a sink gets it. It belongs to nobody else.
  defp window(rows, options \\ []) do
    name = Module.concat(__MODULE__, "Meter#{System.unique_integer([:positive])}")
    defaults = [name: name, dimensions: [:page, :country], metrics: [:views], clock: :events]
    options = Keyword.merge(defaults ++ [sinks: [{Forwarding, to: self()}]], options)
    {:ok, meter} = Meter.start_link(options)
    for row <- rows, do: Meter.record(options[:name], event(row))
    GenServer.stop(meter)
    assert_received {:window, window}
    window
  end

  defp event({dimensions, metrics}), do: event({dimensions, metrics, nil})

  defp event({dimensions, metrics, user}),
    do: %Event{at: @at, dimensions: dimensions, metrics: metrics, user: user}

  describe "a stop with all rows in one window" do
    # 102 MB of lines and 3.9 GB of memory when all of them were built at once.
    unless ResidentMemory.known?(), do: @describetag(skip: "the system has no /proc/self/status")

    test "writes 300,000 rows with at most 64 MB more, and loses none", %{tmp_dir: dir} do
      stop(300_000, dir)
    end

    @tag :exhaustive
    @tag timeout: 300_000
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
    {:ok, sketch} = AdTally.Sketch.from_binary(Base.decode64!(bytes))
    assert AdTally.Sketch.estimate(sketch) == 1.0
  end

  test "an attempt that fails leaves nothing, and a window replaces its own file", %{tmp_dir: dir} do
    window = window([{{1, 2}, [views: 3]}])
    assert Files.deliver(window, dir: dir) == :ok
    [file] = names(dir)
    assert Files.deliver(window, dir: dir) == :ok
    assert names(dir) == [file]
    assert [_line] = lines(dir, :counters)

    # Something that it cannot replace.
    path = Path.join(dir, file)
    File.rm!(path)
    File.mkdir_p!(Path.join(path, "full"))
    assert {:error, reason} = Files.deliver(window, dir: dir)
    assert is_atom(reason)
    assert names(dir) == []
    assert File.ls!(Path.dirname(path)) == [Path.basename(path)]

    # Or a sketch that cannot be read.
    assert catch_error(Files.deliver(%{window | native: make_ref()}, dir: dir))
    assert names(dir) == []
  end

  test "a meter of a name that is longer than a file's can be", %{tmp_dir: dir} do
    names = for last <- ["a", "b"], do: :"#{String.duplicate("ü", 200)}#{last}"

    for name <- names,
        do: assert(Files.deliver(window([{{1, 2}, []}], name: name), dir: dir) == :ok)

    assert [one, other] = for(path <- paths(dir, :counters), do: Path.basename(path))
    assert byte_size("_" <> one <> ".part") <= 255 and byte_size("_" <> other <> ".part") <= 255
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
  end
end
