defmodule AdTally.Engines.Input do
  @moduledoc """
  The meters whose files the engines read: of each its name, its events in order of time, and what its
  options are besides those that all have.
  """

  alias AdTally.Demo.Log
  alias AdTally.{Event, Meter, Sink}

  @hour 3_600_000
  # 2026-11-28 20:00 UTC: the windows after it are on two dates.
  @evening 1_795_896_000_000
  @types [policy: :string, campaign: :string, item: :integer, position: :integer]

  @names [:order, :group, :file, :rowid, :"ad group", :"it's", :"a.b", :"back`tick"]
  @metric_names [:select, :count, :"say \"hi\"", :Key]

  @type input :: {name :: String.t(), [Event.t()], options :: keyword()}

  @spec all() :: [input()]
  def all do
    [
      {"demo", demo(), types: @types},
      {"dense", dense(), types: @types},
      {"odd", odd(), [types: @types] ++ room_for_odd()},
      {"untyped", odd(), [types: nil] ++ room_for_odd()},
      {"names", names(),
       dimensions: @names, metrics: @metric_names, reach: [by: @names], types: [order: :string]}
    ]
  end

  # Clicks cost, by their place on the page.
  @prices %{1 => 120_000, 2 => 95_000, 3 => 90_000}

  defp demo do
    impressions = Enum.sort_by(Log.impressions(), & &1.at)

    for {impression, number} <- Enum.with_index(impressions) do
      clicks = if impression.clicked?, do: 1, else: 0

      %Event{
        id: number,
        at: impression.at,
        dimensions:
          {impression.policy, impression.campaign, impression.item, impression.position},
        user: impression.segment,
        metrics: [
          impressions: 1,
          clicks: clicks,
          spend_micros: clicks * @prices[impression.position]
        ]
      }
    end
  end

  @doc "Of each campaign of `dense` its users, integers without a gap: engines make sketches of them too."
  @spec dense_users() :: %{String.t() => Range.t()}
  def dense_users do
    %{
      "nobody" => 1..0//1,
      "few" => 1..7//1,
      "some" => 5..404//1,
      "many" => 1_001..21_000//1,
      "most" => 500_001..650_000//1
    }
  end

  # A user is in one of six windows, and every third one in the next window too, under the other policy.
  defp dense do
    for hour <- 0..5, {campaign, users} <- dense_users(), user <- users_at(hour, users) do
      event(hour, {elem({"random", "bts"}, rem(hour, 2)), campaign, rem(user, 3), 1}, user,
        impressions: 1
      )
    end ++ [event(5, {"bts", "nobody", 1, 1}, nil, impressions: 1)]
  end

  defp users_at(hour, users) do
    for user <- users,
        rem(user, 6) == hour or (rem(user, 3) == 0 and rem(user + 1, 6) == hour),
        do: user
  end

  @campaigns [
    "summer",
    nil,
    true,
    false,
    :summer,
    :autumn,
    7,
    "7",
    0,
    9_007_199_254_740_993,
    9_223_372_036_854_775_807,
    -9_223_372_036_854_775_808,
    "9223372036854775808",
    "",
    " ",
    "null",
    "NaN",
    "1e5",
    "007",
    "2026-11-28",
    "2026-11-28T20:00:00Z",
    "quote\"d",
    "it's",
    "back\\slash",
    "new\nline",
    "carriage\r\nreturn",
    "tab\there",
    "a,comma;and\ttab",
    "nul\0inside",
    "\u0001\u001F\u007F",
    "line\u2028and\u2029paragraph",
    "\uFEFFmark",
    "Ünïcödé 東京 🎉",
    "{\"a\":1}",
    "[1,2]",
    "base64:/wDI",
    <<255, 0, 200>>,
    <<"half a rune ", 0xE6, 0x9D>>,
    String.duplicate("long ", 400)
  ]

  @doc "Values of a dimension that are hard to load."
  @spec campaigns() :: [term(), ...]
  def campaigns, do: @campaigns

  @items [1, "1", nil, :one, -9_223_372_036_854_775_808, 9_223_372_036_854_775_807, <<255>>]

  @largest 9_223_372_036_854_775_807
  @extremes [{"most spent", @largest}, {"most paid back", -@largest - 1}]

  # For all but what is to go to the overflow.
  defp room_for_odd do
    campaigns = length(@campaigns) + length(@extremes)
    [max_keys: campaigns + length(@items), max_sketches: campaigns + 1]
  end

  defp odd do
    for hour <- 0..2, event <- window_of_odd(hour), do: event
  end

  defp window_of_odd(hour) do
    campaigns =
      for {campaign, number} <- Enum.with_index(@campaigns),
          times <- 0..1,
          do:
            event(hour, {"values", campaign, 1, 1}, "user #{rem(hour + times, 3)}",
              impressions: 1,
              clicks: times,
              spend_micros: number - 20
            )

    items =
      for {item, number} <- Enum.with_index(@items),
          do: event(hour, {"values", "items", item, number}, number, impressions: 1)

    extremes =
      for {campaign, amount} <- @extremes,
          do:
            event(hour, {"amounts", campaign, 1, 1}, campaign,
              impressions: 1,
              spend_micros: amount
            )

    # No row is left for these, nor a sketch, and their sum passes 64 bits.
    overflow =
      for number <- 1..3,
          do:
            event(hour, {"overflow", "overflow #{number}", 1, 1}, number,
              impressions: 1,
              spend_micros: @largest
            )

    campaigns ++ items ++ extremes ++ if(hour == 1, do: overflow, else: [])
  end

  defp names do
    values = @names |> Enum.with_index() |> Enum.map(&elem(&1, 1)) |> List.to_tuple()

    for {metric, amount} <- Enum.with_index(@metric_names, 1),
        do: event(0, values, amount, [{metric, amount}])
  end

  defp event(hour, dimensions, user, metrics),
    do: %Event{
      at: @evening + hour * @hour + 1,
      dimensions: dimensions,
      user: user,
      metrics: metrics
    }

  @doc "The options of a meter."
  @spec options(String.t(), keyword(), Path.t()) :: keyword()
  def options(name, options, dir) do
    {types, options} = Keyword.pop!(options, :types)
    {sketches, options} = Keyword.pop(options, :max_sketches, 1_000)
    sink = [dir: dir] ++ if(types, do: [types: types], else: [])

    columns = [
      dimensions: [:policy, :campaign, :item, :position],
      metrics: [:impressions, :clicks, :spend_micros],
      reach: [by: [:policy, :campaign], max_keys: sketches]
    ]

    [
      name: Module.concat(Engines, Macro.camelize(name)),
      window: @hour,
      lateness: @hour,
      clock: :events,
      retain: 30 * 24 * @hour,
      flush: 600_000,
      sinks: [{Sink.Files, sink}]
    ] ++ Keyword.merge(columns, options)
  end

  @doc """
  Counts the events, and gives what `report` returns for the meter before it is stopped. All windows whose
  time has passed by the newest event are closed by the clock, and the others are partial.
  """
  @spec write(keyword(), [Event.t()], (keyword() -> report)) :: report when report: term()
  def write(options, events, report) do
    {:ok, supervisor} = Supervisor.start_link([{Meter, options}], strategy: :one_for_one)

    %{duplicate: 0, late: 0, future: 0, no_window: 0} = Meter.record_many(options[:name], events)

    await_closed(options[:name], passed(options, events))
    report = report.(options)
    Supervisor.stop(supervisor)
    report
  end

  defp passed(options, events) do
    newest = events |> Enum.map(& &1.at) |> Enum.max()
    window = options[:window]

    events
    |> Enum.map(&(div(&1.at, window) * window))
    |> Enum.uniq()
    |> Enum.count(&(&1 + window + options[:lateness] <= newest))
  end

  defp await_closed(name, windows) do
    if Meter.info(name).closed_windows < windows do
      Process.sleep(20)
      await_closed(name, windows)
    end
  end

  @doc "Copies the files of the last window of a kind under other names, as if it had been delivered twice."
  @spec deliver_again(Path.t(), Sink.Files.kind()) :: :ok
  def deliver_again(dir, kind) do
    name = dir |> Path.join("#{kind}/*/*.gz") |> Path.wildcard() |> List.last() |> Path.basename()
    copies = dir |> Path.join("*/*/" <> name) |> Path.wildcard()
    for path <- copies, do: File.cp!(path, String.replace(path, ".ndjson.gz", "_again.ndjson.gz"))
    if length(copies) < 2, do: raise("expected several files of #{name} in #{dir}")
    :ok
  end

  @doc "Half of a file beside each, under the name that it has while it is written."
  @spec leave_unfinished(Path.t()) :: :ok
  def leave_unfinished(dir) do
    for folder <- Path.wildcard(Path.join(dir, "*/*")) do
      [first | _] = folder |> File.ls!() |> Enum.sort()
      bytes = File.read!(Path.join(folder, first))
      half = binary_part(bytes, 0, div(byte_size(bytes), 2))
      File.write!(Path.join(folder, "_unfinished_#{first}.part"), half)
    end

    :ok
  end
end
