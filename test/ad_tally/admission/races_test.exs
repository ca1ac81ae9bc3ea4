defmodule AdTally.Admission.RacesTest do
  # Many processes at once: never over a budget, never over a cap, both or none.
  use ExUnit.Case, async: true

  alias AdTally.{Admission, FrequencyCap, Pacer}

  @begin 1_780_272_000_000
  @hour 3_600_000
  @processes 16

  setup context do
    pacer = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: pacer, clock: :manual})
    :ok = Pacer.tick(pacer, @begin)
    caps = FrequencyCap.new(capacity: 10_000, max_ahead: 100 * 365 * 24 * @hour)
    [pacer: pacer, caps: caps, parts: {caps, pacer}]
  end

  defp at_once(each) do
    1..@processes
    |> Enum.map(fn process -> Task.async(fn -> each.(process) end) end)
    |> Task.await_many(:infinity)
    |> List.flatten()
  end

  defp count(caps, campaign, user), do: FrequencyCap.count(caps, campaign, user, @hour, @begin)

  test "a budget is never passed, and what is left over is less than one price", %{pacer: pacer} do
    :ok = Pacer.put(pacer, 42, budget_micros: 1_000_003)

    reserved =
      at_once(fn process ->
        for request <- 1..2_000,
            {:ok, reservation} <- [Pacer.reserve(pacer, 42, {process, request}, 70, @begin)] do
          # Most are cheaper than reserved, and some are given back.
          case rem(request, 4) do
            0 -> :ok = Pacer.release(pacer, reservation)
            by -> :ok = Pacer.confirm(pacer, reservation, 70 - by, @begin)
          end

          if rem(request, 4) == 0, do: 0, else: 70 - rem(request, 4)
        end
      end)

    status = Pacer.status(pacer, 42)
    assert status.spent_micros == Enum.sum(reserved)
    assert status.spent_micros <= 1_000_003
    assert status.reserved_micros == 0
    assert status.overspent_micros == 0
    rest = 1_000_003 - status.spent_micros
    assert rest >= 0
    if rest > 0, do: assert({:ok, _} = Pacer.reserve(pacer, 42, :rest, rest, @begin))
    assert Pacer.reserve(pacer, 42, :more, 1, @begin) == :no_budget
  end

  test "events counted are exactly reservations held, when caps and money run out at once",
       %{pacer: pacer, caps: caps, parts: parts} do
    users = 40
    # For half of what the caps would let through.
    :ok = Pacer.put(pacer, 42, budget_micros: 60 * 100)
    rules = FrequencyCap.rules!([{3, @hour}])

    admitted =
      at_once(fn process ->
        for number <- 1..500, user = rem(number * 7 + process, users) do
          case Admission.admit(parts, 42, user, rules, {process, number}, 100, @begin) do
            {:ok, reservation} -> [{user, reservation}]
            :no_budget -> []
            {:capped, {3, @hour}} -> []
          end
        end
      end)

    assert length(admitted) == 60
    by_user = Enum.frequencies_by(admitted, fn {user, _} -> user end)
    for user <- 0..(users - 1), do: assert(count(caps, 42, user) == Map.get(by_user, user, 0))
    assert Pacer.status(pacer, 42).reserved_micros == 6_000

    released =
      admitted
      |> Enum.chunk_every(div(length(admitted), @processes) + 1)
      |> Enum.map(fn some ->
        Task.async(fn -> for {_, one} <- some, do: Admission.release(parts, one) end)
      end)
      |> Task.await_many(:infinity)
      |> List.flatten()

    assert Enum.uniq(released) == [:ok]
    for user <- 0..(users - 1), do: assert(count(caps, 42, user) == 0)
    assert Pacer.status(pacer, 42).reserved_micros == 0
    assert {:ok, _} = Pacer.reserve(pacer, 42, :all, 6_000, @begin)
  end

  test "a request that all processes try at once is admitted once", %{
    pacer: pacer,
    caps: caps,
    parts: parts
  } do
    :ok = Pacer.put(pacer, 42, budget_micros: 1_000_000_000)
    rules = FrequencyCap.rules!([{1, @hour}])

    answers =
      at_once(fn _process ->
        for(n <- 1..300, do: {n, Admission.admit(parts, 42, n, rules, n, 10, @begin)})
      end)

    for {user, same} <- Enum.group_by(answers, &elem(&1, 0), &elem(&1, 1)) do
      assert [{:ok, _reservation}] = Enum.uniq(same)
      assert count(caps, 42, user) == 1
    end

    assert Pacer.status(pacer, 42).reserved_micros == 3_000
  end

  test "confirms and releases of one reservation by all processes: one of them counts", %{
    pacer: pacer
  } do
    :ok = Pacer.put(pacer, 42, budget_micros: 1_000_000)

    reservations =
      for n <- 1..200, do: elem({:ok, _} = Pacer.reserve(pacer, 42, n, 100, @begin), 1)

    answers =
      at_once(fn process ->
        for {reservation, number} <- Enum.with_index(reservations) do
          if rem(process, 2) == 0,
            do: {number, {:confirm, Pacer.confirm(pacer, reservation, 60, @begin)}},
            else: {number, {:release, Pacer.release(pacer, reservation)}}
        end
      end)

    late =
      for {number, of_one} <- Enum.group_by(answers, &elem(&1, 0), &elem(&1, 1)) do
        # In time, or after it was released.
        booked = Enum.count(of_one, &(&1 in [{:confirm, :ok}, {:confirm, {:error, :expired}}]))
        assert booked == 1, inspect({number, of_one})
        in_time? = {:confirm, :ok} in of_one
        assert in_time? or {:release, :ok} in of_one
        if in_time?, do: 0, else: 1
      end

    assert Pacer.status(pacer, 42).spent_micros == 60 * 200
    assert Pacer.status(pacer, 42).overspent_micros == 60 * Enum.sum(late)
    assert Pacer.status(pacer, 42).reserved_micros == 0
  end
end
