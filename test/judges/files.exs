# Writes the files of a meter that counted the real log, and what it reports of them:
# mix run test/judges/files.exs DIR

[directory] = System.argv()
for file <- ~w(text log caps meter), do: Code.require_file("../../demo/lib/#{file}.ex", __DIR__)

alias AdTally.Demo.{Caps, Log, Meter}

impressions = Log.impressions()
caps = Caps.replay(impressions)
result = Meter.replay(caps.decided, 4, Path.join(directory, "files"))
withheld = caps.withheld |> Map.values() |> Enum.sum()
[] = Meter.differences(result, length(impressions), withheld)

lines =
  for row <- result.report do
    fields = [row.policy, row.campaign, row.impressions, row.clicks, row.reach]
    Enum.join(fields, "\t") <> "\n"
  end

File.write!(Path.join(directory, "report.tsv"), lines)
