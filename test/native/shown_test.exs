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
    Enum,
    AdTally.Event,
    "",
    "us",
    "a \"quoted\" \\ line\n\t\r",
    "ünïcode 日本",
    "not \#{interpolated}",
    <<1, 2, 255>>,
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
    %{"odd key": 1}
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

  # Where this notation is not inspect/1's, it is Elixir's all the same.
  in_elixir = [
    1.0e-7,
    1.0e300,
    :+,
    :<<>>,
    <<0>>,
    "a" <> <<0, 27, 127>>,
    ~D[2026-01-01],
    ~T[01:02:03.040],
    ~N[2026-01-01 01:02:03],
    ~U[2026-01-01 00:00:00.123456Z],
    1..3,
    1..9//2,
    %{1 => :integer, "text" => 1, nil: 2, a: 3}
  ]

  for term <- in_elixir, not is_float(term) do
    test "#{inspect(term)} is shown in Elixir's syntax" do
      term = unquote(Macro.escape(term))
      assert {^term, _bindings} = Code.eval_string(Native.shown(term))
    end
  end

  test "floats are shown with their digits" do
    assert Native.shown(1.0e-7) == "1e-7"
    assert Native.shown(1.0e300) == "1e300"
  end

  test "a function is shown with its module" do
    assert Native.shown(fn -> 1 end) =~ ~r"\A#Fun<Elixir.AdTally.Native.ShownTest.\d+\.\d+>\z"
    assert Native.shown(&Enum.map/2) =~ ~r"\Afun .*Elixir.Enum.*map/2\z"
  end

  test "a map is shown with its keys in the order of their names" do
    assert Native.shown(%{b: 2, a: 1}) == "%{a: 1, b: 2}"
  end

  test "a struct is shown with its fields in the order of their names" do
    event = %Event{id: "a", at: 1, dimensions: {42}, metrics: [clicks: 1]}

    assert Native.shown(event) ==
             ~S(%AdTally.Event{at: 1, dimensions: {42}, id: "a", metrics: [clicks: 1], touch: nil, user: nil})
  end

  test "a struct that is not what its name says is shown with what it has" do
    assert Native.shown(%{__struct__: Date, year: 1}) == "%Date{year: 1}"
    assert Native.shown(%{__struct__: nil}) == "%{__struct__: nil}"
    assert Native.shown(%{__struct__: "no atom"}) == ~S(%{__struct__: "no atom"})
    assert Native.shown(%{__struct__: :lower}) == "%{__struct__: :lower}"
    assert Native.shown(%{~D[2026-01-01] | year: "x"}) =~ ~S(%Date{calendar: Calendar.ISO, )
    assert Native.shown(%{(1..2) | last: :x}) == "%Range{first: 1, last: :x, step: 1}"
  end

  test "a sketch is shown by name" do
    assert Native.shown(Sketch.from_users([1])) == "#AdTally.Sketch<...>"
  end

  test "a charlist of up to twenty characters is shown as text" do
    assert Native.shown(String.to_charlist("ann \"b\"")) == ~S(~c"ann \"b\"")
    assert Native.shown(List.duplicate(?a, 20)) == ~s(~c"#{String.duplicate("a", 20)}")
    assert Native.shown(List.duplicate(?a, 21)) =~ ~r"\A\[97, .*, \.\.\.\]\z"
    assert Native.shown([?a | :tail]) == "[97 | :tail]"
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

    numbers = Enum.map_join(0..19, ", ", &to_string/1)

    assert Native.shown(:binary.list_to_bin(Enum.to_list(0..19) ++ [255])) ==
             "<<#{numbers}, ...>>"

    # The 200th byte is inside of a character.
    line = Native.shown(List.duplicate(String.duplicate("é", 45), 10))
    assert String.valid?(line)
    assert byte_size(line) in 202..203
    assert String.ends_with?(line, "é...")
  end

  test "nothing is longer than a line, whatever is in it" do
    atom = String.to_atom(String.duplicate("日", 255))
    escaped = :binary.copy(<<1>>, 100)

    for part <- [atom, escaped, 1.0e300, 2 ** 127, self(), fn -> 1 end, %{}, [], {}],
        term <- [part, [part], {part, part}, %{part => part}, %{atom => part}, [{atom, part}]],
        many <- [term, List.duplicate(term, 1_000), List.to_tuple(List.duplicate(term, 20))] do
      line = Native.shown(many)
      assert byte_size(line) <= 203
      assert String.valid?(line)
    end
  end
end
