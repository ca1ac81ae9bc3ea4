# The demo: bin/demo [--events N]

for file <- ~w(text log progress replay generated),
    do: Code.require_file("lib/#{file}.ex", __DIR__)

alias AdTally.Demo.{Generated, Log, Replay, Text}

usage = """
Usage: bin/demo [--events N]

Replays 60,000 real impressions through AdTally.Counters and checks every figure,
then counts N generated events (default 10,000,000) beside ETS.
"""

fail = fn message ->
  IO.puts(:stderr, "\n" <> message)
  System.halt(1)
end

{options, rest, invalid} =
  OptionParser.parse(System.argv(), strict: [events: :integer, help: :boolean])

if options[:help] do
  IO.puts(usage)
  System.halt(0)
end

events = Keyword.get(options, :events, 10_000_000)
if rest != [] or invalid != [] or events < 1, do: fail.(usage)

impressions = Log.impressions()
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
    fail.("These rows differ from the count with plain maps: #{inspect(differences, limit: 20)}")
end

IO.puts("""

== #{Text.integer(events)} generated events on all #{System.schedulers_online()} schedulers, \
2.01 adds an event
""")

run = Generated.run(events)
IO.puts(Generated.table(run))

for result <- [run.ours, run.ets], result.sums != run.expected do
  fail.("#{result.label} counted #{inspect(result.sums)}, generated: #{inspect(run.expected)}")
end

ratio = :erlang.float_to_binary(run.ets.microseconds / run.ours.microseconds, decimals: 2)

IO.puts("""

Both sums are exact. AdTally.Counters counted #{ratio} times as fast as \
:ets.update_counter (write_concurrency).
""")
