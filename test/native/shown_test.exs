defmodule AdTally.Native.ShownTest do
  use ExUnit.Case, async: true

  alias AdTally.{Event, Native, Sketch}

  # As inspect/1 shows them in any release of Elixir.
  as_inspected = [
    0,
    -1,
    2 ** 63,
    -(2 ** 64) - 1,
    2 ** 127 - 1,
    -(2 ** 127),
    1.5,
    -0.25,
    1.0e300,
    1.0e-7,
    nil,
    true,
    false,
    :clicks,
    :"odd atom",
    :"",
    :"1st",
    :Upper,
    :ünïcode,
    :日本,
    :"Elixir.not an alias",
    :ready?,
    :+,
    :<<>>,
    Enum,
    AdTally.Event,
    "",
    "us",
    "a \"quoted\" \\ line\n\t\r\e",
    "ünïcode 日本",
    "not \#{interpolated}",
    <<0>>,
    <<1, 2, 255>>,
    "a" <> <<0>>,
    {},
    {1},
    {1, {"two", :three, nil}},
    [],
    [1, 2],
    [0, 10],
    [1 | 2],
    [1, 2 | {3}],
    [[], [[]]],
    [clicks: 1],
    [clicks: 1, spend: [a: 2]],
    ["odd key": 1, ok?: 2],
    [{Enum, 1}],
    [{:a, 1}, :b],
    [{:a, 1, 2}],
    %{},
    %{clicks: 1},
    %{1 => 2},
    %{"a" => %{b: {}}},
    %{Enum => 1},
    %{"odd key": 1},
    ~D[2026-01-01],
    ~T[01:02:03],
    ~T[01:02:03.040],
    ~N[2026-01-01 01:02:03],
    ~U[2026-01-01 00:00:00Z],
    ~U[2026-01-01 00:00:00.123456Z],
    1..3,
    1..9//2,
    &Enum.map/2
  ]

  for term <- as_inspected do
    test "#{inspect(term)} is shown as Elixir shows it" do
      term = unquote(Macro.escape(term))
      assert Native.shown(term) == inspect(term)
    end
  end

  test "processes, ports and references are shown as Elixir shows them" do
    for term <- [self(), hd(Port.list()), make_ref(), AdTally.Counters.new(metrics: [:n])],
        do: assert(Native.shown(term) == inspect(term))
  end

  test "a function is shown with its module" do
    assert Native.shown(fn -> 1 end) =~ ~r"\A#Function<\d+\.\d+ in AdTally.Native.ShownTest>\z"
  end

  test "a time of another zone is shown with it" do
    time = %{
      ~U[2026-01-01 00:00:00Z]
      | time_zone: "Europe/Berlin",
        zone_abbr: "CET",
        utc_offset: 3_600
    }

    assert Native.shown(time) == "#DateTime<2026-01-01 00:00:00+01:00 CET Europe/Berlin>"
  end

  test "a map is shown with its keys in the order of their names" do
    assert Native.shown(%{b: 2, a: 1}) == "%{a: 1, b: 2}"
  end

  test "a struct is shown with its fields in the order of their names" do
    event = %Event{id: "a", at: 1, dimensions: {42}, metrics: [clicks: 1]}

    assert Native.shown(event) ==
             ~S(%AdTally.Event{at: 1, dimensions: {42}, id: "a", metrics: [clicks: 1], user: nil})
  end

  test "a struct that is not what its name says is shown with what it has" do
    assert Native.shown(%{__struct__: Date, year: 1}) == "%Date{year: 1}"
    assert Native.shown(%{__struct__: nil}) == "%{__struct__: nil}"
    assert Native.shown(%{~D[2026-01-01] | year: "x"}) =~ ~S(%Date{calendar: Calendar.ISO, )
    assert Native.shown(%{~T[01:02:03] | microsecond: {0, 7}}) =~ "%Time{"
    assert Native.shown(%{~U[2026-01-01 00:00:00Z] | utc_offset: 2 ** 70}) =~ "~U["
  end

  test "a sketch is shown by name" do
    assert Native.shown(Sketch.from_users([1])) == "#AdTally.Sketch<...>"
  end

  test "a charlist is shown as text" do
    assert Native.shown(String.to_charlist("ann \"b\"")) == ~S(~c"ann \"b\"")
  end

  test "what is not a whole number of bytes, and integers beyond 128 bits, are named" do
    assert Native.shown(<<5::3>>) == "a bitstring that is not a binary"
    assert Native.shown(2 ** 127) == "an integer of more than 38 digits"
    assert Native.shown(-(2 ** 127) - 1) == "a negative integer of more than 38 digits"
    assert Native.shown({2 ** 1_000}) == "{an integer of more than 38 digits}"
  end

  test "long terms are cut" do
    numbers = Enum.map_join(1..20, ", ", &to_string/1)
    assert Native.shown(Enum.to_list(1..21)) == "[#{numbers}, ...]"
    assert Native.shown(List.to_tuple(Enum.to_list(1..20))) == "{#{numbers}}"
    assert Native.shown(Enum.to_list(1..20) ++ :tail) == "[#{numbers} | :tail]"

    x = String.duplicate("x", 100)
    assert Native.shown(x) == ~s("#{x}")
    assert Native.shown(x <> "x") == ~s("#{x}" <> ...)
    # The hundredth byte is inside of a character.
    assert Native.shown("x" <> String.duplicate("é", 60)) ==
             ~s("x#{String.duplicate("é", 49)}" <> ...)

    assert Native.shown(List.duplicate(0, 21)) =~ ~r"\A\[0(, 0){19}, \.\.\.\]\z"
    assert Native.shown([[[[[[[[[[1]]]]]]]]]]) == "[[[[[[[[[...]]]]]]]]]"

    line = Native.shown(List.duplicate(String.duplicate("é", 45), 10))
    assert String.length(line) == 203
    assert String.ends_with?(line, "...")
  end
end
