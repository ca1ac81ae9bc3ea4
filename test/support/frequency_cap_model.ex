defmodule AdTally.Test.FrequencyCapModel do
  @moduledoc """
  Frequency caps as anybody would write them: every time of every pair in a list.
  """

  @day 86_400_000

  @type t :: %{optional({term(), term()}) => [non_neg_integer()]}

  @doc """
  The first rule that blocks, if its windows stay open for `longer` milliseconds more, and those that
  end with a later event for twice as many: of those both ends are known to a granule only.
  """
  @spec blocking(t(), term(), term(), [AdTally.FrequencyCap.rule()], non_neg_integer(), integer()) ::
          AdTally.FrequencyCap.rule() | nil
  def blocking(model, scope, user, rules, at, longer \\ 0) do
    times = Map.get(model, {scope, user}, [])
    Enum.find(rules, fn {max, window} -> most(times, window, at, longer) >= max end)
  end

  @doc "With one event more."
  @spec count(t(), term(), term(), non_neg_integer()) :: t()
  def count(model, scope, user, at), do: Map.update(model, {scope, user}, [at], &[at | &1])

  @doc """
  With one event less: one of that time, else one of the same tick of `granularity` milliseconds.
  `nil` if there is none.
  """
  @spec uncount(t(), term(), term(), non_neg_integer(), pos_integer()) :: t() | nil
  def uncount(model, scope, user, at, granularity \\ 1) do
    times = Map.get(model, {scope, user}, [])
    tick = div(at, granularity)

    time = if at in times, do: at, else: Enum.find(times, &(div(&1, granularity) == tick))
    if time, do: Map.put(model, {scope, user}, List.delete(times, time))
  end

  # The most events in any window that one more event at `at` would be in.
  defp most(times, :lifetime, _at, _longer), do: length(times)

  defp most(times, {:day, zone}, at, _longer) do
    day = &Integer.floor_div(&1 + offset(zone, &1), @day)
    Enum.count(times, &(day.(&1) == day.(at)))
  end

  defp most(times, window, at, longer) do
    until = fn last, window -> Enum.count(times, &(&1 <= last and last - &1 < window)) end
    window = window + longer
    later = Enum.filter(times, &(&1 > at and &1 - at < window + longer))
    Enum.max([until.(at, window) | Enum.map(later, &until.(&1, window + longer))])
  end

  # Milliseconds that clocks are ahead of UTC. In Germany, since 1996, by the rule of the European Union: two hours from the
  # last Sunday of March to that of October, from 1:00 to 1:00 UTC.
  defp offset("Europe/Berlin", at) do
    year = DateTime.from_unix!(at, :millisecond).year
    if at in last_sunday(year, 3)..(last_sunday(year, 10) - 1), do: 7_200_000, else: 3_600_000
  end

  defp offset(offset, _at), do: offset

  defp last_sunday(year, month) do
    last = Date.new!(year, month, 31)
    sunday = Date.add(last, -rem(Date.day_of_week(last), 7))
    sunday |> DateTime.new!(~T[01:00:00]) |> DateTime.to_unix(:millisecond)
  end
end
