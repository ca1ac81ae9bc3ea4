defmodule AdTally.Store.AttributionTest do
  # Attributions in a store, and meters that tell them of touches.
  use ExUnit.Case, async: true

  import AdTally.Test.Polling
  import AdTally.Test.Stores

  alias AdTally.{Attribution, Conversion, Event, Meter, Sink, Store, StoreError, Touch}

  @moduletag :capture_log

  @at 1_780_272_000_000
  @minute 60_000
  @hour 3_600_000

  defmodule Telling do
    @moduledoc false
    @behaviour AdTally.Sink

    @impl true
    def deliver(%Attribution.Window{} = window, to: pid, answer: answer) do
      rows =
        for row <- Attribution.Window.credits(window),
            do: {row.order, row.dimensions, row.value_micros, row.adjusted_at}

      spend =
        for row <- Attribution.Window.touches(window),
            do: {row.dimensions, row.touches, row.cost_micros}

      send(pid, {:attempt, window})

      with :ok <- answer.(window) do
        send(pid, {:window, window, Enum.sort(rows), Enum.sort(spend)})
        :ok
      end
    end

    def deliver(_window, _options), do: :ok
  end

  setup context do
    {:ok, dir: dir(), names: names(context)}
  end

  defp children(context, options \\ []), do: [store(context), attribution(context, options)]
  defp store(%{names: names, dir: dir}), do: {Store, name: names.store, dir: dir}

  defp attribution(%{names: names}, options) do
    {answer, options} = Keyword.pop(options, :answer, fn _window -> :ok end)

    defaults = [
      name: names.attribution,
      store: names.store,
      dimensions: [:campaign],
      touches: [click: 24 * @hour, view: @hour],
      conversions: [purchase: :every, signup: :once_per_user],
      models: [:last_touch],
      clock: :events,
      window: @minute,
      lateness: 0,
      sinks: [{Telling, to: self(), answer: answer}]
    ]

    {Attribution, Keyword.merge(defaults, options)}
  end

  defp touch(id, user, minute, campaign \\ 42) do
    %Touch{
      id: id,
      user: user,
      at: @at + minute * @minute,
      kind: :click,
      dimensions: {campaign},
      cost_micros: 7
    }
  end

  defp order(order, user, minute) do
    %Conversion{
      order: order,
      user: user,
      at: @at + minute * @minute,
      action: :purchase,
      value_micros: 1_000
    }
  end

  defp credited(name, order),
    do:
      for(
        credit <- Attribution.credits(name, order).last_touch,
        do: {credit.touch, credit.dimensions}
      )

  for {how, ends} <- [{"an orderly stop", :stop_tree}, {"a kill of everything", :kill_tree}] do
    test "touches and orders are there after #{how}", %{names: names} = context do
      name = names.attribution
      tree = start_tree(children(context))

      for user <- 1..50,
          do: :ok = Attribution.touch(name, touch(user, "user-#{user}", 0, rem(user, 3)))

      :ok = Attribution.link(name, "cookie", "user-1")

      for user <- 1..10,
          do: :ok = Attribution.convert(name, order("o-#{user}", "user-#{user}", 0))

      credits = for user <- 1..10, do: Attribution.credits(name, "o-#{user}")
      apply(AdTally.Test.Stores, unquote(ends), [tree])
      refute_received {:attempt, _window}

      start_tree(children(context))
      assert for(user <- 1..10, do: Attribution.credits(name, "o-#{user}")) == credits
      refute hd(credits).final

      # Copies are known, a provisional conversion goes on, and later ones find touches of before.
      for user <- 1..50,
          do:
            assert(
              Attribution.touch(name, touch(user, "user-#{user}", 0, rem(user, 3))) == :duplicate
            )

      for user <- 1..10,
          do:
            assert(Attribution.convert(name, order("o-#{user}", "user-#{user}", 0)) == :duplicate)

      :ok = Attribution.touch(name, touch(1_000, "user-2", 0, 77))
      assert credited(name, "o-2") == [{1_000, {77}}]
      :ok = Attribution.convert(name, order("o-cookie", "cookie", 0))
      assert credited(name, "o-cookie") == [{1, {1}}]
      :ok = Attribution.convert(name, order("o-20", "user-20", 30))
      assert credited(name, "o-20") == [{20, {2}}]

      # The window of the first minute is closed by that, with all of its rows.
      assert_receive {:window, window, rows, spend}
      assert {window.sequence, window.partial} == {1, false}
      assert length(rows) == 11
      assert {"o-2", {77}, 1_000, nil} in rows
      assert Enum.sum(for {_campaign, touches, _cost} <- spend, do: touches) == 51
    end
  end

  test "orders are adjusted after a restart, by the shares that they had",
       %{names: names} = context do
    name = names.attribution
    tree = start_tree(children(context))
    :ok = Attribution.touch(name, touch(1, "ann", 0))
    :ok = Attribution.convert(name, order("o-1", "ann", 0))
    :ok = Attribution.close(name)
    assert_receive {:window, _window, [{"o-1", {42}, 1_000, nil}], _spend}
    stop_tree(tree)

    tree = start_tree(children(context))
    assert Attribution.credits(name, "o-1").final
    assert Attribution.adjust(name, "o-1", {:restate, 400}, @at + 2 * @minute) == :ok
    assert Attribution.adjust(name, "unknown", :retract, @at + 2 * @minute) == {:error, :unknown}
    kill_tree(tree)

    start_tree(children(context))
    assert Attribution.credits(name, "o-1").value_micros == 400
    :ok = Attribution.close(name)
    assert_receive {:window, _window, [{"o-1", {42}, -600, _at}], _spend}
  end

  test "an adjustment after a restart is in the window that it would have been in without",
       %{names: names} = context do
    name = names.attribution
    tree = start_tree(children(context))
    for id <- ["o-1", "o-2"], do: :ok = Attribution.convert(name, order(id, "ann", 0))
    :ok = Attribution.close(name)
    assert_receive {:window, closed, _credits, _spend}
    assert Attribution.adjust(name, "o-1", :retract, @at) == :ok
    stop_tree(tree)

    start_tree(children(context))
    assert Attribution.adjust(name, "o-2", :retract, @at) == :ok
    :ok = Attribution.close(name)
    assert_receive {:window, window, adjusted, _spend}
    assert for({order, _key, _value, _at} <- adjusted, do: order) == ["o-1", "o-2"]
    assert window.start == closed.end
  end

  test "a user who was forgotten stays so", %{names: names} = context do
    name = names.attribution
    tree = start_tree(children(context))
    :ok = Attribution.touch(name, touch(1, "ann", 0))
    :ok = Attribution.touch(name, touch(2, "ben", 0))
    assert Store.sync(names.store) == :ok
    assert Attribution.forget(name, "ann") == :ok
    :ok = Attribution.touch(name, touch(3, "ann", 0, 77))
    kill_tree(tree)
    start_tree(children(context))

    for {order, user} <- [{"a", "ann"}, {"b", "ben"}],
        do: :ok = Attribution.convert(name, order(order, user, 1))

    assert credited(name, "a") == [{3, {77}}]
    assert credited(name, "b") == [{2, {42}}]
  end

  test "while the disk refuses, forget/2 says that it has to be called again, and then erases aliases too",
       %{names: names, dir: dir} = context do
    name = names.attribution
    store = {Store, name: names.store, dir: dir, interval: @minute}
    tree = start_tree([store, attribution(context, [])])
    # What is written first goes to a file that cannot be made.
    File.rename!(dir, dir <> "_away")
    on_exit(fn -> File.rm_rf!(dir <> "_away") end)
    :ok = Attribution.touch(name, touch(1, "cookie", 0))
    :ok = Attribution.link(name, "cookie", "ann")
    assert {:error, _reason} = Store.sync(names.store)
    error = assert_raise StoreError, fn -> Attribution.forget(name, "ann") end
    assert error.kind == :io
    assert Exception.message(error) =~ "call forget/2 again, until it returns :ok (not on disk: "

    File.rename!(dir <> "_away", dir)
    await(fn -> Store.sync(names.store) == :ok end)
    assert Attribution.forget(name, "ann") == :ok
    stop_tree(tree)
    start_tree(children(context))
    assert Attribution.info(name).users == 0
  end

  test "windows that a sink has not taken are delivered as the same ones",
       %{names: names} = context do
    name = names.attribution
    tree = start_tree(children(context, answer: fn _ -> {:error, :down} end, flush: 50))
    :ok = Attribution.touch(name, touch(1, "ann", 0))
    :ok = Attribution.convert(name, order("o-1", "ann", 0))
    :ok = Attribution.touch(name, touch(2, "ben", 5))
    assert_receive {:attempt, first}
    kill_tree(tree)
    start_tree(children(context))
    assert_receive {:window, again, [{"o-1", {42}, 1_000, nil}], [{{42}, 1, 7}]}
    assert Sink.window_id(again) == Sink.window_id(first)
  end

  test "its process is killed, and the next one goes on", %{names: names} = context do
    name = names.attribution
    start_tree(children(context))
    :ok = Attribution.touch(name, touch(1, "ann", 0))
    kill(name)
    :ok = Attribution.convert(name, order("o-1", "ann", 0))
    assert credited(name, "o-1") == [{1, {42}}]
  end

  describe "with a meter" do
    defp meter(%{names: names}, options) do
      defaults = [
        name: names.meter,
        store: names.store,
        dimensions: [:campaign],
        metrics: [:clicks, :spend],
        clock: :events,
        dedupe: [window: @hour, capacity: 10_000],
        attribution: [name: names.attribution, cost: :spend]
      ]

      {Meter, Keyword.merge(defaults, options)}
    end

    defp event(id) do
      %Event{
        id: id,
        user: id,
        at: @at,
        dimensions: {42},
        touch: :click,
        metrics: [clicks: 1, spend: 3]
      }
    end

    test "an event and its touch are both there, once", %{names: names} = context do
      children = children(context, lateness: @hour) ++ [meter(context, lateness: @hour)]
      tree = start_tree(children)
      for id <- 1..30, do: :ok = Meter.record(names.meter, event(id))
      assert %{ok: 30, busy: 0} = Meter.record_many(names.meter, Enum.map(31..60, &event/1))
      kill_tree(tree)

      start_tree(children)

      assert %{ok: 10, duplicate: 60, busy: 0} =
               Meter.record_many(names.meter, Enum.map(1..70, &event/1))

      assert [%{clicks: 70, spend: 210}] = Meter.report(names.meter)
      assert [%{touches: 70, spend_micros: 210}] = Attribution.report(names.attribution)
    end

    test "both need the same store", %{names: names} = context do
      start_tree(children(context))
      {Meter, options} = meter(context, store: nil)
      error = assert_raise ArgumentError, fn -> Meter.start_link(options) end

      assert error.message =~
               "expected the :store of #{inspect(names.attribution)} to be that of the meter, nil"
    end
  end

  describe "an attribution that comes back with other options" do
    setup context do
      tree = start_tree(children(context))
      :ok = Attribution.touch(context.names.attribution, touch(1, "ann", 0))
      :ok = Attribution.convert(context.names.attribution, order("o-1", "ann", 0))
      stop_tree(tree)
    end

    test "goes on with further kinds, actions and other budgets", %{names: names} = context do
      name = names.attribution

      start_tree(
        children(context,
          touches: [click: 48 * @hour, view: @hour, tap: @hour],
          conversions: [purchase: :every, signup: :once_per_user, install: :every],
          users: 5_000,
          orders: 5_000,
          touches_per_user: 30
        )
      )

      assert credited(name, "o-1") == [{1, {42}}]
      assert Attribution.touch(name, touch(1, "ann", 0)) == :duplicate
      assert Attribution.touch(name, %{touch(2, "ann", 0) | kind: :tap}) == :ok
      assert Attribution.convert(name, %{order("o-2", "ann", 0) | action: :install}) == :ok
    end

    test "goes on with other models, which are computed of what there is",
         %{names: names} = context do
      name = names.attribution
      start_tree(children(context, models: [:linear, :first_touch]))
      assert [%{touch: 1}] = Attribution.credits(name, "o-1").linear
      :ok = Attribution.convert(name, order("o-2", "ann", 0))
      :ok = Attribution.close(name)
      assert_receive {:window, window, rows, _spend}
      assert {window.models, window.sequence} == {[:linear, :first_touch], 1}
      assert rows |> Enum.map(&elem(&1, 0)) |> Enum.frequencies() == %{"o-1" => 2, "o-2" => 2}
    end

    for {change, words} <- [
          {[dimensions: [:campaign, :creative]], ":dimensions to be campaign, as"},
          {[window: 5_000], ":window to be 60000"},
          {[touches: [view: 3_600_000, click: 3_600_000]],
           "the kinds of :touches to be click, view"},
          {[conversions: [purchase: :once_per_user]], ":conversions to be purchase:every"}
        ] do
      test "is refused with #{inspect(change)}", context do
        start_tree([store(context)])
        {Attribution, options} = attribution(context, unquote(Macro.escape(change)))
        error = assert_raise ArgumentError, fn -> Attribution.start_link(options) end
        assert error.message =~ unquote(words)
      end
    end
  end

  test "on_stop: :close makes all conversions final and delivers them",
       %{names: names} = context do
    name = names.attribution
    tree = start_tree(children(context, on_stop: :close))
    :ok = Attribution.touch(name, touch(1, "ann", 0))
    :ok = Attribution.convert(name, order("o-1", "ann", 0))
    stop_tree(tree)
    assert_receive {:window, %{partial: true}, [{"o-1", {42}, 1_000, nil}], _spend}
    start_tree(children(context))
    assert Attribution.credits(name, "o-1").final
    await(fn -> Store.ready?(names.store) end)
  end
end
