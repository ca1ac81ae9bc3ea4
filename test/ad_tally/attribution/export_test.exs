defmodule AdTally.Attribution.ExportTest do
  # The laws of exports, over streams at random: halves are united, and what comes in answers as what has left.
  use ExUnit.Case, async: true

  alias AdTally.{Attribution, Conversion, Touch}

  @at 1_780_272_000_000
  @minute 60_000
  @rounds 10

  defp start(options \\ []) do
    name = :"exported_#{System.unique_integer([:positive])}"

    own = [
      name: name,
      dimensions: [:campaign, :creative],
      touches: [click: 20 * @minute, view: 5 * @minute],
      models: [:last_touch, :linear, {:time_decay, 10 * @minute}],
      conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
      clock: :events,
      lateness: 60 * @minute,
      seed: 7
    ]

    start_supervised!({Attribution, Keyword.merge(own, options)})
    name
  end

  # Of half an hour, which is provisional for all of that.
  defp touches do
    for id <- 1..200 do
      %Touch{
        id: if(rem(id, 3) == 0, do: "t-#{id}", else: id),
        user: Enum.random(users()),
        # Some of the same time.
        at: @at + Enum.random(0..60) * 30_000,
        kind: Enum.random([:click, :view]),
        dimensions: {Enum.random(1..4), Enum.random([:a, "b", nil])},
        cost_micros: id
      }
    end
  end

  defp conversions do
    for order <- 1..60 do
      %Conversion{
        order: if(rem(order, 2) == 0, do: order, else: "o-#{order}"),
        user: Enum.random(users()),
        at: @at + Enum.random(0..60) * 30_000,
        action: Enum.random([:purchase, :signup, :install]),
        value_micros: Enum.random(-1_000_000..9_000_000)
      }
    end
  end

  defp links, do: for(number <- 1..4, do: {"phone-#{number}", number})
  defp users, do: Enum.to_list(1..12) ++ for(number <- 1..4, do: "phone-#{number}")

  defp touch_all(name, touches), do: Enum.each(touches, &Attribution.touch(name, &1))
  defp convert_all(name, orders), do: Enum.map(orders, &Attribution.convert(name, &1))

  defp link_all(name, links),
    do: Enum.each(links, fn {one, of} -> Attribution.link(name, one, of) end)

  defp credits(name, orders), do: Enum.map(orders, &Attribution.credits(name, &1.order))

  # By action it has no spend, which no export has.
  defp reports(name) do
    for model <- [:last_touch, :linear, {:time_decay, 10 * @minute}],
        dated_by <- [:touch, :conversion],
        do:
          Attribution.report(name,
            by: [:campaign, :kind, :action],
            model: model,
            dated_by: dated_by
          )
  end

  # As often as that, each time from a seed of its own, which is in the message.
  defp rounds(check) do
    for _round <- 1..@rounds do
      seed = :erlang.unique_integer([:positive]) + ExUnit.configuration()[:seed] * 1_000
      :rand.seed(:exsss, seed)

      try do
        check.()
      rescue
        error in ExUnit.AssertionError ->
          reraise %{error | message: "#{error.message} (seed #{seed})"}, __STACKTRACE__
      end
    end
  end

  test "two halves that are united are one that was told all" do
    rounds(fn ->
      # Of three some have to go.
      options = [touches_per_user: Enum.random([3, 255]), prevail: Enum.random([true, false])]
      [one, other, united, all] = for _ <- 1..4, do: start(options)
      {touches, orders} = {touches(), conversions()}
      touch_all(all, touches)
      link_all(all, links())

      for touch <- touches,
          name <- Enum.random([[one], [other], [one, other]]),
          do: Attribution.touch(name, touch)

      for link <- links(), do: link_all(Enum.random([one, other]), [link])

      frames = Enum.shuffle([Attribution.export(one), Attribution.export(other)])
      assert %{overflow: 0, complete?: true} = Attribution.import!(united, Stream.concat(frames))
      assert convert_all(united, orders) == convert_all(all, orders)
      assert credits(united, orders) == credits(all, orders)
      assert reports(united) == reports(all)
      for name <- [one, other, united, all], do: stop_supervised!({Attribution, name})
    end)
  end

  test "what comes in answers as what has left, and becomes final as that does" do
    rounds(fn ->
      options = [touches_per_user: Enum.random([3, 16])]
      [one, other] = for _ <- 1..2, do: start(options)
      {touches, orders} = {touches(), conversions()}

      for fact <- Enum.shuffle(touches ++ orders ++ links()) do
        case fact do
          %Touch{} -> Attribution.touch(one, fact)
          %Conversion{} -> Attribution.convert(one, fact)
          link -> link_all(one, [link])
        end
      end

      for %{order: order} <- Enum.take_random(orders, 10),
          change <- [{:restate, Enum.random(0..9)}, :retract],
          do: Attribution.adjust(one, order, change, @at + Enum.random(1..9))

      assert %{overflow: 0, complete?: true} = Attribution.import!(other, Attribution.export(one))
      assert credits(other, orders) == credits(one, orders)
      assert reports(other) == reports(one)
      more = for touch <- touches(), do: %{touch | id: "more-#{touch.id}"}
      for name <- [one, other], do: touch_all(name, more)
      assert credits(other, orders) == credits(one, orders)
      for name <- [one, other], do: :ok = Attribution.close(name)
      assert credits(other, orders) == credits(one, orders)
      assert reports(other) == reports(one)
      for name <- [one, other], do: stop_supervised!({Attribution, name})
    end)
  end

  test "for a move all is made final first: it is delivered once, and can be adjusted where it came in" do
    [one, other] = [start(), start()]

    :ok =
      Attribution.touch(one, %Touch{id: 1, user: 1, at: @at, kind: :click, dimensions: {1, nil}})

    order = %Conversion{order: 9, user: 1, at: @at + 5, action: :signup, value_micros: 100}
    :ok = Attribution.convert(one, order)
    :ok = Attribution.close(one)
    assert %{rows: 2} = Attribution.import!(other, Attribution.export(one))
    assert Attribution.credits(other, 9).final
    assert Attribution.report(other) == []
    assert Attribution.convert(other, order) == :duplicate
    # The first of its user was counted.
    :ok = Attribution.convert(other, %{order | order: 10})
    refute Attribution.credits(other, 10).counted
    :ok = Attribution.adjust(other, 9, {:restate, 30}, @at + 10)

    assert [%{campaign: 1, value_micros: -70, conversions: +0.0}] =
             Attribution.report(other, by: [:campaign])
  end
end
