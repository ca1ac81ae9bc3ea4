defmodule AdTally.SketchTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches, only: [dense?: 1]

  alias AdTally.Sketch

  doctest AdTally.Sketch

  describe "from_users/2" do
    test "counts users of every form and edge once each" do
      integers = [0, 1, 2, -2, 2 ** 59, -(2 ** 59), 2 ** 60, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1]
      texts = ["0", "1", "-1", "a", "A", " ", "żółć", <<0>>, <<0, 0>>, <<0::72>>, <<255>>]
      lengths = for length <- 2..70, do: String.duplicate("x", length)
      large = for last <- ["a", "b"], do: String.duplicate("y", 65_535) <> last
      users = Enum.concat([integers, texts, lengths, large])

      assert users |> Enum.map(&Sketch.from_users([&1])) |> Enum.uniq() |> length() ==
               length(users)

      assert users |> Sketch.from_users() |> Sketch.estimate() |> round() == length(users)
    end

    test "takes an integer and text of its digits for two users" do
      refute Sketch.from_users([1]) == Sketch.from_users(["1"])
      assert [1, "1"] |> Sketch.from_users() |> Sketch.estimate() |> round() == 2
    end

    test "takes integers of the same 8 bytes, and those bytes, for one user" do
      for {integer, other} <- [{-1, 2 ** 64 - 1}, {-(2 ** 63), 2 ** 63}, {-2, 2 ** 64 - 2}] do
        sketch = Sketch.from_users([integer])
        assert Sketch.from_users([other]) == sketch
        assert Sketch.from_users([<<integer::little-64>>]) == sketch
        assert Sketch.from_users([other, integer, <<integer::little-64>>]) == sketch
      end
    end

    test "takes a binary for the same user however the VM keeps it" do
      for length <- [1, 7, 8, 30, 31, 63, 64, 65, 1_000, 65_536] do
        binary = :binary.copy(<<?a>>, length)
        part = binary_part(<<?<, binary::binary, ?>>>, 1, length)
        <<_::3, unaligned::binary>> = <<5::3, binary::binary>>
        sketch = Sketch.from_users([binary])
        assert Sketch.from_users([part]) == sketch
        assert Sketch.from_users([unaligned]) == sketch
        assert Sketch.from_users([unaligned, binary, part]) == sketch
      end
    end

    test "takes an integer for the same user however it was computed" do
      # Intermediate results beyond 64 bits.
      for user <- [2 ** 70 - 2 ** 70 + 42, div(42 * 2 ** 80, 2 ** 80)] do
        assert Sketch.from_users([user]) == Sketch.from_users([42])
      end
    end

    # Native code takes lists in parts of about a thousand.
    test "counts every user of a list of any length" do
      for length <- [0, 1, 2, 1_023, 1_024, 1_025, 2_048, 100_000] do
        users = Enum.to_list(1..length//1)
        {:ok, in_parts} = users |> Enum.chunk_every(7) |> union_of_parts()
        sketch = Sketch.from_users(users)
        assert sketch == in_parts
        assert_in_delta Sketch.estimate(sketch), length, 3 * error(12) * length
      end
    end

    test "has the precision that was asked for, 12 unless told otherwise" do
      assert Sketch.precision(Sketch.from_users([1])) == 12
      assert Sketch.from_users([1]) == Sketch.from_users([1], precision: 12)

      for precision <- 4..18, users <- [[], [1], Enum.to_list(1..50_000)] do
        assert Sketch.precision(Sketch.from_users(users, precision: precision)) == precision
      end
    end

    test "is the same sketch in whatever order users come, and how often" do
      for precision <- [4, 8, 12, 14], count <- [3, 7, 8, 24, 25, 300, 5_000] do
        users = for number <- 1..count, do: if(rem(number, 2) == 0, do: number, else: "#{number}")
        sketch = Sketch.from_users(users, precision: precision)

        for _ <- 1..5 do
          again = Enum.shuffle(users ++ Enum.take_random(users, div(count, 2)))
          assert Sketch.from_users(again, precision: precision) == sketch
        end

        refute Sketch.from_users(["another" | users], precision: 18) ==
                 Sketch.from_users(users, precision: 18)
      end
    end
  end

  describe "estimate/1 and bounds/2" do
    test "are exact but for a collision in 200 million as long as there is a coupon of each user" do
      for {precision, marks} <- [{4, 7}, {7, 7}, {8, 24}, {10, 96}, {12, 384}, {14, 1_536}] do
        for count <- Enum.uniq([0, 1, 2, div(marks, 2), marks]) do
          sketch = Sketch.from_users(Enum.to_list(1..count//1), precision: precision)
          refute dense?(sketch)
          assert_in_delta Sketch.estimate(sketch), count, 0.01

          for deviations <- 1..3 do
            {low, high} = Sketch.bounds(sketch, deviations)
            assert low >= count
            assert low <= Sketch.estimate(sketch)
            assert high >= Sketch.estimate(sketch)
            assert high <= count + 1
          end
        end

        assert dense?(Sketch.from_users(Enum.to_list(1..(marks + 1)), precision: precision))
      end
    end

    test "are off by as much as they say, with registers" do
      # 100 sets of users without a common one, always the same.
      for {precision, count} <- [{8, 300}, {10, 2_000}, {10, 20_000}, {12, 10_000}] do
        sketches =
          for set <- 1..100 do
            users = Enum.to_list((set * 1_000_000)..(set * 1_000_000 + count - 1))
            Sketch.from_users(users, precision: precision)
          end

        errors = Enum.map(sketches, &((Sketch.estimate(&1) - count) / count))
        assert_in_delta Enum.sum(errors) / 100, 0, 0.3 * error(precision)
        assert :math.sqrt(Enum.sum(Enum.map(errors, &(&1 * &1))) / 100) < 1.2 * error(precision)

        for {deviations, least} <- [{1, 58}, {2, 90}, {3, 98}] do
          held = Enum.count(sketches, &(Sketch.bounds(&1, deviations) |> contain?(count)))
          assert held >= least, "#{held} of 100 at #{precision}, #{count}, #{deviations}"
        end
      end
    end

    test "bounds contain the estimate and widen with the deviations, which are 2 by default" do
      for precision <- 4..18, count <- [0, 1, 10, 30_000] do
        sketch = Sketch.from_users(Enum.to_list(1..count//1), precision: precision)
        bounds = for deviations <- 1..3, do: Sketch.bounds(sketch, deviations)
        assert Enum.all?(bounds, &contain?(&1, Sketch.estimate(sketch)))
        assert Sketch.bounds(sketch) == Enum.at(bounds, 1)

        {lows, highs} = Enum.unzip(bounds)
        assert lows == Enum.sort(lows, :desc)
        assert highs == Enum.sort(highs)
        if dense?(sketch), do: assert(Enum.uniq(highs) == highs)
      end
    end

    test "are nothing for nobody" do
      for precision <- [4, 12, 18] do
        nobody = Sketch.from_users([], precision: precision)
        assert Sketch.estimate(nobody) == 0.0
        assert Sketch.bounds(nobody, 3) == {0.0, 0.0}
      end
    end
  end

  test "a sketch is a term like any other" do
    for users <- [[], [1, "1"], Enum.to_list(1..300), Enum.to_list(1..5_000)],
        secret <- [nil, "sixteen bytes..."] do
      sketch = Sketch.from_users(users, secret: secret)
      assert sketch |> :erlang.term_to_binary() |> :erlang.binary_to_term() == sketch

      assert Task.await(Task.async(fn -> Sketch.from_users(users, secret: secret) end), :infinity) ==
               sketch

      assert %{sketch => :found}[Sketch.from_users(Enum.reverse(users), secret: secret)] == :found
    end
  end

  test "inspect shows precision and estimate, and never the bytes" do
    for users <- [[], [1], Enum.to_list(1..100_000)], precision <- [8, 14] do
      sketch = Sketch.from_users(users, precision: precision, secret: "sixteen bytes...")
      estimate = sketch |> Sketch.estimate() |> Float.round(1)

      assert inspect(sketch, limit: :infinity) ==
               "#AdTally.Sketch<[precision: #{precision}, estimate: #{estimate}]>"
    end

    assert inspect(%{a: [Sketch.from_users([])]}) ==
             "%{a: [#AdTally.Sketch<[precision: 12, estimate: 0.0]>]}"
  end

  defp union_of_parts([]), do: Sketch.union([Sketch.from_users([])])
  defp union_of_parts(parts), do: parts |> Enum.map(&Sketch.from_users/1) |> Sketch.union()

  defp error(precision), do: 1.039 / :math.sqrt(2 ** precision)

  defp contain?({low, high}, number), do: low <= number and number <= high
end
