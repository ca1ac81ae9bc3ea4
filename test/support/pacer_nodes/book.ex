defmodule AdTally.Test.PacerNodes.Book do
  @moduledoc """
  What was reserved and spent, as somebody outside knows it: every reservation that was answered, and every confirm. From
  that follows what of a budget was in use at least at each moment, whatever the nodes say:

    * a reservation, from when it was answered until a confirm or release of it begins, or its time is over
    * a price, from when a confirm begins that is answered `:ok`, for ever. If all that is known is that one was begun, until the
      reservation's time is over: it may be booked or not
  """

  alias AdTally.Test.PacerNodes.Log

  @day 86_400_000

  defstruct reservations: %{}, denied: []

  @doc "Reads what nodes have written."
  def read(dir) do
    Enum.reduce(Log.read(dir), %__MODULE__{}, fn {node, event}, book -> add(event, node, book) end)
  end

  defp add({:denied, campaign, answer, amount, time}, node, book),
    do: %{book | denied: [{node, campaign, answer, amount, time} | book.denied]}

  defp add({:reserved, id, campaign, amount, at, ttl, time}, node, book) do
    change(book, id, fn one ->
      %{one | node: node, campaign: campaign, amount: amount, at: at, to: at + ttl, time: time}
    end)
  end

  defp add({:confirm, id, price, time}, _node, book) do
    change(book, id, fn one ->
      %{one | price: price, begun: [time | one.begun]}
    end)
  end

  defp add({:confirmed, id, answer, time}, node, book),
    do: change(book, id, fn one -> %{one | answers: [{answer, node, time} | one.answers]} end)

  defp add({:release, id, time}, _node, book),
    do: change(book, id, fn one -> %{one | released: time} end)

  @none %{
    node: nil,
    campaign: nil,
    amount: nil,
    at: nil,
    to: nil,
    time: nil,
    price: nil,
    begun: [],
    answers: [],
    released: nil
  }

  # Events of one reservation are in files of several processes, in any order.
  defp change(book, id, fun),
    do: %{book | reservations: Map.update(book.reservations, id, fun.(@none), fun)}

  @doc "Whether a price is booked, as far as somebody outside knows: `:booked`, `:late`, `:maybe` or `:not`."
  def outcome(one) do
    answers = for {answer, _node, _time} <- one.answers, do: answer

    cond do
      :ok in answers or {:error, :duplicate} in answers -> :booked
      {:error, :expired} in answers -> :late
      length(answers) < length(one.begun) or {:error, :unreachable} in answers -> :maybe
      true -> :not
    end
  end

  @doc "Prices of one campaign by what is known of them."
  def sums(book, campaign) do
    Enum.reduce(book.reservations, %{booked: 0, late: 0, maybe: 0, not: 0}, fn {_id, one}, sums ->
      if one.campaign == campaign,
        do: Map.update!(sums, outcome(one), &(&1 + (one.price || 0))),
        else: sums
    end)
  end

  @doc """
  Where budgets were exceeded, as texts: `budgets` has of each campaign its budgets and since when, the newest first, and
  `offsets` the offset from UTC of those that have one each day.
  """
  def exceeded(book, budgets, offsets \\ %{}) do
    book.reservations
    |> Map.values()
    # Of one whose node was killed before it could write of it, a file for another node may be there.
    |> Enum.filter(& &1.campaign)
    |> Enum.group_by(fn one -> {one.campaign, period(one.at, offsets[one.campaign])} end)
    |> Enum.flat_map(fn {{campaign, period}, reservations} ->
      budgets = Map.fetch!(budgets, campaign)

      case reservations |> Enum.flat_map(&uses/1) |> most_over(budgets) do
        over when over > 0 -> ["#{inspect(campaign)} in period #{period} by #{over}"]
        _never -> []
      end
    end)
  end

  defp period(_at, nil), do: 0
  defp period(at, offset), do: div(at + offset, @day)

  # From when on how much more or less is in use.
  defp uses(one) do
    expiry = 1_000 * one.to
    # The first one that may have booked it.
    begun = Enum.min(one.begun, fn -> nil end)
    until = Enum.min(Enum.reject([begun, one.released, expiry], &is_nil/1))
    reserved = if until > one.time, do: [{one.time, one.amount}, {until, -one.amount}], else: []

    case outcome(one) do
      :booked -> [{begun, one.price} | reserved]
      :maybe when begun < expiry -> [{begun, one.price}, {expiry, -one.price} | reserved]
      _other -> reserved
    end
  end

  # How much more than the budget of then was in use, at most.
  defp most_over(uses, budgets) do
    # What ends at a moment is not in use then.
    {_used, over} =
      uses
      |> Enum.sort()
      |> Enum.reduce({0, 0}, fn {time, change}, {used, over} ->
        used = used + change
        {used, max(over, used - budget(budgets, time))}
      end)

    over
  end

  defp budget(budgets, time) do
    case Enum.find(budgets, fn {from, _budget} -> from <= time end) do
      {_from, budget} -> budget
      nil -> 0
    end
  end
end
