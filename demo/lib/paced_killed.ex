defmodule AdTally.Demo.PacedKilled do
  @moduledoc """
  Budgets that are spent by a service of its own operating system process, which is killed (`kill -9`) again and
  again while it does so, and started again. Whoever shows the ads keeps an account of them: however the service
  ends, they have not cost more than the budget.
  """

  alias AdTally.{Admission, FrequencyCap, Pacer, Store}
  alias AdTally.Demo.{Log, Paced, Service, Text}

  @store AdTally.Demo.PacedKilled.Store
  @caps AdTally.Demo.PacedKilled.Caps
  @pacer AdTally.Demo.PacedKilled.Pacer
  @pacer_time AdTally.Demo.PacedKilled.Time
  @campaigns ~w(all men women)
  @budget 4_000_000
  # From noon to midnight.
  @noon 720
  @midnight 1_440
  # A request that finds no money on this node has it renewed, unless it was renewed so many milliseconds ago.
  @renewal 5_000
  @seed 20_191_124

  @typedoc "What a campaign's ads have cost, by the account, and what its pacer says of it in the end."
  @type row :: %{
          shown: non_neg_integer(),
          cost: non_neg_integer(),
          spent: non_neg_integer(),
          presumed: non_neg_integer(),
          overspent: non_neg_integer(),
          reserved: non_neg_integer()
        }

  @type result :: %{
          campaigns: %{String.t() => row()},
          kills: non_neg_integer(),
          requests: pos_integer(),
          starts: pos_integer(),
          answers: %{term() => non_neg_integer()},
          seconds: float()
        }

  @doc "Spends the budgets of an afternoon in a service that is killed so often, with its files in a directory."
  @spec replay([Log.impression()], non_neg_integer(), Path.t()) :: result()
  def replay(impressions, kills, dir) do
    :rand.seed(:exsss, @seed)
    begun = System.monotonic_time(:millisecond)
    requests = Paced.requests(impressions)

    state = %{
      service: start(dir, time(@noon)),
      dir: dir,
      starts: 1,
      requests: 0,
      bills: [],
      accounts: Map.new(@campaigns, &{&1, {0, 0}}),
      answers: %{}
    }

    killing = for kill <- 1..kills, do: @noon + div(kill * (@midnight - @noon), kills + 1)

    state =
      for minute <- @noon..(@midnight - 1), reduce: state do
        state ->
          if minute in killing, do: Service.kill_within(state.service, :rand.uniform(5))
          minute(minute, Map.get(requests, minute, []), state)
      end

    # The last ads are paid.
    {state, []} = sent(state, @midnight - 1, [])
    {state, figures} = figures(state)
    Service.stop(state.service)

    %{
      campaigns: Map.new(@campaigns, &{&1, row(state.accounts[&1], figures[&1])}),
      kills: kills,
      starts: state.starts,
      requests: state.requests,
      answers: state.answers,
      seconds: (System.monotonic_time(:millisecond) - begun) / 1_000
    }
  end

  defp figures(state) do
    case Service.call(state.service, {__MODULE__, :figures, []}) do
      %{} = figures -> {state, figures}
      :killed -> figures(restarted(state, @midnight - 1))
    end
  end

  defp row({shown, cost}, figures), do: Map.merge(figures, %{shown: shown, cost: cost})

  # What was shown in the minute before is paid with this one.
  defp minute(minute, requests, state) do
    {state, admitted} = sent(state, minute, requests)

    bills =
      for {{request, id}, {:ok, reservation}} <- Enum.zip(requests, admitted),
          do: {request.campaign, reservation, Paced.price(id)}

    %{state | requests: state.requests + length(requests), bills: bills}
  end

  # Again and again until it is answered, as whoever serves a page does. The same requests get the same
  # reservations, if the service still knows them, and other ones if it does not.
  defp sent(state, minute, requests) do
    case Service.call(state.service, {__MODULE__, :serve, [minute, state.bills, requests]}) do
      {answers, admitted} ->
        {accounted(state, answers), admitted}

      :killed ->
        sent(restarted(state, minute), minute, requests)
    end
  end

  # Time does not go back: by the minute's end it has not been later.
  defp restarted(state, minute) do
    service = start(state.dir, time(minute + 1) - 1)
    %{state | service: service, starts: state.starts + 1}
  end

  # An ad that was shown has its price, whatever the pacer says to that.
  defp accounted(state, answers) do
    accounts =
      Enum.reduce(state.bills, state.accounts, fn {campaign, _reservation, price}, accounts ->
        Map.update!(accounts, campaign, fn {shown, cost} -> {shown + 1, cost + price} end)
      end)

    answers =
      Map.merge(state.answers, Enum.frequencies(answers), fn _, one, other -> one + other end)

    %{state | accounts: accounts, answers: answers, bills: []}
  end

  defp start(dir, at) do
    files = for file <- ~w(paced paced_killed), do: Path.join(__DIR__, "#{file}.ex")
    Service.start(files, {__MODULE__, :begin, [dir, at]})
  end

  # What the service does.

  @doc "Starts the service, which goes on where it was when it was killed."
  @spec begin(Path.t(), pos_integer()) :: :ok
  def begin(dir, at) do
    children = [
      {Store, name: @store, dir: dir},
      {FrequencyCap, name: @caps, store: @store, capacity: 100_000},
      {Pacer, name: @pacer, store: @store, clock: :manual, max_reservations: 10_000}
    ]

    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    # Its caller is a process of this call alone.
    Process.unlink(supervisor)
    tick(at)
    # Put again, a budget goes on with what it has spent.
    for campaign <- @campaigns, do: :ok = Pacer.put(@pacer, campaign, plan())
    :ok
  end

  defp plan do
    {_rules, mean, _most, _ttl} = Paced.terms()

    [
      budget_micros: @budget,
      period: {:flight, time(@noon), time(@midnight)},
      zone: "Asia/Tokyo",
      pace: :even,
      daily_max: :infinity,
      price_micros: mean
    ]
  end

  defp time(minute) do
    {begin, milliseconds} = Paced.begin()
    begin + minute * milliseconds
  end

  # Of a service that was killed within a minute the rest of that minute comes after its end.
  defp tick(at) do
    if at > :persistent_term.get(@pacer_time, 0) do
      :ok = Pacer.tick(@pacer, at)
      :persistent_term.put(@pacer_time, at)
    end
  end

  @doc "Confirms and admits, and does not wait for any disk."
  @spec serve(non_neg_integer(), [tuple()], [tuple()]) :: {[term()], [term()]}
  def serve(minute, bills, requests) do
    begin = time(minute)
    tick(begin)

    answers =
      for {_campaign, reservation, price} <- bills,
          do: Pacer.confirm(@pacer, reservation, price, begin)

    {rules, _mean, most, ttl} = Paced.terms()
    rules = FrequencyCap.rules!(rules)

    {admitted, _renewed} =
      Enum.map_reduce(requests, begin, fn {%{at: at} = request, id}, renewed ->
        admit = fn ->
          user = Paced.user(request, id)
          parts = {@caps, @pacer}
          Admission.admit(parts, request.campaign, user, rules, id, most, at, ttl: ttl)
        end

        case admit.() do
          :no_budget when at >= renewed + @renewal ->
            # As the pacer does by itself where time is the system's.
            tick(at)
            {admit.(), at}

          answer ->
            {answer, renewed}
        end
      end)

    {answers, admitted}
  end

  @doc "What the pacer says of each campaign."
  @spec figures() :: %{String.t() => map()}
  def figures do
    Map.new(@campaigns, fn campaign ->
      status = Pacer.status(@pacer, campaign)

      {campaign,
       %{
         spent: status.spent_micros,
         presumed: status.presumed_micros,
         overspent: status.overspent_micros,
         reserved: status.reserved_micros
       }}
    end)
  end

  # Of a budget, for all kills together.
  @stranded 0.03

  @doc "What is not as it should be, a sentence each."
  @spec differences(result()) :: [String.t()]
  def differences(result) do
    answers =
      for {answer, count} <- result.answers,
          answer not in [:ok, {:error, :duplicate}],
          do: "#{count} confirms were #{inspect(answer)}"

    campaigns =
      for {campaign, row} <- Enum.sort(result.campaigns),
          sentence <- [over(row), unbooked(row), stranded(row)],
          sentence != nil,
          do: campaign <> sentence

    answers ++ campaigns
  end

  defp over(%{cost: cost, spent: spent, presumed: presumed, overspent: overspent}) do
    most = max(cost, spent + presumed)

    if most > @budget or overspent > 0,
      do: " has #{Paced.micros(most)} of #{Paced.micros(@budget)}, which is too much"
  end

  defp unbooked(%{cost: cost, spent: spent, presumed: presumed}) do
    if cost > spent + presumed,
      do:
        " has ads for #{Paced.micros(cost)}, of which #{Paced.micros(spent + presumed)} are booked"
  end

  defp stranded(%{cost: cost}) do
    if cost < (1 - @stranded) * @budget, do: " has spent #{Paced.micros(cost)} only"
  end

  @doc "The account beside what the pacer says."
  @spec table(result()) :: String.t()
  def table(result) do
    rows =
      for {campaign, row} <- Enum.sort(result.campaigns) do
        money =
          for micros <- [
                @budget,
                row.cost,
                row.spent,
                row.presumed,
                row.reserved,
                @budget - row.cost
              ],
              do: Paced.micros(micros)

        [campaign, Text.integer(row.shown) | money]
      end

    head = ["campaign", "ads shown", "budget", "their cost", "booked", "presumed", "reserved"]
    Text.table(head ++ ["stranded"], rows, 1)
  end
end
