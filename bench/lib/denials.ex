defmodule AdTally.Bench.Denials do
  @moduledoc """
  Contenders that are told that a campaign does not take part in a request: it is paced, or has no money. Every
  call must say so.
  """

  alias AdTally.Bench.{Contender, Keys}
  alias AdTally.Pacer

  @price 1_250
  @hour 3_600_000
  @candidates 20

  @doc "How many campaigns `open/3` asks about."
  @spec candidates() :: pos_integer()
  def candidates, do: @candidates

  @doc "`AdTally.Pacer.reserve/6` of requests in which their campaign does not take part."
  @spec paced(String.t(), Keys.t(), keyword()) :: Contender.t()
  def paced(label, keys, options) do
    {pacer, at} = paced_pacer(keys)
    visits = for campaign <- keys.visited, do: {campaign, paced_request(pacer, campaign, at, 0)}
    denied(label, pacer, visits, at, :paced, options)
  end

  defp paced_request(pacer, campaign, at, request) do
    case Pacer.open(pacer, [campaign], request, at) do
      [] -> request
      [^campaign] -> paced_request(pacer, campaign, at, request + 1)
    end
  end

  @doc "`AdTally.Pacer.reserve/6` of campaigns whose budget is spent, and which were denied money before."
  @spec no_budget(String.t(), Keys.t(), keyword()) :: Contender.t()
  def no_budget(label, keys, options) do
    {pacer, at} = pacer(keys, budget_micros: @price)

    for campaign <- keys.inserted do
      {:ok, reservation} = Pacer.reserve(pacer, campaign, 0, @price, at)
      :ok = Pacer.confirm(pacer, reservation, @price, at)
      :no_budget = Pacer.reserve(pacer, campaign, 0, @price, at)
    end

    # A round of reports, in which it sees that there is no money, and nothing is reserved any more.
    :ok = Pacer.tick(pacer, at)
    visits = keys.visited |> Enum.with_index(1)
    denied(label, pacer, visits, at, :no_budget, options)
  end

  defp denied(label, pacer, visits, at, answer, options) do
    run = fn {campaign, request} -> Pacer.reserve(pacer, campaign, request, @price, at) end
    options = [summary: & &1, expected_summary: answer] ++ options
    contender = Contender.new(label, visits, run, options)
    operations = Contender.operations(contender)
    before = outcome(pacer, answer)
    check = fn passes -> {passes * operations, outcome(pacer, answer) - before} end
    %{contender | check: check}
  end

  defp outcome(pacer, answer), do: Map.fetch!(Pacer.info(pacer).outcomes, answer)

  @doc "`AdTally.Pacer.open/4` of #{@candidates} campaigns, figures a call."
  @spec open(String.t(), Keys.t(), keyword()) :: Contender.t()
  def open(label, keys, options) do
    {pacer, at} = paced_pacer(keys)

    inputs =
      keys.visited |> Enum.chunk_every(@candidates, @candidates, :discard) |> Enum.with_index()

    open = fn {campaigns, request} -> Pacer.open(pacer, campaigns, request, at) end
    # What asking for one after the other lets through.
    {campaigns, request} = List.last(inputs)
    expected = Enum.filter(campaigns, &reserves?(pacer, &1, request, at))
    Contender.new(label, inputs, open, [summary: & &1, expected_summary: expected] ++ options)
  end

  defp reserves?(pacer, campaign, request, at) do
    case Pacer.reserve(pacer, campaign, request, @price, at) do
      {:ok, reservation} -> Pacer.release(pacer, reservation) == :ok
      :paced -> false
    end
  end

  @doc "`:ets.update_counter/3` on as many rows."
  @spec ets(String.t(), Keys.t(), keyword()) :: Contender.t()
  def ets(label, keys, options) do
    table = :ets.new(:bench, [:set, :public])
    for campaign <- keys.inserted, do: :ets.insert(table, {campaign, 0})
    visits = keys.visited |> Enum.with_index(1)
    run = fn {campaign, _request} -> :ets.update_counter(table, campaign, {2, @price}) end
    contender = Contender.new(label, visits, run, options)
    spent = @price * Contender.operations(contender)
    sum = fn -> :ets.foldl(fn {_campaign, spent}, sum -> sum + spent end, 0, table) end
    %{contender | check: fn passes -> {passes * spent, sum.()} end}
  end

  # An even pace, of which nothing is known yet: some requests take part.
  defp paced_pacer(keys) do
    at = System.system_time(:millisecond)
    period = {:flight, at - @hour, at + 24 * @hour}
    pacer(keys, [budget_micros: 1_000 * @price, period: period, price_micros: @price], at)
  end

  # By a clock that stands, so that nothing is decided anew while passes are timed. With its time.
  defp pacer(keys, plan, at \\ System.system_time(:millisecond)) do
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"
    campaigns = length(keys.inserted)

    {:ok, _pacer} =
      Pacer.start_link(
        name: name,
        clock: :manual,
        max_campaigns: campaigns,
        max_reservations: 2 * campaigns
      )

    :ok = Pacer.tick(name, at)
    for campaign <- keys.inserted, do: :ok = Pacer.put(name, campaign, plan)
    {name, at}
  end
end
