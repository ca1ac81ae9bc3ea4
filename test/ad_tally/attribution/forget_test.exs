defmodule AdTally.Attribution.ForgetTest do
  use ExUnit.Case, async: true

  import AdTally.Test.Attributions

  alias AdTally.{Attribution, Frame, Frames, Named, Native}

  require Named

  setup :own_name

  # Of each user and each order a row.
  defp exported_rows(name) do
    attribution = Named.fetch!(Attribution, name)
    frames = Frames.export(fn -> Native.attribution_export(attribution) end)

    for frame <- frames, reduce: 0 do
      rows ->
        {:ok, frame} = Frame.describe(frame)
        rows + frame.rows
    end
  end

  test "of users who are forgotten nothing is left: touches, aliases, marks, and whose a conversion was",
       %{name: name} do
    start(name)

    for id <- 1..50,
        do: assert(Attribution.touch(name, touch(id, {:stays, rem(id, 7)}, id)) == :ok)

    assert {exported_rows(name), Attribution.info(name).users} == {7, 7}

    # And such as have all that a user may have: more touches than are kept, final conversions and
    # provisional ones.
    for user <- 1..200 do
      for turn <- 1..20,
          do: assert(Attribution.touch(name, touch(1_000 * user + turn, user, turn)) == :ok)

      assert Attribution.link(name, {:alias, user}, user) == :ok
      assert Attribution.touch(name, touch(-user, {:alias, user}, 30)) == :ok

      for action <- [:signup, :install, :purchase] do
        conversion = conversion("#{action}-#{user}", user, 31, action: action)
        assert Attribution.convert(name, conversion) == :ok
      end
    end

    :ok = Attribution.close(name)

    for user <- 1..200,
        do: assert(Attribution.convert(name, conversion("again-#{user}", user, 100)) == :ok)

    assert %{users: 207, kept_touches: 3_250} = Attribution.info(name)
    assert exported_rows(name) == 207 + 800

    for user <- Enum.shuffle(1..200) do
      somebody = if rem(user, 2) == 0, do: user, else: {:alias, user}
      assert Attribution.forget(name, somebody) == :ok
    end

    assert %{users: 7, kept_touches: 50, forgotten: 200, orders: 800} = Attribution.info(name)
    # Nobody but those who stay, and the orders, which are nobody's.
    assert exported_rows(name) == 7 + 800
    for user <- 1..200, do: assert(Attribution.forget(name, user) == :ok)
    assert exported_rows(name) == 7 + 800
  end

  test "what was final and what was credited stays, and no touch changes it any more", %{
    name: name
  } do
    start(name, models: [:linear])
    assert Attribution.touch(name, touch(1, "ann", 0)) == :ok
    assert Attribution.convert(name, conversion("final", "ann", 10, value_micros: 4)) == :ok
    :ok = Attribution.close(name)
    assert Attribution.convert(name, conversion("provisional", "ann", 70, value_micros: 8)) == :ok
    before = for order <- ["final", "provisional"], do: Attribution.credits(name, order)
    assert Attribution.forget(name, "ann") == :ok
    assert Attribution.touch(name, touch(2, "ann", 60)) == :ok
    assert for(order <- ["final", "provisional"], do: Attribution.credits(name, order)) == before
    # They can be adjusted.
    assert Attribution.adjust(name, "final", :retract, at(80)) == :ok
    stop_supervised!(name)

    rows =
      for {_window, credits, _touches} <- delivered(),
          row <- credits,
          do: {elem(row, 1), elem(row, 4), elem(row, 10)}

    assert Enum.sort(rows) == [{"final", 1, -4}, {"final", 1, 4}, {"provisional", 1, 8}]
  end

  test "who is forgotten begins anew: touches, aliases and what counts once", %{name: name} do
    start(name, models: [:linear])
    for id <- 1..3, do: assert(Attribution.touch(name, touch(id, "ann", id)) == :ok)
    :ok = Attribution.link(name, "cookie", "ann")

    assert Attribution.convert(
             name,
             conversion("first", "ann", 10, action: :signup, value_micros: 3)
           ) == :ok

    :ok = Attribution.close(name)
    :ok = Attribution.forget(name, "cookie")
    # The same touch is a new one.
    assert Attribution.touch(name, touch(3, "ann", 70)) == :ok

    assert Attribution.convert(
             name,
             conversion("second", "ann", 80, action: :signup, value_micros: 3)
           ) == :ok

    assert credited(name, "second") == %{3 => 3}
    # The alias is somebody else.
    assert Attribution.convert(
             name,
             conversion("other", "cookie", 80, action: :signup, value_micros: 3)
           ) == :ok

    assert credited(name, "other") == %{}
  end

  test "whom nobody knows can be forgotten", %{name: name} do
    start(name)
    assert Attribution.forget(name, "nobody") == :ok
    assert Attribution.info(name).users == 0

    for user <- [nil, "", 1.5, {"", 1}, []],
        do: assert_raise(ArgumentError, ~r/got: /, fn -> Attribution.forget(name, user) end)
  end
end
