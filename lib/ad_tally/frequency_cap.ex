defmodule AdTally.FrequencyCap do
  @moduledoc """
  Frequency caps: how often a user may be shown an ad in rolling windows, decided and counted in one
  atomic call from any process. A cap is never passed, and may deny some minutes too long.

      iex> caps = AdTally.FrequencyCap.new(capacity: 100_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.minutes(30)}, {3, :timer.hours(24)}])
      iex> at = 1_780_272_000_000
      iex> AdTally.FrequencyCap.admit(caps, {:campaign, 42}, "user-7", rules, at)
      :ok
      iex> AdTally.FrequencyCap.admit(caps, {:campaign, 42}, "user-7", rules, at + 60_000)
      {:capped, {1, 1_800_000}}
      iex> AdTally.FrequencyCap.admit(caps, {:campaign, 42}, "user-7", rules, at + :timer.minutes(35))
      :ok

  A table of `new/1` is a reference that belongs to no process; one that a supervisor starts has a
  name. A *scope* is what is capped, a
  campaign, an ad or an advertiser; scopes and users are keys as in `AdTally.Counters`. A user
  that is `nil` or `""`, or has one of them in it, is refused: all events of an empty column
  would share one cap.
  Times are Unix milliseconds and default to the system's.

  ## In a supervision tree

  #{AdTally.TableOwner.named_doc()}
      iex> {:ok, _} = Supervisor.start_link([{AdTally.FrequencyCap, name: MyApp.Caps}], strategy: :one_for_one)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.hours(1)}])
      iex> AdTally.FrequencyCap.admit(MyApp.Caps, {:campaign, 42}, "user-7", rules)
      :ok
      iex> AdTally.FrequencyCap.admit(MyApp.Caps, {:campaign, 42}, "user-7", rules)
      {:capped, {1, 3_600_000}}

  #{AdTally.TableOwner.owner_doc()}
  A table without a store has no events then: what users were shown before does not count.

  ## Rules

  `{max, window}`: never more than `max` admitted in any `window` milliseconds, wherever
  they begin. `{max, {:day, "Europe/Berlin"}}`: at most `max` a calendar day of a time zone.
  `{max, {:day, utc_offset}}`: the same where clocks are always `utc_offset` milliseconds ahead of
  UTC. `{max, :lifetime}`: at most `max` ever, in tables made with `lifetime: true`.

  A day of a zone lasts from the first moment of its date to the first one of the next: 25 hours when
  clocks are set back, and that is one day.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, {:day, "Europe/Berlin"}}])
      iex> at = DateTime.to_unix(~U[2025-10-25 22:00:00Z], :millisecond)
      iex> AdTally.FrequencyCap.admit(caps, :ad, "user-7", rules, at)
      :ok
      iex> AdTally.FrequencyCap.opens_at(caps, :ad, "user-7", rules, at) - at
      90_000_000

  Zones are those of the IANA database on the machine (in `TZDIR` or `/usr/share/zoneinfo`), and of the one that
  is built in where that lacks a name or does not exist. A node reads each zone once, when a rule first names it, so a newer
  database takes effect when the node is started again.

  Rules belong to the caller: the same table serves campaigns with different rules, and a
  campaign's rules can change at any time without touching what was counted. Every function
  takes a plain list of rules, which it compiles at each call (about a microsecond), or what
  `rules!/1` has compiled once. Compiled rules belong to their node: send other nodes the list.

  A table keeps times in ticks, of 5 minutes by default, for a horizon of 14 days. It may have several tiers of
  ticks and horizons, see `:tiers` of `new/1`. A rule is served by the finest tier whose horizon covers its
  window. A window that is shorter than a tick of that tier raises `ArgumentError` when it is used.

  ## What is promised

    * **Never one too many.** However many processes ask at once, whatever the order of
      times, after releases and changes of rules, while the table grows or is swept: no rule is
      ever passed by events that were counted and not released. All that is approximate errs
      to the side of denying.
    * **Nothing denied counts.** An event that a rule blocks leaves no trace, in any scope.
    * **Open again in time.** Times are kept in ticks, so a window may stay closed for up to one
      tick longer than by the true times (two for an event that is older than one that was
      counted), and never shorter. A calendar day is exact.
    * **Aliases.** Pairs of scope and user are told apart by their bucket and a fingerprint of 16
      bits; two with the same fingerprint count together and may be denied early, one decision in
      several thousand at most. With `fingerprint_bits: 64` it is 64 bits. Release only what
      was counted: a release of something else may take back an event of such a pair.

  ## Late and early events

  An event counts at its own time, up to the shortest horizon back from the newest time
  seen (which is kept to the second). Where a window begins before the oldest time that is still
  kept, it denies. Further back is `{:error, :too_old}`.

  A time more than `:max_ahead` past the system's time is `{:error, :future}`. One wrong time
  that is accepted makes others too old by as much, so by default it is at most a quarter of the
  shortest horizon. There is no limit to the past: the log of another year can be replayed into
  a new table, in the order of its times.

  Nothing is counted with an error. See [Frequency caps](frequency_caps.html).
  """

  alias AdTally.{Counters, Frame, FrameError, Frames, Named, Native, Options, TableOwner}

  require Named

  @typedoc "A table."
  @opaque t :: reference()

  @typedoc "The name of a table that a supervisor has started."
  @type name :: atom()

  @typedoc "A table, or the name of one."
  @type table :: t() | name()

  @typedoc "Rules that `rules!/1` has compiled."
  @opaque compiled_rules :: {reference(), answers :: tuple()}

  @typedoc "One to sixteen rules, compiled or not."
  @type rules :: compiled_rules() | [rule(), ...]

  @typedoc "What is capped."
  @type scope :: Counters.key()

  @typedoc "Who is shown something."
  @type user :: Counters.key()

  @typedoc "Unix milliseconds, from 0."
  @type at :: non_neg_integer()

  @typedoc "Over what a rule counts: milliseconds, a calendar day, or all there ever was."
  @type window ::
          pos_integer()
          | {:day, zone :: String.t()}
          | {:day, utc_offset_ms :: integer()}
          | :lifetime

  @typedoc "At most so many in a window: 1 to 28, for a lifetime 1 to 65,535."
  @type rule :: {max :: pos_integer(), window()}

  @typedoc """
  Why an event was not decided: its time is further ahead than `:max_ahead` or too far back, it
  is of a new pair and `max_capacity` is reached, or the table's store has no room, see `AdTally.Store`.
  """
  @type reason :: :future | :too_old | :full | :busy

  @compile {:inline, answer: 2}

  @typedoc "An option of `new/1`."
  @type option ::
          {:capacity, pos_integer()}
          | {:max_capacity, pos_integer()}
          | {:tiers, [{granularity :: pos_integer(), horizon :: pos_integer()}]}
          | {:lifetime, boolean()}
          | {:fingerprint_bits, 16 | 64}
          | {:max_ahead, pos_integer()}
          | {:seed, Options.seed()}

  @default_capacity 1_000_000
  @default_tiers [{300_000, 1_209_600_000}]

  @doc """
  Makes a table.

  ## Options

    * `:capacity` - for how many pairs of scope and user with events within the horizon the
      table is laid out, from 1 to 1,000,000,000. Default: #{@default_capacity}. A pair takes
      about 16 bytes with up to four events, of each tier.

    * `:max_capacity` - up to how many it grows, at most 16 times `:capacity`. Beyond it
      `admit/5` returns `{:error, :full}` for new pairs (from 65,536 on within a few per cent
      of it). Default: twice `:capacity`. Every doubling makes aliases twice as frequent.

    * `:tiers` - up to three `{granularity, horizon}` in milliseconds, from fine to coarse.
      A rule is served by the finest tier whose horizon covers its window, and its window is at
      least that tier's granularity. Granularity is from 1 second to a day, a horizon at most
      4,032 times that. Each should be a multiple of the one before: `release/4` finds nothing
      in a tick that lies across two ticks of a coarser tier. Default: ticks of 5 minutes for 14
      days, `#{inspect(@default_tiers)}`.

    * `:lifetime` - whether a pair's events are also counted for ever. Default: `false`.

    * `:fingerprint_bits` - how many bits of its hash are kept of a pair, 16 or 64. 64 takes two
      and a half times the memory. Default: 16.

    * `:max_ahead` - how many milliseconds past the system's time an event may be. An
      event of a later time returns `{:error, :future}` and changes nothing. Default: the
      smaller of a day and a quarter of the shortest horizon. With more than the shortest
      horizon, one wrong time can make every other event `:too_old`.

    * #{Options.seed_doc("scopes and users")}

  Raises `ArgumentError` for an option that is unknown or out of range, and if the system
  has no room.

      iex> day = :timer.hours(24)
      iex> tiers = [{:timer.minutes(5), 14 * day}, {:timer.hours(1), 90 * day}]
      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000, tiers: tiers, lifetime: true)
      iex> AdTally.FrequencyCap.info(caps).pairs
      0
  """
  @spec new([option()]) :: t()
  def new(options \\ []), do: options |> TableOwner.no_store!() |> config!() |> make()

  @doc "A table with a name as a child of a supervisor, which may have several."
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: TableOwner.child_spec(__MODULE__, options)

  @doc """
  #{TableOwner.start_link_doc()}
      iex> {:ok, _owner} = AdTally.FrequencyCap.start_link(name: Shown, capacity: 1_000)
      iex> AdTally.FrequencyCap.record(Shown, {:ad, 7}, "user-7")
      :ok
  """
  @spec start_link([option() | {:name, name()} | {:store, AdTally.Store.name()}]) ::
          GenServer.on_start()
  def start_link(options), do: TableOwner.start_link(__MODULE__, options, kind())

  defp kind,
    do: %{config!: &config!/1, make: &make/1, make_in: &make_in/2, shape: &shape/1}

  defp config!(options) do
    options =
      Options.known!(
        options,
        [:capacity, :max_capacity, :tiers, :lifetime, :fingerprint_bits, :max_ahead, :seed]
      )

    capacity = Options.count!(options, :capacity, @default_capacity)
    max_capacity = Options.count!(options, :max_capacity, min(2 * capacity, 1_000_000_000))
    tiers = options |> Keyword.get(:tiers, @default_tiers) |> tiers!()
    lifetime = Options.boolean!(options, :lifetime, false)
    strict = Options.one_of!(options, :fingerprint_bits, [16, 64]) == 64

    {{capacity, max_capacity}, tiers, lifetime, strict, max_ahead!(options),
     Options.seed!(options)}
  end

  # Native code has the default, which depends on the tiers.
  defp max_ahead!(options) do
    if Keyword.has_key?(options, :max_ahead),
      do: Options.milliseconds!(options, :max_ahead, nil)
  end

  defp make({capacities, tiers, lifetime, strict, max_ahead, seed}),
    do: Native.caps_new(capacities, tiers, lifetime, strict, max_ahead, seed)

  defp make_in(place, {capacities, tiers, lifetime, strict, max_ahead, seed}),
    do: Native.caps_new_in(place, capacities, tiers, lifetime, strict, max_ahead, seed)

  defp shape({_capacities, tiers, lifetime, strict, _max_ahead, _seed}) do
    {[tiers: tiers, lifetime: lifetime, fingerprint_bits: if(strict, do: 64, else: 16)],
     [
       {:tiers, :same, ":tiers"},
       {:lifetime, :same, ":lifetime"},
       {:fingerprint_bits, :same, ":fingerprint_bits"}
     ]}
  end

  defp table(caps) when is_atom(caps), do: Named.fetch!(__MODULE__, caps)
  defp table(caps), do: caps

  defp tiers!(tiers) do
    if is_list(tiers) and Enum.all?(tiers, &tier?/1) do
      tiers
    else
      raise ArgumentError,
            "expected :tiers to be a list of {granularity, horizon} in milliseconds, " <>
              "got: #{Options.shown(tiers)}"
    end
  end

  defp tier?({granularity, horizon}), do: milliseconds?(granularity) and milliseconds?(horizon)
  defp tier?(_other), do: false

  defp milliseconds?(value), do: is_integer(value) and value in 1..0x7FFF_FFFF_FFFF_FFFF

  @doc """
  Compiles one to sixteen rules, which are checked in this order. Every function that takes a list of
  rules takes compiled ones, without the time of compiling. They are of use on this node only.

  Raises `ArgumentError` for a bad rule. Whether the tiers of a table can serve them is checked when they
  are used with it.

      iex> AdTally.FrequencyCap.rules!([{0, 1_000}])
      ** (ArgumentError) a rule allows 1 to 28 events, not 0
  """
  @spec rules!([rule(), ...]) :: compiled_rules()
  def rules!(rules) do
    # Two more than allowed are enough for native code to refuse them.
    compiled = rules |> some_rules!(17, rules) |> Native.caps_rules()
    # Result tuples are prebuilt, so that none is made for an event.
    {compiled, rules |> Enum.map(&{:capped, &1}) |> List.to_tuple()}
  end

  defp some_rules!([rule | rest], left, all) when left > 0,
    do: [rule!(rule) | some_rules!(rest, left - 1, all)]

  defp some_rules!([], _left, _all), do: []

  # A longer list is not read further.
  defp some_rules!([_ | _], 0, _all) do
    raise ArgumentError, "one to 16 rules are asked together, not more than 17"
  end

  defp some_rules!(_tail, _left, all),
    do: raise(ArgumentError, "expected a list of {max, window}, got: #{Options.shown(all)}")

  defp rule!({max, window}) when is_integer(max) and max in 0..0xFFFF_FFFF,
    do: {max, window!(window)}

  defp rule!(other) do
    raise ArgumentError,
          "expected a rule {max, window}, max an integer from 1 to 28 (65535 for a lifetime), " <>
            "got: #{Options.shown(other)}"
  end

  defp window!(window) when is_integer(window) and window in 0..0x7FFF_FFFF_FFFF_FFFF,
    do: {0, window}

  defp window!({:day, offset})
       when is_integer(offset) and offset in -0x7FFF_FFFF_FFFF_FFFF..0x7FFF_FFFF_FFFF_FFFF,
       do: {1, offset}

  defp window!({:day, zone}) when is_binary(zone), do: {1, Options.zone_name!(zone)}

  defp window!(:lifetime), do: {2, 0}

  defp window!(other) do
    raise ArgumentError,
          "expected a window of milliseconds, {:day, utc_offset_in_milliseconds}, {:day, \"Europe/Berlin\"} or " <>
            ":lifetime, got: #{Options.shown(other)}"
  end

  @doc """
  The rules that were compiled, as they were given.

      iex> [{3, {:day, 0}}] |> AdTally.FrequencyCap.rules!() |> AdTally.FrequencyCap.rules()
      [{3, {:day, 0}}]
  """
  @spec rules(compiled_rules()) :: [rule(), ...]
  def rules({_compiled, answers}), do: for({:capped, rule} <- Tuple.to_list(answers), do: rule)

  @doc """
  Checks every rule for a scope and a user at a time, and counts an event if none blocks: one atomic
  step.

  `{:capped, rule}` names the first rule that blocks; nothing is counted then, and neither
  with `{:error, reason}`. Raises `ArgumentError` for bad keys, rules that the table's tiers
  do not cover or whose windows are shorter than a tick, or a negative time.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.minutes(30)}])
      iex> at = 1_780_272_000_000
      iex> AdTally.FrequencyCap.admit(caps, {:campaign, 42}, "ann", rules, at)
      :ok
      iex> AdTally.FrequencyCap.admit(caps, {:campaign, 42}, "ann", rules, at + 1_000)
      {:capped, {1, 1_800_000}}
      iex> AdTally.FrequencyCap.admit(caps, {:campaign, 42}, "ann", [{2, 1_800_000}], at + 1_000)
      :ok
  """
  @spec admit(table(), scope(), user(), rules(), at()) ::
          :ok | {:capped, rule()} | {:error, reason()}
  def admit(name, scope, user, rules, at) when is_atom(name),
    do: admit(Named.fetch!(__MODULE__, name), scope, user, rules, at)

  def admit(caps, scope, user, {compiled, answers}, at),
    do: answer(Native.caps_admit(caps, scope, user, compiled, at), answers)

  def admit(caps, scope, user, rules, at), do: admit(caps, scope, user, compiled!(rules), at)

  @doc "`admit/5` at the system's time."
  @spec admit(table(), scope(), user(), rules()) :: :ok | {:capped, rule()} | {:error, reason()}
  def admit(name, scope, user, rules) when is_atom(name),
    do: admit(Named.fetch!(__MODULE__, name), scope, user, rules)

  def admit(caps, scope, user, {compiled, answers}),
    do: answer(Native.caps_admit(caps, scope, user, compiled), answers)

  def admit(caps, scope, user, rules), do: admit(caps, scope, user, compiled!(rules))

  defp answer(:ok, _answers), do: :ok
  defp answer(rule, answers) when is_integer(rule), do: elem(answers, rule)
  defp answer(error, _answers), do: error

  @doc false
  @spec compiled!(rules()) :: compiled_rules()
  def compiled!(rules) when is_list(rules), do: rules!(rules)

  def compiled!(other) do
    raise ArgumentError,
          "expected a list of {max, window}, or what AdTally.FrequencyCap.rules!/1 has compiled, " <>
            "got: #{Options.shown(other)}"
  end

  # The candidates of one native call with their rules compiled, each list of rules once. Native code
  # refuses bad candidates. `index` is that of the first one.
  @doc false
  def compile_all(scopes, index), do: compile_all(scopes, index, %{}, 65)

  defp compile_all([{scope, rules} | rest], index, known, left)
       when is_list(rules) and left > 0 do
    compiled = Map.get_lazy(known, rules, fn -> rules_at!(rules, index) end)
    known = Map.put(known, rules, compiled)
    [{scope, compiled} | compile_all(rest, index + 1, known, left - 1)]
  end

  defp compile_all([other | rest], index, known, left) when left > 0,
    do: [other | compile_all(rest, index + 1, known, left - 1)]

  defp compile_all(rest, _index, _known, _left), do: rest

  defp rules_at!(rules, index) do
    rules!(rules)
  rescue
    error in ArgumentError ->
      message = "#{error.message} (at index #{index} of the list)"
      reraise ArgumentError, [message: message], __STACKTRACE__
  end

  @doc """
  As `admit/5`, and counts nothing. It takes no lock and writes nothing.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.hours(1)}])
      iex> {AdTally.FrequencyCap.check(caps, :ad, 7, rules), AdTally.FrequencyCap.check(caps, :ad, 7, rules)}
      {:ok, :ok}
  """
  @spec check(table(), scope(), user(), rules(), at()) ::
          :ok | {:capped, rule()} | {:error, reason()}
  def check(caps, scope, user, rules, at \\ now())

  def check(name, scope, user, rules, at) when is_atom(name),
    do: check(Named.fetch!(__MODULE__, name), scope, user, rules, at)

  def check(caps, scope, user, {compiled, answers}, at),
    do: answer(Native.caps_check(caps, scope, user, compiled, at), answers)

  def check(caps, scope, user, rules, at), do: check(caps, scope, user, compiled!(rules), at)

  @doc """
  Counts an event that happened anyway, whatever the rules would say. Of a pair's events the
  newest 28 are kept on ticks, which is enough for any rule.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.hours(1)}])
      iex> AdTally.FrequencyCap.record(caps, :ad, 7)
      :ok
      iex> AdTally.FrequencyCap.admit(caps, :ad, 7, rules)
      {:capped, {1, 3_600_000}}
  """
  @spec record(table(), scope(), user(), at()) :: :ok | {:error, reason()}
  def record(caps, scope, user, at \\ now())

  def record(name, scope, user, at) when is_atom(name),
    do: Native.caps_record(Named.fetch!(__MODULE__, name), scope, user, at)

  def record(caps, scope, user, at), do: Native.caps_record(caps, scope, user, at)

  @doc """
  Takes an event back that was admitted or recorded at a time: the ad was not shown after all.

  `at` is the time that the event was counted at, in Unix milliseconds; any time of the same tick of
  the finest tier stands for it. Exactly one event is taken back, in all tiers and the lifetime,
  or nothing is: `:not_found`, where it cannot be known for sure that there was such an event. So
  it is when the time is further back than the finest tier's horizon, when the pair has had 29 or
  more events and this is not among the 28 newest, and when the tick lies across two ticks of a
  coarser tier. A table with a lifetime and no tiers knows no times and takes any event back.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> at = 1_780_272_000_000
      iex> AdTally.FrequencyCap.admit(caps, :ad, 7, [{1, :timer.hours(1)}], at)
      :ok
      iex> AdTally.FrequencyCap.release(caps, :ad, 7, at)
      :ok
      iex> AdTally.FrequencyCap.release(caps, :ad, 7, at)
      :not_found
  """
  @spec release(table(), scope(), user(), at()) :: :ok | :not_found
  def release(caps, scope, user, at), do: Native.caps_release(table(caps), scope, user, at)

  @doc """
  How many events a rule of that window would count at a time: with those of the tick in
  which the window begins, and at most 28 unless it is the lifetime. Raises `ArgumentError` for a
  window that the table's tiers do not cover or that is shorter than a tick.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> at = 1_780_272_000_000
      iex> for hour <- 1..5, do: AdTally.FrequencyCap.record(caps, :ad, 7, at + :timer.hours(hour))
      iex> AdTally.FrequencyCap.count(caps, :ad, 7, :timer.hours(2), at + :timer.minutes(305))
      2
  """
  @spec count(table(), scope(), user(), window(), at()) :: non_neg_integer()
  def count(caps, scope, user, window, at \\ now()),
    do: Native.caps_count(table(caps), scope, user, window!(window), at)

  @doc """
  The first time from `at` on at which every rule would let an event through if there were
  none until then; `at` itself if they would now, `:never` if a lifetime is used up.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.hours(1)}])
      iex> at = 1_780_272_000_000
      iex> AdTally.FrequencyCap.admit(caps, :ad, 7, rules, at)
      iex> AdTally.FrequencyCap.opens_at(caps, :ad, 7, rules, at) - at
      3_900_000
  """
  @spec opens_at(table(), scope(), user(), rules(), at()) :: at() | :never
  def opens_at(caps, scope, user, rules, at \\ now())

  def opens_at(caps, scope, user, {compiled, _answers}, at),
    do: Native.caps_opens_at(table(caps), scope, user, compiled, at)

  def opens_at(caps, scope, user, rules, at),
    do: opens_at(caps, scope, user, compiled!(rules), at)

  @doc """
  One event under several scopes, each with its rules: counted in all of them or in none,
  as one atomic step. One to 64 scopes.

  Each has compiled rules or a list of rules. `{:capped, scope, rule}` names the first scope in
  the list that blocks. Raises `ArgumentError` as `admit/5`, and for a scope that is in the list
  twice.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> two = AdTally.FrequencyCap.rules!([{2, :timer.hours(1)}])
      iex> one = [{1, :timer.hours(1)}]
      iex> scopes = [{{:advertiser, 9}, two}, {{:campaign, 42}, two}, {{:ad, 7}, one}]
      iex> AdTally.FrequencyCap.admit_all(caps, scopes, "user-7")
      :ok
      iex> AdTally.FrequencyCap.admit_all(caps, scopes, "user-7")
      {:capped, {:ad, 7}, {1, 3_600_000}}
  """
  @spec admit_all(table(), [{scope(), rules()}, ...], user(), at()) ::
          :ok | {:capped, scope(), rule()} | {:error, reason()}
  def admit_all(caps, scopes, user, at \\ now()) do
    case Native.caps_admit_all(table(caps), scopes, user, at) do
      :compile ->
        admit_all(caps, compile_all(scopes, 0), user, at)

      {number, rule} when is_integer(number) ->
        {scope, {_compiled, answers}} = Enum.at(scopes, number)
        {:capped, rule} = elem(answers, rule)
        {:capped, scope, rule}

      answer ->
        answer
    end
  end

  @doc """
  Which of these scopes `check/5` would let a user see, in one call: those of the list, in
  its order. Each has compiled rules or a list of rules; lists that are equal are compiled once.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> rules = AdTally.FrequencyCap.rules!([{1, :timer.hours(1)}])
      iex> AdTally.FrequencyCap.record(caps, {:ad, 7}, "user-7")
      iex> AdTally.FrequencyCap.admissible(caps, [{{:ad, 7}, rules}, {{:ad, 8}, rules}], "user-7")
      [{:ad, 8}]
  """
  @spec admissible(table(), [{scope(), rules()}], user(), at()) :: [scope()] | {:error, reason()}
  def admissible(caps, scopes, user, at \\ now()),
    do: admissible(table(caps), scopes, user, at, 0)

  # `from` is the index of the first scope.
  defp admissible(caps, scopes, user, at, from) do
    case Native.caps_admissible(caps, scopes, user, at, from) do
      :compile ->
        admissible(caps, compile_all(scopes, from), user, at, from)

      {admissible, rest, next} when is_list(admissible) ->
        with more when is_list(more) <- admissible(caps, rest, user, at, next),
             do: admissible ++ more

      answer ->
        answer
    end
  end

  @doc """
  Removes all events that are too old at a time (the newest time seen, if that is earlier), in short
  steps. Returns how many words of memory became free.

  A bucket is cleared whenever it is written to, so this is only of use where many pairs are
  never seen again: once an hour, say.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> AdTally.FrequencyCap.sweep(caps)
      0
  """
  @spec sweep(table(), at()) :: non_neg_integer()
  def sweep(caps, at \\ now()), do: sweep(table(caps), {0, 0}, at, 0)

  defp sweep(caps, from, at, removed) do
    case Native.caps_sweep(caps, from, at) do
      {:done, more} -> removed + more
      {next, more} -> sweep(caps, next, at, removed + more)
    end
  end

  @doc """
  Everything in the table, as a stream of frames: binaries of at most 1 MiB, see `AdTally.Frame`.

  These are the events of all pairs, as ticks and the bits that pairs are told apart by, in all tiers, and the lifetime. Nothing is taken out.

  The export begins anew each time the stream is enumerated. Others may admit and record meanwhile: what was there
  when it began is in it, and of what comes later some is and some is not. It is made a frame at a time, as
  the stream is read, in calls that hold no scheduler. If the table's process ends meanwhile, it raises `ArgumentError`.

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> AdTally.FrequencyCap.record(caps, {:campaign, 42}, "ann")
      iex> frames = caps |> AdTally.FrequencyCap.export() |> Enum.to_list()
      iex> {:ok, frame} = AdTally.Frame.describe(hd(frames))
      iex> other = AdTally.FrequencyCap.new(frame.options)
      iex> AdTally.FrequencyCap.import!(other, frames).rows
      1
      iex> AdTally.FrequencyCap.admit(other, {:campaign, 42}, "ann", [{1, :timer.hours(1)}])
      {:capped, {1, 3_600_000}}
  """
  @spec export(table()) :: Enumerable.t()
  def export(caps) do
    table = table(caps)
    Frames.export(fn -> Native.caps_export(table) end)
  end

  @doc """
  Adds what was exported to the table.

  `frames` is an enumerable of binaries: what `export/1` made, from one or several tables, in any order, or
  the bytes of a file of it in pieces of any size (`AdTally.Frame.stream!/1`). The table may be in use meanwhile
  and have other events. A pair has the events of both tables from then on.

  Returns how many `:frames` were taken, how many `:rows` they had, how many frames were
  `:already_taken` by this table before, which are not taken again, and how many rows, of a pair and
  a tier, had no room (`:overflow`).
  `:complete?` tells whether all frames of every stream that was met are in the table now.

  `{:error, %AdTally.FrameError{}}` names the frame and the byte that is wrong, or the option in which
  the tables differ: `:seed`, `:tiers`, `:lifetime` and `:fingerprint_bits` must be the same. `:capacity` may differ:
  a table of another capacity puts a pair of 16 bits wherever it may belong, so until its events expire more pairs than
  usual look alike, and are denied early. No rule is passed. `:max_capacity` makes no difference. A table of less than a
  256th of the capacity is refused. Nothing of that frame is in the table then. The frames before it are, and
  stay: repeat the import once the cause is gone. Raises `ArgumentError` as other functions, and if
  `frames` is not an enumerable of binaries.

      iex> [one, other] = for _ <- 1..2, do: AdTally.FrequencyCap.new(capacity: 1_000, seed: 7)
      iex> for caps <- [one, other], do: AdTally.FrequencyCap.record(caps, :home, "ann")
      iex> AdTally.FrequencyCap.import(other, AdTally.FrequencyCap.export(one))
      {:ok, %{frames: 1, rows: 1, already_taken: 0, overflow: 0, complete?: true}}
      iex> AdTally.FrequencyCap.count(other, :home, "ann", :timer.hours(1))
      2
  """
  @spec import(table(), Enumerable.t()) :: {:ok, Frame.imported()} | {:error, FrameError.t()}
  def import(caps, frames) do
    table = table(caps)
    Frames.import(frames, &Native.caps_import(table, &1))
  end

  @doc "As `import/2`, but returns what was taken or raises `AdTally.FrameError`."
  @spec import!(table(), Enumerable.t()) :: Frame.imported()
  def import!(caps, frames) do
    table = table(caps)
    Frames.import!(frames, &Native.caps_import(table, &1))
  end

  @doc """
  The table's numbers.

    * `:pairs` - pairs of scope and user with events, of the tier that has most
    * `:words`, `:load` - words of memory in use in all tiers, and the share of its words that is in
      use in the fullest tier
    * `:stash` - overflow buckets in use
    * `:grown` - how often a tier has doubled
    * `:memory_bytes` - memory of all tiers once every bucket is in use: the system provides
      it when they are first touched
    * `:huge_bytes` - how much of it the system has put into huge pages, `nil` where it does
      not tell
    * `:denied` - denials since the table was made: by a `:rule` for sure, or by `:rounding`,
      where the oldest event that counted may lie before the window
    * `:refused` - events in the `:future` (more than `:max_ahead` past the system's time),
      `:too_old`, of a pair too many (`:full`), or that its store had no room for (`:busy`)
    * `:tiers` - the numbers of each tier

      iex> caps = AdTally.FrequencyCap.new(capacity: 1_000)
      iex> AdTally.FrequencyCap.record(caps, :ad, 7)
      iex> AdTally.FrequencyCap.info(caps).pairs
      1
  """
  @spec info(table()) :: %{
          pairs: non_neg_integer(),
          words: non_neg_integer(),
          load: float(),
          stash: non_neg_integer(),
          grown: non_neg_integer(),
          memory_bytes: pos_integer(),
          huge_bytes: non_neg_integer() | nil,
          denied: %{rule: non_neg_integer(), rounding: non_neg_integer()},
          refused: %{
            future: non_neg_integer(),
            too_old: non_neg_integer(),
            full: non_neg_integer(),
            busy: non_neg_integer()
          },
          tiers: [map(), ...]
        }
  def info(caps), do: Native.caps_info(table(caps))

  defp now, do: System.system_time(:millisecond)
end
