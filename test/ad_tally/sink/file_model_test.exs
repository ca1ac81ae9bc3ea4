defmodule AdTally.Sink.FileModelTest do
  use ExUnit.Case, async: true

  import AdTally.Test.SinkFiles

  alias AdTally.{Sketch, Window}
  alias AdTally.Sink.Files
  alias AdTally.Test.JSON

  @windows 60
  @least -0x8000_0000_0000_0000
  @most 0x7FFF_FFFF_FFFF_FFFF
  @dimensions [:page, :country, :device]
  @metrics [:views, :clicks, :spend]

  @tag :tmp_dir
  test "whatever a window has, its files sum up to it", %{tmp_dir: dir} do
    # ExUnit has seeded this process, from the seed that it prints.
    for number <- 1..@windows, do: compare(:rand.uniform(2 ** 32), Path.join(dir, "#{number}"))
  end

  # To see one window again, call this with the seed that its failure showed.
  defp compare(seed, dir) do
    :rand.seed(:exsss, seed)

    types =
      for name <- @dimensions, type = Enum.random([nil, :integer, :string]), do: {name, type}

    by = Enum.random([nil, [:page], [:device, :page], @dimensions])
    reach = if by, do: [by: by, max_keys: Enum.random([2, 50]), precision: 5], else: false
    names = [dimensions: @dimensions, metrics: @metrics]
    window = window(rows(), names ++ [max_keys: Enum.random([1, 20, 500]), reach: reach])
    assert Files.deliver(window, dir: dir, types: types) == :ok

    assert sums(dir, :counters, types) == expected(window, types), "seed #{seed}"
    assert sums(dir, :overflow, []) == overflow(window), "seed #{seed}"
    assert unions(dir, types) == expected_unions(window, types), "seed #{seed}"
    :rand.seed(:exsss, seed + 1)
  end

  defp rows do
    for _ <- 1..Enum.random([1, 10, 300]) do
      dimensions = {value(), value(), Enum.random([1, 2, nil])}
      metrics = for metric <- @metrics, :rand.uniform(3) > 1, do: {metric, amount()}
      {dimensions, metrics, Enum.random([nil, :rand.uniform(50)])}
    end
  end

  defp value do
    case :rand.uniform(6) do
      1 ->
        Enum.random([@least, @most, 0, -1, :rand.uniform(5)])

      2 ->
        Enum.random([nil, true, false, :summer, :"1", :"", :"base64:", :ü])

      3 ->
        "#{:rand.uniform(5)}"

      4 ->
        Enum.random(["summer", "true", "null", "", "a\"b\\c", "\n\0", "ü", "base64:", "\u2028"])

      5 ->
        :rand.bytes(:rand.uniform(3))

      6 ->
        for _ <- 1..:rand.uniform(5), into: "", do: <<Enum.random(0..0xD7FF)::utf8>>
    end
  end

  defp amount, do: Enum.random([0, 1, -1, :rand.uniform(1_000), @least, @most, @most - 1])

  # What the documentation says of each value: its column, and what is in the misfits.
  defp written(value, :integer) when is_integer(value) or value == nil, do: {value, []}
  defp written(value, :integer), do: {nil, [plain(value)]}
  defp written(nil, _type), do: {nil, []}
  defp written(value, :string) when is_integer(value), do: {Integer.to_string(value), []}
  defp written(value, :string) when is_boolean(value), do: {Atom.to_string(value), []}
  defp written(value, _type), do: {plain(value), []}

  defp plain(value) when is_integer(value) or value in [nil, true, false], do: value
  defp plain(value) when is_atom(value), do: value |> Atom.to_string() |> plain()

  defp plain(value) do
    if String.starts_with?(value, "base64:") or :unicode.characters_to_list(value) |> is_tuple(),
      do: "base64:" <> Base.encode64(value),
      else: value
  end

  defp key(names, values, types) do
    for {name, value} <- Enum.zip(names, Tuple.to_list(values)) do
      {column, misfits} = written(value, types[name])
      {Atom.to_string(name), column, misfits}
    end
  end

  defp expected(window, types) do
    for {values, totals} <- Window.counters(window), reduce: %{} do
      sums ->
        add(sums, key(@dimensions, values, types), for(metric <- @metrics, do: totals[metric]))
    end
  end

  defp overflow(window) do
    totals = Window.overflow(window)
    amounts = for metric <- @metrics, do: totals[metric]
    if Enum.all?(amounts, &(&1 == 0)), do: %{}, else: %{[] => amounts}
  end

  # A row of zeros is one too, but there is an overflow of some users with no amounts.
  defp sums(dir, kind, types) do
    for row <- rows(dir, kind), reduce: %{} do
      sums ->
        {key, rest} = read_key(row, types)
        amounts = for {name, amount} <- rest, name != "reach_sketch", do: {name, amount}
        assert Enum.map(amounts, &elem(&1, 0)) == Enum.map(@metrics, &Atom.to_string/1)
        amounts = Enum.map(amounts, &elem(&1, 1))
        assert Enum.all?(amounts, &(&1 in @least..@most))

        if kind == :overflow and Enum.all?(amounts, &(&1 == 0)),
          do: sums,
          else: add(sums, key, amounts)
    end
  end

  # The dimensions of a line with their misfits, and what comes after.
  defp read_key(row, types) do
    {common, row} = Enum.split(row, 7)

    assert Enum.map(common, &elem(&1, 0)) ==
             ["meter", "node", "epoch", "sequence", "partial", "starts_at", "ends_at"]

    names = Enum.map(@dimensions, &Atom.to_string/1)
    {columns, rest} = Enum.split_while(row, fn {name, _value} -> name in names end)

    {misfits, rest} =
      case rest do
        [{"misfits", nil} | rest] -> {[], rest}
        [{"misfits", text} | rest] -> {JSON.decode!(text), rest}
        rest -> {[], rest}
      end

    assert List.keymember?(row, "misfits", 0) == (columns != [] and types != [])

    {for(
       {name, value} <- columns,
       do: {name, value, for({^name, misfit} <- misfits, do: misfit)}
     ), rest}
  end

  defp add(sums, key, amounts),
    do: Map.update(sums, key, amounts, &Enum.zip_with(&1, amounts, fn a, b -> a + b end))

  # By key, overflow as one of no dimensions.
  defp unions(dir, types) do
    reach =
      for row <- rows(dir, :reach) do
        {key, [{"reach_sketch", sketch}]} = read_key(row, types)
        {key, sketch!(sketch)}
      end

    overflow =
      for row <- rows(dir, :overflow), {"reach_sketch", sketch} when sketch != nil <- row do
        {[], sketch!(sketch)}
      end

    estimates(reach ++ overflow)
  end

  defp expected_unions(window, types) do
    overflow = for sketch when sketch != nil <- [Window.reach_overflow(window)], do: {[], sketch}

    reach =
      for {values, sketch} <- Window.reach(window),
          do: {key(window.reach_by, values, types), sketch}

    estimates(reach ++ overflow)
  end

  defp estimates(sketches) do
    for {key, sketches} <- Enum.group_by(sketches, &elem(&1, 0), &elem(&1, 1)),
        {:ok, union} = Sketch.union(sketches),
        estimate = Sketch.estimate(union),
        estimate > 0,
        into: %{},
        do: {key, estimate}
  end
end
