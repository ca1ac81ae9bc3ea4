defmodule AdTally.Sketch.RefusalsTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Sketches, only: [put_byte: 3]

  alias AdTally.Sketch
  alias AdTally.Test.Users

  @secret "sixteen bytes..."

  for {name, user, shown} <- Users.bad() do
    test "#{name} is no user" do
      for users <- [[unquote(Macro.escape(user))], [1, "a", unquote(Macro.escape(user)), 2]] do
        message = message(fn -> Sketch.from_users(users) end)
        assert String.starts_with?(message, Users.rule())
        assert message =~ unquote(shown)
      end
    end
  end

  test "what stands for something running is no user" do
    for user <- [self(), make_ref(), fn -> 1 end, AdTally.Reach.new()] do
      assert String.starts_with?(message(fn -> Sketch.from_users([user]) end), Users.rule())
    end
  end

  test "one bad user anywhere in a list of any length is refused" do
    for length <- [1, 2, 100, 1_024, 1_025, 10_000],
        at <- Enum.uniq([0, div(length, 2), length - 1]) do
      users = 1..length |> Enum.to_list() |> List.replace_at(at, :nobody)

      assert message(fn -> Sketch.from_users(users) end) ==
               Users.rule() <> ":nobody (at index #{at} of the list)"
    end
  end

  test "a list of users that ends in something else, or is none, is refused" do
    for length <- [1, 2, 100, 1_024, 1_025, 10_000],
        {tail, shown} <- [{:tail, ":tail"}, {7, "7"}] do
      message = message(fn -> Sketch.from_users(Enum.to_list(1..length) ++ tail) end)
      assert String.starts_with?(message, "expected a proper list of users, got: ")
      assert message =~ shown
    end

    for {other, shown} <- [{nil, "nil"}, {%{}, ""}, {"users", ~S("users")}, {1..3, ""}, {1, "1"}] do
      message = message(fn -> Sketch.from_users(other) end)
      assert String.starts_with?(message, "expected a proper list of users, got: " <> shown)
    end
  end

  test "a precision out of range is refused" do
    for precision <- [3, 19, 0, -1, 2 ** 64, 12.0, nil, "12", :fine] do
      expected = "expected :precision to be an integer from 4 to 18, got: #{inspect(precision)}"

      assert message(fn -> Sketch.from_users([1], precision: precision) end) == expected
    end
  end

  test "unknown and repeated options are refused by name, and others than keywords" do
    for {options, unknown} <- [
          {[seed: 1], "[:seed]"},
          {[precision: 12, max_keys: 1], "[:max_keys]"},
          {[precision: 12, precision: 13], "[:precision]"}
        ] do
      expected =
        "unknown or repeated options #{unknown}, known are :precision and :secret, once each"

      assert message(fn -> Sketch.from_users([1], options) end) == expected
    end

    for call <- [&Sketch.from_binary("", &1), &Sketch.from_binary!("", &1)] do
      expected = "unknown or repeated options [:precision], known are :secret, once each"
      assert message(fn -> call.(precision: 12) end) == expected
    end

    for options <- [nil, %{precision: 12}, 12, [:precision], [{"precision", 12}]],
        call <- [&Sketch.from_users([1], &1), &Sketch.from_binary("", &1)] do
      message = message(fn -> call.(options) end)
      assert String.starts_with?(message, "expected a keyword list of options")
    end
  end

  test "a secret that is not 16 bytes is refused, and not shown" do
    # What is wrong with it may be the end of it.
    for secret <- [@secret <> "!", "a short secret", "", String.to_atom(@secret), ~c"a secret", 7] do
      for call <- [
            fn -> Sketch.from_users([1], secret: secret) end,
            fn -> Sketch.from_binary("", secret: secret) end,
            fn -> Sketch.from_binary!("", secret: secret) end,
            fn -> AdTally.Reach.new(secret: secret) end
          ] do
        assert message(call) == "expected :secret to be a binary of 16 bytes, or nil for none"
      end
    end
  end

  test "a secret among options that are no keyword list is not shown either" do
    for options <- [%{secret: @secret}, [{"secret", @secret}], [:secret, @secret], @secret],
        call <- [
          &Sketch.from_users([1], &1),
          &Sketch.from_binary("", &1),
          &AdTally.Reach.new/1
        ] do
      refute message(fn -> call.(options) end) =~ @secret
    end
  end

  test "deviations other than 1, 2 and 3 are refused" do
    sketch = Sketch.from_users([1])

    for deviations <- [0, 4, -1, 1.0, nil, "2", 2 ** 64, {1, 3}],
        call <- [&Sketch.bounds(sketch, &1), &Sketch.overlap(sketch, sketch, &1)] do
      expected = "expected 1, 2 or 3 standard deviations, got: #{inspect(deviations)}"
      assert message(fn -> call.(deviations) end) == expected
    end
  end

  describe "what is no sketch is refused" do
    test "by every function" do
      sketch = Sketch.from_users([1, 2])
      bytes = Sketch.to_binary(sketch)
      fields = Map.from_struct(sketch)

      for other <- [nil, 1, %{}, bytes, [sketch], {sketch}, fields, Date.utc_today(), self()] do
        assert_no_sketch(other, sketch)
        for call <- [&Sketch.precision/1, &Sketch.to_binary/1], do: assert_refused(call, other)
      end
    end

    test "when somebody has made one up" do
      sketch = Sketch.from_users(Enum.to_list(1..5_000))
      bytes = Sketch.to_binary(sketch)

      for field <- [
            [bytes: nil],
            [bytes: ""],
            [bytes: "made up"],
            [bytes: <<bytes::binary, 0>>],
            [bytes: binary_part(bytes, 0, 100)],
            [bytes: <<bytes::bitstring, 1::1>>],
            [bytes: [bytes]],
            [secret_check: :none],
            [secret_check: -1],
            [secret_check: 2 ** 64],
            [secret_check: 1.0],
            [secret_check: @secret],
            [__struct__: Date]
          ] do
        assert_no_sketch(struct!(Map.merge(sketch, Map.new(field)), []), sketch)
      end

      for field <- [:bytes, :secret_check, :__struct__] do
        assert_no_sketch(Map.delete(sketch, field), sketch)
      end
    end

    test "with what is wrong with its bytes" do
      made_up = struct!(Sketch.from_users([1]), bytes: <<2, 1, 7, 12, 3, 8, 1, 8, 0, 0, 0, 0>>)
      message = message(fn -> Sketch.estimate(made_up) end)
      assert message =~ ~r/\(its bytes are none: coupon 0 is 0x00000000, which no user has\)$/
    end

    test "anywhere among registers, and anywhere in a list" do
      for precision <- [4, 12, 16] do
        sketch = Sketch.from_users(Enum.to_list(1..100_000), precision: precision)
        last = 40 + 2 ** precision - 1

        for {at, byte, why} <- [
              {3, 19, "precision is 19, expected 4 to 18"},
              {5, 12, "flags is 12, expected without 4 (empty), where there are users"},
              {6, 64, "smallest register is 64, expected no larger than any register"},
              {35, 9,
               ~r/^count of the smallest register is \d+, expected how many registers are the/},
              {36, 1, "number of exceptions is 1, expected 0 but for HLL_4"},
              {40, 64, "register is 64, expected 0 to 63"},
              {40 + 2 ** (precision - 1), 200, "register is 200, expected 0 to 63"},
              {last, 255, "register is 255, expected 0 to 63"}
            ],
            made_up = struct!(sketch, bytes: put_byte(Sketch.to_binary(sketch), at, byte)),
            {list, index} <- [
              {[made_up], 0},
              {[sketch, made_up, sketch], 1},
              {List.duplicate(sketch, 3_000) ++ [made_up], 3_000}
            ] do
          message = message(fn -> Sketch.union(list) end)
          assert message =~ ~r/ \(at index #{index} of the list\)$/
          assert [_, said] = Regex.run(~r/\(its bytes are none: (.*)\) \(at index/, message)
          assert if(is_binary(why), do: said == why, else: said =~ why)
        end
      end
    end

    test "and can be inspected all the same" do
      # An error that inspects what it refuses, while that is inspected, would go on for ever.
      Process.flag(:max_heap_size, %{size: 1_000_000, kill: true, error_logger: false})

      for bytes <- ["made up", "", nil] do
        made_up = struct!(Sketch.from_users([1]), bytes: bytes)
        assert inspect(made_up) == "%AdTally.Sketch{bytes: #{inspect(bytes)}, secret_check: nil}"
      end
    end
  end

  test "what is no list of sketches is refused" do
    sketch = Sketch.from_users([1])

    shown = "#AdTally.Sketch<...>"

    for {other, shown} <- [
          {[], "[]"},
          {nil, "nil"},
          {sketch, shown},
          {{sketch, sketch}, "{#{shown}, #{shown}}"},
          {%{}, "%{}"}
        ] do
      expected = "expected a list of at least one AdTally.Sketch, got: #{shown}"
      assert message(fn -> Sketch.union(other) end) == expected
    end

    for tail <- [:tail, sketch] do
      message = message(fn -> Sketch.union([sketch, sketch | tail]) end)
      assert String.starts_with?(message, "expected a proper list of AdTally.Sketch")
    end
  end

  test "what is no binary is refused" do
    for {other, shown} <- [
          {nil, "nil"},
          {1, "1"},
          {[1], "[1]"},
          {%{}, "%{}"},
          {<<2, 1, 7, 12, 1::1>>, "a bitstring that is not a binary"},
          {Sketch.from_users([1]), "#AdTally.Sketch<...>"}
        ],
        call <- [&Sketch.from_binary/1, &Sketch.from_binary!/1] do
      assert message(fn -> call.(other) end) == "expected a binary, got: " <> shown
    end
  end

  defp assert_no_sketch(other, sketch) do
    for call <- [
          &Sketch.estimate/1,
          &Sketch.bounds/1,
          &Sketch.bounds(&1, 3),
          &Sketch.union([&1]),
          &Sketch.union([&1, sketch]),
          &Sketch.union([sketch, sketch, &1, sketch]),
          &Sketch.overlap(&1, sketch),
          &Sketch.overlap(sketch, &1),
          &AdTally.Reach.merge(AdTally.Reach.new(), 1, &1)
        ] do
      assert_refused(call, other)
    end
  end

  defp assert_refused(call, other) do
    assert String.starts_with?(
             message(fn -> call.(other) end),
             "expected an AdTally.Sketch, got: "
           )
  end

  defp message(call), do: assert_raise(ArgumentError, call).message
end
