defmodule AdTally.Test.AttributionRace do
  @moduledoc """
  Processes that touch, convert, adjust, link and forget the same users at once, while windows are closed,
  each of which remembers what it was answered.
  """

  alias AdTally.Attribution
  alias AdTally.Test.Attributions

  # So much passes in events' time with each act, and so many acts after each other all windows are closed: by
  # what was done, and not by the clock, so that what is late is as much on a slow machine.
  @milliseconds 10
  @close_every 40_000
  @least 3 * @close_every
  @users 40
  # Of those who are never forgotten each has an alias, which is linked to them sooner or later.
  @steady 6
  @shared_orders 1_000
  @later 3 * 86_400_000

  @doc """
  Has so many processes go on for so many milliseconds, and until windows were closed three times: what they
  remember, as lists of `{:touch, touch, outcome}`, `{:convert, conversion, outcome}` and
  `{:adjust, order, change, answer}`.
  """
  def run(name, processes, milliseconds) do
    orders = :ets.new(:orders, [:public, :set, write_concurrency: true])
    race = %{name: name, orders: orders, acts: :atomics.new(1, []), until: now() + milliseconds}

    racers =
      for process <- 1..processes do
        Task.async(fn ->
          :rand.seed(:exsss, :erlang.unique_integer())
          go_on(race, process, 1, [])
        end)
      end

    racers |> Task.await_many(:infinity) |> Enum.concat()
  end

  @doc """
  Converts each of those who are never forgotten, after all else: the order, and the touches of
  the user and of its alias, which they must have.

  What is late is booked in the next window, which the next close closes: some twenty windows of a minute a second,
  which is a day and more after a minute. Three days later every window is still to come.
  """
  def convert_steady(name, told) do
    latest = for({:touch, touch, _outcome} <- told, do: touch.at) |> Enum.max()

    for number <- 1..@steady do
      :ok = Attribution.link(name, {:alias, number}, {:steady, number})

      conversion =
        Attributions.conversion("steady-#{number}", {:steady, number}, 0, at: latest + @later)

      :ok = Attribution.convert(name, %{conversion | value_micros: 1_000})

      touches =
        for {:touch, touch, _outcome} = one <- told,
            touch.user in [{:steady, number}, {:alias, number}],
            do: one

      {conversion.order, touches}
    end
  end

  defp go_on(race, process, number, told) do
    acts = :atomics.add_get(race.acts, 1, 1)

    # What comes for some time after that is late, and what comes then is in time. Nobody waits for its windows.
    if rem(acts, @close_every) == 0, do: Attribution.close(race.name, 1)

    # The clock is asked for once in a while.
    if rem(number, 64) == 0 and acts >= @least and now() >= race.until,
      do: told,
      else: go_on(race, process, number + 1, act(race, process, number, told))
  end

  defp act(race, process, number, told) do
    case :rand.uniform(100) do
      chance when chance <= 60 -> touch(race, process, number, told)
      chance when chance <= 80 -> convert(race, process, number, told)
      chance when chance <= 88 -> adjust(race, told)
      chance when chance <= 93 -> link(race, told)
      chance when chance <= 96 -> forget(race, told)
      chance when chance <= 99 -> read(race, told)
      _chance -> report(race, told)
    end
  end

  defp touch(race, process, number, told) do
    kind = Enum.random([:click, :view])
    fields = [kind: kind, dimensions: {:rand.uniform(5)}, cost_micros: :rand.uniform(1_000)]
    touch = Attributions.touch(number * 16 + process, user(), 0, [{:at, at(race)} | fields])
    [{:touch, touch, Attribution.touch(race.name, touch)} | told]
  end

  defp convert(race, process, number, told) do
    order = "order-#{process}-#{number}"
    action = Enum.random([:purchase, :purchase, :signup, :install])
    fields = [at: at(race), action: action, value_micros: :rand.uniform(2_000_000) - 1_000_000]
    conversion = Attributions.conversion(order, user(), 0, fields)
    :ets.insert(race.orders, {:rand.uniform(@shared_orders), order})
    [{:convert, conversion, Attribution.convert(race.name, conversion)} | told]
  end

  defp adjust(race, told) do
    with_order(race, told, fn order ->
      change = if :rand.uniform(4) == 1, do: :retract, else: {:restate, :rand.uniform(1_000_000)}
      [{:adjust, order, change, Attribution.adjust(race.name, order, change, at(race))} | told]
    end)
  end

  defp link(race, told) do
    number = :rand.uniform(@steady)

    if :rand.uniform(3) == 1,
      do: :ok = Attribution.link(race.name, {:alias, number}, {:steady, number}),
      else: :ok = Attribution.link(race.name, :rand.uniform(@users), :rand.uniform(@users))

    told
  end

  defp forget(race, told) do
    :ok = Attribution.forget(race.name, :rand.uniform(@users))
    told
  end

  # Whole at any moment.
  defp read(race, told) do
    with_order(race, told, fn order ->
      with %{} = credits <- Attribution.credits(race.name, order), do: whole!(order, credits)
      told
    end)
  end

  # Of open windows and closed ones, in the midst of it all.
  defp report(race, told) do
    if :rand.uniform(50) == 1, do: [_ | _] = Attribution.report(race.name, by: [:campaign])
    told
  end

  @doc "Raises unless the credits of each model add up."
  def whole!(order, credits) do
    for {model, list} when is_list(list) <- credits, list != [] do
      sums = {sum(list, :credit_micros), sum(list, :share_ppm)}
      expected = {credits.value_micros, if(credits.retracted, do: 0, else: 1_000_000)}

      if sums != expected,
        do:
          raise(
            "#{inspect(order)}, #{inspect(model)}: #{inspect(sums)}, not #{inspect(expected)}: #{inspect(credits)}"
          )
    end

    :ok
  end

  defp sum(credits, field), do: credits |> Enum.map(&Map.fetch!(&1, field)) |> Enum.sum()

  defp with_order(race, told, act) do
    case :ets.lookup(race.orders, :rand.uniform(@shared_orders)) do
      [{_place, order}] -> act.(order)
      [] -> told
    end
  end

  defp user do
    case :rand.uniform(10) do
      1 -> {:steady, :rand.uniform(@steady)}
      2 -> {:alias, :rand.uniform(@steady)}
      _number -> :rand.uniform(@users)
    end
  end

  # Now, but for some minutes to and fro: three windows back, two ahead.
  defp at(race) do
    now = Attributions.at(0) + :atomics.get(race.acts, 1) * @milliseconds
    now + :rand.uniform(300_000) - 180_000
  end

  defp now, do: System.monotonic_time(:millisecond)
end
