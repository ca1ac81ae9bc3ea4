defmodule AdTally.ScriptsTest do
  use ExUnit.Case, async: true

  unless System.find_executable("bash"), do: @moduletag(skip: "needs bash")

  @root Path.expand("..", __DIR__)

  test "arguments that are unknown are refused, and the known ones named" do
    assert {"Usage: bin/test [--quick]\n", 2} = run("test", ["--fast"])
    assert {"Usage: bin/test [--quick]\n", 2} = run("test", ["--quick", "test/guides_test.exs"])

    assert {"Usage: bin/web-test [--if-there | --screenshots]\n", 2} = run("web-test", ["--fast"])

    for arguments <- [[], ["everything"], ["counters", "reach"]] do
      assert {"Usage: bin/soak PART\n" <> parts, 2} = run("soak", arguments)
      assert parts =~ ~r/^  counters  .*^  dedupe  /ms
    end

    assert {"Usage: bin/engines [ENGINE...]\n" <> text, 2} =
             run("engines", ["duckdb", "postgres"])

    assert text =~ "duckdb polars chdb spark flink airflow"

    assert {"Usage: bin/metrics-judge [--if-there | JUDGE...]\n" <> text, 2} =
             run("metrics-judge", ["client", "grafana"])

    assert text =~ "client promtool datadog prometheus"
  end

  test "whatever bin/test leaves out is a part of bin/soak" do
    soak = File.read!(Path.join(@root, "bin/soak"))

    for file <- Path.wildcard(Path.join(@root, "test/{ad_tally,native}/**/*_test.exs")),
        File.read!(file) =~ ~r/@(module)?tag :exhaustive/,
        do: assert(soak =~ Path.relative_to(file, @root))

    for file <- Path.wildcard(Path.join(@root, "native/ad_tally_core/tests/*.rs")),
        File.read!(file) =~ "#[ignore",
        do: assert(soak =~ ~r/rust_tests #{Path.basename(file, ".rs")}\b/)
  end

  defp run(script, arguments),
    do: System.cmd(Path.join([@root, "bin", script]), arguments, stderr_to_stdout: true)
end
