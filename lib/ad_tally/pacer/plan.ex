defmodule AdTally.Pacer.Plan do
  @moduledoc false
  # What a campaign may spend, when, and how evenly: the options of `AdTally.Pacer.put/3`, checked, and as native
  # code takes them.

  alias AdTally.Options

  @options [:budget_micros, :period, :zone, :pace, :daily_max, :price_micros]

  # Half of what a signed 64-bit integer holds, so that the sum of two does not overflow.
  @most_micros 4_611_686_018_427_387_904

  # As much as one reservation may hold.
  @most_price 18_014_398_509_481_983

  # Until the year 6429.
  @most_time 0x7FFF_FFFF_FFFF
  # Ten years.
  @longest_days 3_653
  @longest_flight @longest_days * 86_400_000

  # What native code counts in.
  @millionths 1_000_000
  @most_daily 100

  @hours_of_a_week 168
  @most_weight 1_000_000_000

  @typedoc "Budget, period, zone, pace, what a day may have more than its share in millionths, price."
  @type t ::
          {pos_integer(), :daily | {:flight, integer(), integer()} | :lifetime,
           String.t() | integer(), pace(), pos_integer() | nil, pos_integer()}

  @type pace ::
          :asap | :even | {:front_loaded, non_neg_integer()} | {:traffic, [integer()]} | :learned

  @spec new!(keyword()) :: t()
  def new!(options) do
    options = Options.known!(options, @options)
    {period, zone} = period!(options)

    {micros!(options, :budget_micros, nil, @most_micros), period, zone, pace!(options, period),
     daily_max!(options), micros!(options, :price_micros, 1_000, @most_price)}
  end

  defp micros!(options, name, default, most),
    do:
      Options.integer!(
        options,
        name,
        default,
        most,
        "an integer of micros from 1 to #{power(most)}"
      )

  defp power(@most_micros), do: "2^62"
  defp power(@most_price), do: "2^54 - 1"

  ## The period

  defp period!(options) do
    case Keyword.get(options, :period, :lifetime) do
      :lifetime ->
        {:lifetime, without_zone!(options, ":lifetime has no days")}

      {:daily, zone} ->
        without_zone!(options, "that of a daily budget is in :period")
        {:daily, zone!(":period", zone)}

      {:flight, from, to} ->
        zone = zone!(":zone", Keyword.get(options, :zone, "Etc/UTC"))
        {flight!(time!(from), time!(to)), zone}

      other ->
        raise ArgumentError,
              "expected :period to be {:daily, zone} such as {:daily, \"America/New_York\"}, {:flight, from, to} of two " <>
                "times, or :lifetime, got: #{Options.shown(other)}"
    end
  end

  defp without_zone!(options, why) do
    if Keyword.has_key?(options, :zone),
      do: raise(ArgumentError, "expected no :zone, because #{why}"),
      else: "Etc/UTC"
  end

  defp flight!(from, to) when from < to and to - from <= @longest_flight,
    do: {:flight, from, to}

  defp flight!(from, to) when from < to do
    raise ArgumentError,
          "expected a flight to take at most #{@longest_days} days, got: {:flight, #{from}, #{to}}, which takes " <>
            "#{div(to - from, 86_400_000)} days (for a budget without an end, say :lifetime)"
  end

  defp flight!(from, to) do
    raise ArgumentError,
          "expected a flight to end after it begins, got: {:flight, #{from}, #{to}}"
  end

  defp time!(time) do
    case Options.time!([time: time], :time, nil) do
      time when time <= @most_time -> time
      _later -> no_time!(time)
    end
  rescue
    ArgumentError -> no_time!(time)
  end

  defp no_time!(time) do
    raise ArgumentError,
          "expected the times of a flight to be Unix milliseconds or DateTimes, from 1970 to 6429, got: " <>
            shown_time(time)
  end

  # With wrong fields it may look like a good one, unless it is shown as a map.
  defp shown_time(%DateTime{} = time), do: time |> Map.from_struct() |> Options.shown()
  defp shown_time(time), do: Options.shown(time)

  # As native code takes it: a name, or milliseconds ahead of UTC.
  defp zone!(option, zone) do
    case Options.zone!(zone, "the zone in #{option}") do
      {:utc_offset, offset} -> offset
      name -> name
    end
  end

  ## The pace

  defp pace!(options, :lifetime) do
    case Keyword.get(options, :pace, :asap) do
      :asap ->
        :asap

      other ->
        raise ArgumentError,
              "expected :pace to be :asap for a period of :lifetime, which has no end to pace for, got: " <>
                "#{Options.shown(other)} (for an even pace give it a period {:flight, from, to})"
    end
  end

  defp pace!(options, _period) do
    case Keyword.get(options, :pace, :even) do
      pace when pace in [:asap, :even] ->
        pace

      {:front_loaded, by} when is_number(by) and by >= 0 and by <= 1 ->
        {:front_loaded, round(by * @millionths)}

      {:traffic, :learned} ->
        :learned

      {:traffic, weights} ->
        {:traffic, weights!(weights)}

      other ->
        raise ArgumentError,
              "expected :pace to be :asap, :even, {:front_loaded, by} with a number from 0 to 1, {:traffic, weights} " <>
                "with a weight for each hour of the week, or {:traffic, :learned}, got: #{Options.shown(other)}"
    end
  end

  defp weights!(weights) do
    case weights?(weights, @hours_of_a_week, 0) do
      {:ok, most} when most > 0 -> scaled(weights, most)
      {:ok, _zero} -> no_weights!("of which at least one is not 0, got: 168 zeros")
      :error -> no_weights!("got: #{Options.shown(weights)}#{count(weights)}")
    end
  end

  defp no_weights!(got) do
    raise ArgumentError,
          "expected the weights of {:traffic, weights} to be a list of #{@hours_of_a_week} numbers from 0 to 10^9, one " <>
            "for each local hour of a week, from Monday 0 o'clock on, #{got}"
  end

  # The greatest of exactly so many. A longer list is not read further.
  defp weights?([], 0, most), do: {:ok, most}

  defp weights?([weight | rest], left, most)
       when left > 0 and is_number(weight) and weight >= 0 and weight <= @most_weight,
       do: weights?(rest, left - 1, max(most, weight))

  defp weights?(_other, _left, _most), do: :error

  # Integers stay as they are.
  defp scaled(weights, most) do
    if Enum.all?(weights, &is_integer/1),
      do: weights,
      else: Enum.map(weights, &round(&1 / most * @most_weight))
  end

  defp count(weights) do
    case at_most(weights, @hours_of_a_week + 1, 0) do
      :none -> ""
      @hours_of_a_week -> ""
      count when count > @hours_of_a_week -> ", of more than #{@hours_of_a_week}"
      count -> ", of #{count}"
    end
  end

  # The length of a list, up to so much. A longer one is not read further.
  defp at_most([], _left, count), do: count
  defp at_most([_ | _], 0, count), do: count
  defp at_most([_ | rest], left, count), do: at_most(rest, left - 1, count + 1)
  defp at_most(_other, _left, _count), do: :none

  ## The walls of days

  defp daily_max!(options) do
    case Keyword.get(options, :daily_max, 1.25) do
      :infinity ->
        nil

      factor when is_number(factor) and factor >= 1 and factor <= @most_daily ->
        round(factor * @millionths)

      other ->
        raise ArgumentError,
              "expected :daily_max to be a number from 1 to #{@most_daily}, how many times its share a day of a flight may " <>
                "have, or :infinity, got: #{Options.shown(other)}"
    end
  end
end
