defmodule AdTally.Store.DescribedTest do
  use ExUnit.Case, async: true

  alias AdTally.Store.Described

  @described %{
    opened: 3,
    start_ms: 2_345,
    torn_bytes: 0,
    damages: [],
    parts: [
      %{name: "", kind: "store", bytes: 120, entries: [{"atom", 4}]},
      %{
        name: "Elixir.MyApp.Ads",
        kind: "meter",
        bytes: 25_000_000,
        entries: [{"row", 7}, {"id", 9}, {"sketch", 0}]
      },
      %{name: "caps", kind: "frequency_cap", bytes: 0, entries: []}
    ],
    files: [
      %{name: "journal-1", part: nil, base?: false, from: 4, to: 9, bytes: 20_000},
      %{name: "journal-2", part: nil, base?: false, from: 1, to: 0, bytes: 60},
      %{name: "run-3", part: "MyApp.Ads", base?: true, from: 1, to: 3, bytes: 25_000_000}
    ]
  }

  test "a directory is parts and files in columns, and how long a start takes" do
    assert Described.lines(@described, "/ads") == [
             "/ads: 25 MB in 3 files, opened 3 times",
             "A start reads it in about 2.3 s.",
             "",
             "part                        size  entries",
             "(names)                120 bytes  atom 4",
             "MyApp.Ads (meter)          25 MB  id 9, row 7",
             ":caps (frequency_cap)    0 bytes",
             "",
             "file           size  what",
             "journal-1     20 kB  intervals 4 to 9",
             "journal-2  60 bytes  nothing yet",
             "run-3         25 MB  MyApp.Ads, all up to interval 3"
           ]
  end

  test "what is not complete and what is damaged is said" do
    described = %{
      @described
      | torn_bytes: 77,
        damages: ["run-3 is damaged at byte 5"],
        start_ms: 12
    }

    lines = Described.lines(described, "/ads")
    assert Enum.at(lines, 1) == "A start reads it in about 12 ms."
    assert Enum.at(lines, 2) =~ "The last 77 bytes are not complete"
    assert Enum.take(lines, -2) == ["Damaged:", "run-3 is damaged at byte 5"]
  end
end
