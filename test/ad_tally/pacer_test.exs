defmodule AdTally.PacerTest do
  # What becomes of reservations, by a clock that tests move on.
  use ExUnit.Case, async: true

  alias AdTally.Pacer

  doctest AdTally.Pacer

  @begin 1_780_272_000_000
  @minute 60_000
  @hour 60 * @minute

  setup context do
    name = Module.concat(__MODULE__, "Pacer#{context.line}")
    start_supervised!({Pacer, name: name, clock: :manual})
    :ok = Pacer.tick(name, @begin)
    [name: name]
  end

  defp status(name, campaign, keys) do
    status = Pacer.status(name, campaign)
    Enum.map(keys, &Map.fetch!(status, &1))
  end

  @sums [:spent_micros, :reserved_micros, :overspent_micros]

  test "a budget is reserved to the last micro and no further", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 10_000)
    for request <- 1..3, do: {:ok, _} = Pacer.reserve(name, 42, request, 3_000, @begin)
    assert Pacer.reserve(name, 42, 4, 1_001, @begin) == :no_budget
    assert {:ok, _reservation} = Pacer.reserve(name, 42, 4, 1_000, @begin)
    assert Pacer.reserve(name, 42, 5, 1, @begin) == :no_budget
    assert status(name, 42, @sums ++ [:leased_micros]) == [0, 10_000, 0, 0]
  end

  test "a campaign without a budget is unknown, and so is one whose budget was taken away", %{
    name: name
  } do
    assert Pacer.reserve(name, 42, 1, 1, @begin) == :unknown
    assert Pacer.delete(name, 42) == {:error, :unknown}
    assert Pacer.status(name, 42) == {:error, :unknown}
    :ok = Pacer.put(name, 42, budget_micros: 10_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin)
    assert Pacer.delete(name, 42) == :ok
    assert Pacer.delete(name, 42) == {:error, :unknown}
    assert Pacer.reserve(name, 42, 2, 1, @begin) == :unknown
    assert Pacer.open(name, [42], 2, @begin) == []
    # What was reserved before can still be paid.
    assert Pacer.confirm(name, reservation, 3_000, @begin) == :ok
  end

  test "a budget that was taken away and is put again goes on where it was", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 10_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 6_000, @begin)
    :ok = Pacer.confirm(name, reservation, 6_000, @begin)
    :ok = Pacer.delete(name, 42)
    :ok = Pacer.put(name, 42, budget_micros: 10_000)
    assert Pacer.reserve(name, 42, 2, 4_001, @begin) == :no_budget
    assert {:ok, _} = Pacer.reserve(name, 42, 2, 4_000, @begin)
  end

  test "keys of all kinds are campaigns and requests, and different ones", %{name: name} do
    keys = [1, "1", :"1", {1}, {"us", :web, 7}, -1, 2 ** 62, String.duplicate("long", 100)]
    for key <- keys, do: :ok = Pacer.put(name, key, budget_micros: 1_000 * length(keys))

    for campaign <- keys, request <- keys do
      assert {:ok, _} = Pacer.reserve(name, campaign, request, 1_000, @begin)
    end

    for campaign <- keys do
      assert Pacer.reserve(name, campaign, :other, 1, @begin) == :no_budget
      assert status(name, campaign, [:reserved_micros]) == [1_000 * length(keys)]
    end
  end

  test "the same request has the same reservation for as long as it lives", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, "r", 3_000, @begin)
    assert Pacer.reserve(name, 42, "r", 3_000, @begin) == {:ok, reservation}
    # Also with another amount, and at another time.
    assert Pacer.reserve(name, 42, "r", 1, @begin + 30_000) == {:ok, reservation}
    assert status(name, 42, @sums) == [0, 3_000, 0]
    :ok = Pacer.release(name, reservation)
    {:ok, other} = Pacer.reserve(name, 42, "r", 3_000, @begin + 1)
    assert other != reservation
    assert Pacer.confirm(name, other, 3_000, @begin + 1) == :ok

    # The one before is not this one.
    assert Pacer.confirm(name, reservation, 3_000, @begin + 1) == {:error, :unknown}
    assert status(name, 42, @sums) == [3_000, 0, 0]
  end

  test "a confirm books the real price and gives the rest back", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin)
    assert Pacer.confirm(name, reservation, 1_000, @begin) == :ok
    assert status(name, 42, @sums) == [1_000, 0, 0]
    assert {:ok, free} = Pacer.reserve(name, 42, 2, 2_000, @begin)
    assert Pacer.confirm(name, free, 0, @begin) == :ok
    assert status(name, 42, @sums) == [1_000, 0, 0]
  end

  test "a confirm above what was reserved is booked, answered, and metered as overspend", %{
    name: name
  } do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin)
    assert Pacer.confirm(name, reservation, 3_500, @begin) == {:error, :over_price}
    assert status(name, 42, @sums) == [3_500, 0, 500]
    assert Pacer.reserve(name, 42, 2, 1, @begin) == :no_budget
  end

  test "a confirm of an expired reservation is booked, answered, and metered as overspend", %{
    name: name
  } do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 2_000, @begin, ttl: 10_000)
    :ok = Pacer.tick(name, @begin + @minute)
    assert status(name, 42, @sums) == [0, 0, 0]
    assert Pacer.confirm(name, reservation, 2_000, @begin + @minute) == {:error, :expired}
    assert status(name, 42, @sums) == [2_000, 0, 2_000]
    assert Pacer.confirm(name, reservation, 2_000, @begin + @minute) == {:error, :duplicate}
  end

  test "its money is free again when a reservation expires, and not before", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, _} = Pacer.reserve(name, 42, 1, 3_000, @begin, ttl: 90_000)
    :ok = Pacer.tick(name, @begin + 60_000)
    assert Pacer.reserve(name, 42, 2, 3_000, @begin + 60_000) == :no_budget
    :ok = Pacer.tick(name, @begin + 90_001)
    assert {:ok, _} = Pacer.reserve(name, 42, 2, 3_000, @begin + 90_001)
  end

  test "a confirm that comes twice is a duplicate, for an hour after the reservation has expired",
       %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin, ttl: @minute)
    :ok = Pacer.confirm(name, reservation, 3_000, @begin)

    for at <- [@begin, @begin + @minute, @begin + @hour] do
      :ok = Pacer.tick(name, at)
      assert Pacer.confirm(name, reservation, 3_000, at) == {:error, :duplicate}
    end

    :ok = Pacer.tick(name, @begin + 3 * @hour)

    assert Pacer.confirm(name, reservation, 3_000, @begin + 3 * @hour) in [
             {:error, :duplicate},
             {:error, :unknown}
           ]

    assert status(name, 42, @sums) == [3_000, 0, 0]
  end

  test "a release gives all back, once, and not after a confirm", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin)
    assert Pacer.release(name, reservation) == :ok
    assert Pacer.release(name, reservation) == :ok
    assert status(name, 42, @sums) == [0, 0, 0]
    {:ok, second} = Pacer.reserve(name, 42, 2, 3_000, @begin)
    assert Pacer.reserve(name, 42, 3, 1, @begin) == :no_budget
    :ok = Pacer.confirm(name, second, 3_000, @begin)
    assert Pacer.release(name, second) == {:error, :confirmed}
    assert status(name, 42, @sums) == [3_000, 0, 0]
  end

  test "a confirm of what was released is booked like one that comes too late", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin)
    :ok = Pacer.release(name, reservation)
    assert Pacer.confirm(name, reservation, 1_000, @begin) == {:error, :expired}
    assert status(name, 42, @sums) == [1_000, 0, 1_000]
    assert Pacer.confirm(name, reservation, 1_000, @begin) == {:error, :duplicate}
    assert Pacer.release(name, reservation) == {:error, :confirmed}
  end

  test "bytes that are no reservation of this pacer are unknown, and change nothing", %{
    name: name
  } do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, reservation} = Pacer.reserve(name, 42, 1, 3_000, @begin)
    size = bit_size(reservation)

    for bit <- 0..(size - 1) do
      <<before::bitstring-size(bit), one::1, rest::bitstring>> = reservation
      flipped = <<before::bitstring, 1 - one::1, rest::bitstring>>
      assert Pacer.confirm(name, flipped, 1, @begin) == {:error, :unknown}
      assert Pacer.release(name, flipped) == {:error, :unknown}
    end

    for bytes <- [
          <<>>,
          <<0>>,
          reservation <> <<0>>,
          binary_part(reservation, 0, byte_size(reservation) - 1)
        ] do
      assert Pacer.confirm(name, bytes, 1, @begin) == {:error, :unknown}
      assert Pacer.release(name, bytes) == {:error, :unknown}
    end

    for other <- [nil, 7, :token, ~c"token", <<1::1>>] do
      assert_raise ArgumentError, ~r/expected a reservation/, fn ->
        Pacer.confirm(name, other, 1, @begin)
      end

      assert_raise ArgumentError, ~r/expected a reservation/, fn -> Pacer.release(name, other) end
    end

    assert status(name, 42, @sums) == [0, 3_000, 0]
  end

  test "wrong amounts, times and times to live raise", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)

    for price <- [0, -1, 2 ** 54, 1.5, nil, "1"] do
      assert_raise ArgumentError,
                   ~r/a price to reserve is an integer of micros from 1 to 2\^54 - 1, got: /,
                   fn ->
                     Pacer.reserve(name, 42, 1, price, @begin)
                   end
    end

    for at <- [-1, 1.5, nil, 2 ** 64] do
      assert_raise ArgumentError, ~r/a time is an integer of milliseconds/, fn ->
        Pacer.reserve(name, 42, 1, 1, at)
      end
    end

    for ttl <- [0, -1, 43_200_001, 1.5, nil] do
      assert_raise ArgumentError,
                   ~r/expected :ttl to be milliseconds, an integer from 1 to 43200000, got: /,
                   fn ->
                     Pacer.reserve(name, 42, 1, 1, @begin, ttl: ttl)
                   end
    end

    for options <- [[tll: 1], [ttl: 1, ttl: 2], :ttl, %{ttl: 1}] do
      assert_raise ArgumentError, ~r/expected a keyword list|unknown or repeated options/, fn ->
        Pacer.reserve(name, 42, 1, 1, @begin, options)
      end
    end

    {:ok, reservation} = Pacer.reserve(name, 42, 1, 1, @begin, ttl: 43_200_000)

    for price <- [-1, 2 ** 54, 1.5, nil, "1"] do
      assert_raise ArgumentError,
                   ~r/a price is an integer of micros from 0 to 2\^54 - 1, got: /,
                   fn ->
                     Pacer.confirm(name, reservation, price, @begin)
                   end
    end

    assert Pacer.confirm(name, reservation, 0, @begin) == :ok
  end

  test "a time far ahead of the system's is refused" do
    name = Module.concat(__MODULE__, Ahead)
    start_supervised!({Pacer, name: name, max_ahead: 5_000}, id: name)
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    now = System.system_time(:millisecond)
    assert Pacer.reserve(name, 42, 1, 1, now + 60_000) == {:error, :future}
    assert {:ok, _} = Pacer.reserve(name, 42, 1, 1, now + 1_000)
  end

  test "with as many reservations as there may be, a further one is refused" do
    name = Module.concat(__MODULE__, Full)
    start_supervised!({Pacer, name: name, max_reservations: 100}, id: name)
    :ok = Pacer.put(name, 42, budget_micros: 1_000_000)
    now = System.system_time(:millisecond)
    answers = for request <- 1..100_000, do: Pacer.reserve(name, 42, request, 1, now)
    {reserved, refused} = Enum.split_with(answers, &match?({:ok, _}, &1))
    assert length(reserved) >= 100
    assert Enum.uniq(refused) == [{:error, :full}]
    assert status(name, 42, [:reserved_micros]) == [length(reserved)]
  end

  test "as many campaigns as there may be" do
    name = Module.concat(__MODULE__, Campaigns)
    start_supervised!({Pacer, name: name, max_campaigns: 3}, id: name)
    for campaign <- 1..3, do: assert(Pacer.put(name, campaign, budget_micros: 1) == :ok)
    assert Pacer.put(name, 4, budget_micros: 1) == {:error, :full}
    assert Pacer.put(name, 3, budget_micros: 2) == :ok
    assert Pacer.info(name).campaigns == 3
  end

  test "open/4 says which campaigns take part and have money, in their order", %{name: name} do
    for campaign <- 1..200,
        rem(campaign, 2) == 0,
        do: :ok = Pacer.put(name, campaign, budget_micros: 10)

    {:ok, _} = Pacer.reserve(name, 4, "all", 10, @begin)
    expected = Enum.filter(200..1//-1, &(rem(&1, 2) == 0 and &1 != 4))
    assert Pacer.open(name, Enum.to_list(200..1//-1), "r", @begin) == expected
    assert Pacer.open(name, [], "r", @begin) == []
    assert Pacer.open(name, [2, 2, 3, 2], "r", @begin) == [2, 2, 2]

    # As long as they may be, so that a call takes only some of them.
    long = for campaign <- 1..40, do: String.duplicate(<<campaign>>, 65_536)
    for campaign <- long, do: :ok = Pacer.put(name, campaign, budget_micros: 100)
    assert Pacer.open(name, long, "r", @begin) == long

    assert_raise ArgumentError, ~r/\(at index 150 of the list\)/, fn ->
      Pacer.open(name, Enum.to_list(1..150) ++ [1.5], "r", @begin)
    end

    assert_raise ArgumentError, ~r/expected a proper list of campaigns/, fn ->
      Pacer.open(name, :all, "r", @begin)
    end
  end

  test "a request that is paced is paced whenever it is asked, also by open/4", %{name: name} do
    :ok =
      Pacer.put(name, 42,
        budget_micros: 1_000_000_000,
        period: {:daily, "Etc/UTC"},
        price_micros: 1_000
      )

    pass = Pacer.status(name, 42).pass
    assert pass > 0 and pass < 1

    answers =
      for request <- 1..1_000, do: {request, Pacer.reserve(name, 42, request, 1_000, @begin)}

    again =
      for request <- 1..1_000, do: {request, Pacer.reserve(name, 42, request, 1_000, @begin)}

    assert answers == again
    {paced, reserved} = Enum.split_with(answers, fn {_request, answer} -> answer == :paced end)
    assert abs(length(reserved) / 1_000 - pass) < 0.06
    for {request, _} <- paced, do: assert(Pacer.open(name, [42], request, @begin) == [])
    for {request, _} <- reserved, do: assert(Pacer.open(name, [42], request, @begin) == [42])
  end

  test "outcomes are counted", %{name: name} do
    :ok = Pacer.put(name, 42, budget_micros: 3_000)
    {:ok, first} = Pacer.reserve(name, 42, 1, 1_000, @begin)
    {:ok, second} = Pacer.reserve(name, 42, 2, 1_000, @begin, ttl: 1)
    {:ok, third} = Pacer.reserve(name, 42, 3, 1_000, @begin)
    :no_budget = Pacer.reserve(name, 42, 4, 1_000, @begin)
    :unknown = Pacer.reserve(name, 43, 4, 1_000, @begin)
    :ok = Pacer.confirm(name, first, 1_000, @begin)
    {:error, :duplicate} = Pacer.confirm(name, first, 1_000, @begin)
    :ok = Pacer.release(name, third)
    :ok = Pacer.tick(name, @begin + @minute)
    {:error, :expired} = Pacer.confirm(name, second, 1_000, @begin + @minute)

    assert %{
             reserved: 3,
             no_budget: 1,
             unknown: 1,
             confirmed: 1,
             duplicate: 1,
             released: 1,
             expired: 1,
             paced: 0
           } = Pacer.info(name).outcomes
  end
end
