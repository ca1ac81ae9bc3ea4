defmodule AdTally.Web.RingTest do
  use ExUnit.Case, async: true

  alias AdTally.Web.Ring

  # Samples at these times, in milliseconds, with these values.
  defp rings(samples, step) do
    {ring, times} = {Ring.new(), Ring.new()}

    for {time, value} <- samples do
      period = Integer.floor_div(time, step * 1_000)
      Ring.put(times, step, period, time)
      Ring.put(ring, step, period, value)
    end

    {ring, times}
  end

  test "a rate is what has come since the sample before, by the time in between" do
    {ring, times} = rings([{10_000, 100}, {11_400, 170}, {12_000, 200}, {14_000, 500}], 1)
    assert Ring.rates(ring, times, 1, 9..14) == [nil, nil, 50.0, 50.0, nil, nil]
    assert Ring.values(ring, times, 1, 9..14) == [nil, 100, 170, 200, nil, 500]
    assert Ring.rate(ring, times, 10..14) == 100.0
    assert Ring.rate(ring, times, 14..14) == nil
  end

  test "a total that is not known, or falls, has no rate" do
    {ring, times} =
      rings([{10_000, 100}, {11_000, nil}, {12_000, 50}, {13_000, 40}, {14_000, 41}], 1)

    assert Ring.rates(ring, times, 1, 10..14) == [nil, nil, nil, nil, 1.0]
  end

  test "rings keep the last samples of either step, also before 1970" do
    for {step, size} <- Ring.sizes(), begin <- [1_780_272_000, -5_000_000] do
      first = Integer.floor_div(begin, step)

      samples =
        for period <- first..(first + 3 * size), do: {period * step * 1_000, period - first}

      {ring, times} = rings(samples, step)
      last = first + 3 * size
      kept = (last - size + 1)..last
      assert Ring.values(ring, times, step, kept) == Enum.to_list((2 * size + 1)..(3 * size))
      # The one before has the place of the last one.
      assert Ring.values(ring, times, step, (last - size)..(last - size)) == [nil]
      assert [nil | rates] = Ring.rates(ring, times, step, kept)
      assert Enum.uniq(rates) == [Float.round(1 / step, 3)]
    end
  end

  test "both steps are apart" do
    ring = Ring.new()
    for period <- 0..119, do: Ring.put(ring, 1, period, period)
    for period <- 0..1_439, do: Ring.put(ring, 60, period, -period)
    assert for(period <- 0..119, do: Ring.get(ring, 1, period)) == Enum.to_list(0..119)
    assert for(period <- 0..1_439, do: Ring.get(ring, 60, period)) == Enum.to_list(0..-1_439//-1)
  end

  test "a number beyond 64 bits is the largest one of them" do
    ring = Ring.new()
    Ring.put(ring, 1, 0, 2 ** 80)
    Ring.put(ring, 1, 1, -(2 ** 80))
    assert Ring.get(ring, 1, 0) == 2 ** 63 - 1
    assert Ring.get(ring, 1, 1) == -(2 ** 63) + 1
  end
end
