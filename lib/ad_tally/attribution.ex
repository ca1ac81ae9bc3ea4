defmodule AdTally.Attribution do
  @moduledoc """
  Which touches a conversion is credited to: decided for each conversion, in the service, to the
  micro, and whatever the order in which touches and conversions arrive.

      children = [
        {AdTally.Attribution,
         name: MyApp.Attribution,
         dimensions: [:campaign, :creative],
         touches: [click: :timer.hours(24 * 7), view: :timer.hours(24)],
         models: [:last_touch, :position_based],
         conversions: [purchase: :every, signup: :once_per_user],
         sinks: [{AdTally.Sink.Files, dir: "credits"}]}
      ]

  Then any process says what happened. Both run in the caller. No message is sent to another
  process:

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

  The guide [Attribution](attribution.html) is about choosing kinds, lookbacks and models, and
  about what it costs.

  ## Which touches are credited

  The *path* of a conversion is made of the newest `:touches_per_user` touches of its user at or
  before it, ordered by time and, where times are equal, by id. Those are *eligible* whose age is
  at most the lookback of their kind. An age is exact, in milliseconds, and both ends count: a
  touch of the same millisecond is eligible, and so is one that is exactly a lookback old. There
  are no calendar days.

  With `prevail: true`, the default, only those of the strongest kind of which any is eligible are
  credited: where a click is eligible, no view is.

  A conversion without an eligible touch is *unattributed*. It is in every report and file, as a
  row of its own.

  ## Models

  A model divides a conversion among the eligible touches of its path, from the first to the last:

    * `:last_touch` - all to the last one
    * `:first_touch` - all to the first one
    * `:linear` - the same to each
    * `:position_based` - 40 % to the first one, 40 % to the last one, and 20 % to those between,
      in equal parts. Half each where there are two
    * `{:time_decay, half_life}` - half as much for every `half_life` milliseconds that a touch is
      older, in steps of a 256th of it

  All of `:models` are computed, beside each other. Credits are integers that sum up exactly:
  those of a conversion's value to the value in micros, and those of the conversion itself to
  1,000,000 parts. What does not divide evenly goes to the touches with the largest remainders,
  one micro each, and among equal ones to the later touch.

  ## Provisional and final

  A conversion is *provisional* until its window of event time is closed: the clock is `:lateness`
  past its end, as in `AdTally.Meter`. Until then a touch that comes late changes its credits, and
  raises their `:revision`. Then it is *final*, and its credits go to the sinks.

    * A touch whose window is closed is `:late`. It changes no final conversion, is in no row of
      spend, and is kept for conversions to come.
    * A conversion whose window is closed is `:late`. It is attributed to the touches that are
      kept at that moment, and is final at once. Its credits go to the sinks with the first window
      that is open.

  Within `:lateness` the result is a function of the set of touches and conversions: every order
  of arrival gives the same credits, as long as no budget is used up.

  ## What is kept

  Users, touches, orders and dimensions have budgets, and `info/2` counts what has exceeded one. A
  conversion that may have had more eligible touches than were kept says so: `truncated: true`.
  Of more than 255 conversions of a user that are provisional the oldest one becomes final before
  its time. Nothing is on disk: what is kept is lost with the node, unless `export/1` takes it out
  and `import/2` puts it back. The sinks have what was final.

  Users and orders are kept as hashes under the `:seed`. Two users of one hash would be one: with
  ten million users the probability that there are any two is less than one in fifty thousand.

  ## When it is down

  As with a meter, every function raises `ArgumentError` while none of that name runs, see
  `AdTally.Meter`. When it is stopped in order, all conversions become final and all windows are
  delivered, flagged as partial where their time has not passed.

  A list that is taken while it is stopped in order raises too, unless some of it was taken: then
  the rest counts as `:late`, and is not taken. So before a planned stop let those that have long
  lists finish.
  """

  alias AdTally.Attribution.{Conversions, Paths, Report, Source, Touches}
  alias AdTally.Attribution.Config
  alias AdTally.{Batch, Conversion, Frame, FrameError, Frames, Named, Native, Options, Touch}
  alias AdTally.Windows
  alias AdTally.Windows.{Deadline, Reader}

  require Named

  @typedoc "An attribution's name."
  @type name :: atom()

  @typedoc "What became of a touch or a conversion."
  @type outcome :: :ok | :duplicate | :late | :future

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

    * `:touch` - its id. One that was a binary is given back as its hash
    * `:kind`, `:dimensions`, `:at` - as it was. `:dimensions` are `nil` where it was one of more
      than `:max_keys` different ones
    * `:credit_micros` - its part of the value
    * `:share_ppm` - its part of the conversion, in millionths

  With `collapse: :consecutive` it may stand for several, of which it is the last, and there are

    * `:first_at` - when the first of them was
    * `:repeats` - how many of them came before it, at most 8,191
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
  What became of a conversion: a list of credits by model, in the order of touches, empty where it
  is unattributed, and

    * `:value_micros` - what it is worth now, after `adjust/4`
    * `:counted` - whether it counts. One that does not, as it is not the first one of its user or
      touch, has no credits
    * `:retracted` - whether it was retracted
    * `:final` - whether touches may still change it
    * `:revision` - 1, and one more for each touch that came late and has changed it
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
  An attribution as a child of a supervisor, which may have several.

  Its supervisor waits for as long as it takes to stop (`shutdown: :infinity`), see
  `AdTally.Meter.child_spec/1`.
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: Windows.child_spec(__MODULE__, options)

  @doc """
  Starts an attribution. As a child of a supervisor it is `{AdTally.Attribution, options}`.

  ## Options

  What is attributed:

    * `:name` - an atom by which it is called: the name of its process, and its key in
      `:persistent_term`. Required.
    * `:dimensions` - names of one to eight dimensions of touches, atoms that differ in more than
      case. Required. These are reserved, because they are fields in lines of sinks or rows of
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
      * `:every` - each one
      * `:once_per_user` - the first one of a user, by time
      * `:once_per_touch` - the first one, by time, of those whose last eligible touch is the
        same. Those without an eligible touch all count
    * `:prevail` - whether eligible touches of a stronger kind exclude those of weaker ones.
      Default: `true`.
    * `:models` - one to eight different ones, all of which are computed. Default:
      `[:last_touch]`.
    * `:collapse` - `nil`, or `:consecutive`: neighbours in a path that have kind and dimensions
      in common are one touch, the last of them. So a user who sees the same ad all day takes the
      room of two touches. Default: `nil`.

  Budgets:

    * `:touches_per_user` - how many touches of a user are kept, the newest ones, 1 to 255.
      Default: 16.
    * `:users` - how many users are kept, with three touches on average. Of more the least
      recently touched goes. Default: 1,000,000.
    * `:orders` - how many conversions are known: those that are provisional, and final ones that
      may still be adjusted, or come again. Of more the least recently used goes. Default:
      1,000,000.
    * `:adjustable_for` - for how many milliseconds after its time a conversion is known. Later it
      cannot be adjusted, and a copy is another conversion. Default: 30 days.
    * `:max_keys` - how many different dimensions touches may have, at most 16,777,214. Those of
      others are credited without dimensions. Default: 100,000.

  Time, windows and sinks, as a meter has them, see `AdTally.Meter.start_link/1`:

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
    * `:max_waiting` - the most closed windows that wait for a sink: beyond that the oldest are
      dropped, which is logged and counted. Default: 10,000.
    * `:flush` - for how many milliseconds without progress it waits for a sink when it is
      stopped. Default: 4,000.
    * `:telemetry_interval` - milliseconds between two telemetry events of its numbers, see
      `AdTally.Telemetry`. Default: 10,000.
    * `:warning_interval` - every so many milliseconds, a warning is logged if more than half of
      what came since then was refused, late or future. Default: 60,000.

  Raises `ArgumentError` for an option that is missing, unknown or out of range.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options), do: options |> Config.new!() |> Windows.start_link()

  @doc """
  Takes a touch.

    * `:ok` - it is taken
    * `:duplicate` - a touch of that id is kept of its user
    * `:late` - its window is closed: it is kept for conversions to come, and is in no row of
      spend
    * `:future` - its time is too far ahead, and it was not taken

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
  Takes a list of touches: how many had each outcome of `touch/2`.

      iex> options = [name: TouchingMany, dimensions: [:campaign], clock: :events]
      iex> options = options ++ [touches: [click: 604_800_000], conversions: [purchase: :every]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> touches =
      ...>   for id <- [1, 2, 2],
      ...>       do: %AdTally.Touch{id: id, user: "ann", at: 1_780_272_000_004, kind: :click, dimensions: {42}}
      iex> AdTally.Attribution.touch_many(TouchingMany, touches)
      %{ok: 2, duplicate: 1, late: 0, future: 0}

  With `on_refused: :raise`, the default, raises `ArgumentError` if any of them is no touch that
  `touch/2` would take; none is taken then. With `on_refused: :skip` those are left out, all
  others are taken, and the map has one more key: `:refused`, a list of `{index, error}` as in
  `AdTally.Meter.record_many/3`. A long list holds no scheduler: it is taken in steps.
  """
  @spec touch_many(name(), [Touch.t()], on_refused: :raise | :skip) :: counts()
  def touch_many(name, touches, options \\ []),
    do: Batch.take(Touches, running!(name), touches, options)

  @typedoc "How many of a list had each outcome, and what was refused with `on_refused: :skip`."
  @type counts :: %{
          required(:ok) => non_neg_integer(),
          required(:duplicate) => non_neg_integer(),
          required(:late) => non_neg_integer(),
          required(:future) => non_neg_integer(),
          optional(:refused) => [{index :: non_neg_integer(), %ArgumentError{}}]
        }

  @doc """
  Takes a conversion, and attributes it.

    * `:ok` - it is taken, and provisional until its window is closed
    * `:duplicate` - an order of that id is known. The first one stays as it is
    * `:late` - its window is closed: it is attributed to the touches that are kept now, and final
      at once
    * `:future` - its time is too far ahead, and it was not taken

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
  Takes a list of conversions: how many had each outcome of `convert/2`.

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
  What a conversion is credited to, by every model, or `nil` if its order is not known (any more).

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

  A touch that comes late changes it while it is provisional:

      iex> options = [name: Revising, dimensions: [:campaign], clock: :events, conversions: [purchase: :every]]
      iex> options = options ++ [touches: [click: 604_800_000], models: [:last_touch, :linear]]
      iex> {:ok, _attribution} = AdTally.Attribution.start_link(options)
      iex> at = 1_780_272_000_000
      iex> click = %AdTally.Touch{id: 7, user: "ann", at: at, kind: :click, dimensions: {42}}
      iex> order = %AdTally.Conversion{order: "o-9", user: "ann", at: at + 60, action: :purchase, value_micros: 5}
      iex> :ok = AdTally.Attribution.touch(Revising, click)
      iex> :ok = AdTally.Attribution.convert(Revising, order)
      iex> :ok = AdTally.Attribution.touch(Revising, %{click | id: 8, at: at + 30, dimensions: {43}})
      iex> credits = AdTally.Attribution.credits(Revising, "o-9")
      iex> for credit <- credits.linear, do: {credit.dimensions, credit.credit_micros, credit.share_ppm}
      [{{42}, 2, 500_000}, {{43}, 3, 500_000}]
      iex> {credits.final, credits.revision}
      {false, 2}
  """
  @spec credits(name(), Conversion.order()) :: credits() | nil
  def credits(name, order), do: Native.attribution_credits(running!(name), order)

  @doc """
  Changes what a conversion is worth: a refund, in part or in whole.

    * `{:restate, value_micros}` - it is worth this instead of what it was worth before, -(2^62 -
      1) to 2^62 - 1
    * `:retract` - it did not happen. This is final

  The touches and their shares stay as they are: each one's credit becomes its part of the new
  value. What goes to the sinks is the difference to what was credited before, in rows of their
  own with `adjusted_at`. So no row that was delivered is changed, and the sum of all is what the
  conversion is worth. While the conversion is provisional its adjustments are kept, and follow
  its credits.

  `at` is when it was changed, in Unix milliseconds. Restatements apply in the order of these
  times: one that is older than the newest one changes nothing and is `:ok`. Of two of the same
  time the greater value stays.

    * `:ok` - it is changed, or something newer was known already
    * `{:error, :unknown}` - no such order is known (any more), see `:orders` and
      `:adjustable_for`
    * `{:error, :retracted}` - it was retracted before
    * `{:error, :future}` - the time is too far ahead

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
          :ok | {:error, :unknown | :retracted | :future}
  def adjust(name, order, change, at),
    do: Native.attribution_adjust(running!(name), order, change, at)

  @doc """
  Makes one user of two: what is known of `alias` is the user's from now on, and whatever comes
  for `alias`.

  So the touches of a browser count for the person who has logged in. Final conversions do not
  change, and there is no way back. Where one of them is an alias already, it is its user who is
  meant: then all of them are one. Linking a user to itself does nothing. Of a user the newest 255
  aliases are kept; an older one is a user of its own again.

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
  Forgets a user: the touches, aliases and marks are gone from memory when it returns, and its
  conversions do not know any more whose they are. They stay, with their credits, and may be
  adjusted by their order.

  Closed windows and what sinks have has no user in it.

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
  def forget(name, user), do: Native.attribution_forget(running!(name), user)

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
  Conversions, their value and what was spent, by dimensions of touches: a map for each group, of
  what is open, provisional conversions included, and of windows that were closed less than
  `:retain` ago.

    * `:by` - dimensions, `:kind` and `:action`, in any order. Default: all dimensions.
    * `:model` - one of `:models`. Default: the first of them.
    * `:dated_by` - when credit is given: at the time of the `:conversion`, or of the `:touch`.
      Default: `:conversion`. What an adjustment changes is dated by the adjustment itself, or by
      the touch.
    * `:from`, `:to` - only what is dated in windows that begin at `:from` or later and before
      `:to`, in Unix milliseconds or as a `DateTime`. Default: all.
    * `:timeout` - for how many milliseconds it may take, or `:infinity`. Then it exits, as
      `GenServer.call/3` does. Default: 60,000.

  A row has the values of `:by`, and

    * `:conversions` - how many, a float: a touch may have a part of one. `:conversions_ppm` is
      the same in millionths, exact
    * `:value_micros` - what they are worth
    * `:touches`, `:spend_micros` - how many touches there were, and what they have cost. Not
      those that were duplicates or late
    * `:roas` - value divided by spend, `nil` without any spend
    * `:cpa_micros` - spend divided by conversions, rounded, `nil` without any conversions

  Spend is dated by its touches, whatever `:dated_by` is. It has no action: with `:action` in
  `:by` `:touches`, `:spend_micros`, `:roas` and `:cpa_micros` are `nil`.

  Groups come in the order of the values of `:by`. Then there may be a map with
  `unattributed: true`, for conversions without an eligible touch, which are dated by the
  conversion, and one with `overflow: true`, for touches whose dimensions were more than
  `:max_keys`. So the sums of a report are those of all conversions.

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

  @typedoc "How often users have gone a path, and what came of it."
  @type path :: %{
          path: [tuple() | nil],
          conversions: non_neg_integer(),
          value_micros: integer(),
          non_conversions: non_neg_integer()
        }

  @doc """
  Paths, for models that are computed elsewhere from many of them (Markov chains, Shapley values):
  a lazy enumerable of a map for each path.

    * `:path` - the values of the dimensions of `:by` of each touch, from the first to the last
    * `:conversions`, `:value_micros` - how many conversions had it, and what they are worth,
      adjustments included
    * `:non_conversions` - how many users have gone it and not converted: it is that of their touches
      since their last conversion, however old they are

  Conversions without an eligible touch have no path, and are not in it.

  Options are `:by` (dimensions, at least one, default: all), `:from`, `:to` and `:timeout` as in `report/2`;
  conversions are those whose time is `:from` or later and before `:to`, of open windows and of
  those that are retained, and users those whose last touch is. `path_lines/1` writes them as
  packages for such models read them.

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
  The paths of `paths/2` as lines of CSV, a header and a line for each path, as a
  lazy enumerable of binaries: what the packages `ChannelAttribution` and others for such models
  read.

      path,total_conversions,total_conversion_value,total_null
      42/7 > 42/8,3,179.970000,41

  The values of a touch's dimensions are joined by `/`, and touches by ` > `. Other characters
  than letters, digits and `-`, `.`, `_` and `~` are percent-encoded, so a line has no quotes, and
  each value can be told again by `URI.decode/1`. A touch whose dimensions were more than
  `:max_keys` is `(overflow)`. Values are units of the currency, with all six digits.

      AdTally.Attribution.paths(MyApp.Attribution, by: [:campaign])
      |> AdTally.Attribution.path_lines()
      |> Enum.into(File.stream!("paths.csv"))
  """
  @spec path_lines(Enumerable.t()) :: Enumerable.t()
  defdelegate path_lines(paths), to: Paths, as: :lines

  # What of the native numbers is in `:memory`.
  @for_memory [:user_bytes, :order_bytes, :key_bytes, :closed_bytes]

  @doc """
  What is known of users and conversions, as a stream of frames: binaries of at most 1 MiB, see `AdTally.Frame`.

  These are the touches that are kept, aliases, which conversions were counted of those that are counted once, and
  the conversions that are known, provisional and final ones. Nothing is taken out. Spend and final credits are not
  in it: they leave with their windows, by `:sinks`.

  The export begins anew each time the stream is enumerated. Others may tell of touches and conversions meanwhile: what was
  there when it began is in it, and of what comes later some is and some is not. It is made a frame at a time, as
  the stream is read, in calls that hold no scheduler. If the attribution ends meanwhile, it raises `ArgumentError`.

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
  Unites what was exported with what is known.

  `frames` is an enumerable of binaries: what `export/1` made, of one or several attributions, in any order, or
  the bytes of a file of it in pieces of any size (`AdTally.Frame.stream!/1`). It may be in use meanwhile. Two attributions
  that were told one half of the touches each are united one that was told all of them:

    * Touches are a set by id, of which each user's newest ones are kept. They change provisional
      conversions as touches that come late do, and those that were exported with them.
    * Aliases and marks of what was counted are united. Time moves to the newest of both.
    * An order that is known stays as it is.
    * A conversion that was *provisional* is so here, if its window is open or may begin. Otherwise touches cannot change it
      any more: it is final at once, and its credits go to the sinks with the first window that is open, as those of one that
      comes late do. Whoever has it when its window is closed delivers it, and a stop in order closes all windows. So for a
      move call `close/2` before the export: what is final is delivered once.
    * A conversion that was *final* was delivered where it became final. It is known here, for copies of it and for `adjust/4`.

  Returns how many `:frames` were taken, how many `:rows` they had, how many frames were
  `:already_taken` before, which are not taken again, and how much found no room (`:overflow`): touches whose dimensions
  are more than `:max_keys`, and provisional conversions that are too far ahead, or come once everything is closed.
  `:complete?` tells whether all frames of every stream that was met were taken.

  `{:error, %AdTally.FrameError{}}` names the frame and the byte that is wrong, or the option in which
  the two differ: `:seed`, `:touches`, `:prevail`, `:collapse`, `:models`, `:conversions`, `:touches_per_user`, `:users` and the
  number of `:dimensions` must be the same. `:orders`, `:max_keys`, `:adjustable_for` and what windows there are may
  differ. Nothing of that frame was taken then. The frames before it were, and stay: repeat the import when the mistake is
  mended. Raises `ArgumentError` as other functions, and for what is no enumerable of binaries.

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
  Its numbers.

    * `:touches`, `:conversions` - how many were `received`, and of those `applied`, `duplicate`,
      `late`, `future` and `refused`, which add up to it. Refused are those that raised, together
      with all of their list
    * `:adjustments` - how many were `applied`, `superseded` by a newer one, and not made because
      the order was `unknown` or `retracted`, the time in the `future`, or an argument wrong
      (`refused`)
    * `:attributed`, `:unattributed`, `:repeated` - final conversions that have a touch, that have
      none, and that do not count
    * `:revised` - how often a touch that came late has changed the credits of a conversion
    * `:overflow` - touches whose dimensions were more than `:max_keys`
    * `:excluded` - the `:cost_micros` of touches that were late or too far ahead, which are in no
      window
    * `:users`, `:kept_touches`, `:orders`, `:keys` - how many there are: users of whom anything
      is known, their touches, orders, and different dimensions
    * `:evicted_touches`, `:evicted_users`, `:evicted_orders` - how many had to go because
      `:touches_per_user`, `:users` or `:orders` are reached. `:finalised_early` are conversions
      that became final before their time, for another order or another one of their user
    * `:linked`, `:forgotten` - how often users were
    * `:open_windows`, `:closed_windows` - how many there are, and were
    * `:newest` - the newest time of a touch or a conversion, 0 if there was none
    * `:memory` - what it takes, in bytes, by what it is for: `:users` with their touches, which
      is there from the start, `:orders`, `:keys`, `:open_windows`, `:retained_windows` and
      `:waiting_windows`, as those of `AdTally.Meter.info/2`
    * `:memory_bytes` - their sum
    * `:sinks` - as of `AdTally.Meter.info/2`

  The option `:timeout` is as of `AdTally.Meter.info/2`.

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
  every sink has taken them: for tests, and before a planned move. As `AdTally.Meter.close/2`.

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
