defmodule AdTally.Bench.Touches do
  @moduledoc """
  Contenders that keep touches of users drawn at random from those who have two or three. A touch is
  of one of 10,000 creatives in 200 campaigns, and has a cost.

  All of ours share a table, so that they find it alike, and no touch comes twice: in the loop each is
  given another id, and another user than in the pass before. All passes together bring as few as leave
  users with three on average: one with more has its touches in more cache lines.
  """

  import Bitwise

  alias AdTally.{Attribution, Touch}
  alias AdTally.Bench.{Contender, Stores}

  @begin 1_780_272_000_000
  @hour 3_600_000
  @day 24 * @hour
  @year 365 * @day
  @batch 100
  @preloaded_at_once 1_000
  @keys 10_000
  @campaigns 200
  @touches_per_user 16

  @enforce_keys [:name, :users, :bytes, :touches, :store]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          name: Attribution.name(),
          users: pos_integer(),
          bytes: float(),
          touches: :counters.counters_ref(),
          store: AdTally.Store.name() | nil
        }

  @doc "A table in which so many users have two or three touches; `:store` is whether it has one."
  @spec table(pos_integer(), keyword()) :: t()
  def table(users, options \\ []) do
    {store, []} = Stores.pop(options)
    name = start(users, store)
    of_each = fn user -> for turn <- 1..earlier(user), do: earlier(user, turn) end
    preload(name, 1..users, of_each)
    %{memory: memory, touches: %{applied: touches}} = Attribution.info(name)
    counter = :counters.new(1, [:write_concurrency])
    :counters.add(counter, 1, touches)
    bytes = Float.round(memory.users / touches, 1)
    %__MODULE__{name: name, users: users, bytes: bytes, touches: counter, store: store}
  end

  @doc "Bytes of its memory for each touch that it had at first."
  @spec bytes(t()) :: float()
  def bytes(table), do: table.bytes

  @doc "Starts an attribution of two models that closes nothing and ends with the calling process."
  @spec start(pos_integer(), AdTally.Store.name() | nil) :: Attribution.name()
  def start(users, store \\ nil) do
    name = :"#{__MODULE__}.#{System.unique_integer([:positive])}"

    {:ok, _attribution} =
      Attribution.start_link(
        Stores.option(store) ++
          [
            name: name,
            dimensions: [:campaign, :creative],
            touches: [click: 7 * @day, view: @day],
            prevail: true,
            models: [:last_touch, :position_based],
            conversions: [purchase: :every],
            touches_per_user: @touches_per_user,
            users: users,
            orders: 10_000_000,
            clock: :events,
            window: @hour,
            lateness: @year,
            retain: 1
          ]
      )

    name
  end

  @doc "Takes the touches of many users, from two processes."
  @spec preload(Attribution.name(), Range.t(), (pos_integer() -> [Touch.t()])) :: :ok
  def preload(name, users, touches) do
    users
    |> Stream.chunk_every(@preloaded_at_once)
    |> Task.async_stream(
      fn users ->
        touches = Enum.flat_map(users, touches)
        %{ok: count} = Attribution.touch_many(name, touches)
        ^count = length(touches)
      end,
      ordered: false,
      max_concurrency: 2,
      timeout: :infinity
    )
    |> Stream.run()
  end

  # How many touches a user has had.
  defp earlier(user), do: 2 + (user &&& 1)

  defp earlier(user, turn) do
    new(user <<< 6 ||| turn, user, @begin + turn * 1_000, mixed(user + turn))
  end

  @doc "A touch: its id, user and time, and a number that looks random."
  @spec new(integer(), pos_integer(), pos_integer(), non_neg_integer()) :: Touch.t()
  def new(id, user, at, random) do
    key = rem(random, @keys)

    %Touch{
      id: id,
      user: user,
      at: at,
      kind: if(rem(random, 16) == 0, do: :click, else: :view),
      dimensions: {rem(key, @campaigns), key},
      cost_micros: 1_250
    }
  end

  @doc "A number below 2^28 that looks random, without one that is no small integer on the way."
  @spec mixed(non_neg_integer()) :: non_neg_integer()
  def mixed(n) do
    n = band(n * 0x1B873593, 0xFFFFFFF)
    n = band(bxor(n, n >>> 13) * 0x19D699A5, 0xFFFFFFF)
    bxor(n, n >>> 14)
  end

  # Touches of random users, a hundred at a time.
  defp batches(count, users) do
    for first <- 0..(count - 1)//@batch do
      for n <- first..(first + @batch - 1) do
        random = mixed(n)
        new(n, rem(random, users), @begin + 60_000, mixed(random))
      end
    end
  end

  # In each process of each pass they have other ids and users.
  defp made(batch, users) do
    process = :erlang.phash2(self(), 1 <<< 24)
    made(batch, 1 <<< 56 ||| process <<< 24, process, users)
  end

  defp made([], _id, _shift, _users), do: []

  defp made([touch | batch], id, shift, users) do
    touch = %{touch | id: id ||| touch.id, user: 1 + rem(touch.user + shift, users)}
    [touch | made(batch, id, shift, users)]
  end

  @doc "`AdTally.Attribution.touch/2`, one touch after the other."
  @spec touch(String.t(), t(), pos_integer(), keyword()) :: Contender.t()
  def touch(label, %{name: name} = table, count, options) do
    act = fn touches ->
      Enum.each(touches, &(:ok = Attribution.touch(name, &1)))
      :counters.add(table.touches, 1, @batch)
    end

    contender(label, table, count, act, [{:check, check(table)} | options])
  end

  @doc "`AdTally.Attribution.touch_many/2`, a hundred touches a call."
  @spec touch_many(String.t(), t(), pos_integer(), keyword()) :: Contender.t()
  def touch_many(label, %{name: name} = table, count, options) do
    act = fn touches ->
      %{ok: @batch} = Attribution.touch_many(name, touches)
      :counters.add(table.touches, 1, @batch)
    end

    contender(label, table, count, act, [{:check, check(table)} | options])
  end

  # Those of all contenders together.
  defp check(table) do
    fn _passes ->
      {:counters.get(table.touches, 1), Attribution.info(table.name).touches.applied}
    end
  end

  @doc "`:ets.update_counter/3` of the user, on as many rows."
  @spec ets(String.t(), t(), pos_integer(), keyword()) :: Contender.t()
  def ets(label, table, count, options) do
    rows = :ets.new(:bench, [:set, :public])
    for user <- 1..table.users, do: :ets.insert(rows, {user, 0})
    act = fn touches -> Enum.each(touches, &:ets.update_counter(rows, &1.user, {2, 1})) end
    counted = fn -> :ets.foldl(fn {_user, count}, sum -> sum + count end, 0, rows) end
    check = fn passes -> {passes * count, counted.()} end
    contender(label, table, count, act, [{:check, check} | options])
  end

  @doc """
  The same job with ETS, right for one process only: a row of touches for each user, the newest first,
  that is written anew, and a row of spend for each creative and kind.
  """
  @spec ets_job(String.t(), t(), pos_integer(), keyword()) :: Contender.t()
  def ets_job(label, table, count, options) do
    users = :ets.new(:bench, [:set, :public])
    spend = :ets.new(:bench, [:set, :public])

    for user <- 1..table.users do
      touches = for turn <- earlier(user)..1//-1, do: user |> earlier(turn) |> row()
      :ets.insert(users, {user, touches})
    end

    act = fn touches -> Enum.each(touches, &keep(users, spend, &1)) end
    counted = fn -> :ets.foldl(fn {_key, count, _cost}, sum -> sum + count end, 0, spend) end
    check = fn passes -> {passes * count, counted.()} end
    contender(label, table, count, act, [{:check, check} | options])
  end

  defp row(touch), do: {touch.id, touch.at, touch.kind, touch.dimensions}

  defp keep(users, spend, touch) do
    touches = :ets.lookup_element(users, touch.user, 2)

    if List.keymember?(touches, touch.id, 0) do
      :duplicate
    else
      {newer, older} = Enum.split_while(touches, &(elem(&1, 1) > touch.at))
      touches = Enum.take(newer ++ [row(touch) | older], @touches_per_user)
      :ets.insert(users, {touch.user, touches})
      key = {div(touch.at, @hour), touch.dimensions, touch.kind}
      :ets.update_counter(spend, key, [{2, 1}, {3, touch.cost_micros}], {key, 0, 0})
      :ok
    end
  end

  # The size of a batch divides the number of touches.
  defp contender(label, %{users: users} = table, count, act, options) do
    empty = fn -> Stores.empty(table.store) end
    options = [operations_per_input: @batch, make: &made(&1, users), prepare: empty] ++ options
    Contender.new(label, batches(count, users), act, options)
  end
end
