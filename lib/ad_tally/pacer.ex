defmodule AdTally.Pacer do
  @moduledoc """
  Spends budgets: evenly or with the traffic, to the end of the day or flight, and never a micro over, on one
  node or many.

      children = [
        {AdTally.Store, name: MyApp.Store, dir: "/var/lib/my_app/ads"},
        {AdTally.Pacer, name: MyApp.Pacer, store: MyApp.Store}
      ]

  Two things are kept apart. A *controller* decides once a tick how often a campaign takes part in requests, so
  that its spend follows its target. A *ledger of leases* decides that no more than the budget is ever spent,
  whatever the controller does.

      :ok =
        AdTally.Pacer.put(MyApp.Pacer, 42,
          budget_micros: 50_000_000_000,
          period: {:daily, "America/New_York"},
          pace: :even
        )

      case AdTally.Pacer.reserve(MyApp.Pacer, 42, "request-7", 2_500, at, ttl: :timer.minutes(1)) do
        {:ok, reservation} -> show_it(reservation)
        :paced -> :not_this_request
        :no_budget -> :nothing_left
        :unknown -> :no_such_campaign
      end

      # once it was shown, and its price is known
      :ok = AdTally.Pacer.confirm(MyApp.Pacer, reservation, 1_240, at)

  `reserve/6`, `confirm/4`, `release/2` and `open/4` are native calls of the calling process and send no message,
  but for reservations of another node. Amounts are integers in micros of one currency, times Unix milliseconds.
  Campaigns and requests are keys as in `AdTally.Counters`. `AdTally.Admission` decides budget and
  frequency cap as one step.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Pacing, clock: :manual)
      iex> at = 1_780_272_000_000
      iex> AdTally.Pacer.tick(Pacing, at)
      :ok
      iex> AdTally.Pacer.put(Pacing, 42, budget_micros: 5_000)
      :ok
      iex> {:ok, first} = AdTally.Pacer.reserve(Pacing, 42, "r-1", 3_000, at)
      iex> AdTally.Pacer.reserve(Pacing, 42, "r-2", 3_000, at)
      :no_budget
      iex> AdTally.Pacer.confirm(Pacing, first, 1_200, at)
      :ok
      iex> {:ok, _second} = AdTally.Pacer.reserve(Pacing, 42, "r-2", 3_000, at)
      iex> status = AdTally.Pacer.status(Pacing, 42)
      iex> {status.spent_micros, status.reserved_micros}
      {1_200, 3_000}

  ## Never over

  What is spent, reserved and leased of a budget together is at most the budget: at any moment, on any number of
  nodes, through races, kills, restarts and partitions. Two things can exceed it, and both are counted as
  `:overspent_micros` and answered as such: a confirm after its reservation has expired, and one above the price
  that was reserved. So reserve the highest price that an impression may cost, for as long as its billing
  notice may take.

  Whatever may have been spent counts as spent. After a crash, that is what this node had leased and cannot prove
  unspent (`:presumed_micros`, a few seconds of its use); without a `:store`, all that the node had leased.

  ## Nodes

  With `nodes: [...]` each budget has one coordinator, one of these nodes, which the name of the campaign
  determines. It leases parts of the budget to all of them, for about five seconds of their use, each second. A lease
  is in the coordinator's store before it is sent. A node that cannot reach the coordinator spends what it has
  leased, and answers `:no_budget` then, until the coordinator is back. No other node takes its place: two coordinators
  would spend a budget twice. Leases do not end by a clock, so clocks that differ do no harm.

  All nodes start a pacer of the same name, with the same `:nodes` and `:seed`. Give each of them a store: a coordinator
  without one knows no plan and no lease after a restart.

  ## Restarts

  With a store everything is as it was, after a crash of the process, of the VM, or a deploy. Without one all plans
  are gone with the process, and have to be put again. What was spent before is not known then.
  """

  alias AdTally.{Counters, Named, Native, Options, TableOwner}
  alias AdTally.Pacer.{Config, Plan, Server}

  require Named

  @typedoc "The name of a pacer."
  @type name :: atom()

  @typedoc "What has a budget."
  @type campaign :: Counters.key()

  @typedoc "The id of a request, unique among requests."
  @type request :: Counters.key()

  @typedoc "A part of a budget that is held for one impression. It may be sent to other nodes, and kept as any binary."
  @type reservation :: binary()

  @typedoc "Unix milliseconds, from 0."
  @type at :: non_neg_integer()

  @typedoc "A time zone of the IANA database by its name, or a fixed offset from UTC in milliseconds."
  @type zone :: String.t() | {:utc_offset, integer()}

  @typedoc "An option of `put/3`."
  @type plan_option ::
          {:budget_micros, pos_integer()}
          | {:period, {:daily, zone()} | {:flight, time(), time()} | :lifetime}
          | {:zone, zone()}
          | {:pace, pace()}
          | {:daily_max, number() | :infinity}
          | {:price_micros, pos_integer()}

  @typedoc "A time: Unix milliseconds, or a `DateTime`."
  @type time :: non_neg_integer() | DateTime.t()

  @typedoc "How a budget is spread over its period."
  @type pace ::
          :asap
          | :even
          | {:front_loaded, number()}
          | {:traffic, [number()]}
          | {:traffic, :learned}

  @typedoc "What a campaign has spent, and how far it should be. See `status/2`."
  @type status :: %{atom() => term()}

  @compile {:inline, native!: 1}

  # A web page's billing notice comes within a minute.
  @default_ttl 60_000

  # Half a day, as in native/ad_tally_core/src/pacer/node/config.rs.
  @longest_ttl 43_200_000

  # In the year 6429.
  @latest 0x7FFF_FFFF_FFFF

  # How long other nodes may take to answer.
  @timeout 5_000
  @renewed_within 1_000

  @doc """
  A pacer as a child of a supervisor, which may have several.

  With a store its supervisor waits for as long as it takes to stop, which is one write to the disk.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: TableOwner.child_spec(__MODULE__, options)

  @doc """
  Starts a pacer. As a child of a supervisor it is `{AdTally.Pacer, options}`.

  ## Options

    * `:name` - an atom by which it is called: the name of its process, and its key in `:persistent_term`.
      Required.
    * `:store` - the name of an `AdTally.Store` that keeps it. Default: `nil`, for none.
    * `:nodes` - `:this`, or a list of the names of all nodes that spend these budgets, this one among them. Once it
      is stored it cannot be changed, because budgets would change their coordinators. Default: `:this`.
    * `:tick` - every so many milliseconds the controller decides anew, from 1,000 to an hour. Default: 60,000.
    * `:clock` - `:system`, or `:manual`: time passes by `tick/2` alone, for simulations and tests. Default:
      `:system`.
    * `:max_campaigns` - how many campaigns this node has room for: those of all coordinators, and those that were
      deleted since it was started, too. At most 1,000,000. Default: 100,000.
    * `:max_reservations` - how many reservations this node knows. One keeps its place until its `:ttl` is over, confirmed
      or not, so this is at least reservations a second times their `:ttl`. Those that have expired are known for an
      hour more, or until their place is needed. Default: 1,000,000.
    * `:max_ahead` - how many milliseconds past the system's time a reservation may be made. Default: 60,000.
    * `:seed` - the number under which campaigns and requests are hashed, from 0 to 2^64 - 1, the same on all nodes.
      Who knows it can choose requests that are never paced. Default: one that follows from the name. Give
      another one where clients choose the ids of requests.

  Raises `ArgumentError` for an option that is missing, unknown or out of range, if the store does not run, and if it
  cannot go on with what is stored of it, which the message says.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    config = Config.new!(options)
    GenServer.start_link(Server, config, name: config.name)
  end

  @doc """
  Gives a campaign a budget, or changes it.

    * `:ok` - it has one. With a store that is on disk. Requests can be reserved on this node at once, on others
      within a second
    * `{:error, :no_coordinator}` - the node that has this budget did not answer within five seconds, or it has other
      `:nodes` or another `:seed`. It may have taken the plan all the same: put it again, which makes no difference
    * `{:error, :full}` - there are `:max_campaigns`
    * `{:error, :busy}` - the store has no room, or the disk refuses it. Try again: to put the same plan twice makes no
      difference

  ## Options

    * `:budget_micros` - what may be spent in the period, from 1 to 2^62. Required.
    * `:period` - for what time that is:
      * `{:daily, zone}` - each calendar day of a time zone has the budget, from local midnight to local midnight, on
        days of 23, 24 and 25 hours
      * `{:flight, from, to}` - from a time to before another one, at most ten years
      * `:lifetime` - until it is spent. The default
    * `:zone` - the time zone whose days and hours a flight has. Default: `"Etc/UTC"`.
    * `:pace` - how it is spread over the period:
      * `:asap` - not at all: every request takes part until the budget is spent. The default of `:lifetime`, which has
        no other
      * `:even` - the same in each hour. The default otherwise
      * `{:front_loaded, by}` - by a falling line, from `1 + by` times the mean at the begin of the period to `1 - by`
        times at its end, `by` from 0 to 1
      * `{:traffic, weights}` - as traffic is: 168 weights, one for each local hour of the week, from Monday 0
        o'clock on
      * `{:traffic, :learned}` - as the campaign's own requests were in the last weeks. Even, until there are two
    * `:daily_max` - a day of a flight may spend at most so many times its planned share of the budget, from 1 to 100, or
      `:infinity` for no limit. Other periods have no use for it. Default: 1.25.
    * `:price_micros` - what an impression costs by guess, before its price is known. Default: 1,000.

  A zone is a name such as `"Europe/Berlin"`, or `{:utc_offset, milliseconds}`.

  To change a plan, put the whole of it. A change takes effect at the next tick. Where a budget is cut below what is
  spent and leased, nothing is leased any more, and nodes give back what they have not reserved.

  Raises `ArgumentError` for a plan that cannot be, with nothing changed.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Putting)
      iex> AdTally.Pacer.put(Putting, {:campaign, 42}, budget_micros: 5_000_000_000, period: {:daily, "Europe/Berlin"})
      :ok
      iex> AdTally.Pacer.put(Putting, {:campaign, 42}, budget_micros: 0)
      ** (ArgumentError) expected :budget_micros to be an integer of micros from 1 to 2^62, got: 0
  """
  @spec put(name(), campaign(), [plan_option()]) ::
          :ok | {:error, :no_coordinator | :full | :busy}
  def put(name, campaign, options) do
    plan = Plan.new!(options)
    change(name, campaign, {:put, plan})
  end

  @doc """
  Takes the budget of a campaign away. `reserve/6` returns `:unknown` from then on, on other nodes within a second.
  Reservations that live can be confirmed.

  `{:error, :unknown}` if it has none.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Deleting)
      iex> AdTally.Pacer.put(Deleting, 42, budget_micros: 5_000_000)
      iex> AdTally.Pacer.delete(Deleting, 42)
      :ok
      iex> AdTally.Pacer.reserve(Deleting, 42, "r-1", 1_000, System.system_time(:millisecond))
      :unknown
  """
  @spec delete(name(), campaign()) :: :ok | {:error, :unknown | :no_coordinator | :busy}
  def delete(name, campaign), do: change(name, campaign, :delete)

  defp change(name, campaign, request) do
    coordinator = coordinator(name, campaign)

    with :ok <- call(name, coordinator, {:of, campaign, request}) do
      if coordinator != node(), do: renewed(name, coordinator)
      :ok
    end
  end

  defp coordinator(name, campaign),
    do: Native.pacer_coordinator(native!(name), campaign)

  # This node has it too once the coordinator has answered it. If that takes long, it has it later.
  defp renewed(name, coordinator) do
    GenServer.call(name, {:renewed, coordinator}, @renewed_within)
  catch
    :exit, _later -> :ok
  end

  # Asks the process of this node, or that of another one.
  defp call(name, node, request) when node == node() do
    # Raises where none of that name runs.
    _native = native!(name)
    name |> GenServer.call(request, :infinity) |> answer()
  catch
    :exit, {reason, {GenServer, :call, _arguments}} when reason != :calling_self ->
      Named.raise_not_running(__MODULE__, name)
  end

  defp call(name, node, request) do
    {name, node} |> GenServer.call(request, @timeout) |> answer()
  catch
    :exit, _unreachable -> {:error, :no_coordinator}
  end

  defp answer(:no_time) do
    raise ArgumentError,
          "expected AdTally.Pacer.tick/2 to be called first: a pacer with clock: :manual has no time before"
  end

  defp answer(answer), do: answer

  @doc """
  Reserves up to `max_price_micros` of a campaign's budget for a request, or says why it does not take part.

    * `{:ok, reservation}` - the amount is held until it is confirmed or released, or for `ttl` milliseconds after `at`
      or after now, whichever is later
    * `:paced` - the campaign does not take part in this request. The same request gets the same answer at the same
      rate, so ask once a request
    * `:no_budget` - it does, but there is no money: the budget is spent or reserved, its period has not begun or is
      over, or this node has no lease of it at the moment
    * `:unknown` - the campaign has no budget
    * `{:error, :future}` - `at` is further ahead than `:max_ahead`
    * `{:error, :full}` - there are `:max_reservations`
    * `{:error, :busy}` - the store has no room, see `AdTally.Store`

  Asked again while the reservation lives, it returns the same one, with the amount and the end of the first call: the
  same binary, unless `:ttl` differs or `at` was in the past. Only `{:ok, reservation}` holds money.

  The option `:ttl` is how long it lives, from 1 to #{@longest_ttl} milliseconds. Take the time within which billing
  notices come: about a minute for web pages, ten for native ads, half an hour and more for interstitials. Default:
  a minute.

  Raises `ArgumentError` for bad keys, and for an amount that is no integer from 1 to 2^54 - 1.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Reserving)
      iex> AdTally.Pacer.put(Reserving, 42, budget_micros: 5_000)
      iex> at = System.system_time(:millisecond)
      iex> {:ok, reservation} = AdTally.Pacer.reserve(Reserving, 42, "r-1", 3_000, at, ttl: 600_000)
      iex> AdTally.Pacer.reserve(Reserving, 42, "r-1", 3_000, at + 1, ttl: 600_000) == {:ok, reservation}
      true
      iex> AdTally.Pacer.reserve(Reserving, 42, "r-2", 3_000, at)
      :no_budget
  """
  @spec reserve(name(), campaign(), request(), pos_integer(), at(), ttl: pos_integer()) ::
          {:ok, reservation()}
          | :paced
          | :no_budget
          | :unknown
          | {:error, :future | :full | :busy}
  def reserve(name, campaign, request, max_price_micros, at, options \\ [])

  def reserve(name, campaign, request, max_price_micros, at, ttl: ttl) do
    native = native!(name)
    Native.pacer_reserve(native, campaign, request, max_price_micros, at, ttl)
  end

  def reserve(name, campaign, request, max_price_micros, at, []) do
    native = native!(name)
    Native.pacer_reserve(native, campaign, request, max_price_micros, at, @default_ttl)
  end

  def reserve(_name, _campaign, _request, _max_price_micros, _at, options),
    do: Options.known!(options, [:ttl])

  @doc """
  Books what an impression has cost, and gives back what was reserved beyond that.

    * `:ok` - it is booked
    * `{:error, :over_price}` - it is booked, and was above what was reserved: the difference is overspend
    * `{:error, :expired}` - it is booked, and the reservation had expired or was released: the price is overspend
    * `{:error, :duplicate}` - it was confirmed before: nothing is booked
    * `{:error, :unknown}` - there is no such reservation, or it has expired more than an hour ago, or earlier where its
      place was needed: nothing is booked
    * `{:error, :unreachable}` - it is of another node, which does not answer. It may be booked or not: try again
    * `{:error, :busy}` - the store has no room: nothing is booked

  What is booked counts in the period of the reservation, so yesterday's late spend is yesterday's.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Confirming)
      iex> AdTally.Pacer.put(Confirming, 42, budget_micros: 5_000)
      iex> at = System.system_time(:millisecond)
      iex> {:ok, reservation} = AdTally.Pacer.reserve(Confirming, 42, "r-1", 3_000, at)
      iex> AdTally.Pacer.confirm(Confirming, reservation, 1_200, at)
      :ok
      iex> AdTally.Pacer.confirm(Confirming, reservation, 1_200, at)
      {:error, :duplicate}
  """
  @spec confirm(name(), reservation(), non_neg_integer(), at()) ::
          :ok
          | {:error, :over_price | :expired | :duplicate | :unknown | :unreachable | :busy}
  def confirm(name, reservation, price_micros, at) do
    native = native!(name)

    case Native.pacer_confirm(native, reservation, price_micros, at) do
      {:elsewhere, node} -> elsewhere(name, node, {:confirm, reservation, price_micros, at})
      answer -> answer
    end
  end

  @doc """
  Gives back what was reserved: the impression did not happen.

    * `:ok` - it is given back, or was released or had expired before
    * `{:error, :confirmed}` - it was confirmed
    * `{:error, :unknown}`, `{:error, :unreachable}`, `{:error, :busy}` - as for `confirm/4`

  With a store the money can be reserved again once that is on disk, a second later or so.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Releasing)
      iex> AdTally.Pacer.put(Releasing, 42, budget_micros: 5_000)
      iex> at = System.system_time(:millisecond)
      iex> {:ok, reservation} = AdTally.Pacer.reserve(Releasing, 42, "r-1", 5_000, at)
      iex> AdTally.Pacer.release(Releasing, reservation)
      :ok
      iex> {:ok, _other} = AdTally.Pacer.reserve(Releasing, 42, "r-2", 5_000, at)
  """
  @spec release(name(), reservation()) ::
          :ok | {:error, :confirmed | :unknown | :unreachable | :busy}
  def release(name, reservation) do
    case Native.pacer_release(native!(name), reservation) do
      {:elsewhere, node} -> elsewhere(name, node, {:release, reservation})
      answer -> answer
    end
  end

  # A large term is no key to be looked for.
  @doc false
  @spec native!(name()) :: reference()
  def native!(name) when is_atom(name), do: Named.fetch!(__MODULE__, name)
  def native!(other), do: Named.raise_not_running(__MODULE__, other)

  # The node that has made a reservation has the money.
  @doc false
  def elsewhere(name, node, request) do
    GenServer.call({name, node}, request, @timeout)
  catch
    :exit, _unreachable -> {:error, :unreachable}
  end

  @doc """
  Which of these campaigns take part in a request and have money on this node: those of the list, in its order, in
  one call. Nothing is reserved, and nothing is counted.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Opening)
      iex> AdTally.Pacer.put(Opening, 42, budget_micros: 5_000)
      iex> AdTally.Pacer.open(Opening, [41, 42, 43], "r-1", System.system_time(:millisecond))
      [42]
  """
  @spec open(name(), [campaign()], request(), at()) :: [campaign()]
  def open(name, campaigns, request, at),
    do: open_from(native!(name), campaigns, request, at, 0)

  defp open_from(native, campaigns, request, at, from) do
    case Native.pacer_open(native, campaigns, request, at, from) do
      {open, rest, next} -> open ++ open_from(native, rest, request, at, next)
      open -> open
    end
  end

  @doc """
  What a campaign has spent, and how far it should be, as its coordinator knows it: what other nodes have spent
  in the last second may not be in it yet. Amounts are in micros.

    * `:budget_micros` - what is to be spent in the period: of a flight, its day
    * `:most_micros` - the most that may be spent in the period. Of a day of a flight that is more, see `:daily_max`
    * `:spent_micros` - what was booked in the period
    * `:reserved_micros` - what reservations hold
    * `:leased_micros` - what nodes have leased beside that. The three together are at most `:most_micros`, but for
      what is overspent
    * `:target_micros` - what should be spent by now
    * `:delivery` - what is spent as a part of that, `nil` while that is 0
    * `:pass` - in which part of all requests it takes part, from 0.0 to 1.0
    * `:awaits_history` - whether it is paced evenly only because too little is known of its traffic
    * `:presumed_micros` - the part of `:leased_micros` that counts as spent, because a crash may have lost that it was
    * `:overspent_micros` - what was confirmed too late or above the price that was reserved, in all periods
    * `:total_budget_micros`, `:total_spent_micros` - the budget as it was put, and what was spent in all periods
    * `:from`, `:to` - when its period begins and ends. Both are `nil` outside of a flight, and its amounts are 0
    * `:nodes` - what each node has that is neither spent nor given back

  `{:error, :unknown}` if the campaign has no budget, `{:error, :no_coordinator}` if its coordinator cannot be
  reached.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Knowing)
      iex> AdTally.Pacer.put(Knowing, 42, budget_micros: 5_000)
      iex> at = System.system_time(:millisecond)
      iex> {:ok, reservation} = AdTally.Pacer.reserve(Knowing, 42, "r-1", 3_000, at)
      iex> AdTally.Pacer.confirm(Knowing, reservation, 1_200, at)
      iex> status = AdTally.Pacer.status(Knowing, 42)
      iex> {status.spent_micros, status.reserved_micros, status.budget_micros}
      {1_200, 0, 5_000}
  """
  @spec status(name(), campaign()) :: status() | {:error, :unknown | :no_coordinator}
  def status(name, campaign),
    do: call(name, coordinator(name, campaign), {:of, campaign, :status})

  @doc """
  The numbers of a pacer on this node.

    * `:campaigns` - campaigns that this node knows, and `:coordinated`, those whose coordinator it is, with those that were
      deleted in the last two days
    * `:outcomes` - calls on this node by outcome, since it was started. Of `reserve/6`: `:reserved`,
      `:again` for a reservation that lived already, `:paced`, `:no_budget`, `:unknown`, `:future`, `:full`. Of `confirm/4`:
      `:confirmed`, `:over_price`, `:late`, `:duplicate`. Of `release/2`: `:released`. Of both: `:unknown_reservation`,
      `:elsewhere`. Of all: `:busy`. And `:expired`, reservations whose time to live was over, and `:no_book`, grants that this
      node had no room for, so that their campaigns are without money: `:max_campaigns` is too small
    * `:lost_nodes` - other nodes that have not answered for five seconds
    * `:disagreeing_nodes` - other nodes that have other `:nodes`, another `:seed` or another version of the library. While
      there is one, this node leases nothing, and takes no plan
    * `:clock_offsets` - other nodes whose clock differs by more than five seconds, and by how many milliseconds it is
      ahead
    * `:memory_bytes` - its memory

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Informed)
      iex> AdTally.Pacer.reserve(Informed, 42, "r-1", 3_000, System.system_time(:millisecond))
      :unknown
      iex> AdTally.Pacer.info(Informed).outcomes.unknown
      1
  """
  @spec info(name()) :: %{atom() => term()}
  def info(name) do
    {info, peers} = call(name, node(), :info)
    Map.merge(info, peers)
  end

  @doc """
  Advances the clock of a pacer with `clock: :manual` to a time, in Unix milliseconds, and does all that is due by
  then: reservations expire, periods begin and end, leases are renewed, the controller decides.

  `{:error, :busy}` if the disk refuses it. Raises `ArgumentError` for a time before that of the last call, and for a
  pacer that goes by the system's clock.

      iex> {:ok, _pacer} = AdTally.Pacer.start_link(name: Ticking, clock: :manual)
      iex> for minute <- 0..2, do: AdTally.Pacer.tick(Ticking, 1_780_272_000_000 + 60_000 * minute)
      [:ok, :ok, :ok]
  """
  @spec tick(name(), at()) :: :ok | {:error, :busy}
  def tick(name, at) when is_integer(at) and at in 0..@latest do
    case call(name, node(), {:tick, at}) do
      {:earlier, time} ->
        raise ArgumentError,
              "expected a time that is not before that of the last tick, #{time}, got: #{at}"

      :system ->
        raise ArgumentError,
              "expected a pacer with clock: :manual, got one that goes by the system's clock: #{inspect(name)}"

      answer ->
        answer
    end
  end

  def tick(_name, at) do
    raise ArgumentError,
          "a time is an integer of milliseconds since 1970, from 0 to #{@latest}, got: #{Options.shown(at)}"
  end
end
