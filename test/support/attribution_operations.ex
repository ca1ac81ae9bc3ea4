defmodule AdTally.Test.AttributionOperations do
  @moduledoc """
  Random operations upon an `AdTally.Attribution` and upon the naive one, whose results have to be equal,
  and the credits of every order after some of them.

  Times are whole seconds around those of the windows that are open, so touches of one time, and touches
  at either end of a lookback, are common. No two conversions have the same time: which of those would be
  the first one is for their hashes to say.
  """

  import ExUnit.Assertions

  alias AdTally.{Attribution, Conversion, Touch}
  alias AdTally.Test.NaiveAttribution
  alias AdTally.Test.NaiveAttribution.Report

  @second 1_000
  @minute 60 * @second
  @begin 1_780_272_000_000
  @year 31_536_000_000
  @dimensions [:campaign, :creative]
  @users [1, 2, "ann", :bob, {"cookie", 7}, -9, "a user with a name of some length", {1, 2}]
  @models [
    :last_touch,
    :first_touch,
    :linear,
    :position_based,
    {:time_decay, 90 * @second}
  ]
  @most 0x3FFF_FFFF_FFFF_FFFF

  @doc "Options of an attribution that no time closes anything of."
  def options do
    [
      dimensions: @dimensions,
      touches:
        Enum.random([
          [click: 3 * @minute, view: @minute],
          [view: 2 * @minute],
          [call: @minute, click: 10 * @minute, view: 3 * @minute]
        ]),
      prevail: Enum.random([true, false]),
      models: Enum.take_random(@models, Enum.random(1..5)),
      conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
      touches_per_user: Enum.random([1, 2, 3, 5, 16, 255]),
      window: @minute,
      lateness: @year,
      clock: :events,
      adjustable_for: @year
    ]
  end

  @doc "What the naive one has for `options/0`."
  def naive(options), do: NaiveAttribution.new(options)

  @doc """
  Does so many operations, and returns the naive attribution and what touches and conversions came to:
  `%{{:touch | :convert, outcome} => count}`. What differs is told with `told`.
  """
  def run(name, options, count, told) do
    world = %{
      name: name,
      naive: naive(options),
      sent: [],
      times: MapSet.new(),
      outcomes: %{},
      told: told,
      number: 0
    }

    world =
      for number <- 1..count, reduce: world do
        world ->
          world = operation(%{world | number: number})
          if rem(number, 17) == 0, do: compare_credits(world)
          if rem(number, 101) == 0, do: compare_report(world)
          world
      end

    compare_credits(world)
    compare_report(world)
    {world.naive, world.outcomes}
  end

  defp operation(world) do
    case :rand.uniform(100) do
      chance when chance <= 55 -> touch(world)
      chance when chance <= 75 -> convert(world)
      chance when chance <= 90 -> adjust(world)
      chance when chance <= 94 -> link(world)
      chance when chance <= 97 -> forget(world)
      _chance -> close(world)
    end
  end

  defp touch(world) do
    again? = world.sent != [] and :rand.uniform(8) == 1
    touch = if again?, do: Enum.random(world.sent), else: random_touch(world)

    %{world | sent: [touch | world.sent]}
    |> both(:touch, touch, &Attribution.touch(&1, touch), &NaiveAttribution.touch(&1, touch))
  end

  defp random_touch(world) do
    %Touch{
      id: Enum.random([world.number, -world.number]),
      user: Enum.random(@users),
      at: time(world),
      kind: world.naive.config.touches |> Keyword.keys() |> Enum.random(),
      dimensions: {Enum.random(1..3), Enum.random([7, "creative", :banner])},
      cost_micros: Enum.random([0, 1_250, 2 ** 40])
    }
  end

  defp convert(world) do
    orders = Map.keys(world.naive.orders)
    again? = orders != [] and :rand.uniform(8) == 1
    at = time(world)

    if at in world.times do
      world
    else
      conversion = %Conversion{
        order: if(again?, do: Enum.random(orders), else: order(world.number)),
        user: Enum.random(@users),
        at: at,
        action: Enum.random([:purchase, :signup, :install]),
        value_micros: value()
      }

      %{world | times: MapSet.put(world.times, at)}
      |> both(
        :convert,
        conversion,
        &Attribution.convert(&1, conversion),
        &NaiveAttribution.convert(&1, conversion)
      )
    end
  end

  defp order(number) when rem(number, 2) == 0, do: number
  defp order(number), do: "order-#{number}"

  defp value,
    do: Enum.random([0, 1, 7, 59_990_000, -100, Enum.random(1..1_000_000), @most, -@most])

  defp adjust(world) do
    order = world.naive.orders |> Map.keys() |> Enum.take_random(1) |> List.first(:unknown_order)
    order = if order == :unknown_order or :rand.uniform(10) == 1, do: "unknown", else: order
    change = if :rand.uniform(4) == 1, do: :retract, else: {:restate, value()}
    at = time(world)

    both(
      world,
      :adjust,
      {order, change, at},
      &Attribution.adjust(&1, order, change, at),
      &NaiveAttribution.adjust(&1, order, change, at)
    )
  end

  defp link(world) do
    {from, to} = {Enum.random(@users), Enum.random(@users)}

    both(
      world,
      :link,
      {from, to},
      &Attribution.link(&1, from, to),
      &{:ok, NaiveAttribution.link(&1, from, to)}
    )
  end

  defp forget(world) do
    user = Enum.random(@users)

    both(
      world,
      :forget,
      user,
      &Attribution.forget(&1, user),
      &{:ok, NaiveAttribution.forget(&1, user)}
    )
  end

  defp close(world),
    do: both(world, :close, nil, &Attribution.close/1, &{:ok, NaiveAttribution.close(&1)})

  # From three windows before the first one that is open to some after it.
  defp time(world) do
    first = max(world.naive.first_open * @minute, @begin)
    first + Enum.random(-180..300) * @second
  end

  defp both(world, what, argument, real, naive) do
    {expected, state} = naive.(world.naive)
    told = "operation #{world.number}, #{what} #{inspect(argument)}, #{world.told}"
    same!(real.(world.name), expected, told)
    outcomes = Map.update(world.outcomes, {what, expected}, 1, &(&1 + 1))
    %{world | naive: state, outcomes: outcomes}
  end

  @doc "Whether both have the same credits of every order, and of one that there is not."
  def compare_credits(%{name: name, naive: naive} = world) do
    for order <- ["nobody's" | Map.keys(naive.orders)] do
      told = "order #{inspect(order)} after operation #{world.number}, #{world.told}"
      same!(Attribution.credits(name, order), NaiveAttribution.credits(naive, order), told)
    end
  end

  defp compare_report(%{name: name, naive: naive} = world) do
    minute = fn -> @begin + Enum.random(-5..20) * @minute end
    by = Enum.take_random(@dimensions ++ [:kind, :action], Enum.random(0..4))

    options = [
      by: by,
      model: Enum.random(naive.config.models),
      dated_by: Enum.random([:touch, :conversion]),
      from: minute.(),
      to: minute.()
    ]

    options =
      Enum.filter(options, fn {option, _value} -> option == :by or :rand.uniform(3) > 1 end)

    told = "#{inspect(options)} after operation #{world.number}, #{world.told}"
    same!(figures(Attribution.report(name, options), by), Report.report(naive, options), told)
  end

  @doc "Fails with both, if they are not the same."
  def same!(same, same, _told), do: :ok

  def same!(real, naive, told) do
    {real, naive} = different(real, naive)
    flunk("#{told}\n\n  real:  #{shown(real)}\n\n  naive: #{shown(naive)}")
  end

  # Of maps what differs.
  defp different(%{} = real, %{} = naive) do
    same = for {key, value} <- real, naive[key] == value, do: key
    {Map.drop(real, same), Map.drop(naive, same)}
  end

  defp different(real, naive), do: {real, naive}

  defp shown(term), do: inspect(term, pretty: true, limit: 200)

  @doc "The rows of a report as the naive one has them."
  def figures(report, by) do
    for row <- report,
        figures =
          {row.conversions_ppm, row.value_micros, row.touches || 0, row.spend_micros || 0},
        figures != {0, 0, 0, 0},
        into: %{} do
      group =
        if row[:unattributed],
          do: {:unattributed, row[:action]},
          else: Enum.map(by, &Map.fetch!(row, &1))

      {group, figures}
    end
  end

  @doc "Rows in one order, without those of an adjustment that changes nothing of a touch."
  def canonical(rows) do
    rows
    |> Enum.reject(fn row -> elem(row, 8) != nil and elem(row, 9) == 0 and elem(row, 10) == 0 end)
    |> Enum.sort()
  end
end
