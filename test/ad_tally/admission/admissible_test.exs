defmodule AdTally.Admission.AdmissibleTest do
  # Its naive twin asks caps and pacer for one candidate after the other.
  use ExUnit.Case, async: true

  alias AdTally.{Admission, FrequencyCap, Pacer}

  @begin 1_780_272_000_000
  @hour 3_600_000

  setup_all do
    pacer = Module.concat(__MODULE__, Pacer)
    start_supervised!({Pacer, name: pacer, clock: :manual})
    :ok = Pacer.tick(pacer, @begin)
    caps = FrequencyCap.new(capacity: 10_000, max_ahead: 100 * 365 * 24 * @hour)

    for campaign <- 1..200 do
      case rem(campaign, 5) do
        0 ->
          :no_budget_at_all

        1 ->
          :ok = Pacer.put(pacer, campaign, budget_micros: 10)

        2 ->
          :ok =
            Pacer.put(pacer, campaign, budget_micros: 1_000_000_000, period: {:daily, "Etc/UTC"})

        _ ->
          :ok = Pacer.put(pacer, campaign, budget_micros: 1_000_000)
      end
    end

    for campaign <- 1..200,
        rem(campaign, 5) == 1,
        rem(campaign, 2) == 0,
        do: {:ok, _} = Pacer.reserve(pacer, campaign, :all, 10, @begin)

    for campaign <- 1..200,
        rem(campaign, 3) == 0,
        user <- 1..5,
        do: :ok = FrequencyCap.record(caps, campaign, user, @begin)

    [pacer: pacer, caps: caps]
  end

  defp twin(caps, pacer, user, candidates, request) do
    for {campaign, rules} <- candidates,
        FrequencyCap.check(caps, campaign, user, rules, @begin) == :ok,
        Pacer.open(pacer, [campaign], request, @begin) == [campaign],
        do: campaign
  end

  test "it equals the two asked one after the other", %{pacer: pacer, caps: caps} do
    compiled = FrequencyCap.rules!([{1, @hour}])

    for length <- [0, 1, 2, 20, 64, 65, 66, 200], request <- 1..20, user = rem(request, 8) do
      candidates =
        for campaign <- Enum.shuffle(1..200) |> Enum.take(length) do
          {campaign, Enum.random([compiled, [{1, @hour}], [{2, @hour}, {5, 12 * @hour}]])}
        end

      assert Admission.admissible({caps, pacer}, user, candidates, request, @begin) ==
               twin(caps, pacer, user, candidates, request)
    end
  end

  test "what it lists is admitted a moment later", %{pacer: pacer, caps: caps} do
    rules = FrequencyCap.rules!([{9, @hour}])
    candidates = for campaign <- 1..200, do: {campaign, rules}

    for request <- 1_001..1_005 do
      admissible = Admission.admissible({caps, pacer}, request, candidates, request, @begin)

      for {campaign, _rules} <- candidates do
        answer = Admission.admit({caps, pacer}, campaign, request, rules, request, 1, @begin)
        assert match?({:ok, _}, answer) == campaign in admissible
      end
    end
  end

  test "a candidate that is none is named by its index", %{pacer: pacer, caps: caps} do
    rules = FrequencyCap.rules!([{1, @hour}])

    for {bad, words} <- [
          {:one, "expected a {scope, rules}, got: :one"},
          {{1.5, rules}, "a key is an integer of 64 bits"},
          {{1, :rules}, "rules that AdTally.FrequencyCap.rules!/1 has compiled"},
          {{1, []}, "one to sixteen rules are asked together"}
        ],
        index <- [0, 70, 149] do
      candidates = {1, rules} |> List.duplicate(150) |> List.replace_at(index, bad)

      error =
        assert_raise ArgumentError, fn ->
          Admission.admissible({caps, pacer}, 1, candidates, 1, @begin)
        end

      assert error.message =~ words
      assert error.message =~ "(at index #{index} of the list)"
    end

    for {arguments, words} <- [
          {["", [{1, rules}], 1, @begin], "expected a user that is one person only"},
          {[1, [{1, rules}], nil, @begin], "expected a request that is one only"},
          {[1, [{1, rules}], 1, -1], "a time is an integer of milliseconds"},
          {[1, :all, 1, @begin], "expected a proper list of {scope, rules}s"}
        ] do
      error =
        assert_raise ArgumentError, fn ->
          apply(Admission, :admissible, [{caps, pacer} | arguments])
        end

      assert error.message =~ words
    end
  end
end
