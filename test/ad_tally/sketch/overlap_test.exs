defmodule AdTally.Sketch.OverlapTest do
  use ExUnit.Case, async: true

  alias AdTally.Sketch

  test "is exact as long as both have a coupon of each user" do
    for {precision, most} <- [{4, 7}, {8, 24}, {12, 384}, {14, 1_536}],
        size <- [0, 1, div(most, 2), most],
        common <- Enum.uniq([0, div(size, 3), size]) do
      a = sketch(1, size, precision)
      b = sketch(1 + size - common, most, precision)

      for {one, other} <- [{a, b}, {b, a}], deviations <- 1..3 do
        overlap = Sketch.overlap(one, other, deviations)
        assert overlap.estimate == common * 1.0
        assert_ordered(overlap)
        assert overlap.low >= common - 1
        assert overlap.high <= common + 1
      end
    end
  end

  test "has bounds that hold the truth about as often as they say" do
    # 50 pairs of sets of users, always the same.
    for common <- [5_000, 1_000, 0], {deviations, least} <- [{1, 28}, {2, 45}, {3, 49}] do
      held =
        Enum.count(1..50, fn pair ->
          a = sketch(pair * 1_000_000, 10_000, 10)
          b = sketch(pair * 1_000_000 + 10_000 - common, 10_000, 10)
          %{low: low, high: high} = Sketch.overlap(a, b, deviations)
          low <= common and common <= high
        end)

      assert held >= least, "#{held} of 50, with #{common} in common, at #{deviations}"
    end
  end

  test "is about as good as the documentation says" do
    for {common, most} <- [{50_000, 0.02}, {10_000, 0.1}, {1_000, 1.0}] do
      errors =
        for pair <- 1..20 do
          a = sketch(pair * 1_000_000, 100_000, 12)
          b = sketch(pair * 1_000_000 + 100_000 - common, 100_000, 12)
          (Sketch.overlap(a, b).estimate - common) / common
        end

      # The root mean square of 20 errors is itself off by a sixth.
      assert :math.sqrt(Enum.sum(Enum.map(errors, &(&1 * &1))) / 20) < 1.5 * most
    end
  end

  test "contains its estimate, and widens with the deviations, which are 2 by default" do
    for {a, b} <- [
          {sketch(1, 20_000, 12), sketch(10_000, 20_000, 12)},
          {sketch(1, 20_000, 12), sketch(100_000, 20_000, 12)},
          {sketch(1, 50, 12), sketch(25, 20_000, 12)},
          {sketch(1, 100_000, 4), sketch(25, 100_000, 4)}
        ] do
      overlaps = for deviations <- 1..3, do: Sketch.overlap(a, b, deviations)
      assert Sketch.overlap(a, b) == Enum.at(overlaps, 1)
      for overlap <- overlaps, do: assert_ordered(overlap)
      assert overlaps |> Enum.map(& &1.estimate) |> Enum.uniq() |> length() == 1
      assert Enum.map(overlaps, & &1.low) == overlaps |> Enum.map(& &1.low) |> Enum.sort(:desc)
      assert overlaps |> Enum.map(& &1.high) |> Enum.sort() |> Enum.uniq() |> length() == 3
    end
  end

  test "is the same whichever comes first" do
    for {a, b} <- [
          {sketch(1, 20_000, 12), sketch(10_000, 50_000, 12)},
          {sketch(1, 20_000, 14), sketch(10_000, 50_000, 8)},
          {sketch(1, 100, 12), sketch(50, 50_000, 12)}
        ] do
      {one, other} = {Sketch.overlap(a, b), Sketch.overlap(b, a)}
      for field <- [:estimate, :low, :high], do: assert_close(one[field], other[field])
    end
  end

  test "of sketches of different precision is that at the coarser one" do
    for {fine, coarse} <- [{14, 12}, {18, 8}, {12, 4}] do
      b = sketch(10_000, 50_000, coarse)

      assert Sketch.overlap(sketch(1, 50_000, fine), b) ==
               Sketch.overlap(sketch(1, 50_000, coarse), b)
    end
  end

  test "keeps the precision of registers beside few users at a low one" do
    all = sketch(1, 50_000, 14)

    for few <- [1, 7] do
      assert Sketch.overlap(all, sketch(1, few, 4)) == Sketch.overlap(all, sketch(1, few, 14))
      assert Sketch.overlap(sketch(1, few, 18), all) == Sketch.overlap(sketch(1, few, 14), all)
    end
  end

  test "of a sketch with itself is about all of it, and with nobody nothing" do
    for count <- [1, 100, 5_000, 100_000] do
      all = sketch(1, count, 12)
      assert_in_delta Sketch.overlap(all, all).estimate, count, 0.05 * count
      nobody = sketch(1, 0, 12)
      assert %{estimate: +0.0, low: +0.0} = Sketch.overlap(all, nobody)
      assert %{estimate: +0.0, low: +0.0} = Sketch.overlap(nobody, all)
      assert_in_delta Sketch.overlap(nobody, all, 3).high, 0, 0.01
    end
  end

  defp sketch(from, count, precision),
    do: Sketch.from_users(Enum.to_list(from..(from + count - 1)//1), precision: precision)

  defp assert_ordered(%{estimate: estimate, low: low, high: high} = overlap) do
    assert map_size(overlap) == 3
    assert 0.0 <= low and low <= estimate and estimate <= high
  end

  defp assert_close(one, other), do: assert_in_delta(one, other, 1.0e-3 * max(one, other) + 0.01)
end
