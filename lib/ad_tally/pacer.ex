defmodule AdTally.Pacer do
  @moduledoc """
  Spends budgets evenly or with the traffic, until the end of the day or flight, and never a micro over, on one
  node or many. Two things can exceed a budget: a confirm that comes too late or above the reserved price, and a cut of
  the budget below what is spent and leased already.

      children = [
        {AdTally.Store, name: MyApp.Store, dir: "/var/lib/my_app/ads"},
        {AdTally.Pacer, name: MyApp.Pacer, store: MyApp.Store}
      ]

  Two parts work independently. A *controller* decides once a tick how often a campaign takes part in requests, so
  that its spend follows its target. A *ledger of leases* ensures that no more than the budget is ever spent,
  whatever the controller decides.

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

      # Once it was shown and its price is known:
      :ok = AdTally.Pacer.confirm(MyApp.Pacer, reservation, 1_240, at)

  `reserve/6`, `confirm/4`, `release/2` and `open/4` are native calls in the calling process. They send no message,
  except to confirm or release a reservation of another node. Amounts are integers in micros (millionths) of one
  currency, times are Unix milliseconds. Campaigns and requests are keys as in `AdTally.Counters`.
  `AdTally.Admission` decides budget and frequency cap as one step. The guide [Budget pacing](pacing.html) helps to
  choose a pace, and says what happens in each failure.

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

  What is spent, reserved and leased of a budget is together at most the budget: at any moment, on any number of
  nodes, through races, kills, restarts and partitions. Two things can exceed it: a confirm after its reservation has
  expired, and one above the price that was reserved. Both are counted as `:overspent_micros` and answered as such.
  So reserve the highest price that an impression may cost, for as long as its billing notice may take.

  What may have been spent counts as spent. After a crash, this is what the node had leased and may have spent in
  the second that is lost (`:presumed_micros`), a few seconds of its use. Without a `:store`, it is all that the
  node had leased. A store that was restored from a backup knows less: see the guide
  [Budget pacing](pacing.html#an-older-copy-of-a-store).

  ## Nodes

  With `nodes: [...]` each budget has one coordinator among these nodes, which the key of the campaign determines.
  Every second, the coordinator leases to each node the part of the budget that this node needs for about five
  seconds. It writes a lease to its store before it sends it. A node that cannot reach the coordinator spends what it
  has leased, and then answers `:no_budget` until the coordinator is back. No other node takes the place of a
  coordinator, because two of them would spend a budget twice. Leases do not end by a clock, so clocks that differ do
  no harm.

  All nodes start a pacer of the same name, with the same `:nodes` and `:seed`. Give each of them a store: without
  one, a coordinator knows no plan and no lease after a restart.

  ## Restarts

  With a store everything is as it was, after a crash of the process or of the VM, and after a deploy. Without a store
  all plans are lost with the process and have to be put again, and what was spent before is not known.
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

  @typedoc "A part of a budget that is held for one impression. It can be sent to other nodes, and stored like any binary."
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
  @answered_within 1_000

  @doc """
  The child specification of a pacer. A supervisor may have several pacers.

  With a store, the supervisor waits until the pacer has stopped, which takes one write to the disk.
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
    * `:tick` - milliseconds between two decisions of the controller, from 1,000 to an hour. Default: 60,000.
    * `:clock` - `:system`, or `:manual`: only `tick/2` moves the time, for simulations and tests. Default:
      `:system`.
    * `:max_campaigns` - how many campaigns this node has room for: those of all coordinators, including those that
      were deleted since this node was started. At most 1,000,000. Default: 100,000.
    * `:max_reservations` - how many reservations this node has room for. A reservation keeps its place until its
      `:ttl` is over, whether it is confirmed or not, so this must be at least reservations a second times their
      `:ttl`. Reservations that have expired are remembered for another hour, or until their place is needed.
      Default: 1,000,000.
    * `:max_ahead` - how many milliseconds ahead of the system's time the `at` of a reservation may be. Default: 60,000.
    * `:seed` - the number under which campaigns and requests are hashed, from 0 to 2^64 - 1, the same on all nodes.
      Whoever knows it can choose ids of requests that are never paced, and make reservations that were never granted.
      So set a random one of your own where clients choose these ids, or where reservations pass through them:
      `:crypto.strong_rand_bytes(8) |> :binary.decode_unsigned()`, once, in the configuration of all nodes. Default:
      one that is derived from the name, which is no secret.

  Raises `ArgumentError` for an option that is missing, unknown or out of range, if the store does not run, and if
  the options do not fit what is stored: the message says what differs.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    config = Config.new!(options)
    GenServer.start_link(Server, config, name: config.name)
  end

  @doc """
  Gives a campaign a budget, or changes it.

    * `:ok` - the campaign has this budget. With a store, the plan is on disk. `reserve/6` works on this node at once,
      and on other nodes within a second
    * `{:error, :no_coordinator}` - the coordinator of this budget did not answer within five seconds, or it has other
      `:nodes` or another `:seed`. It may have taken the plan nevertheless. Try again
    * `{:error, :full}` - there are `:max_campaigns` already
    * `{:error, :busy}` - the store has no room, or the disk refuses it. Try again

  To put the same plan twice makes no difference.

  ## Options

    * `:budget_micros` - what may be spent in the period, from 1 to 2^62. Required.
    * `:period` - the time that the budget is for:
      * `{:daily, zone}` - each calendar day of a time zone has the budget, from local midnight to local midnight, on
        days of 23, 24 and 25 hours
      * `{:flight, from, to}` - from the time `from` until before the time `to`, at most ten years
      * `:lifetime` - until it is spent. The default
    * `:zone` - the time zone of the days and hours of a flight. Default: `"Etc/UTC"`.
    * `:pace` - how the budget is spread over the period:
      * `:asap` - not at all: every request takes part until the budget is spent. The default, and only, pace of
        `:lifetime`
      * `:even` - the same in each hour. The default otherwise
      * `{:front_loaded, by}` - along a falling line, from `1 + by` times the mean at the start of the period to
        `1 - by` times at its end, `by` from 0 to 1
      * `{:traffic, weights}` - in proportion to 168 weights, one for each local hour of the week, from Monday 0:00 on
      * `{:traffic, :learned}` - in proportion to the campaign's own requests in the last eight weeks. Even, until
        two weeks are known
    * `:daily_max` - a day of a flight may spend at most this many times its planned share of the budget, from 1 to
      100, or `:infinity` for no limit. Not used for other periods. Default: 1.25.
    * `:price_micros` - a guess of what an impression costs, used until prices are known. Default: 1,000.

  A zone is a name such as `"Europe/Berlin"`, or `{:utc_offset, milliseconds}`.

  To change a plan, put the whole of it. A change takes effect at the next tick. If a budget is cut below what is
  spent and leased, nothing more is leased, and nodes give back what they have not reserved.

  Raises `ArgumentError` for a wrong plan, with nothing changed. It also raises if the coordinator refuses the plan, for
  example because its database of time zones does not have the zone.

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
  Removes the budget of a campaign. From then on `reserve/6` returns `:unknown`, on other nodes within a second.
  Reservations that live can still be confirmed.

  Returns `{:error, :unknown}` if the campaign has no budget.

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
      if coordinator != node(), do: ask(name, coordinator)
      :ok
    end
  end

  defp coordinator(name, campaign),
    do: Native.pacer_coordinator(native!(name), campaign)

  # This node has it too once the coordinator has answered. If that takes long, it has it later.
  defp ask(name, coordinator) do
    GenServer.call(name, {:ask, coordinator}, @answered_within)
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
    case GenServer.call({name, node}, request, @timeout) do
      {:refused, message} ->
        answer({:refused, "#{node}, which coordinates this budget: #{message}"})

      answer ->
        answer(answer)
    end
  catch
    :exit, _unreachable -> {:error, :no_coordinator}
  end

  defp answer(:no_time) do
    raise ArgumentError,
          "expected AdTally.Pacer.tick/2 to be called first: a pacer with clock: :manual has no time before"
  end

  defp answer({:refused, message}), do: raise(ArgumentError, message)
  defp answer(answer), do: answer

  @doc """
  Reserves `max_price_micros` of a campaign's budget for a request, or says why not.

    * `{:ok, reservation}` - the amount is held until it is confirmed or released, or for `ttl` milliseconds after `at`
      or after now, whichever is later
    * `:paced` - the campaign does not take part in this request. At the same rate the same request gets the same
      answer, so ask once for each request
    * `:no_budget` - the campaign takes part, but there is no money: the budget is spent or reserved, its period has
      not begun or is over, or this node has no lease of it at the moment
    * `:unknown` - the campaign has no budget
    * `{:error, :future}` - `at` is further ahead than `:max_ahead`
    * `{:error, :full}` - there are `:max_reservations` already
    * `{:error, :busy}` - the store has no room, see `AdTally.Store`

  If the same request asks again while its reservation lives, it gets the same reservation, with the amount and the
  end of the first call. It is the same binary, unless `:ttl` differs or `at` was in the past. Only
  `{:ok, reservation}` holds money.

  The option `:ttl` is how many milliseconds the reservation lives, from 1 to #{@longest_ttl}. Choose the time within
  which billing notices come: about a minute for web pages, ten minutes for native ads, half an hour and more for
  interstitials. Default: a minute.

  Raises `ArgumentError` for bad keys, and for an amount that is not an integer from 1 to 2^54 - 1.

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
  Books what an impression has cost, and gives back the rest of what was reserved.

    * `:ok` - it is booked
    * `{:error, :over_price}` - it is booked, but above what was reserved: the difference is overspend
    * `{:error, :expired}` - it is booked, but the reservation had expired or was released: the price is overspend
    * `{:error, :duplicate}` - it was confirmed before: nothing is booked
    * `{:error, :unknown}` - there is no such reservation, or it expired more than an hour ago, or its place was needed
      after it had expired: nothing is booked
    * `{:error, :unreachable}` - the reservation is another node's, which does not answer. It may be booked or not: try
      again
    * `{:error, :busy}` - the store has no room: nothing is booked. Try again

  The price is booked in the period of the reservation, so yesterday's late spend is yesterday's.

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
  Gives back what was reserved, because the impression did not happen.

    * `:ok` - it is given back, or it was released or had expired before
    * `{:error, :confirmed}` - it was confirmed
    * `{:error, :unknown}`, `{:error, :unreachable}`, `{:error, :busy}` - as for `confirm/4`

  With a store, the money can be reserved again once the release is on disk, about a second later.

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
  Returns those of a list of campaigns that take part in a request and have money on this node, in the order of the
  list. It is one call for all of them. Nothing is reserved, and nothing is counted.

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
  What a campaign has spent, and how much it should have spent by now, as its coordinator knows it. What other nodes
  have spent in the last second may be missing. Amounts are in micros.

    * `:budget_micros` - what is to be spent in the period; of a flight, on its current day
    * `:most_micros` - the most that may be spent in the period. For a day of a flight this is more than
      `:budget_micros`, see `:daily_max`
    * `:spent_micros` - what was booked in the period
    * `:reserved_micros` - what reservations hold
    * `:leased_micros` - what nodes have leased in addition. The three together are at most `:most_micros`, except for
      overspend, and for a budget that was cut below what was spent and leased
    * `:target_micros` - what should be spent by now
    * `:delivery` - `:spent_micros` divided by `:target_micros`, `nil` while the target is 0
    * `:pass` - the share of requests that the campaign takes part in, from 0.0 to 1.0
    * `:awaits_history` - whether the pace is even only because too little is known of the campaign's traffic
    * `:presumed_micros` - the part of `:leased_micros` that counts as spent, because a crash may have lost that it was
    * `:overspent_micros` - what was confirmed too late or above the reserved price, in all periods
    * `:total_budget_micros`, `:total_spent_micros` - the budget as it was put, and what was spent in all periods
    * `:from`, `:to` - when the period begins and ends. Before and after a flight both are `nil`, and the amounts of the
      period are 0
    * `:nodes` - what each node has been granted that is neither spent nor given back

  Returns `{:error, :unknown}` if the campaign has no budget, and `{:error, :no_coordinator}` if its coordinator cannot
  be reached.

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

    * `:campaigns` - how many campaigns this node knows
    * `:coordinated` - how many of them it coordinates, including those that were deleted in the last two days
    * `:outcomes` - calls on this node by outcome, since it was started:
      * of `reserve/6`: `:reserved`, `:again` (the request's reservation lived already), `:paced`, `:no_budget`,
        `:unknown`, `:future`, `:full`
      * of `confirm/4`: `:confirmed`, `:over_price`, `:late`, `:duplicate`
      * of `release/2`: `:released`
      * of `confirm/4` and `release/2`: `:unknown_reservation`, `:elsewhere` (passed on to another node)
      * of all three: `:busy`
      * and events that are not calls: `:expired`, reservations whose `:ttl` ended, and `:no_book`, grants that this
        node had no room for. Their campaigns have no money here, because `:max_campaigns` is too small
    * `:lost_nodes` - other nodes that have not answered for five seconds
    * `:disagreeing_nodes` - other nodes that have other `:nodes`, another `:seed`, or a version of the library with another
      protocol of pacers. While there is one, this node leases nothing, and takes no plan
    * `:clock_offsets` - other nodes whose clocks differ by more than five seconds, and by how many milliseconds they
      are ahead
    * `:memory_bytes` - the memory of its tables and of the budgets that it coordinates

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
  Advances the clock of a pacer with `clock: :manual` to a time, in Unix milliseconds, and does everything that is due
  by then: reservations expire, periods begin and end, leases are renewed, the controller decides.

  Returns `{:error, :busy}` if the disk refuses it. Raises `ArgumentError` for a time before that of the last call, and
  for a pacer with `clock: :system`.

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
