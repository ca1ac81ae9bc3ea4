defmodule AdTally.ExportTest do
  # What leaves a table as frames comes in again, whatever the kind of table.
  use ExUnit.Case, async: true

  alias AdTally.{Attribution, Counters, Dedupe, FrameError, FrequencyCap, Reach}
  alias AdTally.Test.{Exports, FreshVM}

  @kinds Enum.map(Exports.kinds(), &elem(&1, 0))

  defp exported(module, table), do: Enum.to_list(module.export(table))

  # A fresh table that takes the frames of another one.
  defp fresh(name, table) do
    {_name, module, options} = Exports.kind(name)
    {:ok, frame} = module |> exported(table) |> hd() |> AdTally.Frame.describe()
    Exports.new(module, Keyword.merge(options, frame.options))
  end

  for name <- @kinds do
    test "#{name}: another VM answers as the one that was exported, and this one as another" do
      {name, module, options} = Exports.kind(unquote(name))
      table = Exports.fill(name)
      frames = exported(module, table)
      secret = Keyword.take(options, [:secret])
      answers = FreshVM.call(Exports, :answers_of, [module, secret, frames])
      assert answers == Exports.answers(module, table)

      {frames, answers} = FreshVM.call(Exports, :frames_and_answers, [name])
      assert Exports.answers_of(module, secret, frames) == answers
    end

    test "#{name}: two halves in any order are the whole, and taken once" do
      {name, module, _options} = Exports.kind(unquote(name))
      whole = Exports.fill(name, seed: 7)
      halves = for part <- [0, 1], do: exported(module, Exports.fill(name, [seed: 7], part, 2))
      answers = Exports.answers(module, whole)

      for frames <- [halves, Enum.reverse(halves), halves ++ halves] do
        frames = List.flatten(frames)
        table = fresh(name, Exports.fill(name, [seed: 7], 0, 1_000_000))
        assert {:ok, imported} = module.import(table, frames)
        assert imported.frames == length(Enum.uniq(frames))
        assert imported.already_taken == length(frames) - imported.frames
        assert imported.overflow == 0 and imported.complete?
        assert Exports.answers(module, table) == answers
      end
    end

    test "#{name}: a byte that is changed or missing is named, and changes nothing" do
      {name, module, _options} = Exports.kind(unquote(name))
      # Few of everything, so that the frame is small.
      [frame] = exported(module, Exports.fill(name, [], 0, 500))
      table = Exports.fill(name, [], 1, 500)
      # Of the same seed, or that would be wrong already.
      table =
        if module in [Dedupe, FrequencyCap, Attribution],
          do: fresh(name, Exports.fill(name, [], 0, 500)),
          else: table

      info = module.info(table)
      rows = rows(module, table)

      for at <- 0..(byte_size(frame) - 1),
          {bytes, least} <- [changed(frame, at), cut(frame, at)] do
        assert {:error, %FrameError{frame: 0, byte: byte, field: field} = error} =
                 module.import(table, [bytes])

        assert byte <= byte_size(frame) and byte >= least and is_binary(field)
        assert Exception.message(error) =~ "frame 0, byte #{byte}, #{field}: "
      end

      assert {module.info(table), rows(module, table)} == {info, rows}
    end

    test "#{name}: frames before a bad one stay, and the import can be repeated" do
      {name, module, _options} = Exports.kind(unquote(name))

      [one, other] =
        for part <- [0, 1], do: exported(module, Exports.fill(name, [seed: 7], part, 2))

      [{bad, _least} | _] = [changed(hd(other), byte_size(hd(other)) - 30)]
      table = fresh(name, Exports.fill(name, [seed: 7], 0, 1_000_000))
      assert {:error, %FrameError{} = error} = module.import(table, one ++ [bad])
      assert error.frame == length(one) and error.field == "checksum"
      assert_raise FrameError, fn -> module.import!(table, one ++ [bad]) end

      assert %{already_taken: taken, complete?: true} = module.import!(table, one ++ other)
      assert taken == length(one)

      assert Exports.answers(module, table) ==
               Exports.answers(module, Exports.fill(name, seed: 7))
    end

    test "#{name}: frames are cut out of bytes in pieces of any size" do
      {name, module, _options} = Exports.kind(unquote(name))
      table = Exports.fill(name, seed: 7)

      bytes =
        IO.iodata_to_binary(
          exported(module, table) ++ exported(module, Exports.fill(name, [seed: 7], 0, 500))
        )

      pieces = for <<piece::binary-size(97) <- bytes>>, do: piece
      rest = binary_part(bytes, 97 * length(pieces), byte_size(bytes) - 97 * length(pieces))
      taken = fresh(name, table)
      assert %{complete?: true} = module.import!(taken, pieces ++ [rest])

      assert {:error, %FrameError{field: "length"}} = module.import(fresh(name, table), pieces)
    end

    test "#{name}: an export by name ends with its process, and so does an import" do
      {name, module, options} = Exports.kind(unquote(name))
      table_name = :"export_#{name}"
      owner = start_supervised!({module, [name: table_name] ++ options})

      reader =
        Enumerable.reduce(module.export(table_name), {:suspend, []}, &{:suspend, [&1 | &2]})

      assert {:suspended, [], continue} = reader
      frames = Enum.to_list(module.export(table_name))
      assert {:ok, %{complete?: true}} = module.import(table_name, frames)

      stream =
        Stream.map(frames, fn frame ->
          stop_supervised!({module, table_name})
          frame
        end)

      assert_raise ArgumentError, ~r/no #{inspect(module)} named :#{table_name} that runs/, fn ->
        module.import(table_name, stream)
      end

      refute Process.alive?(owner)
      assert_raise ArgumentError, ~r/that runs/, fn -> continue.({:cont, []}) end
      assert_raise ArgumentError, ~r/that runs/, fn -> module.export(table_name) end
    end

    test "#{name}: refuses what is no table and no frames" do
      {_name, module, options} = Exports.kind(unquote(name))
      table = Exports.new(module, options)

      message =
        if module == Attribution,
          do: ~r/expected the name of an AdTally.Attribution/,
          else: ~r/expected an #{inspect(module)} table/

      assert_raise ArgumentError, message, fn -> module.export(make_ref()) end
      assert_raise ArgumentError, message, fn -> module.import(make_ref(), [<<1>>]) end

      assert_raise ArgumentError, ~r/expected an enumerable of binaries.*got: :no/s, fn ->
        module.import(table, :no)
      end

      assert_raise ArgumentError, ~r/binaries.*: 7/s, fn -> module.import(table, [7]) end
      assert {:error, %FrameError{field: "magic", byte: 0}} = module.import(table, ["no frame"])
      assert {:ok, %{frames: 0, complete?: false}} = module.import(table, [])
    end
  end

  test "refuses frames of other kinds and options, and says which" do
    message = fn module, table, frames ->
      {:error, error} = module.import(table, frames)
      {error.field, error.reason}
    end

    counters = exported(Counters, Counters.new(metrics: [:a, :b]))

    assert {"metrics", "[:a, :b], expected the table's, [:b, :a]"} =
             message.(Counters, Counters.new(metrics: [:b, :a]), counters)

    assert {"kind", "counters, expected reach"} = message.(Reach, Reach.new(), counters)

    reach = exported(Reach, Reach.new(secret: "sixteen bytes..."))

    assert {"secret", "one, expected none, as the table has none"} =
             message.(Reach, Reach.new(), reach)

    other = Reach.new(secret: "sixteen others..")
    assert {"secret", "another one, expected the table's"} = message.(Reach, other, reach)

    assert {"precision", "12, expected the table's, 13"} =
             message.(Reach, Reach.new(precision: 13), reach)

    dedupe = exported(Dedupe, Dedupe.new(seed: 1, window: 1_000, capacity: 10))

    assert {"seed", "1, expected the table's, 2"} =
             message.(Dedupe, Dedupe.new(seed: 2, capacity: 10), dedupe)

    assert {"window", "1000, expected the table's, 2000"} =
             message.(Dedupe, Dedupe.new(seed: 1, window: 2_000, capacity: 10), dedupe)

    wide = Dedupe.new(seed: 1, window: 1_000, capacity: 10, fingerprint_bits: 61)
    assert {"fingerprint_bits", "28, expected the table's, 61"} = message.(Dedupe, wide, dedupe)

    caps = exported(FrequencyCap, FrequencyCap.new(seed: 1, capacity: 10))
    strict = FrequencyCap.new(seed: 1, capacity: 10, fingerprint_bits: 64)

    assert {"fingerprint_bits", "16, expected the table's, 64"} =
             message.(FrequencyCap, strict, caps)

    assert {"lifetime", "false, expected the table's, true"} =
             message.(FrequencyCap, FrequencyCap.new(seed: 1, capacity: 10, lifetime: true), caps)

    tiers = FrequencyCap.new(seed: 1, capacity: 10, tiers: [{60_000, 3_600_000}])

    assert {"tiers", "[{300000, 1209600000}], expected the table's, [{60000, 3600000}]"} =
             message.(FrequencyCap, tiers, caps)

    {_name, Attribution, options} = Exports.kind(:attribution)
    options = Keyword.merge(options, seed: 1, models: [:linear])
    clicks = exported(Attribution, Exports.new(Attribution, options))
    other = &Exports.new(Attribution, Keyword.merge(options, &1))

    assert {"models", "[:linear], expected the table's, [:last_touch, time_decay: 5]"} =
             message.(Attribution, other.(models: [:last_touch, {:time_decay, 5}]), clicks)

    assert {"touches", "[click: 604800000, view: 86400000], expected the table's, [click: 1]"} =
             message.(Attribution, other.(touches: [click: 1]), clicks)

    assert {"conversions", _message} =
             message.(Attribution, other.(conversions: [purchase: :once_per_user]), clicks)

    assert {"dimensions", "2, expected the table's, 1"} =
             message.(Attribution, other.(dimensions: [:campaign]), clicks)

    assert {:ok, %{rows: 0}} =
             Attribution.import(other.(dimensions: [:a, :b], orders: 7, window: 1_000), clicks)
  end

  test "adds go on beside an import and an export, and none is lost or counted twice" do
    frames = exported(Counters, Exports.fill(:counters))
    sums = Exports.fill(:counters)
    totals = Map.new(Counters.to_list(sums))
    table = Counters.new(metrics: [:clicks, :"Kosten in €"])

    adders =
      for _adder <- 1..4 do
        Task.async(fn ->
          for _turn <- 1..500, key <- [1, "1", {1}], do: Counters.add(table, key, :clicks)
        end)
      end

    for _turn <- 1..20, do: Counters.export(table) |> Enum.to_list()
    assert %{complete?: true} = Counters.import!(table, frames)
    Task.await_many(adders, :infinity)

    for key <- [1, "1", {1}],
        do: assert(Counters.get(table, key, :clicks) == totals[key].clicks + 2_000)

    assert Counters.get(table, nil) == totals[nil]
  end

  test "a table of another size takes frames" do
    caps = Exports.fill(:caps)
    dedupe = Exports.fill(:dedupe)

    for factor <- [2, 3] do
      {:ok, frame} = FrequencyCap |> exported(caps) |> hd() |> AdTally.Frame.describe()

      larger =
        FrequencyCap.new(
          Keyword.merge(frame.options, capacity: 500 * factor, max_capacity: 8_000 * factor)
        )

      assert %{overflow: 0, complete?: true} =
               FrequencyCap.import!(larger, FrequencyCap.export(caps))

      # Never more is let through than by the table itself.
      for {{check, _count, _opens, _old}, {own, _own_count, _own_opens, _own_old}} <-
            Enum.zip(Exports.answers(FrequencyCap, larger), Exports.answers(FrequencyCap, caps)) do
        assert check == own or match?({:capped, _rule}, check)
      end

      {:ok, frame} = Dedupe |> exported(dedupe) |> hd() |> AdTally.Frame.describe()
      larger = Dedupe.new(Keyword.merge(frame.options, capacity: 4_000 * factor))
      assert %{overflow: 0, complete?: true} = Dedupe.import!(larger, Dedupe.export(dedupe))
      again = Exports.answers(Dedupe, larger)
      same = Dedupe.new(frame.options)
      Dedupe.import!(same, Dedupe.export(dedupe))

      for {first?, own} <- Enum.zip(again, Exports.answers(Dedupe, same)),
          do: assert(not first? or own)
    end
  end

  # Every table of frames that were written once. A change of the format is a new version.
  describe "golden files" do
    for name <- @kinds do
      test "#{name}: the frames of Erlang/OTP 25 are read" do
        {name, module, options} = Exports.kind(unquote(name))
        file = "test/golden/#{name}.frames"
        frames = Enum.to_list(AdTally.Frame.stream!(file))
        # All that is in them is as of 2026, and the caps of a time are the same forever.
        assert Exports.answers_of(module, Keyword.take(options, [:secret]), frames) ==
                 Exports.answers(module, Exports.fill(name, seed: 7))
      end
    end
  end

  defp changed(frame, at) do
    {before, <<byte, rest::binary>>} = :erlang.split_binary(frame, at)
    {<<before::binary, Bitwise.bxor(byte, 0x21), rest::binary>>, 0}
  end

  defp cut(frame, at), do: {binary_part(frame, 0, max(at, 1)), min(at, 1)}

  defp rows(Counters, table), do: Enum.sort(Counters.to_list(table))
  defp rows(Reach, table), do: Enum.sort(Reach.to_list(table))
  defp rows(_module, _table), do: nil
end
