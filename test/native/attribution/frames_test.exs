defmodule AdTally.Native.Attribution.FramesTest do
  # An attribution leaves as frames, and another one of the same options takes them.
  use ExUnit.Case, async: true

  import AdTally.Test.NativeAttribution

  alias AdTally.{Frame, Frames, Native}

  defp export(attribution),
    do: Enum.to_list(Frames.export(fn -> Native.attribution_export(attribution) end))

  defp take_in(attribution, frames),
    do: Frames.import(frames, &Native.attribution_import(attribution, &1))

  test "what it knows is known after an import, and a frame is taken once" do
    attribution = new()

    for id <- 1..100 do
      dimensions = {id, if(rem(id, 2) == 0, do: :even, else: "odd")}

      :ok =
        Native.attribution_touch(
          attribution,
          touch(id: id, user: rem(id, 10), dimensions: dimensions)
        )
    end

    :ok = Native.attribution_link(attribution, "alias", 3)
    :ok = Native.attribution_convert(attribution, conversion(user: 3))
    frames = export(attribution)

    assert {:ok, %{module: AdTally.Attribution, options: options}} = Frame.describe(hd(frames))
    assert Keyword.keys(options[:touches]) == [:click, :view]

    other = new()
    assert {:ok, %{complete?: true, rows: rows}} = take_in(other, frames)
    assert rows > 0
    assert {:ok, %{rows: 0, already_taken: taken}} = take_in(other, frames)
    assert taken == length(frames)

    assert Native.attribution_credits(other, "o-9") ==
             Native.attribution_credits(attribution, "o-9")

    :ok = Native.attribution_convert(other, conversion(user: "alias", order: 2))

    assert [%{touch: 93, dimensions: {93, "odd"}}] =
             Native.attribution_credits(other, 2).last_touch
  end

  test "frames of another attribution, and what is none, are refused" do
    frames = export(new())
    other = new(dimensions: 3)
    assert {:error, %AdTally.FrameError{}} = take_in(other, frames)
    assert {:error, %AdTally.FrameError{}} = take_in(new(), [:binary.copy(<<7>>, 100)])
    assert_raise ArgumentError, fn -> Native.attribution_import(make_ref(), hd(frames)) end
    assert_raise ArgumentError, fn -> Native.attribution_export(:none) end
  end

  test "a frame says what it is of, and is refused by what has other names" do
    [frame] = export(new(models: [:linear, {:time_decay, 60_000}]))
    assert {"attribution", true, 0, <<_::128>>, 0, settings} = Native.frame_describe(frame)
    settings = Map.new(settings)
    assert settings["touches"] == [{"click", 604_800_000}, {"view", 86_400_000}]
    assert settings["models"] == [{"linear", nil}, {"time_decay", 60_000}]

    assert settings["conversions"] == [
             {"purchase", "every"},
             {"signup", "once_per_user"},
             {"install", "once_per_touch"}
           ]

    assert {:error, _byte, "models", reason} = Native.attribution_import(new(), frame)
    assert reason == "[:linear, time_decay: 60000], expected the table's, [:last_touch, :linear]"
  end

  test "what is stopped in order gives and takes nothing any more" do
    table = new()
    [frame] = export(table)
    begun = Native.attribution_export(table)
    :ok = Native.table_own(table, :attribution_left)
    {[], false} = Native.attribution_stop(table)
    message = ~r/no AdTally.Attribution named :attribution_left that runs/
    assert_raise ArgumentError, message, fn -> Native.attribution_import(table, frame) end
    assert_raise ArgumentError, message, fn -> Native.export_next(begun) end
  end
end
