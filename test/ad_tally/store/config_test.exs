defmodule AdTally.Store.ConfigTest do
  use ExUnit.Case, async: true

  alias AdTally.{Attribution, Counters, Dedupe, FrequencyCap, Meter, Reach, Store}
  alias AdTally.Store.Config

  defp refused(options),
    do: assert_raise(ArgumentError, fn -> Store.start_link(options) end).message

  test "a store needs a name and a directory" do
    assert refused([]) =~ "with a :name, which is an atom"
    assert refused(name: "store", dir: "d") =~ "expected :name to be an atom, got: \"store\""
    assert refused(name: :s) =~ "expected :dir to be the path of a directory, a binary, got: nil"
    assert refused(name: :s, dir: "") =~ "expected :dir to be the path"
    assert refused(name: :s, dir: ~c"dir") =~ "expected :dir to be the path"
    assert refused(name: :s, dir: <<"a", 0>>) =~ "expected :dir to be the path"
  end

  test "options that are unknown or out of range are refused by what would be right" do
    options = [name: :s, dir: "d"]

    assert refused(options ++ [intervall: 5]) =~
             "unknown or repeated options [:intervall], known are :name, :dir"

    assert refused(options ++ [interval: 0]) =~
             "expected :interval to be milliseconds, an integer from 1 to 60000, got: 0"

    assert refused(options ++ [interval: 60_001]) =~ "got: 60001"

    assert refused(options ++ [buffer_bytes: 1_000]) =~
             "expected :buffer_bytes to be bytes, an integer from 1048576"

    assert refused(options ++ [segment_bytes: 1.5]) =~ "expected :segment_bytes to be bytes"
    assert refused(options ++ [max_age: -1]) =~ "expected :max_age to be milliseconds"

    assert refused(options ++ [repair: true]) =~
             "expected :repair to be false or :truncate, got: true"
  end

  test "a directory is one from the working directory of the start" do
    assert %{dir: dir} = Config.new!(name: :s, dir: "d/../e")
    assert dir == Path.join(File.cwd!(), "e")
  end

  test "a table without a name has no store" do
    for {new, options} <- [
          {&Counters.new/1, [metrics: [:clicks]]},
          {&Reach.new/1, []},
          {&Dedupe.new/1, []},
          {&FrequencyCap.new/1, []}
        ] do
      error = assert_raise ArgumentError, fn -> new.([store: MyApp.Store] ++ options) end
      assert error.message =~ "expected no :store for a table without a name"
    end
  end

  @tables [
    {Counters, [metrics: [:clicks]]},
    {Reach, []},
    {Dedupe, []},
    {FrequencyCap, []},
    {Meter, [dimensions: [:page], metrics: [:views]]},
    {Attribution, [dimensions: [:page], touches: [click: 1_000], conversions: [purchase: :every]]}
  ]

  test "a table in a store that does not run is refused, and so is what is no name of a store" do
    for {module, options} <- @tables do
      options = [name: Module.concat(__MODULE__, module)] ++ options
      start = fn store -> fn -> module.start_link([store: store] ++ options) end end
      error = assert_raise ArgumentError, start.(Absent.Store)

      assert error.message =~
               "there is no AdTally.Store named Absent.Store that runs: start it under a supervisor"

      error = assert_raise ArgumentError, start.("store")

      assert error.message =~
               "expected :store to be the name of an AdTally.Store, an atom, or nil for none"
    end
  end

  test "without a store there is nothing to keep open" do
    for {module, options} <- Enum.drop(@tables, 4) do
      options = [name: Module.concat(__MODULE__, module), on_stop: :keep_open] ++ options
      error = assert_raise ArgumentError, fn -> module.start_link(options) end
      assert error.message =~ "expected no :on_stop but :close without a :store"
    end
  end

  test "a supervisor waits for what writes to the disk when it stops" do
    assert %{id: {Store, :s}, shutdown: :infinity} = Store.child_spec(name: :s, dir: "d")
    assert %{shutdown: :infinity} = Counters.child_spec(name: :c, store: :s, metrics: [:clicks])
    refute Map.has_key?(Counters.child_spec(name: :c, metrics: [:clicks]), :shutdown)
  end

  test "functions of a store that does not run say so" do
    for call <- [&Store.sync/1, &Store.sync(&1, 5), &Store.info/1] do
      error = assert_raise ArgumentError, fn -> call.(Absent.Store) end
      assert error.message =~ "there is no AdTally.Store named Absent.Store that runs"
      error = assert_raise ArgumentError, fn -> call.("store") end
      assert error.message =~ "expected the name of an AdTally.Store, an atom, got: \"store\""
    end

    assert_raise ArgumentError, ~r/expected :timeout to be/, fn ->
      Store.sync(Absent.Store, -1)
    end

    refute Store.ready?(Absent.Store)
    refute Store.ready?(Absent.Store, [MyApp.Ads])
  end
end
