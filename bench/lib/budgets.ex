defmodule AdTally.Bench.Budgets do
  @moduledoc """
  Contenders that spend budgets: for each visit of a campaign a request of its own reserves an amount, and is
  confirmed at a lower price.

  Each has budgets of its own, which are looked at in the end: every campaign must have spent what its visits cost,
  and hold nothing.
  """

  import Bitwise

  alias AdTally.{Admission, FrequencyCap, Pacer}
  alias AdTally.Bench.{Contender, Keys}

  # More than all passes spend, and small enough for every contender.
  @budget 2 ** 58
  @most 2_500
  @price 1_250
  @hour 3_600_000
  # Requests of a process: more than a pass has.
  @request_bits 24
  # All numbers that a hash can be: every request takes part.
  @all 4_294_967_296

  # So much later nothing is known of a reservation, and no rule counts an event.
  @forgotten 8 * 24 * @hour
  @century 100 * 365 * 24 * @hour

  @enforce_keys [:campaigns, :visited]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          campaigns: [Keys.key(), ...],
          visited: [Keys.key(), ...]
        }

  @doc "Budgets of the keys."
  @spec of(Keys.t()) :: t()
  def of(keys), do: %__MODULE__{campaigns: keys.inserted, visited: keys.visited}

  @doc "What each campaign has at first."
  @spec budget() :: pos_integer()
  def budget, do: @budget

  @doc "What is reserved, and what it is confirmed at."
  @spec prices() :: {pos_integer(), pos_integer()}
  def prices, do: {@most, @price}

  @doc "An id that no other request of this VM has. Those of a process follow each other."
  @spec request() :: non_neg_integer()
  def request do
    request =
      case Process.get(__MODULE__) do
        nil -> System.unique_integer([:positive]) <<< @request_bits
        last -> last + 1
      end

    Process.put(__MODULE__, request)
    request
  end

  # Made in the loop, and taken off with it.
  defp visit(campaign), do: {campaign, request()}

  @doc "`AdTally.Pacer.reserve/6` and `AdTally.Pacer.confirm/4`."
  @spec reserve_and_confirm(String.t(), t(), keyword()) :: Contender.t()
  def reserve_and_confirm(label, budgets, options) do
    room = room(budgets, options)
    pacer = pacer(budgets, room)
    at = now()

    run = fn {campaign, request} ->
      {:ok, reservation} = Pacer.reserve(pacer, campaign, request, @most, at)
      Pacer.confirm(pacer, reservation, @price, at)
    end

    options = [prepare: forgetting(pacer)] ++ options

    contender(label, budgets, run, options)
    |> checked(budgets, spent(pacer, budgets), left(pacer, budgets))
  end

  @doc "`AdTally.Admission.admit/8` of users whom no rule blocks, and `AdTally.Pacer.confirm/4`."
  @spec admit_and_confirm(String.t(), t(), keyword()) :: Contender.t()
  def admit_and_confirm(label, budgets, options) do
    room = room(budgets, options)
    pacer = pacer(budgets, room)
    caps = FrequencyCap.new(capacity: room, max_ahead: @century)
    rules = FrequencyCap.rules!([{3, 24 * @hour}, {10, 7 * 24 * @hour}])

    # A user for each request of a pass, who has seen nothing for a week.
    run = fn {campaign, request} ->
      at = :persistent_term.get(pacer_time(pacer))
      user = band(request, (1 <<< @request_bits) - 1)

      {:ok, reservation} =
        Admission.admit({caps, pacer}, campaign, user, rules, request, @most, at)

      Pacer.confirm(pacer, reservation, @price, at)
    end

    options = [prepare: forgetting(pacer)] ++ options

    contender(label, budgets, run, options)
    |> checked(budgets, spent(pacer, budgets), left(pacer, budgets))
  end

  @doc "`:ets.update_counter/3` on as many rows."
  @spec ets(String.t(), t(), keyword()) :: Contender.t()
  def ets(label, budgets, options) do
    table = :ets.new(:bench, [:set, :public])
    for campaign <- budgets.campaigns, do: :ets.insert(table, {campaign, 0})

    run = fn {campaign, _request} ->
      :ets.update_counter(table, campaign, {2, @price})
      :ok
    end

    spent = fn -> for campaign <- budgets.campaigns, do: lookup(table, campaign, 2) end
    left = fn -> Enum.map(spent.(), &(@budget - &1)) end
    contender(label, budgets, run, options) |> checked(budgets, spent, left)
  end

  @doc """
  The same job in two tables of ETS: a row of a campaign with its rate, what is left and what is spent, and one for
  each reservation. A reservation is deleted when it is confirmed: a second confirm is unknown, and none
  expires.
  """
  @spec ets_job(String.t(), t(), keyword()) :: Contender.t()
  def ets_job(label, budgets, options) do
    concurrent = [:public, write_concurrency: true]
    rows = :ets.new(:bench, [:set | concurrent])
    reservations = :ets.new(:bench, [:set | concurrent])
    for campaign <- budgets.campaigns, do: :ets.insert(rows, {campaign, @all, @budget, 0})

    run = fn {campaign, request} ->
      {:ok, reservation} = ets_reserve(rows, reservations, campaign, request)
      ets_confirm(rows, reservations, reservation)
    end

    spent = fn -> for campaign <- budgets.campaigns, do: lookup(rows, campaign, 4) end

    left = fn ->
      0 = :ets.info(reservations, :size)
      for campaign <- budgets.campaigns, do: lookup(rows, campaign, 3)
    end

    contender(label, budgets, run, options) |> checked(budgets, spent, left)
  end

  defp ets_reserve(rows, reservations, campaign, request) do
    id = {campaign, request}

    cond do
      :erlang.phash2(id, @all) >= :ets.lookup_element(rows, campaign, 2) -> :paced
      :ets.member(reservations, id) -> {:ok, id}
      :ets.update_counter(rows, campaign, {3, -@most}) < 0 -> ets_give_back(rows, campaign)
      :ets.insert(reservations, {id, @most}) -> {:ok, id}
    end
  end

  defp ets_give_back(rows, campaign) do
    :ets.update_counter(rows, campaign, {3, @most})
    :no_budget
  end

  defp ets_confirm(rows, reservations, {campaign, _request} = id) do
    case :ets.take(reservations, id) do
      [{_id, held}] ->
        :ets.update_counter(rows, campaign, [{3, held - @price}, {4, @price}])
        :ok

      [] ->
        {:error, :unknown}
    end
  end

  defp contender(label, budgets, run, options) do
    options = [make: &visit/1, summary: & &1, expected_summary: :ok] ++ options
    Contender.new(label, budgets.visited, run, options)
  end

  @doc "A contender that fails unless each campaign has spent what its visits cost, and has the rest."
  @spec checked(Contender.t(), t(), (() -> [integer()]), (() -> [integer()])) :: Contender.t()
  def checked(contender, budgets, spent, left) do
    cost = @price * div(Contender.operations(contender), length(budgets.campaigns))

    check = fn passes ->
      expected = {passes * cost, passes * cost}
      {{expected, {@budget, @budget}}, {Enum.min_max(spent.()), sums(spent.(), left.())}}
    end

    %{contender | check: check}
  end

  defp sums(spent, left), do: spent |> Enum.zip_with(left, &(&1 + &2)) |> Enum.min_max()

  defp lookup(table, campaign, position), do: :ets.lookup_element(table, campaign, position)

  # Of a pass, and a quarter more, so that no bucket is full by chance.
  defp room(budgets, options) do
    visits = length(budgets.visited) * options[:repeats] * Keyword.get(options, :processes, 1)
    div(5 * visits, 4)
  end

  # Each pass begins without reservations, at another time.
  defp forgetting(pacer) do
    at = now()
    passes = :counters.new(1, [])

    fn ->
      :counters.add(passes, 1, 1)
      at = at + :counters.get(passes, 1) * @forgotten
      :ok = Pacer.tick(pacer, at)
      :persistent_term.put(pacer_time(pacer), at)
    end
  end

  defp pacer_time(pacer), do: {__MODULE__, pacer}

  defp pacer(budgets, room) do
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"

    {:ok, _pacer} =
      Pacer.start_link(
        name: name,
        clock: :manual,
        max_campaigns: length(budgets.campaigns),
        max_reservations: room
      )

    :ok = Pacer.tick(name, now())

    for campaign <- budgets.campaigns,
        do: :ok = Pacer.put(name, campaign, budget_micros: @budget)

    name
  end

  defp now, do: System.system_time(:millisecond)

  defp spent(pacer, budgets) do
    fn -> for campaign <- budgets.campaigns, do: Pacer.status(pacer, campaign).spent_micros end
  end

  # Of what is not spent nothing is reserved.
  defp left(pacer, budgets) do
    fn ->
      for campaign <- budgets.campaigns,
          %{reserved_micros: 0} = status = Pacer.status(pacer, campaign),
          do: status.total_budget_micros - status.spent_micros
    end
  end
end
