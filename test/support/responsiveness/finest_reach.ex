defmodule AdTally.Test.Responsiveness.FinestReach do
  @moduledoc "What of `AdTally.Reach` at a precision of 18, the finest: 256 KiB of registers a key."

  @behaviour AdTally.Test.Responsiveness

  import AdTally.Test.Responsiveness
  import AdTally.Test.Sketches, only: [dense?: 1]

  alias AdTally.{Native, Reach, Sketch}

  @impl true
  def beside, do: []

  @impl true
  def calls do
    [
      %{
        name: "estimates at precision 18",
        quick: true,
        setup: fn -> dense(100) end,
        operation: fn timed, reach ->
          for n <- 1..1_000,
              do: time(timed, fn -> Native.reach_estimate(reach, rem(n, 100) + 1) end)
        end
      },
      %{
        name: "merges keys at precision 18, from the first on, and estimates that",
        quick: true,
        setup: fn -> dense(100) end,
        operation: fn timed, reach -> Enum.flat_map(1..20, &union_times(timed, reach, &1)) end
      },
      %{
        name: "makes registers of the coupons of 24,576 users",
        quick: true,
        setup: &most_coupons/0,
        operation: fn timed, reach ->
          times =
            for key <- 1..200,
                do: time(timed, fn -> Native.reach_add(reach, key, "one more") end)

          %{sparse: 0, dense: 200} = Reach.info(reach)
          times
        end
      },
      %{
        name: "shows rows of precision 18",
        quick: true,
        clock: &Native.dirty_thread_time/0,
        # One row, and most of that is fresh memory: for a sketch, its bytes and the binary.
        limit: 5_000,
        setup: fn -> Native.reach_walk(dense(200)) end,
        operation: fn timed, walk -> rows_times(timed, &Native.walk_rows(walk, &1)) end
      }
    ]
  end

  defp union_times(timed, reach, key) do
    union = Native.reach_unite(reach)
    first = time(timed, fn -> {[], 1} = Native.reach_unite_some(union, [key], 0) end)
    keys = Enum.to_list(1..100)
    others = list_times(timed, keys, &rest(Native.reach_unite_some(union, &1, 0)))
    [first, time(timed, fn -> Native.reach_united(union) end) | others]
  end

  defp time(timed, call), do: call |> timed.() |> elem(0)

  defp dense(count) do
    reach = Reach.new(precision: 18)
    sketch = Sketch.from_users(Enum.to_list(1..100_000), precision: 18)
    for key <- 1..count, do: :ok = Reach.merge(reach, key, sketch)
    reach
  end

  # One user more makes registers. A few of them share a coupon.
  defp most_coupons do
    dense? = &dense?(Sketch.from_users(Enum.to_list(1..&1), precision: 18))
    users = Enum.to_list(1..Enum.find(24_576..24_676, &dense?.(&1 + 1)))
    reach = Reach.new(precision: 18)
    for key <- 1..200, do: :ok = Reach.add_many(reach, key, users)
    %{sparse: 200, dense: 0} = Reach.info(reach)
    reach
  end
end
