defmodule AdTally.AdmissionTest do
  use ExUnit.Case, async: true

  alias AdTally.{Admission, FrequencyCap, Named, Native, Pacer}

  doctest AdTally.Admission

  @begin 1_780_272_000_000
  @hour 3_600_000
  @once [{1, @hour}]

  setup context do
    pacer = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: pacer, clock: :manual})
    :ok = Pacer.tick(pacer, @begin)
    caps = FrequencyCap.new(capacity: 1_000, max_ahead: 10 * 365 * 24 * @hour)
    [pacer: pacer, caps: caps, parts: {caps, pacer}]
  end

  defp count(caps, campaign, user), do: FrequencyCap.count(caps, campaign, user, @hour, @begin)

  defp held(pacer, campaign) do
    %{spent_micros: spent, reserved_micros: reserved} = Pacer.status(pacer, campaign)
    spent + reserved
  end

  test "what is let through counts once and holds its money", %{
    parts: parts,
    caps: caps,
    pacer: pacer
  } do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    assert {:ok, reservation} = Admission.admit(parts, 42, "ann", @once, "r-1", 1_000, @begin)
    assert count(caps, 42, "ann") == 1
    assert held(pacer, 42) == 1_000
    assert Pacer.confirm(pacer, reservation, 700, @begin) == :ok
    assert held(pacer, 42) == 700
  end

  test "a retried request has the same reservation and counts once", %{
    parts: parts,
    caps: caps,
    pacer: pacer
  } do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    {:ok, reservation} = Admission.admit(parts, 42, "ann", @once, "r-1", 1_000, @begin)

    for _ <- 1..3,
        do:
          assert(
            Admission.admit(parts, 42, "ann", @once, "r-1", 1_000, @begin) == {:ok, reservation}
          )

    # Also where the rule would let another one through.
    assert Admission.admit(parts, 42, "ann", [{5, @hour}], "r-1", 1_000, @begin) ==
             {:ok, reservation}

    assert count(caps, 42, "ann") == 1
    assert held(pacer, 42) == 1_000
  end

  test "what a rule blocks holds no money", %{parts: parts, caps: caps, pacer: pacer} do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    {:ok, _} = Admission.admit(parts, 42, "ann", @once, "r-1", 1_000, @begin)
    assert Admission.admit(parts, 42, "ann", @once, "r-2", 1_000, @begin) == {:capped, {1, @hour}}
    assert held(pacer, 42) == 1_000
    assert count(caps, 42, "ann") == 1
    assert {:ok, _} = Admission.admit(parts, 42, "bob", @once, "r-3", 2_000, @begin)
  end

  test "what has no money does not count", %{parts: parts, caps: caps, pacer: pacer} do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    assert Admission.admit(parts, 42, "ann", @once, "r-1", 3_001, @begin) == :no_budget
    assert Admission.admit(parts, 43, "ann", @once, "r-1", 1, @begin) == :unknown
    assert count(caps, 42, "ann") == 0
    assert count(caps, 43, "ann") == 0
    assert {:ok, _} = Admission.admit(parts, 42, "ann", @once, "r-1", 3_000, @begin)
  end

  test "what is paced does not count", %{parts: parts, caps: caps, pacer: pacer} do
    :ok = Pacer.put(pacer, 42, budget_micros: 1_000_000_000, period: {:daily, "Etc/UTC"})

    for request <- 1..200 do
      case Admission.admit(parts, 42, request, @once, request, 1_000, @begin) do
        {:ok, _} -> assert count(caps, 42, request) == 1
        :paced -> assert count(caps, 42, request) == 0
      end
    end
  end

  test "release takes back both, once", %{parts: parts, caps: caps, pacer: pacer} do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    {:ok, reservation} = Admission.admit(parts, 42, "ann", [{2, @hour}], "r-1", 3_000, @begin)
    assert Admission.release(parts, reservation) == :ok
    assert count(caps, 42, "ann") == 0
    assert held(pacer, 42) == 0
    {:ok, other} = Admission.admit(parts, 42, "ann", [{2, @hour}], "r-2", 3_000, @begin)
    # The event of another request is not taken back with it.
    assert Admission.release(parts, reservation) == :ok
    assert count(caps, 42, "ann") == 1
    :ok = Pacer.confirm(pacer, other, 3_000, @begin)
    assert Admission.release(parts, other) == {:error, :confirmed}
    assert count(caps, 42, "ann") == 1
  end

  test "release of a reservation without a cap takes no event back", %{
    parts: parts,
    caps: caps,
    pacer: pacer
  } do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    :ok = FrequencyCap.record(caps, 42, "ann", @begin)
    {:ok, reservation} = Pacer.reserve(pacer, 42, "r-1", 3_000, @begin)
    assert Admission.release(parts, reservation) == :ok
    assert count(caps, 42, "ann") == 1
    assert Admission.release(parts, "no reservation") == {:error, :unknown}
  end

  test "what the caps refuse is refused, with nothing held", %{pacer: pacer} do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)

    caps =
      FrequencyCap.new(
        capacity: 1_000,
        tiers: [{300_000, 14 * 24 * @hour}],
        max_ahead: 10 * 365 * 24 * @hour
      )

    :ok = FrequencyCap.record(caps, 1, 1, @begin + 30 * 24 * @hour)

    assert Admission.admit({caps, pacer}, 42, "ann", @once, "r-1", 1_000, @begin) ==
             {:error, :too_old}

    assert held(pacer, 42) == 0
    assert {:ok, _} = Pacer.reserve(pacer, 42, "r-1", 3_000, @begin)
  end

  test "wrong arguments raise as they do for both, and change nothing", %{
    parts: {caps, pacer} = parts
  } do
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)

    for {arguments, words} <- [
          {[{caps, :none}, 42, "ann", @once, "r", 1, @begin],
           "there is no AdTally.Pacer named :none that runs"},
          {[{:none, pacer}, 42, "ann", @once, "r", 1, @begin],
           "there is no AdTally.FrequencyCap named :none that runs"},
          {[{7, pacer}, 42, "ann", @once, "r", 1, @begin],
           "expected an AdTally.FrequencyCap table, got: 7"},
          {[pacer, 42, "ann", @once, "r", 1, @begin],
           "expected a pair of caps and the name of a pacer"},
          {[parts, 1.5, "ann", @once, "r", 1, @begin], "a key is an integer of 64 bits"},
          {[parts, 42, "", @once, "r", 1, @begin], "expected a user that is one person only"},
          {[parts, 42, "ann", [{1, 5}], "r", 1, @begin], "5"},
          {[parts, 42, "ann", [], "r", 1, @begin],
           "one to sixteen rules are asked together, not 0"},
          {[parts, 42, "ann", :rules, "r", 1, @begin], "expected a list of {max, window}"},
          {[parts, 42, "ann", @once, 1.5, 1, @begin], "a key is an integer of 64 bits"},
          {[parts, 42, "ann", @once, "r", 0, @begin],
           "a price to reserve is an integer of micros from 1"},
          {[parts, 42, "ann", @once, "r", 1, -1], "a time is an integer of milliseconds"},
          {[parts, 42, "ann", @once, "r", 1, @begin, [ttl: 0]],
           "expected :ttl to be milliseconds"},
          {[parts, 42, "ann", @once, "r", 1, @begin, [tll: 1]],
           "unknown or repeated options [:tll]"}
        ] do
      error = assert_raise ArgumentError, fn -> apply(Admission, :admit, arguments) end
      assert error.message =~ words, error.message
    end

    assert held(pacer, 42) == 0
    assert count(caps, 42, "ann") == 0
  end

  # As a node asks that holds a reservation of this one, when the caps end just after they were found.
  test "a release from another node while the caps end gives the money back, and the pacer runs on",
       %{pacer: pacer} = context do
    caps = Module.concat(__MODULE__, "Caps#{context.line}")
    start_supervised!({FrequencyCap, name: caps, capacity: 1_000})
    :ok = Pacer.put(pacer, 42, budget_micros: 3_000)
    parts = {caps, pacer}
    at = System.system_time(:millisecond)
    {:ok, reservation} = Admission.admit(parts, 42, "ann", @once, "r-1", 1_000, at)
    pid = Process.whereis(pacer)
    Native.table_end(Named.find(FrequencyCap, caps))

    assert GenServer.call(pacer, {:release, caps, reservation}) == :ok
    assert Process.whereis(pacer) == pid
    assert held(pacer, 42) == 0
  end
end
