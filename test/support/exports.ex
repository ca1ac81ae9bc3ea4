defmodule AdTally.Test.Exports do
  @moduledoc """
  One table of each kind with everything in it that an export has to carry, and all that it answers.
  """

  alias AdTally.{Attribution, Conversion, Counters, Dedupe, FrequencyCap, Reach, Touch}

  @at 1_780_272_000_000
  @hour 3_600_000
  @day 24 * @hour

  @doc "All kinds: a name, the table's module and its options."
  def kinds do
    [
      {:counters, Counters, [metrics: [:clicks, :"Kosten in €"], max_keys: 500]},
      {:reach, Reach, [precision: 10, max_keys: 40]},
      {:reach_secret, Reach, [precision: 12, secret: "sixteen bytes..."]},
      {:dedupe, Dedupe, [capacity: 4_000, window: @hour]},
      {:dedupe_wide, Dedupe, [capacity: 4_000, window: @hour, fingerprint_bits: 61]},
      {:caps, FrequencyCap, [capacity: 500, max_capacity: 8_000]},
      {:caps_strict, FrequencyCap, [capacity: 4_000, fingerprint_bits: 64]},
      {:caps_tiers, FrequencyCap,
       [
         capacity: 4_000,
         tiers: [{60_000, @day}, {@hour, 30 * @day}],
         lifetime: true
       ]},
      {:attribution, Attribution,
       [
         dimensions: [:campaign, :creative],
         touches: [click: 7 * @day, view: @day],
         models: [:last_touch, {:time_decay, @hour}],
         conversions: [purchase: :every, signup: :once_per_user, install: :once_per_touch],
         users: 4_000,
         orders: 4_000,
         clock: :events,
         # All of it is provisional, so that two halves can be united.
         lateness: 7 * @day
       ]}
    ]
  end

  @doc "An empty table. An attribution has a name, and belongs to the calling process."
  def new(Attribution, options) do
    {:ok, _started} = Application.ensure_all_started(:ad_tally)
    name = :"attribution_#{System.unique_integer([:positive])}"
    {:ok, _attribution} = Attribution.start_link([name: name] ++ options)
    name
  end

  def new(module, options), do: module.new(options)

  @doc "The module and the options of a kind."
  def kind(name), do: List.keyfind!(kinds(), name, 0)

  @doc "A table of a kind, filled. `part` of `parts` has every so many-th of what the whole one has."
  def fill(name, options \\ [], part \\ 0, parts \\ 1) do
    {_name, module, own} = kind(name)
    table = new(module, own ++ options)

    for {act, number} <- Enum.with_index(acts(module)),
        rem(number, parts) == part,
        do: act.(table)

    table
  end

  @doc "Keys of every form."
  def keys do
    [
      1,
      -1,
      0x7FFF_FFFF_FFFF_FFFF,
      "1",
      :"1",
      {1},
      "",
      nil,
      :us,
      :"zürich €",
      {42, "creative-7", :us, nil, -5, "", <<0, 255>>, :de},
      String.duplicate("a long binary ", 400),
      {String.duplicate("x", 65_536), :y}
    ] ++ for(number <- 1..60, do: {:campaign, number, "creative-#{rem(number, 7)}"})
  end

  defp acts(Counters) do
    for {key, number} <- Enum.with_index(keys() ++ keys()) do
      fn table ->
        Counters.add(table, key, :clicks, number)
        Counters.add(table, key, :"Kosten in €", -number * 1_000_000_007)
      end
    end
  end

  defp acts(Reach) do
    for {key, number} <- Enum.with_index(keys()), users <- [1, 9, 100, 40 * number] do
      fn table -> Reach.add_many(table, key, Enum.map(1..max(users, 1)//1, &(&1 * number))) end
    end
  end

  defp acts(Dedupe) do
    for number <- 1..3_000 do
      fn table -> Dedupe.first?(table, id(number), @at + number * 1_000) end
    end
  end

  defp acts(FrequencyCap) do
    for event <- 1..6_000 do
      fn table ->
        FrequencyCap.record(
          table,
          scope(event),
          user(event),
          @at + event * 20_000 - rem(event, 9) * 600_000
        )
      end
    end
  end

  defp acts(Attribution) do
    touches =
      for number <- 1..900 do
        touch = %Touch{
          id: if(rem(number, 4) == 0, do: "touch-#{number}", else: number),
          user: visitor(rem(number * 7_919, 150)),
          at: @at + number * 20_000,
          kind: if(rem(number, 3) == 0, do: :click, else: :view),
          dimensions: Enum.at(pairs(), rem(number, length(pairs()))),
          cost_micros: number
        }

        &Attribution.touch(&1, touch)
      end

    links = for number <- 0..20, do: &Attribution.link(&1, "alias-#{number}", visitor(number))

    touches ++ links ++ for(number <- 1..120, do: &buy(&1, number))
  end

  defp buy(table, number) do
    at = @at + rem(number * 31, 120) * 150_000

    Attribution.convert(table, %Conversion{
      order: order(number),
      user:
        if(rem(number, 5) == 0, do: "alias-#{rem(number, 21)}", else: visitor(rem(number, 90))),
      at: at,
      action: Enum.at([:purchase, :signup, :install], rem(number, 3)),
      value_micros: number * 1_000_003 - 40_000_000
    })

    case rem(number, 10) do
      0 -> Attribution.adjust(table, order(number), {:restate, number}, at)
      1 -> Attribution.adjust(table, order(number), :retract, at)
      _other -> :ok
    end
  end

  defp order(number), do: if(rem(number, 2) == 0, do: number, else: "order-#{number}")
  defp visitor(number), do: Enum.at([number, "user-#{number}", {:user, number}], rem(number, 3))

  # What a touch may be of, in every form that a key's elements have.
  defp pairs do
    [
      {42, "creative-7"},
      {nil, :us},
      {-1, ""},
      {:"zürich €", <<0, 255>>},
      {"1", 1},
      {:"1", String.duplicate("a long binary ", 400)}
    ]
  end

  defp id(number),
    do:
      Enum.at([number, "id-#{number}", {:click, number}, {"click", number, :us}], rem(number, 4))

  defp scope(event),
    do: Enum.at([:home, {:campaign, rem(event, 11)}, "s-#{rem(event, 13)}"], rem(event, 3))

  defp user(event), do: rem(event * 7_919, 700)

  @doc "All that a table answers, without changing it."
  def answers(Counters, table) do
    {Enum.sort(Counters.to_list(table)), Counters.info(table).overflow,
     Enum.map(keys(), &Counters.get(table, &1))}
  end

  def answers(Reach, table) do
    sketches = for key <- keys(), do: sketch_bytes(Reach.sketch(table, key))
    {sketches, Reach.info(table).overflow, Reach.info(table).keys}
  end

  # Every answer of a cap for a week, at times when windows open and close.
  def answers(FrequencyCap, table) do
    windows =
      case FrequencyCap.info(table).tiers do
        [_one] -> [@hour, @day, 7 * @day, {:day, 0}]
        _more -> [@hour, @day, 7 * @day, 30 * @day, {:day, 0}, :lifetime]
      end

    for event <- 1..2_000//17,
        {later, number} <- Enum.with_index([0, 50_000_000, 2 * @day, 7 * @day]) do
      at = @at + 6_000 * 20_000 + later + event
      window = Enum.at(windows, rem(event + number, length(windows)))
      rules = [{2, window}, {5, window}, {1 + rem(event, 3), window}]

      {FrequencyCap.check(table, scope(event), user(event), rules, at),
       FrequencyCap.count(table, scope(event), user(event), window, at),
       FrequencyCap.opens_at(table, scope(event), user(event), rules, at),
       FrequencyCap.check(table, scope(event), user(event), rules, @at - 13 * @day)}
    end
  end

  # Dedupe has no question that changes nothing: so of a table that is not asked again.
  def answers(Dedupe, table) do
    for number <- 1..3_500, do: Dedupe.first?(table, id(number), @at + 3_000_000 + number)
  end

  # How often credits were revised depends on the order of arrival.
  def answers(Attribution, table) do
    info = Attribution.info(table)
    credits = for number <- 1..121, do: Attribution.credits(table, order(number))
    {Enum.map(credits, &(&1 && Map.delete(&1, :revision))), info.users, info.orders}
  end

  defp sketch_bytes(nil), do: nil
  defp sketch_bytes(sketch), do: AdTally.Sketch.to_binary(sketch)

  @doc "In another VM: what a table that is made of these frames answers."
  def answers_of(module, secret, frames) do
    {:ok, frame} = AdTally.Frame.describe(hd(frames))
    ^module = frame.module
    table = new(module, frame.options ++ secret ++ unnamed(module))
    {:ok, %{complete?: true}} = module.import(table, frames)
    answers(module, table)
  end

  @doc "Options that frames do not tell."
  def unnamed(Attribution),
    do: Keyword.take(elem(kind(:attribution), 2), [:dimensions, :clock, :lateness])

  def unnamed(_module), do: []

  @doc "In another VM: the frames of a filled table, and what it answers."
  def frames_and_answers(name, options \\ []) do
    {_name, module, _options} = kind(name)
    table = fill(name, options)
    frames = Enum.to_list(module.export(table))
    {frames, answers(module, table)}
  end
end
