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
end
