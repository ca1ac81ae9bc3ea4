defmodule AdTally.Attribution do
  @moduledoc """
  Credits each conversion to the touches of its user that came before it. Credits are exact to the
  micro, and do not depend on the order in which touches and conversions arrive.

      children = [
        {AdTally.Attribution,
         name: MyApp.Attribution,
         dimensions: [:campaign, :creative],
         touches: [click: :timer.hours(24 * 7), view: :timer.hours(24)],
         models: [:last_touch, :position_based],
         conversions: [purchase: :every, signup: :once_per_user],
         sinks: [{AdTally.Sink.Files, dir: "credits"}]}
      ]

  Then any process records touches and conversions. The calls run in that process and send no
  message:

      AdTally.Attribution.touch(MyApp.Attribution, %AdTally.Touch{
        id: "c-7",
        user: "ann",
        at: 1_780_272_000_000,
        kind: :click,
        dimensions: {42, 7},
        cost_micros: 350_000
      })
      #=> :ok

      AdTally.Attribution.convert(MyApp.Attribution, %AdTally.Conversion{
        order: "o-9",
        user: "ann",
        at: 1_780_275_600_000,
        action: :purchase,
        value_micros: 59_990_000
      })
      #=> :ok

  The guide [Attribution](attribution.html) helps to choose kinds, lookbacks and models, and says
  how much memory they take.

  ## Which touches are credited

  The *path* of a conversion is the newest `:touches_per_user` touches of its user at or before
  it, ordered by time and, where times are equal, by id. A touch is *eligible* if its age is at most
  the lookback of its kind. Ages are exact, in milliseconds, and both bounds are inclusive: a touch
  of the same millisecond is eligible, and so is one that is exactly a lookback old. There are no
  calendar days.

  With `prevail: true`, the default, an eligible touch excludes those of weaker kinds: if a click is
  eligible, no view is credited.

  A conversion without an eligible touch is *unattributed*. It is in every report and file, as a
  row of its own.

  ## Models

  A model divides a conversion among the eligible touches of its path:

    * `:last_touch` - all to the last one
    * `:first_touch` - all to the first one
    * `:linear` - the same to each
    * `:position_based` - 40 % to the first one, 40 % to the last one, and 20 % to those between,
      in equal parts. Half each if there are two
    * `{:time_decay, half_life}` - the weight of a touch halves with every `half_life` milliseconds
      of its age, which is rounded down to a 256th of the half-life

  All of `:models` are computed, side by side. Credits are integers, and their sums are exact:
  `:credit_micros` add up to the value of the conversion, and `:share_ppm` to 1,000,000. Where a
  number does not divide evenly, the touches with the largest remainders get one more each, and of
  equal remainders the later touches.

  ## Provisional and final

  A conversion is *provisional* until its window of event time is closed: when the clock is
  `:lateness` past its end, as in `AdTally.Meter`. Until then a touch that arrives out of order,
  after the conversion but with an earlier time, changes its credits and raises their `:revision`.
  Then the conversion is *final*, and its credits go to the sinks.

    * A touch whose window is closed is `:late`. It changes no final conversion and is in no row of
      spend. It is kept, for conversions that are provisional or still to come.
    * A conversion whose window is closed is `:late`. It is attributed to the touches that are
      kept at that moment, and is final at once. Its credits go to the sinks with the first window
      that is open.

  Within `:lateness` the result depends on the set of touches and conversions only: every order of
  arrival gives the same credits, as long as no budget is exceeded.

  ## What is kept

  Users, touches, orders and dimensions have limits, and `info/2` counts what has exceeded one. A
  conversion that may have had more eligible touches than were kept says `truncated: true`. A user
  has at most 255 provisional conversions. If there are more, the oldest one becomes final early.
  Without a `:store`, an `AdTally.Store`, nothing is on disk: what is kept is lost with the node, unless
  `export/1` takes it out and `import/2` puts it back. Credits of final conversions are with the sinks.

  Users and orders are kept as hashes under the `:seed`. Two users with the same hash would be taken
  for one. With ten million users, the probability that any two have the same hash is less than one
  in fifty thousand.

  ## When it is down

  As with a meter, every function raises `ArgumentError` while no attribution of that name runs, see
  `AdTally.Meter`. When it is stopped in order, all conversions become final and all windows are
  delivered. Those whose time has not passed are flagged as partial. With a store, conversions and windows
  stay as they are for the next start: see the option `:on_stop`.

  `touch_many/3` and `convert_many/3` raise too if it is stopped meanwhile, unless a part of the list
  was taken already. Then the rest counts as `:late`, and is not taken. So before a planned stop, let
  calls with long lists return.
  """

  alias AdTally.Attribution.{Conversions, Paths, Report, Source, Touches}
  alias AdTally.Attribution.Config
  alias AdTally.{Batch, Conversion, Frame, FrameError, Frames, Named, Native, Options}
  alias AdTally.{StoreError, Touch}
  alias AdTally.Windows
  alias AdTally.Windows.{Deadline, Reader}

  require Named

  @typedoc "An attribution's name."
  @type name :: atom()

  @typedoc "What became of a touch or a conversion."
  @type outcome :: :ok | :duplicate | :late | :future | :busy

  @typedoc "How a conversion is divided among touches."
  @type model ::
          :last_touch
          | :first_touch
          | :linear
          | :position_based
          | {:time_decay, half_life :: pos_integer()}

  @typedoc "Which conversions of an action count."
  @type counting :: :every | :once_per_user | :once_per_touch

  @typedoc """
  What a touch is credited with by one model.

    * `:touch` - the id of the touch. An id that was a binary is given back as its hash
    * `:kind`, `:dimensions`, `:at` - those of the touch. `:dimensions` is `nil` if there were more
      different ones than `:max_keys`
    * `:credit_micros` - its part of the value
    * `:share_ppm` - its part of the conversion, in millionths

  With `collapse: :consecutive` a credit may stand for several touches, of which this is the last.
  Then it also has

    * `:first_at` - the time of the first of them
    * `:repeats` - how many of them came before the last one, at most 8,191
  """
  @type credit :: %{
          required(:touch) => integer(),
          required(:kind) => atom(),
          required(:dimensions) => tuple() | nil,
          required(:at) => non_neg_integer(),
          required(:credit_micros) => integer(),
          required(:share_ppm) => non_neg_integer(),
          optional(:first_at) => non_neg_integer(),
          optional(:repeats) => non_neg_integer()
        }

  @typedoc """
  What a conversion is credited to. For each model it has a list of credits, in the order of touches,
  which is empty if the conversion is unattributed. It also has

    * `:value_micros` - what it is worth now, after `adjust/4`
    * `:counted` - whether it counts. A conversion that does not count, because it is not the first one of
      its user or touch, has no credits
    * `:retracted` - whether it was retracted
    * `:final` - whether its credits are final. Touches may still change those of a provisional one
    * `:revision` - 1, and one more each time that touches have changed its credits since
    * `:truncated` - whether more touches than were kept may have been eligible
  """
  @type credits :: %{
          required(:value_micros) => integer(),
          required(:counted) => boolean(),
          required(:retracted) => boolean(),
          required(:final) => boolean(),
          required(:revision) => pos_integer(),
          required(:truncated) => boolean(),
          optional(model()) => [credit()]
        }

  @typedoc "A time: Unix milliseconds, or a `DateTime`."
  @type time :: non_neg_integer() | DateTime.t()

  @doc """
  The child specification of an attribution. A supervisor may have several attributions.

  The supervisor waits until it has stopped (`shutdown: :infinity`), see `AdTally.Meter.child_spec/1`.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: Windows.child_spec(__MODULE__, options)

  @doc """
  Starts an attribution. As a child of a supervisor it is `{AdTally.Attribution, options}`.

  ## Options

  What is attributed:

    * `:name` - an atom by which it is called: the name of its process, and its key in
      `:persistent_term`. Required.
    * `:dimensions` - the names of one to eight dimensions of touches, atoms that differ not only in
      case. Required. These names are reserved, because they are fields in lines of sinks or rows of
      reports, or columns that engines add: `kind`, `meter`, `node`, `epoch`, `sequence`,
      `partial`, `starts_at`, `ends_at`, `date`, `misfits`, `model`, `order_id`, `action`,
      `touch_id`, `touched_at`, `converted_at`, `adjusted_at`, `conversions_ppm`, `value_micros`,
      `truncated`, `revision`, `touches`, `cost_micros`, `window_start`, `window_end`,
      `window_time`, `filename`, `conversions`, `spend_micros`, `roas`, `cpa_micros`,
      `unattributed`, `overflow`, and all that begin with `_`. A sink may reserve more, see
      `c:AdTally.Sink.reserved_names/1`.
    * `:touches` - the kinds of touches, one to eight, the strongest first, each with its lookback
      in milliseconds: `[click: :timer.hours(24 * 7), view: :timer.hours(24)]`. Required.
    * `:conversions` - the actions, one to 64, each with which of its conversions count:
      `[purchase: :every, signup: :once_per_user, install: :once_per_touch]`. Required.
      * `:every` - all of them
      * `:once_per_user` - for each user the first one, by time
      * `:once_per_touch` - for each touch the first one, by time, of those that have it as their
        last eligible touch. Conversions without an eligible touch all count
    * `:prevail` - whether eligible touches of a stronger kind exclude those of weaker ones.
      Default: `true`.
    * `:models` - one to eight different models, all of which are computed. Default:
      `[:last_touch]`.
    * `:collapse` - `nil`, or `:consecutive`: consecutive touches of the same kind and dimensions
      are one touch in a path, the last of them. So a user who sees the same ad all day takes
      the memory of two touches. Default: `nil`.

  Budgets:

    * `:touches_per_user` - how many touches of a user are kept, the newest ones, 1 to 255.
      Default: 16.
    * `:users` - how many users are kept, with three touches on average. If there are more, the least
      recently touched ones are evicted. Default: 1,000,000.
    * `:orders` - how many conversions are known: provisional ones, and final ones that may still be
      adjusted or delivered again. If there are more, the least recently used ones are evicted.
      Default: 1,000,000.
    * `:adjustable_for` - for how many milliseconds after its time a conversion is known. After that it
      cannot be adjusted, and a copy of it counts as another conversion. Default: 30 days.
    * `:max_keys` - how many different tuples of dimensions touches may have, at most 16,777,214.
      Further touches are credited without dimensions. Default: 100,000.

  Time, windows and sinks, as for a meter, see `AdTally.Meter.start_link/1`:

    * `:window` - milliseconds of a window of event time. Default: a minute.
    * `:lateness` - milliseconds that a window stays open past its end. Default: 5 minutes.
    * `:clock` - `:system` or `:events`. Default: `:system`.
    * `:max_ahead` - how many milliseconds past the system's time a touch, a conversion or an
      adjustment may be. With `clock: :events` nothing is too far ahead, and the option is
      refused. Default: a window.
    * `:seed` - the number under which users and orders are hashed, from 0 to 2^64 - 1. Two
      attributions that exchange exports need the same one. Default: `nil`, for a random one.
    * `:retain` - for how many milliseconds closed windows are kept for `report/2`. Default: an
      hour.
    * `:sinks` - a list of `{module, options}`, see `AdTally.Sink`. They get each window as an
      `AdTally.Attribution.Window`. Default: none.
    * `:max_waiting` - how many closed windows may wait for a sink. If there are more, the oldest are
      dropped, which is logged and counted. Default: 10,000.
    * `:flush` - for how many milliseconds without progress it waits for a sink when it is
      stopped. Default: 4,000.
    * `:store`, `:on_stop` - the name of an `AdTally.Store` that keeps it, and whether a stop leaves windows
      open and conversions provisional (`:keep_open`, the default with a store) or closes them (`:close`).
    * `:telemetry_interval` - milliseconds between two telemetry events of its numbers, see
      `AdTally.Telemetry`. Default: 10,000.
    * `:warning_interval` - milliseconds between two checks, at each of which a warning is logged if more
      than half of what came since the last one was refused, late or future. Default: 60,000.

  Raises `ArgumentError` for an option that is missing, unknown or out of range, and if the options do not fit
  what the store has: the message says what differs.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options), do: options |> Config.new!() |> Windows.start_link()

  @doc """
  Takes a touch.

    * `:ok` - it is taken
    * `:duplicate` - its user has a touch with that id already
    * `:late` - its window is closed: it is kept for conversions to come, and is in no row of
      spend
    * `:future` - its time is too far ahead, and it was not taken
    * `:busy` - its store has no room, and it was not taken, see `AdTally.Store`

  Raises `ArgumentError` for a bad touch, with nothing changed, and if no attribution of that name
  runs.

      iex> options = [name: Touching, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: 1_780_272_000_004, kind: :click, dimensions: {42}}
      iex> AdTally.Attribution.touch(Touching, click)
      :ok
      iex> AdTally.Attribution.touch(Touching, click)
      :duplicate
      iex> AdTally.Attribution.touch(Touching, %{click | kind: :view})
      ** (ArgumentError) expected kind: one of [:click], got: :view
  """
  @spec touch(name(), Touch.t()) :: outcome()
  def touch(name, touch) when is_atom(name),
    do: Native.attribution_touch(Named.fetch!(__MODULE__, name), touch)

  def touch(other, _touch), do: Named.raise_not_running(__MODULE__, other)

  @doc """
  Takes a list of touches, and returns how many had each outcome of `touch/2`.

      iex> options = [name: TouchingMany, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> touches =
      ...>   for id <- [1, 2, 2],
      ...>       do: %AdTally.Touch{id: id, user: "ann", at: 1_780_272_000_004, kind: :click, dimensions: {42}}
      iex> AdTally.Attribution.touch_many(TouchingMany, touches)
      %{ok: 2, duplicate: 1, late: 0, future: 0}

  With `on_refused: :raise`, the default, it raises `ArgumentError` if `touch/2` would raise for any of
  them, and takes none. With `on_refused: :skip` such touches are left out, all others are taken, and
  the map has one more key: `:refused`, a list of `{index, error}` as in
  `AdTally.Meter.record_many/3`. A long list is taken in steps, so it holds no scheduler.
  """
  @spec touch_many(name(), [Touch.t()], on_refused: :raise | :skip) :: counts()
  def touch_many(name, touches, options \\ []),
    do: Batch.take(Touches, running!(name), touches, options)

  @typedoc """
  How many of a list had each outcome, and what was refused with `on_refused: :skip`. With a store, `:busy` is
  how many at the end of the list were not taken.
  """
  @type counts :: %{
          required(:ok) => non_neg_integer(),
          required(:duplicate) => non_neg_integer(),
          required(:late) => non_neg_integer(),
          required(:future) => non_neg_integer(),
          optional(:busy) => non_neg_integer(),
          optional(:refused) => [{index :: non_neg_integer(), %ArgumentError{}}]
        }

  @doc """
  Takes a conversion, and attributes it.

    * `:ok` - it is taken, and provisional until its window is closed
    * `:duplicate` - an order with that id is known already, and stays as it is
    * `:late` - its window is closed: it is attributed to the touches that are kept now, and final
      at once
    * `:future` - its time is too far ahead, and it was not taken
    * `:busy` - its store has no room, and it was not taken, see `AdTally.Store`

  Raises `ArgumentError` for a bad conversion, with nothing changed, and if no attribution of that
  name runs.

      iex> options = [name: Converting, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> order = %AdTally.Conversion{order: "o-9", user: "ann", at: 1_780_272_000_004, action: :purchase}
      iex> AdTally.Attribution.convert(Converting, order)
      :ok
      iex> AdTally.Attribution.convert(Converting, %{order | at: 1_780_272_000_005})
      :duplicate
  """
  @spec convert(name(), Conversion.t()) :: outcome()
  def convert(name, conversion) when is_atom(name),
    do: Native.attribution_convert(Named.fetch!(__MODULE__, name), conversion)

  def convert(other, _conversion), do: Named.raise_not_running(__MODULE__, other)

  @doc """
  Takes a list of conversions, and returns how many had each outcome of `convert/2`.

      iex> options = [name: ConvertingMany, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> order = %AdTally.Conversion{order: 1, user: "ann", at: 1_780_272_000_004, action: :purchase}
      iex> orders = [order, %{order | action: :sale}, %{order | order: 2}, order]
      iex> %{ok: 2, duplicate: 1, refused: [{1, error}]} =
      ...>   AdTally.Attribution.convert_many(ConvertingMany, orders, on_refused: :skip)
      iex> Exception.message(error)
      "expected action: one of [:purchase], got: :sale"

  `on_refused:` is as in `touch_many/3`.
  """
  @spec convert_many(name(), [Conversion.t()], on_refused: :raise | :skip) :: counts()
  def convert_many(name, conversions, options \\ []),
    do: Batch.take(Conversions, running!(name), conversions, options)

  @doc """
  What a conversion is credited to, by every model, or `nil` if its order is not known, or no longer known.

  Here a touch arrives after the conversion and changes its credits, because it is provisional:

      iex> options = [name: Crediting, dimensions: [:campaign], clock: :events, conversions: [purchase: :every]]
      iex> options = options ++ [touches: [click: 604_800_000], models: [:last_touch, :linear]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: at, kind: :click, dimensions: {42}}
      iex> order = %AdTally.Conversion{order: "o-9", user: "ann", at: at + 60, action: :purchase, value_micros: 5}
      iex> :ok = AdTally.Attribution.touch(Crediting, click)
      iex> :ok = AdTally.Attribution.convert(Crediting, order)
      iex> credits = AdTally.Attribution.credits(Crediting, "o-9")
      iex> credits.last_touch
      [%{touch: 7, kind: :click, dimensions: {42}, at: 1_780_272_000_000, credit_micros: 5, share_ppm: 1_000_000}]
      iex> {credits.final, credits.revision}
      {false, 1}
      iex> :ok = AdTally.Attribution.touch(Crediting, %{click | id: 8, at: at + 30, dimensions: {43}})
      iex> credits = AdTally.Attribution.credits(Crediting, "o-9")
      iex> for credit <- credits.linear, do: {credit.dimensions, credit.credit_micros, credit.share_ppm}
      [{{42}, 2, 500_000}, {{43}, 3, 500_000}]
      iex> {credits.final, credits.revision}
      {false, 2}
  """
  @spec credits(name(), Conversion.order()) :: credits() | nil
  def credits(name, order), do: Native.attribution_credits(running!(name), order)

  @doc """
  Changes what a conversion is worth: a refund, in part or in whole.

    * `{:restate, value_micros}` - its value is this one from now on, and not the one before:
      -(2^62 - 1) to 2^62 - 1
    * `:retract` - the conversion did not happen. This cannot be undone

  Touches and shares stay as they are: each touch is credited with its share of the new value. The
  sinks get the difference to the credits before, in rows of their own with `adjusted_at`. So no row
  that was delivered is changed, and all rows of a conversion add up to what it is worth. While a
  conversion is provisional, its adjustments are kept. They are delivered after its credits.

  `at` is the time of the change, in Unix milliseconds. Restatements apply in the order of these
  times: one that is older than the newest one changes nothing, and is `:ok`. Of two with the same
  time, the one with the greater value counts.

    * `:ok` - it is changed, or a newer change was known already
    * `{:error, :unknown}` - no such order is known, or no longer known, see `:orders` and
      `:adjustable_for`
    * `{:error, :retracted}` - it was retracted before
    * `{:error, :future}` - the time is too far ahead
    * `{:error, :busy}` - its store has no room, see `AdTally.Store`

      iex> options = [name: Adjusting, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> order = %AdTally.Conversion{order: 9, user: "ann", at: at, action: :purchase, value_micros: 60_000_000}
      iex> :ok = AdTally.Attribution.convert(Adjusting, order)
      iex> AdTally.Attribution.adjust(Adjusting, 9, {:restate, 20_000_000}, at + 1_000)
      :ok
      iex> AdTally.Attribution.credits(Adjusting, 9).value_micros
      20_000_000
      iex> AdTally.Attribution.adjust(Adjusting, 9, :retract, at + 2_000)
      :ok
      iex> AdTally.Attribution.adjust(Adjusting, 9, {:restate, 60_000_000}, at + 3_000)
      {:error, :retracted}
      iex> AdTally.Attribution.adjust(Adjusting, 10, :retract, at + 3_000)
      {:error, :unknown}
  """
  @spec adjust(
          name(),
          Conversion.order(),
          {:restate, value_micros :: integer()} | :retract,
          at :: non_neg_integer()
        ) ::
          :ok | {:error, :unknown | :retracted | :future | :busy}
  def adjust(name, order, change, at),
    do: Native.attribution_adjust(running!(name), order, change, at)

  @doc """
  Makes one user of two: from now on, everything that is known of `alias`, and everything that comes
  for it, is the user's.

  So the touches of a browser count for the person who has logged in. Final conversions do not
  change, and a link cannot be undone. If one of the two is an alias already, its user is linked, so all
  of them become one. Linking a user to itself does nothing. The newest 255 aliases of a user are kept. An
  older alias becomes a user of its own again.

      iex> options = [name: Linking, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> click = %AdTally.Touch{id: 7, user: {:cookie, "x"}, at: at, kind: :click, dimensions: {42}}
      iex> order = %AdTally.Conversion{order: 9, user: "ann", at: at + 60, action: :purchase}
      iex> :ok = AdTally.Attribution.touch(Linking, click)
      iex> :ok = AdTally.Attribution.link(Linking, {:cookie, "x"}, "ann")
      iex> :ok = AdTally.Attribution.convert(Linking, order)
      iex> for credit <- AdTally.Attribution.credits(Linking, 9).last_touch, do: credit.touch
      [7]
  """
  @spec link(name(), alias :: AdTally.FrequencyCap.user(), user :: AdTally.FrequencyCap.user()) ::
          :ok
  def link(name, alias, user) do
    native = running!(name)

    with linking when linking != :ok <- Native.attribution_link(native, alias, user),
         do: go_on_linking(native, linking)
  end

  defp go_on_linking(native, linking) do
    with :more <- Native.attribution_link_some(native, linking),
         do: go_on_linking(native, linking)
  end

  @doc """
  Forgets a user. When it returns, memory has no touches and aliases of the user any more, and does not know which
  of the user's conversions have counted. The user's orders stay, with their credits but without the user, and can
  still be adjusted.

  Closed windows, and what sinks have, contain no users. With a store, this waits for one write to the disk, and
  the user is gone from its files after at most its `:max_age`. If the disk refuses, it raises
  `AdTally.StoreError`: the user is gone from memory but not from the files, and a restart brings the user back. So
  call it again until it returns `:ok`.

      iex> options = [name: Forgetting, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: at, kind: :click, dimensions: {42}}
      iex> order = %AdTally.Conversion{order: 9, user: "ann", at: at + 60, action: :purchase}
      iex> :ok = AdTally.Attribution.touch(Forgetting, click)
      iex> AdTally.Attribution.forget(Forgetting, "ann")
      :ok
      iex> :ok = AdTally.Attribution.convert(Forgetting, order)
      iex> AdTally.Attribution.credits(Forgetting, 9).last_touch
      []
  """
  @spec forget(name(), user :: AdTally.FrequencyCap.user()) :: :ok
  def forget(name, user) do
    native = running!(name)

    with :store <- Native.attribution_forget(native, user),
         {:error, {kind, reason}} <- Native.attribution_forget_stored(native, user),
         do: raise(StoreError, kind: kind, reason: not_erased(reason))
  end

  defp not_erased(reason) do
    "the user is forgotten in memory, and is still in the files of the store: call forget/2 again, until it " <>
      "returns :ok (#{reason})"
  end

  @report_options [:by, :model, :dated_by, :from, :to, :timeout]

  @typedoc "An option of `report/2`."
  @type report_option ::
          {:by, [dimension_or_action_or_kind :: atom()]}
          | {:model, model()}
          | {:dated_by, :conversion | :touch}
          | {:from, time()}
          | {:to, time()}
          | {:timeout, timeout()}

  @doc """
  Conversions, their value and the spend, grouped by dimensions of touches: a map for each group.

  It covers open windows, with their provisional conversions, and windows that were closed less than
  `:retain` ago.

    * `:by` - dimensions, `:kind` and `:action`, in any order. Default: all dimensions.
    * `:model` - one of `:models`. Default: the first of them.
    * `:dated_by` - which date credits have: that of the `:conversion`, or that of the `:touch`.
      Default: `:conversion`. Adjustments have a date of their own with `:conversion`, and that of the
      touch with `:touch`.
    * `:from`, `:to` - only what is dated in windows that begin at `:from` or later and before
      `:to`, in Unix milliseconds or as a `DateTime`. Default: all.
    * `:timeout` - how many milliseconds it may take, or `:infinity`. After that it exits, as
      `GenServer.call/3` does. Default: 60,000.

  A row has the values of `:by`, and

    * `:conversions` - how many, a float, because a touch may have a part of a conversion.
      `:conversions_ppm` is the same in millionths, exact
    * `:value_micros` - what they are worth
    * `:touches`, `:spend_micros` - how many touches there were, without duplicates and late ones,
      and what they have cost
    * `:roas` - return on ad spend: value divided by spend, `nil` without any spend
    * `:cpa_micros` - cost per action: spend divided by conversions, rounded, `nil` without any
      conversions

  Spend is dated by its touches, whatever `:dated_by` is. It belongs to no action: with `:action` in
  `:by`, the values of `:touches`, `:spend_micros`, `:roas` and `:cpa_micros` are `nil`.

  Groups are sorted by the values of `:by`. After them there may be a map with `unattributed: true`,
  for conversions without an eligible touch, which are always dated by the conversion, and one with
  `overflow: true`, for touches without dimensions because of `:max_keys`. So a report adds up to all
  conversions.

      iex> options = [name: Spending, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> for {id, user, cost} <- [{1, "ann", 200_000}, {2, "ben", 300_000}] do
      ...>   click = %AdTally.Touch{id: id, user: user, at: at, kind: :click, dimensions: {42}, cost_micros: cost}
      ...>   :ok = AdTally.Attribution.touch(Spending, click)
      ...> end
      iex> for {order, user} <- [{1, "ann"}, {2, "eve"}] do
      ...>   order = %AdTally.Conversion{order: order, user: user, at: at, action: :purchase, value_micros: 2_000_000}
      ...>   :ok = AdTally.Attribution.convert(Spending, order)
      ...> end
      iex> [row, %{unattributed: true, conversions: 1.0}] = AdTally.Attribution.report(Spending, by: [:campaign])
      iex> {row.campaign, row.conversions, row.value_micros, row.touches, row.spend_micros}
      {42, 1.0, 2_000_000, 2, 500_000}
      iex> {row.roas, row.cpa_micros}
      {4.0, 500_000}
  """
  @spec report(name(), [report_option()]) :: [map()]
  def report(name, options \\ []) do
    options = Options.known!(options, @report_options)
    time_left = Deadline.new(options, 60_000, {__MODULE__, :report, [name, options]})
    Reader.report({Source, name}, Report, running!(name), options, time_left)
  end

  @path_options [:by, :from, :to, :timeout]

  @typedoc "An option of `paths/2`."
  @type path_option ::
          {:by, [dimension :: atom()]}
          | {:from, time()}
          | {:to, time()}
          | {:timeout, timeout()}

  @typedoc "How many conversions a path led to, and how many users had it and have not converted."
  @type path :: %{
          path: [tuple() | nil],
          conversions: non_neg_integer(),
          value_micros: integer(),
          non_conversions: non_neg_integer()
        }

  @doc """
  Paths, for models that are computed elsewhere from many of them (Markov chains, Shapley values):
  a lazy enumerable of a map for each path.

    * `:path` - the values of the dimensions of `:by` of each touch that is credited, from the first
      to the last
    * `:conversions`, `:value_micros` - how many conversions had this path, and what they are worth,
      adjustments included
    * `:non_conversions` - how many users had this path without a conversion: their touches since
      their last conversion, however old these are

  Conversions without an eligible touch have no path, and are not among them. Nor are those that do
  not count, and those that were retracted.

  Options are `:by` (dimensions, at least one, default: all), `:from`, `:to` and `:timeout`, as in
  `report/2`. Conversions are those of open and of retained windows, at `:from` or later and before
  `:to`. Users without a conversion are those whose last touch was in that time. `path_lines/1`
  writes paths in the format that packages for such models read.

      iex> options = [name: Going, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> for {id, user, campaign} <- [{1, "ann", 42}, {2, "ann", 43}, {3, "ben", 42}] do
      ...>   click = %AdTally.Touch{id: id, user: user, at: at + id, kind: :click, dimensions: {campaign}}
      ...>   :ok = AdTally.Attribution.touch(Going, click)
      ...> end
      iex> order = %AdTally.Conversion{order: 1, user: "ann", at: at + 60, action: :purchase, value_micros: 5}
      iex> :ok = AdTally.Attribution.convert(Going, order)
      iex> paths = AdTally.Attribution.paths(Going)
      iex> Enum.sort(paths)
      [
        %{path: [{42}], conversions: 0, value_micros: 0, non_conversions: 1},
        %{path: [{42}, {43}], conversions: 1, value_micros: 5, non_conversions: 0}
      ]
      iex> paths |> AdTally.Attribution.path_lines() |> Enum.sort() |> Enum.join()
      "42 > 43,1,0.000005,0\\n42,0,0.000000,1\\npath,total_conversions,total_conversion_value,total_null\\n"
  """
  @spec paths(name(), [path_option()]) :: Enumerable.t()
  def paths(name, options \\ []) do
    options = Options.known!(options, @path_options)
    call = {__MODULE__, :paths, [name, options]}
    native = running!(name)

    Reader.stream({Source, name}, Paths, native, options, fn ->
      Deadline.new(options, 60_000, call)
    end)
  end

  @doc """
  The paths of `paths/2` as lines of CSV, a header and a line for each path: a lazy enumerable of
  binaries, in the format that `ChannelAttribution` and other packages for such models read.

      path,total_conversions,total_conversion_value,total_null
      42/7 > 42/8,3,179.970000,41

  The values of a touch's dimensions are joined by `/`, and touches by ` > `. Characters other
  than ASCII letters, digits and `-`, `.`, `_` and `~` are percent-encoded, so a line needs no quotes.
  `URI.decode/1` decodes a value. A touch without dimensions, because of `:max_keys`, is
  `(overflow)`. Values of conversions are in units of the currency, with six decimals.

      AdTally.Attribution.paths(MyApp.Attribution, by: [:campaign])
      |> AdTally.Attribution.path_lines()
      |> Enum.into(File.stream!("paths.csv"))
  """
  @spec path_lines(Enumerable.t()) :: Enumerable.t()
  defdelegate path_lines(paths), to: Paths, as: :lines

  # What of the native numbers is in `:memory`.
  @for_memory [:user_bytes, :order_bytes, :key_bytes, :closed_bytes]

  @doc """
  Everything that is kept of users and conversions, as a stream of frames: binaries of at most 1 MiB,
  see `AdTally.Frame`.

  An export has the touches, the aliases, the conversions that are known, provisional and final ones,
  and which conversions have counted of those that count once. Nothing is taken out of memory. Spend
  and final credits are not in it: they go to `:sinks` with their windows.

  The export begins anew each time the stream is enumerated. The attribution may be in use meanwhile:
  what was there when the export began is in it, and what comes later may or may not be. Frames are
  made one by one, as the stream is read, in calls that hold no scheduler. If the attribution ends
  meanwhile, it raises `ArgumentError`.

      iex> options = [dimensions: [:campaign], touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link([name: Leaving, clock: :events, seed: 7] ++ options)
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: 1_780_272_000_000, kind: :click, dimensions: {42}}
      iex> AdTally.Attribution.touch(Leaving, click)
      :ok
      iex> {:ok, frame} = Leaving |> AdTally.Attribution.export() |> Enum.at(0) |> AdTally.Frame.describe()
      iex> Keyword.take(frame.options, [:seed, :touches, :conversions, :models])
      [seed: 7, touches: [click: 604_800_000], models: [:last_touch], conversions: [purchase: :every]]
  """
  @spec export(name()) :: Enumerable.t()
  def export(name) do
    native = running!(name)
    Frames.export(fn -> Native.attribution_export(native) end)
  end

  @doc """
  Merges an export into an attribution, which may be in use.

  `frames` is an enumerable of binaries: what `export/1` has made, of one or several attributions, in
  any order, or the bytes of a file of it in pieces of any size (`AdTally.Frame.stream!/1`). Two
  attributions that have taken one half of the touches each become one that has taken all of them:

    * Touches are merged by id, and each user's newest ones are kept. They change provisional
      conversions as touches that arrive out of order do, on both sides.
    * Aliases are merged, and so is which conversions have counted. The clock moves to the newest time
      of both.
    * An order that is known already stays as it is.
    * A conversion that was *provisional* stays so if its window is open here, or may still open.
      Otherwise it is final at once, and its credits go to the sinks with the first window that is open,
      like those of a late conversion. A provisional conversion is delivered by each attribution that has
      it when its window is closed, and an orderly stop closes all windows. So for a move, call `close/2`
      before the export. Then every conversion is delivered once.
    * A conversion that was *final* was delivered where it became final, and is not delivered here. But it
      is known: copies of it are duplicates, and `adjust/4` can change it.

  Returns how many `:frames` were taken, how many `:rows` they had, how many frames had been taken
  before and are not taken again (`:already_taken`), and how many rows found no room (`:overflow`):
  touches whose dimensions exceed `:max_keys`, and provisional conversions that are too far ahead or
  come after everything was closed. `:complete?` says whether all frames of every stream were taken.

  `{:error, %AdTally.FrameError{}}` names the frame and the byte that is wrong, or the option in which
  the two differ. `:seed`, `:touches`, `:prevail`, `:collapse`, `:models`, `:conversions`,
  `:touches_per_user`, `:users` and the number of `:dimensions` must be the same. `:orders`,
  `:max_keys`, `:adjustable_for` and the options of windows may differ. After an error, nothing of that
  frame was taken, but the frames before it were: repeat the import once the mistake is corrected. Raises
  `ArgumentError` as other functions do, and if `frames` is not an enumerable of binaries.

      iex> options = [dimensions: [:campaign], touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> options = options ++ [clock: :events, seed: 7]
      iex> for name <- [Before, After], do: {:ok, _} = AdTally.Attribution.start_link([name: name] ++ options)
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: 1_780_272_000_000, kind: :click, dimensions: {42}}
      iex> :ok = AdTally.Attribution.touch(Before, click)
      iex> AdTally.Attribution.import(After, AdTally.Attribution.export(Before))
      {:ok, %{frames: 1, rows: 1, already_taken: 0, overflow: 0, complete?: true}}
      iex> order = %AdTally.Conversion{order: 1, user: "ann", at: 1_780_272_000_060, action: :purchase}
      iex> :ok = AdTally.Attribution.convert(After, order)
      iex> [%{touch: 7, dimensions: {42}}] = AdTally.Attribution.credits(After, 1).last_touch
      iex> AdTally.Attribution.touch(After, click)
      :duplicate
  """
  @spec import(name(), Enumerable.t()) :: {:ok, Frame.imported()} | {:error, FrameError.t()}
  def import(name, frames) do
    native = running!(name)
    Frames.import(frames, &Native.attribution_import(native, &1))
  end

  @doc "As `import/2`, but returns what was taken or raises `AdTally.FrameError`."
  @spec import!(name(), Enumerable.t()) :: Frame.imported()
  def import!(name, frames) do
    native = running!(name)
    Frames.import!(frames, &Native.attribution_import(native, &1))
  end

  @doc """
  Counts of what has come and of what is kept, and memory by part.

    * `:touches`, `:conversions` - how many were `received`, and how many of them were `applied`, `duplicate`,
      `late`, `future`, `refused` and, with a store, `busy`, which add up to it. Refused are those for which a call
      raised, together with all others of the same list. These and other counts are those of this start, also with a
      store
    * `:adjustments` - how many were `applied`, `superseded` by a newer one, and not made because
      the order was `unknown` or `retracted`, the time in the `future`, or an argument wrong
      (`refused`)
    * `:attributed`, `:unattributed`, `:repeated` - final conversions that have an eligible touch,
      that have none, and that do not count
    * `:revised` - how often the credits of a conversion were changed by touches that arrived out of
      order, or with a link
    * `:overflow` - touches whose dimensions exceeded `:max_keys`
    * `:excluded` - the `:cost_micros` of touches that were late or too far ahead, which are in no
      window
    * `:users`, `:kept_touches`, `:orders`, `:keys` - how many there are: users of whom anything
      is known, their touches, orders, and different tuples of dimensions
    * `:evicted_touches`, `:evicted_users`, `:evicted_orders` - how many were evicted because of
      `:touches_per_user`, `:users` or `:orders`
    * `:finalised_early` - conversions that became final before their window was closed, to make room
      for another order, or for another conversion of the same user
    * `:linked`, `:forgotten` - how often users were linked and forgotten
    * `:open_windows`, `:closed_windows` - how many are open, and how many were closed so far
    * `:newest` - the newest time of a touch or a conversion, 0 if there was none
    * `:memory` - bytes by part: `:users` with their touches, most of which is allocated at the start,
      `:orders`, `:keys`, `:open_windows`, `:retained_windows` and `:waiting_windows`, as in
      `AdTally.Meter.info/2`
    * `:memory_bytes` - their sum
    * `:sinks` - as in `AdTally.Meter.info/2`

  The option `:timeout` is that of `AdTally.Meter.info/2`.

      iex> options = [name: Counting, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: 1_780_272_000_000, kind: :click, dimensions: {42}}
      iex> for click <- [click, click, %{click | user: "ben"}], do: AdTally.Attribution.touch(Counting, click)
      [:ok, :duplicate, :ok]
      iex> info = AdTally.Attribution.info(Counting)
      iex> {info.touches.received, info.touches.duplicate, info.users, info.kept_touches}
      {3, 1, 2, 2}
  """
  @spec info(name(), timeout: timeout()) :: map()
  def info(name, options \\ []) do
    options = Options.known!(options, [:timeout])
    time_left = Deadline.new(options, 5_000, {__MODULE__, :info, [name, options]})
    native = running!(name)
    info = Native.attribution_info(native)
    {counts, shown} = info |> Map.drop(@for_memory) |> Map.pop!(:counts)

    shown
    |> Map.merge(counts)
    |> Map.update!(:touches, &received/1)
    |> Map.update!(:conversions, &received/1)
    |> Map.merge(Windows.info({Source, name}, native, info, time_left))
  end

  defp received(outcomes),
    do: Map.put(outcomes, :received, outcomes |> Map.values() |> Enum.sum())

  @doc """
  Makes all conversions final, closes all windows that have anything in them now, and returns once
  every sink has taken them: for tests, and before a planned move. What is closed stays closed, with a store
  after a restart too. It returns what `AdTally.Meter.close/2` returns.

      iex> options = [name: Finishing, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> order = %AdTally.Conversion{order: 9, user: "ann", at: 1_780_272_000_000, action: :purchase}
      iex> :ok = AdTally.Attribution.convert(Finishing, order)
      iex> AdTally.Attribution.credits(Finishing, 9).final
      false
      iex> AdTally.Attribution.close(Finishing)
      :ok
      iex> AdTally.Attribution.credits(Finishing, 9).final
      true
      iex> AdTally.Attribution.convert(Finishing, %{order | order: 10})
      :late
  """
  @spec close(name(), timeout()) :: :ok | {:error, :timeout | :dropped}
  def close(name, timeout \\ 5_000) do
    time_left = Deadline.new([timeout: timeout], 5_000, {__MODULE__, :close, [name, timeout]})
    running!(name)
    Windows.close({Source, name}, time_left)
  end

  defp running!(name) when is_atom(name), do: Named.fetch!(__MODULE__, name)
  defp running!(other), do: Named.raise_not_running(__MODULE__, other)
end
