# Writes the input of bin/engines: mix run test/judges/engines/input.exs DIR
#
#     DIR/NAME/            files of AdTally.Sink.Files, a directory for each meter below
#     DIR/expected.json    by NAME: the meter's options, its declarations for the engines, and its report
#
# All meters but the last have the same dimensions and metrics, so the queries of guides/warehouse.md are
# right for each:
#
#     demo      the demo's log, windows of an hour that were closed by time, one of them delivered twice
#     dense     many users in few windows
#     odd       values and amounts that are hard to load, and an overflow
#     untyped   the same without `types:`
#     names     dimensions and metrics that are words of SQL, or need quotes
#
# And DIR/attribution/ are the files of an attribution.
#
# Each has a file that is still being written, too, as a VM that is killed leaves it behind.

Code.require_file("../../../demo/lib/log.ex", __DIR__)
for file <- ~w(json input expectation attribution), do: Code.require_file("#{file}.ex", __DIR__)

alias AdTally.Engines.{Attribution, Expectation, Input, JSON}

[directory] = System.argv()
File.rm_rf!(directory)

expected =
  for {name, events, options} <- Input.all() do
    dir = Path.join(directory, name)
    options = Input.options(name, options, dir)
    report = Input.write(options, events, &Expectation.report/1)
    Input.deliver_again(dir, :reach)
    Input.leave_unfinished(dir)
    {name, Expectation.new(options, events, report, dir)}
  end

dir = Path.join(directory, "attribution")
attribution = Attribution.write(dir)
Input.deliver_again(dir, :touches)
Input.leave_unfinished(dir)

expected = Map.new([{"attribution", attribution} | expected])
File.write!(Path.join(directory, "expected.json"), JSON.encode(expected))
