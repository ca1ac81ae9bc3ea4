# The demo: bin/demo [--events N] [--web [--port N]] [--help]

for file <-
      ~w(text log progress replay events workers generated reach caps meter service killed metered credits
        attribution attributed paced paced_killed live),
    do: Code.require_file("lib/#{file}.ex", __DIR__)

alias AdTally.Demo.{
  Attributed,
  Attribution,
  Caps,
  Generated,
  Killed,
  Live,
  Log,
  Meter,
  Metered,
  Paced,
  PacedKilled,
  Reach,
  Replay,
  Text
}

usage = """
Usage: bin/demo [--events N] [--help]
       bin/demo --web [--port N]

Replays 60,000 real impressions through AdTally.Counters, Reach, FrequencyCap, Meter, Attribution and Pacer,
kills services of its own in the middle of them, and checks every figure, then counts generated events beside ETS, by counters and by a meter, and
their users beside an exact count, and attributes generated conversions to half as many touches. Exits
with 1 if any figure is wrong.

  --events N  how many events to generate, at least 1 (default 10000000)
  --web       instead starts a service with the impressions of the log as traffic, prints the address of its page
              (AdTally.Web), and goes on until it is stopped by Ctrl+C
  --port N    where the page is, 0 for any port that is free (default 4040)
  --help      show this text
"""

fail = fn message ->
  IO.puts(:stderr, "\n" <> message)
  System.halt(1)
end

{options, rest, invalid} =
  OptionParser.parse(System.argv(),
    strict: [events: :integer, web: :boolean, port: :integer, help: :boolean]
  )

if options[:help] do
  IO.puts(usage)
  System.halt(0)
end

events = Keyword.get(options, :events, 10_000_000)
if rest != [] or invalid != [] or events < 1, do: fail.(usage)

if options[:port] && !options[:web], do: fail.(usage)

impressions = Log.impressions()

if options[:web] do
  dir = Path.join(System.tmp_dir!(), "ad_tally_demo_web")
  File.rm_rf!(dir)

  case Live.start(impressions, options[:port] || 4040, dir) do
    {:ok, address} ->
      IO.puts(
        "\nThe page is at #{address} and traffic is running. Ctrl+C stops it. Files are in #{dir}."
      )

      Process.sleep(:infinity)

    {:error, reason} ->
      fail.(reason)
  end
end

processes = max(4, System.schedulers_online())

IO.puts("""

== #{Text.integer(length(impressions))} real impressions, counted from #{processes} processes
""")

counted = Replay.count(impressions, processes)
expected = Replay.expected(impressions)
IO.puts(Replay.table(counted))

case Replay.differences(counted, expected) do
  [] ->
    rows = Text.integer(map_size(counted))
    IO.puts("\nAll #{rows} rows (items and positions too) equal the count with plain maps.")

  differences ->
    fail.("These rows differ from the count with plain maps:\n" <> Replay.explain(differences))
end

rows = Reach.log(impressions, processes)
IO.puts("\nUnique user segments:\n")
IO.puts(Reach.table(rows, ["policy", "campaign"]))

case Reach.differences(rows) do
  [] -> :ok
  differences -> fail.("Estimates are wrong:\n" <> Enum.join(differences, "\n"))
end

caps = Caps.replay(impressions)
IO.puts("\nImpressions of an item that frequency caps would withhold from a segment:\n")
IO.puts(Caps.table(caps))

IO.puts("""

Of all those withheld #{Text.integer(caps.rounded)} are due to rounding: times are kept in ticks of \
5 minutes, and the oldest one that counted may lie in the window. Later ones shift with \
them. #{Text.integer(caps.alike)} pairs of item and segment look like another one to the table and \
had something withheld for that. All others are those that exact times withhold from the same audience. \
#{Text.integer(caps.info.pairs)} pairs of item and segment took \
#{Text.integer(div(caps.info.memory_bytes, 1024))} KiB.
""")

if caps.wrong != [], do: fail.("Caps decided wrongly:\n" <> Enum.join(caps.wrong, "\n"))

dir = Path.join(System.tmp_dir!(), "ad_tally_demo")
File.rm_rf!(dir)
meter = Meter.replay(caps.decided, processes, dir)
IO.puts("The same through a supervised AdTally.Meter, every impression delivered twice:\n")
IO.puts(Meter.table(meter))

withheld = caps.withheld |> Map.values() |> Enum.sum()

case Meter.differences(meter, length(impressions), withheld) do
  [] ->
    IO.puts("""

    Withheld are those of the caps above. #{Text.integer(meter.outcomes[:duplicate])} copies were known, #{meter.info.events.late} events were late. Every \
    row of #{meter.windows} windows of an hour equals the count with plain maps. The last #{meter.partial} were closed by the stop, the others \
    by time. Their files are in #{dir}.
    """)

  differences ->
    fail.("The meter is wrong:\n" <> Enum.join(Enum.take(differences, 10), "\n"))
end

dir = Path.join(System.tmp_dir!(), "ad_tally_demo_killed")
File.rm_rf!(dir)
killed = Killed.replay(impressions, 5, dir)

IO.puts("""
The same through a service with an AdTally.Store, an operating system process that was killed (kill -9) \
#{killed.kills} times in the middle of a batch, and started again:
""")

IO.puts(Killed.table(killed))

if killed.counted != Killed.expected(impressions),
  do: fail.("After the kills the files have: #{inspect(killed.counted)}")

IO.puts("""

#{killed.sent} batches were sent, each until it was acknowledged, and #{Text.integer(killed.duplicates)} events were \
known when they came again. Every row equals the count with plain maps, in the files of \
#{killed.windows} windows: #{:erlang.float_to_binary(killed.seconds, decimals: 1)} s. The files are in #{dir}.
""")

clicks = Attribution.replay(impressions, processes)

IO.puts("""
Each of #{clicks.clicks} clicks attributed to the impressions that its segment had seen in six hours, every event \
delivered twice in another order:
""")

IO.puts(Attribution.table(clicks))

case Attribution.differences(clicks, Attribution.expected(impressions)) do
  [] ->
    IO.puts("""

    Under every model each item and position is credited with the parts of clicks, to the millionth, that lists \
    make of it.
    """)

  differences ->
    fail.("Clicks are attributed wrongly:\n" <> Enum.join(Enum.take(differences, 10), "\n"))
end

paced = Paced.replay(impressions)

IO.puts("""
The week as one day of #{Text.integer(length(impressions))} requests, in which three campaigns spend a budget of 5.000 each, with \
frequency caps. Spend against target:
""")

IO.puts(Paced.hours(paced))
IO.puts("")
IO.puts(Paced.outcomes(paced))

case Paced.differences(paced) do
  [] ->
    IO.puts("""

    At the end of each hour the pacer has booked what the ads that were shown have cost, and that, what is reserved \
    and what is leased is at most the budget. Paces differ by what they are for: an even one cannot be met at \
    night, when too few requests come. A day of #{Text.integer(paced.ticks)} ticks took \
    #{:erlang.float_to_binary(paced.seconds, decimals: 1)} s.
    """)

  differences ->
    fail.("Budgets are paced wrongly:\n" <> Enum.join(Enum.take(differences, 10), "\n"))
end

dir = Path.join(System.tmp_dir!(), "ad_tally_demo_paced")
File.rm_rf!(dir)
spending = PacedKilled.replay(impressions, 5, dir)

IO.puts("""
The afternoon again, with a budget of 4.000 each, in a service with an AdTally.Store, an operating system process that was \
killed (kill -9) #{spending.kills} times meanwhile, and started again:
""")

IO.puts(PacedKilled.table(spending))

case PacedKilled.differences(spending) do
  [] ->
    IO.puts("""

    The ads have cost no more than the budget. What may have been spent without a trace when the service was \
    killed is presumed, and not spent again; of that is stranded what was not. #{Text.integer(spending.requests)} requests, \
    #{:erlang.float_to_binary(spending.seconds, decimals: 1)} s. The files are in #{dir}.
    """)

  differences ->
    fail.("Budgets are spent wrongly:\n" <> Enum.join(differences, "\n"))
end

IO.puts("""

== #{Text.integer(events)} generated events on all #{System.schedulers_online()} schedulers, \
2.01 adds an event
""")

run = Generated.run(events)
IO.puts(Generated.table(run))

IO.puts("\nThe time is that of the counting loop: events are drawn before the clock starts.")

case Generated.differences(run) do
  [] -> :ok
  differences -> fail.("The sums are wrong: " <> Enum.join(differences, "; "))
end

ratio = :erlang.float_to_binary(run.ets.microseconds / run.ours.microseconds, decimals: 2)

IO.puts("""

Both sums are exact. With one call a metric both ways, AdTally.Counters counted #{ratio} times \
as fast as :ets.update_counter (write_concurrency).
""")

IO.puts("== #{Text.integer(events)} generated pairs of campaign and user\n")

run = Reach.generated(events)
IO.puts("The ten largest of #{Text.integer(run.info.keys)} campaigns:\n")
IO.puts(Reach.table(run.rows, ["campaign"]))

case Reach.differences(run.rows) do
  [] ->
    :ok

  differences ->
    fail.("Estimates are off by four standard errors:\n" <> Enum.join(differences, "\n"))
end

info = run.info
kibibytes = &(Text.integer(div(&1, 1024)) <> " KiB")

IO.puts("""

Drawn and added in #{:erlang.float_to_binary(run.microseconds / 1_000_000, decimals: 2)} s, \
#{Text.integer(round(run.events / run.microseconds * 1_000_000))} pairs a second. Memory: \
#{kibibytes.(info.memory_bytes)} for #{Text.integer(info.dense)} campaigns with registers and \
#{Text.integer(info.sparse)} with few users; 1.62 % is the standard error at this precision.
""")

IO.puts("""
== #{Text.integer(events)} generated events, a fiftieth of them delivered twice, through a meter
""")

run = Metered.run(events)
IO.puts(Metered.table(run))

case Metered.differences(run) do
  [] -> :ok
  differences -> fail.("The meter is wrong: " <> Enum.join(differences, "; "))
end

ratio = :erlang.float_to_binary(run.ets.microseconds / run.ours.microseconds, decimals: 2)

IO.puts("""

All sums are exact both ways, and all #{Text.integer(run.copies)} copies were known. The meter was #{ratio} times \
as fast, and has seen #{Text.integer(round(run.users.reach))} users \
(#{Text.integer(round(run.users.reach_low))} to #{Text.integer(round(run.users.reach_high))}), \
of whom there were #{Text.integer(run.exact_users)}: ETS was not asked for them. \
The meter's ids will be forgotten with their window; the table of ids in ETS only grows.
""")

IO.puts(
  "== #{Text.integer(div(events, 2))} generated touches, and conversions, in shuffled order\n"
)

run = Attributed.run(div(events, 2))
IO.puts(Attributed.table(run))

case Attributed.differences(run, Attributed.expected(run)) do
  [] ->
    :ok

  differences ->
    fail.("Conversions are attributed wrongly: " <> Enum.join(Enum.take(differences, 10), "; "))
end

IO.puts("""

Made and taken on all #{System.schedulers_online()} schedulers. Under all five models each campaign is credited \
with the parts of conversions, and the micros of their value, that lists make of it.
""")
