defmodule AdTally.Store.StartTest do
  use ExUnit.Case

  alias AdTally.Test.{FreshVM, StoredState}

  @moduletag :exhaustive
  @moduletag timeout: :infinity

  # COUNT sets another number of events, pairs and touches.
  @tag :tmp_dir
  test "a start with ten million ids, pairs and touches and a million rows", %{tmp_dir: dir} do
    count = String.to_integer(System.get_env("COUNT", "10000000"))
    on_exit(fn -> File.rm_rf!(dir) end)
    dir = Path.join(dir, "store")
    filled = FreshVM.call(StoredState, :fill, [dir, count])
    again = FreshVM.call(StoredState, :start_again, [dir, count])

    megabytes = &div(&1, 1_000_000)

    IO.puts("""

    #{filled.events} events with ids on #{filled.rows} rows, #{filled.pairs} pairs, #{filled.touches} touches: \
    start in #{again.took} ms, memory #{megabytes.(again.bytes)} MB after #{megabytes.(filled.bytes)} MB, \
    directory #{megabytes.(filled.disk)} MB of which #{megabytes.(filled.base)} MB are merged completely
    """)

    for what <- [:events, :rows, :pairs, :touches], do: assert(again[what] == filled[what])

    # Some ids and pairs look like another one's.
    for what <- [:events, :pairs, :touches],
        do: assert(filled[what] in trunc(0.9999 * count)..count)

    assert filled.rows == div(count, 10) + 1
    assert again.known == count
    assert again.took <= 15_000
    assert again.bytes <= 1.3 * filled.bytes
    assert filled.disk <= 2.5 * filled.base
  end
end
