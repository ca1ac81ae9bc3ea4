defmodule AdTally.Bench.RedisBudgets do
  @moduledoc """
  The contender that keeps budgets in Redis, as many do: a script takes money from a campaign's hash and puts a
  key beside it that expires, another one books the price. Commands are sent a hundred at a time.

  What a reservation holds that expires unconfirmed is lost with its key.
  """

  alias AdTally.Bench.{Budgets, Contender, Redis}

  @batch 100

  # All numbers that the first 32 bits of a hash can be: every request takes part.
  @all 4_294_967_296

  @reserve """
  local pass = redis.call('HGET', KEYS[1], 'pass')
  if not pass then return 'unknown' end
  if tonumber(string.sub(redis.sha1hex(KEYS[2]), 1, 8), 16) >= tonumber(pass) then return 'paced' end
  if redis.call('EXISTS', KEYS[2]) == 1 then return 'reserved' end
  if redis.call('HINCRBY', KEYS[1], 'left', -ARGV[1]) < 0 then
    redis.call('HINCRBY', KEYS[1], 'left', ARGV[1])
    return 'no_budget'
  end
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return 'reserved'
  """

  @confirm """
  local held = redis.call('GETDEL', KEYS[2])
  if not held then return 'unknown' end
  redis.call('HINCRBY', KEYS[1], 'left', held - ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'spent', ARGV[1])
  return 'confirmed'
  """

  @doc "How many reservations are made at once."
  @spec batch() :: pos_integer()
  def batch, do: @batch

  @doc "Reserves and confirms a hundred visits at a time, which divides their number."
  @spec reserve_and_confirm(String.t(), Budgets.t(), keyword()) :: Contender.t()
  def reserve_and_confirm(label, budgets, options) do
    redis = Redis.start()
    names = Enum.map(budgets.campaigns, &name/1)

    for name <- names do
      row = ["pass", @all, "left", Budgets.budget(), "spent", 0]
      3 = Redis.command(redis, ["HSET", name | row])
    end

    [reserve, confirm] =
      for script <- [@reserve, @confirm], do: Redis.command(redis, ["SCRIPT", "LOAD", script])

    {most, price} = Budgets.prices()

    run = fn names ->
      keys = for name <- names, do: {name, [name, ?:, Integer.to_string(Budgets.request())]}
      :ok = pipeline(redis, keys, reserve, [most, 60_000], "reserved")
      pipeline(redis, keys, confirm, [price], "confirmed")
    end

    batches = budgets.visited |> Enum.map(&name/1) |> Enum.chunk_every(@batch)
    options = [operations_per_input: @batch, summary: & &1, expected_summary: :ok] ++ options
    contender = Contender.new(label, batches, run, options)

    spent = fn ->
      for name <- names, do: integer(Redis.command(redis, ["HGET", name, "spent"]))
    end

    left = fn -> for name <- names, do: integer(Redis.command(redis, ["HGET", name, "left"])) end
    Budgets.checked(contender, budgets, spent, left)
  end

  defp name({campaign, creative}), do: "#{campaign}:#{creative}"
  defp integer(text), do: String.to_integer(text)

  # A script's number of keys goes before them.
  defp pipeline(redis, keys, script, arguments, expected) do
    commands = for {name, key} <- keys, do: ["EVALSHA", script, 2, name, key | arguments]
    answers = Redis.pipeline(redis, commands)
    if Enum.all?(answers, &(&1 == expected)), do: :ok, else: answers
  end
end
