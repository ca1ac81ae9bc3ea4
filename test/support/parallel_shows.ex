defmodule AdTally.Test.ParallelShows do
  @moduledoc """
  Many processes show users to keys, by one, by list and by key, while another one
  drains without a pause.
  """

  alias AdTally.{Reach, Sketch}

  @writers 4
  # Drains that find something. Nobody shows more than a tenth of the users ahead of
  # them, so that there are as many of them on a machine that is busy elsewhere.
  @drains 10
  @step 500

  @doc """
  Has four processes show `:users` users each, two and two the same ones. A third of
  the users see one of four hot keys, the others one of `:keys` keys. The table has
  `:options`.

  Returns the union of what was drained and the sketch of what was shown, by key and
  of all keys (the first with the overflow), and how many shows overflowed, by what
  was returned and by `info`.
  """
  def run(options) do
    reach = Reach.new(options[:options])
    drains = :atomics.new(1, [])

    writers =
      for number <- 1..@writers do
        Task.async(fn ->
          options |> steps(number) |> Enum.map(&show(reach, drains, &1)) |> Enum.sum()
        end)
      end

    drainer = Task.async(fn -> drain_until_told(reach, drains, [], []) end)
    overflowed = writers |> Task.await_many(:infinity) |> Enum.sum()
    send(drainer.pid, :all_are_shown)
    {rows, overflows} = Task.await(drainer, :infinity)

    shown =
      for number <- 1..@writers, step <- steps(options, number), pair <- step.pairs, do: pair

    drained = by_key(rows, &union/1)
    sketch_options = Keyword.take(options[:options], [:precision, :secret])
    shown = by_key(shown, &Sketch.from_users(&1, sketch_options))

    %{
      drained: drained,
      drained_of_all: union(Map.values(drained) ++ overflows),
      shown: shown,
      shown_to_all: union(Map.values(shown)),
      overflowed: overflowed,
      lifetime_overflow: Reach.info(reach).overflow
    }
  end

  # Nobody is shown twice by one writer: a user who was lost would be made up for.
  defp steps(options, number) do
    from = 1_000_000_000 * rem(number, div(@writers, 2))
    users = from..(from + options[:users] - 1)

    for {users, at} <- users |> Enum.chunk_every(@step) |> Enum.with_index() do
      pairs = for user <- users, do: {key(user, options[:keys]), user}
      %{at: at, after_drains: div(@drains * @step * at, options[:users]), pairs: pairs}
    end
  end

  defp key(user, _keys) when rem(user, 3) == 0, do: {:hot, rem(div(user, 3), 4)}
  defp key(user, keys), do: {rem(user * 7_919, keys), "creative"}

  # How many had no row.
  defp show(reach, drains, step) do
    if :atomics.get(drains, 1) < step.after_drains do
      Process.sleep(1)
      show(reach, drains, step)
    else
      show_in_a_way(reach, rem(step.at, 3), step.pairs)
    end
  end

  defp show_in_a_way(reach, 0, pairs),
    do: Enum.count(pairs, fn {key, user} -> Reach.add(reach, key, user) == :overflow end)

  defp show_in_a_way(reach, 1, pairs), do: overflowed(Reach.add_many(reach, pairs))

  defp show_in_a_way(reach, 2, pairs) do
    pairs
    |> by_key(& &1)
    |> Enum.map(fn {key, users} -> overflowed(Reach.add_many(reach, key, users)) end)
    |> Enum.sum()
  end

  defp overflowed(:ok), do: 0
  defp overflowed({:overflow, count}), do: count

  defp drain_until_told(reach, drains, rows, overflows) do
    receive do
      :all_are_shown ->
        {drained, overflow} = Reach.drain_with_overflow(reach)
        {drained ++ rows, [overflow | overflows]}
    after
      0 ->
        {drained, overflow} = Reach.drain_with_overflow(reach)
        if drained != [], do: :atomics.add(drains, 1, 1)
        drain_until_told(reach, drains, drained ++ rows, [overflow | overflows])
    end
  end

  defp by_key(pairs, act) do
    pairs |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Map.new(fn {k, v} -> {k, act.(v)} end)
  end

  defp union(sketches) do
    {:ok, union} = Sketch.union(sketches)
    union
  end
end
