defmodule AdTally.FrequencyCap.OperationsTest do
  # Every operation on frequency caps in random order, beside a model that keeps the time of every
  # event that was counted and not released. The same as native/ad_tally_core/tests/
  # frequency_cap_operations.rs, through the functions that a service calls.
  use ExUnit.Case, async: true

  alias AdTally.FrequencyCap
  alias AdTally.Test.FrequencyCapModel, as: Model

  @second 1_000
  @minute 60 * @second
  @hour 60 * @minute
  @day 24 * @hour
  # In 2001: what is replayed may be of any year that has passed.
  @begin 1_000_000_000_000
  @run 500

  # When clocks in Germany were set back in that year, and forward.
  @changes [1_004_230_800_000, 985_482_000_000]

  # In the fifth and the last one the ticks of a tier lie across those of the next one.
  @tiers [
    [{5 * @minute, 14 * @day}],
    [{@second, @hour}],
    [{5 * @minute, 14 * @day}, {@hour, 90 * @day}],
    [{@minute, @day}, {@hour, 30 * @day}],
    [{7 * @second, 6 * @hour}, {@minute, 2 * @day}],
    [{@minute, @day}, {5 * @minute, 10 * @day}, {@hour, 60 * @day}],
    [{5 * @second, 5 * @hour}, {7 * @minute, 40 * @hour}, {90 * @minute, 90 * @day}]
  ]

  test "no rule is passed by any sequence of 20,000 operations" do
    operate(20_000, 1_000_000_000)
  end

  @tag :exhaustive
  @tag timeout: 3_600_000
  test "no rule is passed by any sequence of two million operations" do
    operate(2_000_000, 100_000)
  end

  defp operate(operations, progress) do
    seed = String.to_integer(System.get_env("SEED") || "#{:rand.uniform(1_000_000)}")
    :rand.seed(:exsss, seed)

    shapes =
      for tiers <- @tiers,
          lifetime <- [true, false],
          bits <- [16, 64],
          do: {tiers, lifetime, bits}

    counts =
      Enum.reduce(1..div(operations, @run)//1, %{}, fn number, counts ->
        shape = Enum.at(shapes, rem(number, length(shapes)))
        counts = Enum.reduce(1..@run, run(seed, shape, counts), &operate_once/2).counts

        if rem(number * @run, progress) == 0,
          do: IO.puts("seed #{seed}: #{number * @run} operations, 0 rules passed")

        counts
      end)

    for what <- [:admitted, :capped, :together, :recorded, :released, :not_found, :refused],
        do: assert(counts[what] > div(operations, 1_000), "#{inspect(counts)}")
  end

  defp run(seed, {tiers, lifetime, bits}, counts) do
    # With 16 bits so many lines that hardly ever two pairs look alike, or a release of what never
    # was could find another pair's event.
    capacity = if bits == 16, do: 10_000, else: Enum.random([1, 10, 100])
    [{_granularity, horizon} | _] = tiers

    run = %{
      seed: seed,
      tiers: tiers,
      lifetime: lifetime,
      horizon: horizon,
      # Time passes by few ticks, so that pairs have more events than are kept.
      slow: :rand.uniform(10) <= 6,
      caps:
        FrequencyCap.new(
          capacity: capacity,
          max_capacity: capacity * Enum.random([1, 2, 16]),
          tiers: tiers,
          lifetime: lifetime,
          fingerprint_bits: bits
        ),
      model: %{},
      now: Enum.random([@begin + 30 * @day | @changes]) - :rand.uniform(3 * @day),
      sets: [],
      counts: counts
    }

    %{run | sets: for(_ <- 1..3, do: set(run))}
  end

  # Rules that the tiers serve, compiled or not.
  defp set(run) do
    rules = for _ <- 1..Enum.random(1..3), do: rule(run)
    compiled = FrequencyCap.rules!(rules)
    FrequencyCap.opens_at(run.caps, :ad, 0, compiled, run.now)
    {rules, Enum.random([rules, compiled])}
  rescue
    # No tier covers them, or midnight lies within a tick.
    ArgumentError -> set_again(run)
  end

  defp set_again(run) do
    rules = for _ <- 1..Enum.random(1..3), do: rolling(run)
    {rules, Enum.random([rules, FrequencyCap.rules!(rules)])}
  end

  defp rule(run) do
    case :rand.uniform(10) do
      1 -> {max(), {:day, Enum.random(["Europe/Berlin", Enum.random(-12..12) * @hour])}}
      2 when run.lifetime -> {max() * Enum.random([1, 5]), :lifetime}
      _ -> rolling(run)
    end
  end

  defp rolling(run) do
    {granularity, horizon} = Enum.random(run.tiers)

    window =
      case :rand.uniform(3) do
        1 -> granularity * :rand.uniform(div(horizon, granularity))
        2 -> granularity + :rand.uniform(3 * granularity)
        3 -> granularity + :rand.uniform(horizon - granularity + 1) - 1
      end

    # Served by the finest tier that covers it, whose ticks are no longer than those of this one.
    {max(), min(window, horizon)}
  end

  defp max, do: if(:rand.uniform(10) <= 6, do: :rand.uniform(5), else: :rand.uniform(28))

  defp operate_once(_number, run) do
    run = pass_time(run)
    scope = if :rand.uniform(2) == 1, do: :ad, else: Enum.random([:ad, {:campaign, 42}])
    user = if :rand.uniform(2) == 1, do: 1, else: Enum.random(1..4)

    run =
      case :rand.uniform(100) do
        some when some <= 35 -> admit(run, scope, user)
        some when some <= 45 -> admit_all(run, user)
        some when some <= 62 -> record(run, scope, user, time(run, scope, user))
        some when some <= 85 -> release(run, scope, user, time_of_release(run, scope, user))
        some when some <= 87 -> sweep(run)
        some when some <= 93 -> record(run, :ad, "other #{:rand.uniform(200)}", run.now)
        some when some <= 95 -> record_some(run, scope, user)
        _ -> %{run | sets: List.replace_at(run.sets, Enum.random(0..2), set(run))}
      end

    judge_lifetime(run, scope, user)
  end

  defp pass_time(run) do
    {granularity, _horizon} = Enum.random(run.tiers)
    {finest, _horizon} = hd(run.tiers)

    step =
      case :rand.uniform(100) do
        some when some <= 30 -> 0
        some when some <= 60 -> :rand.uniform(granularity)
        some when run.slow and some <= 90 -> :rand.uniform(3 * finest)
        some when some <= 80 -> :rand.uniform(div(run.horizon, 50))
        some when some <= 93 -> granularity - rem(run.now, granularity) + Enum.random(-1..1)
        _ when run.slow -> 0
        _ -> :rand.uniform(run.horizon)
      end

    %{run | now: run.now + step}
  end

  # Now, late, or near an event that was counted.
  defp time(run, scope, user) do
    case :rand.uniform(20) do
      some when some <= 12 -> run.now
      some when some <= 15 -> run.now - :rand.uniform(run.horizon + div(run.horizon, 10))
      _ -> near_an_event(run, scope, user)
    end
  end

  defp time_of_release(run, scope, user) do
    case {:rand.uniform(10), times(run, scope, user)} do
      {some, [_ | _] = times} when some <= 4 -> Enum.random(times)
      {some, _times} when some <= 8 -> near_an_event(run, scope, user)
      _ -> time(run, scope, user)
    end
  end

  defp near_an_event(run, scope, user) do
    case times(run, scope, user) do
      [] ->
        run.now

      times ->
        {granularity, _horizon} = Enum.random(run.tiers)

        # Any of them, or those where the events begin that are no longer kept.
        kept = times |> Enum.sort(:desc) |> Enum.drop(25) |> Enum.take(6)
        time = Enum.random(if(kept == [] or :rand.uniform(2) == 1, do: times, else: kept))
        tick = time - rem(time, granularity)

        Enum.random([time, tick, tick - 1, tick + granularity - 1, tick + granularity])
    end
  end

  defp times(run, scope, user), do: Map.get(run.model, {scope, user}, [])

  defp admit(run, scope, user) do
    at = time(run, scope, user)
    {rules, given} = Enum.random(run.sets)
    checked = FrequencyCap.check(run.caps, scope, user, given, at)

    case FrequencyCap.admit(run.caps, scope, user, given, at) do
      :ok ->
        assert checked == :ok, message(run)
        run |> judge(scope, user, rules, at) |> count(scope, user, at) |> note(:admitted)

      {:capped, rule} ->
        assert checked == {:capped, rule}, message(run)
        assert rule in rules
        note(run, :capped)

      {:error, reason} when reason in [:too_old, :full] ->
        note(run, :refused)
    end
  end

  defp admit_all(run, user) do
    scopes = Enum.take_random([:ad, {:campaign, 42}, {:advertiser, 9}], Enum.random(1..3))
    chosen = for scope <- scopes, do: {scope, Enum.random(run.sets)}
    at = time(run, hd(scopes), user)
    candidates = for {scope, {_rules, given}} <- chosen, do: {scope, given}

    case FrequencyCap.admit_all(run.caps, candidates, user, at) do
      :ok ->
        chosen
        |> Enum.reduce(run, fn {scope, {rules, _given}}, run ->
          run |> judge(scope, user, rules, at) |> count(scope, user, at)
        end)
        |> note(:together)

      {:capped, scope, rule} ->
        {rules, _given} = Map.new(chosen)[scope]
        assert rule in rules
        note(run, :capped)

      {:error, reason} when reason in [:too_old, :full] ->
        note(run, :refused)
    end
  end

  defp record(run, scope, user, at) do
    case FrequencyCap.record(run.caps, scope, user, at) do
      :ok -> run |> count(scope, user, at) |> note(:recorded)
      {:error, reason} when reason in [:too_old, :full] -> note(run, :refused)
    end
  end

  defp record_some(run, scope, user) do
    at = time(run, scope, user)
    Enum.reduce(1..Enum.random(1..40), run, fn _, run -> record(run, scope, user, at) end)
  end

  # Twice: there may be one event of that time, and not two.
  defp release(run, scope, user, at) do
    Enum.reduce(1..2, run, fn _, run ->
      {granularity, _horizon} = hd(run.tiers)
      less = Model.uncount(run.model, scope, user, at, granularity)

      case FrequencyCap.release(run.caps, scope, user, at) do
        :ok ->
          assert less,
                 "#{message(run)}: released #{inspect({scope, user, at})}, which was not there"

          note(%{run | model: less}, :released)

        :not_found ->
          note(run, :not_found)
      end
    end)
  end

  defp sweep(run) do
    FrequencyCap.sweep(run.caps, run.now)
    run
  end

  defp judge(run, scope, user, rules, at) do
    passed = Model.blocking(run.model, scope, user, rules, at)

    assert passed == nil,
           "#{message(run)}: #{inspect({scope, user, at})} passed #{inspect(passed)}"

    run
  end

  defp judge_lifetime(%{lifetime: false} = run, _scope, _user), do: run

  defp judge_lifetime(run, scope, user) do
    counted = FrequencyCap.count(run.caps, scope, user, :lifetime, run.now)
    assert counted == length(times(run, scope, user)), message(run)
    run
  end

  defp count(run, scope, user, at), do: %{run | model: Model.count(run.model, scope, user, at)}

  defp note(run, what), do: %{run | counts: Map.update(run.counts, what, 1, &(&1 + 1))}

  defp message(run),
    do: "SEED=#{run.seed}, tiers #{inspect(run.tiers)}, lifetime #{run.lifetime}"
end
