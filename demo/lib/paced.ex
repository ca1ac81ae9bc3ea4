defmodule AdTally.Demo.Paced do
  @moduledoc """
  The real log as one day of traffic: its impressions are requests, and three campaigns show ads in them, each with
  a daily budget, a pace of its own, and a frequency cap. Prices become known minutes after an ad was shown, and
  of one ad in twenty never.

  Time is that of the log, so a day takes seconds. What the pacer says is compared with an account of each ad that
  was shown.
  """

  alias AdTally.{Admission, FrequencyCap, Pacer}
  alias AdTally.Demo.{Log, Text}

  @name AdTally.Demo.Paced
  @zone "Asia/Tokyo"
  @ahead_of_utc 9 * 3_600_000
  @minute 60_000
  @hour 60 * @minute
  @day 24 * @hour
  # Sunday, 24 November 2019, the first day of the log, in Tokyo.
  @begin 18_224 * @day - @ahead_of_utc

  @budget 5_000_000
  @least_price 500
  @most_price 2_000
  @mean_price div(@least_price + @most_price, 2)
  # At most so many ads of a campaign to a user, in any hour and on the day.
  @rules [{2, @hour}, {5, {:day, @zone}}]
  # The log knows segments of users. Each stands for so many.
  @users 20
  @ttl 10 * @minute
  # Prices become known within so many minutes.
  @delay 5
  # Of so many ads one is not confirmed.
  @lost 20
  @campaigns ~w(all men women)

  @typedoc "What a campaign has done by the end of an hour: what the pacer says, and the account."
  @type hour :: %{
          spent: non_neg_integer(),
          target: non_neg_integer(),
          held: non_neg_integer(),
          most: pos_integer(),
          accounted: non_neg_integer()
        }

  @type result :: %{
          hours: [{requests :: non_neg_integer(), %{String.t() => hour()}}],
          outcomes: %{String.t() => %{atom() => non_neg_integer()}},
          spent: %{String.t() => non_neg_integer()},
          total: %{String.t() => non_neg_integer()},
          confirms: %{term() => non_neg_integer()},
          shown: [{String.t(), {String.t(), non_neg_integer()}, non_neg_integer()}],
          ticks: pos_integer(),
          seconds: float()
        }

  @doc "Replays the log as one day."
  @spec replay([Log.impression()]) :: result()
  def replay(impressions) do
    requests = requests(impressions)
    begun = System.monotonic_time(:millisecond)

    pacer = [name: @name, clock: :manual, max_reservations: 10_000]
    {:ok, supervisor} = Supervisor.start_link([{Pacer, pacer}], strategy: :one_for_one)

    # The log is years old, which is no event ahead of the clock.
    state = %{
      parts: {FrequencyCap.new(capacity: 10_000), @name},
      rules: FrequencyCap.rules!(@rules),
      # What is due to be confirmed, by minute.
      due: %{},
      outcomes: Map.new(@campaigns, &{&1, %{}}),
      accounted: Map.new(@campaigns, &{&1, 0}),
      confirms: %{},
      shown: [],
      requests: 0,
      hours: []
    }

    :ok = Pacer.tick(@name, @begin)
    for campaign <- @campaigns, do: :ok = Pacer.put(@name, campaign, plan(campaign, requests))
    state = Enum.reduce(0..(div(@day, @minute) - 1), state, &minute(&1, &2, requests))

    # Ads of the last minutes are paid on the day after, of the money of their own day.
    state = Enum.reduce(0..@delay, state, &late(div(@day, @minute) + &1, &2))
    :ok = Pacer.tick(@name, @begin + @day + @ttl + @minute)
    total = Map.new(@campaigns, &{&1, Pacer.status(@name, &1).total_spent_micros})
    Supervisor.stop(supervisor)

    %{
      hours: Enum.reverse(state.hours),
      outcomes: state.outcomes,
      spent: state.accounted,
      total: total,
      confirms: state.confirms,
      shown: Enum.reverse(state.shown),
      ticks: div(@day, @minute),
      seconds: (System.monotonic_time(:millisecond) - begun) / 1_000
    }
  end

  @doc "When the day begins, and how long its minutes are, in milliseconds."
  @spec begin() :: {pos_integer(), pos_integer()}
  def begin, do: {@begin, @minute}

  @doc "All days of the log at once, in the order of the time of day, with a number each, by minute."
  @spec requests([Log.impression()]) :: %{
          non_neg_integer() => [{Log.impression(), non_neg_integer()}]
        }
  def requests(impressions) do
    impressions
    |> Enum.map(fn impression ->
      %{impression | at: @begin + rem(impression.at + @ahead_of_utc, @day)}
    end)
    |> Enum.sort_by(& &1.at)
    |> Enum.with_index()
    |> Enum.group_by(fn {request, _id} -> div(request.at - @begin, @minute) end)
  end

  @doc "What a campaign's pace is called."
  @spec pace(String.t()) :: String.t()
  def pace("all"), do: "with the traffic"
  def pace("men"), do: "even"
  def pace("women"), do: "front-loaded"

  defp plan(campaign, requests) do
    pace =
      case campaign do
        "all" -> {:traffic, weights(requests)}
        "men" -> :even
        "women" -> {:front_loaded, 0.5}
      end

    [budget_micros: @budget, period: {:daily, @zone}, pace: pace, price_micros: @mean_price]
  end

  # Of each hour of the day, the same on every day of the week.
  defp weights(requests) do
    hours =
      Enum.reduce(requests, %{}, fn {minute, of}, hours ->
        Map.update(hours, div(minute, 60), length(of), &(&1 + length(of)))
      end)

    for _day <- 1..7, hour <- 0..23, do: Map.get(hours, hour, 0)
  end

  defp minute(minute, state, requests) do
    state = confirm_due(minute, state)
    state = requests |> Map.get(minute, []) |> Enum.reduce(state, &request/2)
    # The last one is still of this day.
    at = min(@begin + (minute + 1) * @minute, @begin + @day - 1)
    :ok = Pacer.tick(@name, at)
    if rem(minute + 1, 60) == 0, do: hour_over(state), else: state
  end

  defp late(minute, state) do
    :ok = Pacer.tick(@name, @begin + minute * @minute)
    confirm_due(minute, state)
  end

  defp request({request, id}, state) do
    %{campaign: campaign, at: at} = request
    user = user(request, id)
    state = %{state | requests: state.requests + 1}

    case Admission.admit(state.parts, campaign, user, state.rules, id, @most_price, at, ttl: @ttl) do
      {:ok, reservation} ->
        state = %{state | shown: [{campaign, user, at} | state.shown]}
        state |> count(campaign, :shown) |> awaiting(campaign, reservation, id, at)

      {:capped, _rule} ->
        count(state, campaign, :capped)

      outcome when outcome in [:paced, :no_budget] ->
        count(state, campaign, outcome)
    end
  end

  # Its price comes within minutes, or never.
  defp awaiting(state, campaign, reservation, id, at) do
    if rem(hash(id, :lost), @lost) == 0 do
      count(state, campaign, :unpaid)
    else
      minute = div(at - @begin, @minute) + 1 + rem(hash(id, :delay), @delay)
      bill = {campaign, reservation, price(id)}
      %{state | due: Map.update(state.due, minute, [bill], &[bill | &1])}
    end
  end

  defp confirm_due(minute, state) do
    {bills, due} = Map.pop(state.due, minute, [])

    Enum.reduce(bills, %{state | due: due}, fn {campaign, reservation, price}, state ->
      answer = Pacer.confirm(@name, reservation, price, @begin + minute * @minute)
      state = update_in(state.confirms[answer], &((&1 || 0) + 1))
      update_in(state.accounted[campaign], &(&1 + price))
    end)
  end

  defp hour_over(state) do
    campaigns =
      Map.new(@campaigns, fn campaign ->
        status = Pacer.status(@name, campaign)

        {campaign,
         %{
           spent: status.spent_micros,
           target: status.target_micros,
           held: status.spent_micros + status.reserved_micros + status.leased_micros,
           most: status.most_micros,
           accounted: state.accounted[campaign]
         }}
      end)

    %{state | hours: [{state.requests, campaigns} | state.hours], requests: 0}
  end

  defp count(state, campaign, outcome),
    do: update_in(state.outcomes[campaign][outcome], &((&1 || 0) + 1))

  @doc "Who a request is of."
  @spec user(Log.impression(), non_neg_integer()) :: {String.t(), non_neg_integer()}
  def user(request, id), do: {request.segment, rem(hash(id, :user), @users)}

  @doc "What the ad of a request costs, if it is shown."
  @spec price(non_neg_integer()) :: pos_integer()
  def price(id), do: @least_price + rem(hash(id, :price), @most_price - @least_price + 1)

  @doc "The rules of a frequency cap, what an ad costs in the mean and at most, and how long a reservation lives."
  @spec terms() :: {[FrequencyCap.rule()], pos_integer(), pos_integer(), pos_integer()}
  def terms, do: {@rules, @mean_price, @most_price, @ttl}

  defp hash(id, what), do: :erlang.phash2({id, what})

  @doc "What is not as it should be, a sentence each."
  @spec differences(result()) :: [String.t()]
  def differences(result) do
    Enum.concat([over(result), accounts(result), caps(result), refused(result), paces(result)])
  end

  # At the end of each hour, by the pacer and by the account.
  defp over(result) do
    for {{_requests, campaigns}, hour} <- Enum.with_index(result.hours, 1),
        {campaign, figures} <- campaigns,
        figures.most != @budget or figures.held > @budget or figures.accounted > @budget,
        do:
          "#{campaign} has #{micros(max(figures.held, figures.accounted))} of #{micros(@budget)} at #{hour}:00"
  end

  defp accounts(result) do
    hours =
      for {{_requests, campaigns}, hour} <- Enum.with_index(result.hours, 1),
          {campaign, %{spent: spent, accounted: accounted}} <- campaigns,
          spent != accounted,
          do: {"#{campaign} at #{hour}:00", spent, accounted}

    totals =
      for campaign <- @campaigns,
          result.total[campaign] != result.spent[campaign],
          do: {campaign, result.total[campaign], result.spent[campaign]}

    for {what, spent, accounted} <- hours ++ totals,
        do: "#{what}: booked are #{micros(spent)}, ads have cost #{micros(accounted)}"
  end

  defp caps(result) do
    for {{campaign, user}, shown} <-
          Enum.group_by(result.shown, &{elem(&1, 0), elem(&1, 1)}, &elem(&1, 2)),
        [{most, _hour}, {most_a_day, _day}] = @rules,
        passed?(shown, most) or length(shown) > most_a_day,
        do: "#{campaign} was shown to #{inspect(user)} more often than its rules allow"
  end

  # One more than allowed within less than an hour.
  defp passed?(shown, most) do
    shown
    |> Enum.zip(Enum.drop(shown, most))
    |> Enum.any?(fn {first, last} -> last - first < @hour end)
  end

  defp refused(%{confirms: confirms}) do
    for {answer, count} <- confirms,
        answer != :ok,
        do: "#{count} confirms were #{inspect(answer)}"
  end

  # Never over is exact. How even it is depends on what traffic there is.
  @delivered 0.95
  @deviation 0.10

  defp paces(result) do
    for campaign <- @campaigns,
        delivered = result.spent[campaign] / @budget,
        deviation = deviation(result, campaign),
        delivered < @delivered or (campaign == "all" and deviation > @deviation),
        do:
          "#{campaign} has spent #{percent(delivered)} of its budget, and was off its target by up to #{percent(deviation)}"
  end

  defp deviation(result, campaign) do
    result.hours
    |> Enum.map(fn {_requests, campaigns} ->
      abs(campaigns[campaign].spent - campaigns[campaign].target) / @budget
    end)
    |> Enum.max()
  end

  @doc "Spend against target by hour."
  @spec hours(result()) :: String.t()
  def hours(result) do
    rows =
      for {{requests, campaigns}, hour} <- Enum.with_index(result.hours, 1) do
        figures =
          for campaign <- @campaigns,
              figure <- [campaigns[campaign].spent, campaigns[campaign].target],
              do: micros(figure)

        ["#{hour}:00", Text.integer(requests) | figures]
      end

    head = for campaign <- @campaigns, column <- [campaign, "target"], do: column
    Text.table(["until", "requests"] ++ head, rows, 0)
  end

  @doc "What came of the requests of each campaign."
  @spec outcomes(result()) :: String.t()
  def outcomes(result) do
    rows =
      for campaign <- @campaigns do
        outcomes = result.outcomes[campaign]

        counts =
          for outcome <- [:shown, :unpaid, :paced, :capped, :no_budget],
              do: Text.integer(Map.get(outcomes, outcome, 0))

        [campaign, pace(campaign)] ++
          counts ++
          [
            micros(result.spent[campaign]),
            percent(result.spent[campaign] / @budget),
            percent(deviation(result, campaign))
          ]
      end

    head =
      ["campaign", "pace", "shown", "unpaid", "paced", "capped", "no budget", "spent"] ++
        ["of budget", "off target"]

    Text.table(head, rows, 2)
  end

  @doc "Whole units of the currency."
  @spec micros(non_neg_integer()) :: String.t()
  def micros(micros), do: :erlang.float_to_binary(micros / 1_000_000, decimals: 3)

  defp percent(share), do: :erlang.float_to_binary(100.0 * share, decimals: 1) <> " %"
end
