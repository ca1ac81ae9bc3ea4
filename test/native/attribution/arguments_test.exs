defmodule AdTally.Native.Attribution.ArgumentsTest do
  # What is wrong is said in words, changes nothing and is counted.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeAttribution

  alias AdTally.{Conversion, Native}

  @most 4_611_686_018_427_387_903

  @bad_touches [
    {[id: nil],
     "expected id: an integer of 64 bits (-2^63 to 2^63 - 1) or a binary of 1 to 65536 bytes"},
    {[id: ""], "expected id: an integer of 64 bits"},
    {[id: :click], "expected id: an integer of 64 bits"},
    {[id: {1}], "expected id: an integer of 64 bits"},
    {[id: 0x8000_0000_0000_0000], "expected id: an integer of 64 bits"},
    {[user: nil], "expected a user that is one person only"},
    {[user: ""], "expected a user that is one person only"},
    {[user: {"ann", nil}], "expected a user that is one person only"},
    {[user: 1.5], "a key is an integer of 64 bits"},
    {[at: nil], "a time is an integer of milliseconds since 1970, 0 or more, got: nil"},
    {[at: -1], "a time is an integer of milliseconds since 1970, 0 or more, got: -1"},
    {[at: 0x8000_0000_0000], "a time is 0 to 140737488355327 ms since 1970, not 140737488355328"},
    {[kind: :clik], "expected kind: one of [:click, :view], got: :clik"},
    {[kind: nil], "expected kind: one of [:click, :view], got: nil"},
    {[kind: "click"], ~s(expected kind: one of [:click, :view], got: "click")},
    {[dimensions: {1}],
     "expected a tuple of 2 dimensions, one for each the attribution has, got: {1}"},
    {[dimensions: [1, 2]], "expected a tuple of 2 dimensions, one for each the attribution has"},
    {[dimensions: {1, 2.0}], "a key is an integer of 64 bits"},
    {[dimensions: {1, {2}}], "a key is an integer of 64 bits"},
    {[cost_micros: -1], "expected cost_micros: an integer from 0 to 2^62 - 1, got: -1"},
    {[cost_micros: @most + 1], "expected cost_micros: an integer from 0 to 2^62 - 1"},
    {[cost_micros: nil], "expected cost_micros: an integer from 0 to 2^62 - 1, got: nil"}
  ]

  @bad_conversions [
    {[order: nil],
     "expected order: an integer of 64 bits (-2^63 to 2^63 - 1) or a binary of 1 to 65536 bytes, got: nil"},
    {[order: ""], "expected order: an integer of 64 bits"},
    {[order: :o], "expected order: an integer of 64 bits"},
    {[order: {1}], "expected order: an integer of 64 bits"},
    {[user: ""], "expected a user that is one person only"},
    {[at: 1.0], "a time is an integer of milliseconds since 1970"},
    {[at: 0x8000_0000_0000], "a time is 0 to 140737488355327 ms since 1970"},
    {[action: :click], "expected action: one of [:purchase, :signup, :install], got: :click"},
    {[value_micros: @most + 1], "expected value_micros: an integer from -(2^62 - 1) to 2^62 - 1"},
    {[value_micros: -@most - 1],
     "expected value_micros: an integer from -(2^62 - 1) to 2^62 - 1"},
    {[value_micros: 1.0],
     "expected value_micros: an integer from -(2^62 - 1) to 2^62 - 1, got: 1.0"}
  ]

  for {part, function, refuse, bad} <- [
        {:touches, :touch, :attribution_refuse_touches, @bad_touches},
        {:conversions, :convert, :attribution_refuse_conversions, @bad_conversions}
      ] do
    test "rejects #{part} by what is wrong, wherever in a list they are, and takes nothing" do
      attribution = new()
      struct = if unquote(part) == :touches, do: &touch/1, else: &conversion/1
      one = &apply(Native, :"attribution_#{unquote(function)}", [attribution, &1])
      many = &apply(Native, :"attribution_#{unquote(function)}_many", [attribution, &1])

      for {fields, words} <- unquote(Macro.escape(bad)) do
        bad = struct.(fields)
        error = assert_raise ArgumentError, fn -> one.(bad) end
        assert String.starts_with?(error.message, words)

        for good <- [0, 1, 100] do
          list = List.duplicate(struct.([]), good) ++ [bad]
          error = assert_raise ArgumentError, fn -> many.(list) end
          assert String.starts_with?(error.message, words)
          assert String.ends_with?(error.message, "(at index #{good} of the list)")
        end
      end

      name = struct.([]).__struct__

      for other <- [
            :none,
            %{},
            %{struct.([]) | __struct__: Elsewhere},
            Map.from_struct(struct.([]))
          ] do
        message = ~r/^expected a %#{inspect(name)}\{\} struct, got: /
        assert_raise ArgumentError, message, fn -> one.(other) end
        assert_raise ArgumentError, message, fn -> many.([struct.([]), other]) end
      end

      for list <- [:none, [struct.([]) | :tail]] do
        message = ~r/^expected a proper list of %#{inspect(name)}\{\} structs, got: /
        assert_raise ArgumentError, message, fn -> many.(list) end
      end

      # Lists are counted by whoever has them.
      refused = length(unquote(Macro.escape(bad))) + 4
      info = Native.attribution_info(attribution)

      assert info[unquote(part)] == %{
               applied: 0,
               duplicate: 0,
               late: 0,
               future: 0,
               refused: refused
             }

      assert {info.users, info.orders, info.keys, info.open_windows, info.newest} ==
               {0, 0, 0, 0, 0}

      assert apply(Native, unquote(refuse), [attribution, 7, "seven at once"]) == :ok
      assert Native.attribution_info(attribution)[unquote(part)].refused == refused + 7

      {touches, conversions} = Native.attribution_examples(attribution)
      {_late, _future, reason} = if unquote(part) == :touches, do: touches, else: conversions
      assert reason == {nil, "seven at once"}
      assert one.(struct.([])) == :ok
    end
  end

  test "what is at the edge is taken" do
    attribution = new()

    for {fields, at} <-
          Enum.with_index([
            [id: -0x8000_0000_0000_0000],
            [id: 0x7FFF_FFFF_FFFF_FFFF],
            [id: <<0>>],
            [id: :binary.copy("x", 65_536)],
            [user: :ann],
            [user: {1, "x", :y}],
            [user: :binary.copy("x", 65_536)],
            [dimensions: {nil, ""}],
            [dimensions: {:binary.copy("x", 65_536), :binary.copy("y", 65_536)}],
            [cost_micros: 0],
            [cost_micros: @most],
            [kind: :view]
          ]) do
      assert Native.attribution_touch(attribution, touch([id: at] ++ fields)) == :ok
      list = [touch([id: at] ++ fields)]
      assert Native.attribution_touch_many(attribution, list) == {[], {0, 1, 0, 0}}
    end

    for {fields, at} <-
          Enum.with_index([
            [order: -0x8000_0000_0000_0000],
            [order: :binary.copy("x", 65_536)],
            [value_micros: @most],
            [value_micros: -@most],
            [action: :install]
          ]) do
      conversion = conversion([order: at] ++ fields)
      assert Native.attribution_convert(attribution, conversion) == :ok
      assert Native.attribution_convert_many(attribution, [conversion]) == {[], {0, 1, 0, 0}}
      %Conversion{order: order, value_micros: value} = conversion
      assert %{value_micros: ^value} = Native.attribution_credits(attribution, order)
    end

    assert {_windows, false} = Native.attribution_stop(attribution)
  end

  test "rejects changes, links and forgets by what is wrong, and changes nothing" do
    attribution = new()
    :ok = Native.attribution_touch(attribution, touch())
    :ok = Native.attribution_convert(attribution, conversion())
    before = Native.attribution_credits(attribution, "o-9")
    adjust = &Native.attribution_adjust(attribution, &1, &2, &3)

    for {order, change, at, words} <- [
          {"", :retract, at(), "expected order: an integer of 64 bits"},
          {:o, :retract, at(), "expected order: an integer of 64 bits"},
          {"o-9", :refund, at(),
           "expected a change: :retract or {:restate, value_micros}, got: :refund"},
          {"o-9", {:restate}, at(), "expected a change: :retract or {:restate, value_micros}"},
          {"o-9", {:retract, 1}, at(), "expected a change: :retract or {:restate, value_micros}"},
          {"o-9", {:restate, 1.0}, at(),
           "expected value_micros: an integer from -(2^62 - 1) to 2^62 - 1"},
          {"o-9", {:restate, @most + 1}, at(), "expected value_micros: an integer"},
          {"o-9", :retract, -1, "a time is an integer of milliseconds since 1970"},
          {"o-9", :retract, 0x8000_0000_0000, "a time is 0 to 140737488355327 ms"}
        ] do
      error = assert_raise ArgumentError, fn -> adjust.(order, change, at) end
      assert String.starts_with?(error.message, words)
    end

    for user <- [nil, "", 1.5, {"ann", ""}] do
      assert_raise ArgumentError, fn -> Native.attribution_link(attribution, user, "ann") end
      assert_raise ArgumentError, fn -> Native.attribution_link(attribution, "ann", user) end
      assert_raise ArgumentError, fn -> Native.attribution_forget(attribution, user) end
    end

    for order <- [nil, "", :o, {1}, 1.0] do
      assert_raise ArgumentError, fn -> Native.attribution_credits(attribution, order) end
    end

    assert adjust.("o-8", :retract, at()) == {:error, :unknown}
    assert Native.attribution_credits(attribution, "o-9") == before
    assert adjust.("o-9", :retract, at() + 2_000) == :ok
    assert adjust.("o-9", {:restate, 1}, at() + 3_000) == {:error, :retracted}

    assert Native.attribution_info(attribution).adjustments ==
             %{applied: 1, superseded: 0, unknown: 1, retracted: 1, future: 0, refused: 9}
  end

  test "what is too far ahead of the system's time is refused as future" do
    attribution = new(max_ahead: 60_000)
    now = System.system_time(:millisecond)
    assert Native.attribution_touch(attribution, touch(at: now)) == :ok
    assert Native.attribution_touch(attribution, touch(at: now + 3_600_000, id: 2)) == :future
    conversion = conversion(at: now + 7_200_000)
    assert Native.attribution_convert(attribution, conversion) == :future
    assert Native.attribution_convert(attribution, conversion(at: now)) == :ok
    adjust = &Native.attribution_adjust(attribution, "o-9", :retract, &1)
    assert adjust.(now + 3_600_000) == {:error, :future}
    assert Native.attribution_touch(attribution, touch(at: now - 3_600_000, id: 3)) == :late

    {touch_late, touch_ahead, conversion_ahead} =
      {now - 3_600_000, now + 3_600_000, now + 7_200_000}

    assert Native.attribution_examples(attribution) ==
             {{touch_late, touch_ahead, nil}, {0, conversion_ahead, nil}}

    assert Native.attribution_info(attribution).excluded == %{cost_micros: 2_500}
  end

  test "another reference is no attribution" do
    for call <- [
          &Native.attribution_touch(&1, touch()),
          &Native.attribution_touch_many(&1, [touch()]),
          &Native.attribution_convert(&1, conversion()),
          &Native.attribution_credits(&1, "o-9"),
          &Native.attribution_link(&1, "a", "b"),
          &Native.attribution_info/1,
          &Native.attribution_open(&1, 0)
        ],
        other <- [make_ref(), AdTally.Counters.new(metrics: [:n]), :name, nil] do
      assert_raise ArgumentError, ~r/^expected an AdTally.Attribution, got: /, fn ->
        call.(other)
      end
    end
  end
end
