defmodule AdTally.Windows.Source do
  @moduledoc false
  # What makes windows of event time, a meter or an attribution, as the processes know it that close its
  # windows and deliver them. All that differs between the two is here.
  #
  #     Server ── closes, by the clock ──> Delivery ──> a sink          config.source is the module
  #        └─ native table                                             {source, name} is one of its tables

  alias AdTally.Metrics.Parts
  alias AdTally.Named
  alias AdTally.Store.Part

  @typedoc "One that runs."
  @type t :: {source :: module(), name :: atom()}

  @typedoc "The native table."
  @type native :: reference()

  @typedoc "What is in the entry of its name: the native table, and what else its functions need."
  @type value :: term()

  @typedoc "A window: from when until when, how many rows, and the native window."
  @type period :: {non_neg_integer(), pos_integer(), non_neg_integer(), window :: reference()}

  @typedoc "A period, and the window's shape, number, whether it was closed early, and on which node."
  @type found ::
          {non_neg_integer(), pos_integer(), non_neg_integer(), window :: reference(), String.t(),
           sequence :: pos_integer() | nil, partial :: boolean() | nil, node :: String.t() | nil}

  @typedoc """
  A process of its own that is flushed as deliveries are: the reason with which the server stops if it ends,
  and, after a number, what is lost with it.
  """
  @type part :: {pid(), stop :: atom(), lost :: String.t()}

  @doc "The module that users know it by."
  @callback module() :: module()

  @doc "The key of its name in the metadata of telemetry, and what its own telemetry events begin with."
  @callback key() :: atom()

  @doc "Makes the native table. The argument is that of the configuration, which is not kept."
  @callback new(table :: term()) :: native()

  @doc "The same at a place in a store, with the shapes of before as `c:old/1` returns them."
  @callback new_in(Part.place(), olds :: [tuple()], table :: term()) :: term()

  @doc "A shape of an earlier start as native code reads its windows."
  @callback old(shape :: String.t()) :: tuple()

  @doc "The names in rows of windows of such a shape, of which the last argument are those of now."
  @callback names(shape :: String.t(), names :: map()) :: map()

  @doc """
  What its name's entry has, the processes that it needs beside it, and what these count, for metrics. No window was
  closed yet.
  """
  @callback started(config :: map(), native(), emitter :: pid()) ::
              {value(), [part()], [Parts.counters()]}

  @doc "Closes windows whose time has passed: some, and whether there are more."
  @callback close(native(), now :: non_neg_integer()) :: {[period()], more? :: boolean()}

  @doc "Closes the window of a time and those before: some, and whether there are more."
  @callback close_through(native(), at :: non_neg_integer()) :: {[period()], more? :: boolean()}

  @doc "Closes all windows, and refuses what comes afterwards."
  @callback stop(native()) :: {[period()], more? :: boolean()}

  @doc """
  Closed windows in a store that are not gone, in the order of their numbers. Those that have none yet are the
  last ones: they are of another shape, or the process ended before they had one.
  """
  @callback undelivered(native()) :: [found()]

  @doc "The greatest number that a window of a store was ever given."
  @callback sequence(native()) :: non_neg_integer()

  @doc "Records in a store that windows were closed, under these numbers."
  @callback closed(
              native(),
              [{window :: reference(), sequence :: pos_integer()}],
              partial :: boolean(),
              node :: String.t(),
              now :: non_neg_integer()
            ) :: :ok

  @doc "Records in a store that nothing will ask for these windows any more."
  @callback gone(native(), [window :: reference()]) :: :ok

  @doc "Some open windows, the first ones that begin at a time or later."
  @callback open(native(), from :: non_neg_integer()) :: [period()]

  @doc "The last time that an open window may be of, or nil if nothing was counted yet."
  @callback last_time(native()) :: non_neg_integer() | nil

  @doc "Its numbers."
  @callback info(native()) :: %{
              required(:newest) => non_neg_integer(),
              required(:open_windows) => non_neg_integer(),
              required(:closed_bytes) => non_neg_integer(),
              optional(atom()) => term()
            }

  @doc "What was received so far, by what became of it. Numbers that never fall."
  @callback counts(info :: map()) :: %{atom() => non_neg_integer()}

  @doc "What telemetry measures of such counts of an interval."
  @callback measurements(counts :: map()) :: map()

  @doc """
  Warnings of an interval of so many milliseconds in which most of what came was of no use. `newest` is the
  newest time, where that is the clock, or nil.
  """
  @callback warnings(
              native(),
              counts :: map(),
              interval :: pos_integer(),
              newest :: non_neg_integer() | nil
            ) :: [String.t()]

  @doc "Bytes that it takes, by what for, without closed windows. `info` is its `info/1`."
  @callback memory(value(), info :: map()) :: %{atom() => non_neg_integer()}

  @doc "The struct that sinks get, of its fields that all windows have and the names of the configuration."
  @callback window(name :: atom(), fields :: map(), names :: map()) :: struct()

  @doc "Bytes of a window."
  @callback window_bytes(window :: reference()) :: non_neg_integer()

  @doc "What telemetry measures of a closed window."
  @callback window_measurements(window :: reference()) :: map()

  @doc "What it is called in the log."
  @spec shown(t()) :: String.t()
  def shown({source, name}), do: "#{inspect(source.module())} #{inspect(name)}"

  @doc "The metadata by which telemetry knows it."
  @spec metadata(t()) :: map()
  def metadata({source, name}), do: %{source.key() => name}

  @doc "Raises that none of that name runs."
  @spec raise_not_running(t()) :: no_return()
  def raise_not_running({source, name}), do: Named.raise_not_running(source.module(), name)
end
