defmodule AdTally.Bench.Redeliveries do
  @moduledoc """
  Contenders that are asked for every id of a stream whether it is new. Before each pass they
  forget all of them; in the end every id must have been new once.
  """

  alias AdTally.Bench.Contender
  alias AdTally.Dedupe

  @begin 1_780_272_000_000
  @window 600_000
  @seed 20_191_124
  @alphabet String.to_charlist("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

  @doc "So many ids of 26 characters, as many producers make them, in the order of a stream."
  @spec ids(pos_integer()) :: [binary(), ...]
  def ids(count) do
    :rand.seed(:exsss, @seed)
    for n <- 1..count, do: "01JEX" <> random(13) <> String.pad_leading("#{n}", 8, "0")
  end

  defp random(length), do: for(_ <- 1..length, into: "", do: <<Enum.random(@alphabet)>>)

  @doc "`AdTally.Dedupe.first?/3`."
  @spec ad_tally(String.t(), [binary(), ...], keyword()) :: Contender.t()
  def ad_tally(label, ids, options) do
    dedupe = Dedupe.new(window: @window, capacity: length(ids))
    passes = :counters.new(1, [])

    # A window and a half further on all that was there is forgotten.
    forget = fn ->
      :counters.add(passes, 1, 1)
      Dedupe.first?(dedupe, :mark, @begin + :counters.get(passes, 1) * div(3 * @window, 2))
    end

    first? = fn id -> Dedupe.first?(dedupe, id, @begin) end

    check = fn passes ->
      %{duplicates: duplicates, forgotten: forgotten} = Dedupe.info(dedupe)

      # One in eleven million or more looks like another one, so of nine passes of a million hardly
      # ever more than one. With two processes every id comes twice.
      copies = passes * length(ids) * (Keyword.get(options, :processes, 1) - 1)
      {{true, 0}, {(duplicates - copies) in 0..8, forgotten}}
    end

    Contender.new(label, ids, first?, [{:prepare, forget}, {:check, check} | options])
  end

  @doc "`:ets.insert_new/2` into a public set, which forgets nothing by itself."
  @spec ets(String.t(), [binary(), ...], keyword()) :: Contender.t()
  def ets(label, ids, options) do
    table = :ets.new(:bench, [:set, :public])
    forget = fn -> :ets.delete_all_objects(table) end
    check = fn _passes -> {length(ids), :ets.info(table, :size)} end
    new? = fn id -> :ets.insert_new(table, {id}) end
    Contender.new(label, ids, new?, [{:prepare, forget}, {:check, check} | options])
  end
end
