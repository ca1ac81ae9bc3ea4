defmodule AdTally.Store.ShapeTest do
  use ExUnit.Case, async: true

  alias AdTally.Store.Shape

  test "a shape is a line that a person can read" do
    shape = [
      window: 60_000,
      dimensions: [:campaign, :country],
      reach_by: [],
      secret: nil,
      prevail: true,
      touches: [click: 604_800_000, view: 86_400_000],
      models: [:last_touch, {:time_decay, 7}]
    ]

    assert Shape.text(shape) ==
             "window=60000;dimensions=campaign,country;reach_by=;secret=;prevail=true;" <>
               "touches=click:604800000,view:86400000;models=last_touch,time_decay:7"
  end

  test "what was written is read, whatever characters names have" do
    names = [:campaign, :"a,b;c=d:e", :"Umsatz in €", :"a%2Cb", :"line\nbreak", :"=;"]
    assert %{"names" => items, "none" => []} = Shape.parse(Shape.text(names: names, none: []))
    assert Enum.map(items, fn [word] -> String.to_atom(word) end) == names
    assert Shape.text(names: names) =~ ~r/\A[!-~]+\z/
  end

  test "no secret is in a line, and two differ" do
    secret = "SECRET of 16 by."
    assert Shape.secret(nil) == nil
    refute Shape.secret(secret) =~ secret
    assert byte_size(Shape.secret(secret)) == 16
    assert Shape.secret(secret) == Shape.secret(secret)
    refute Shape.secret(secret) == Shape.secret("secret of 16 by.")
  end

  defp check(rule, stored, now),
    do: Shape.check!([kinds: now], [{:kinds, rule, ":touches"}], stored, "the table T")

  defp stored(kinds), do: [Shape.text(kinds: kinds)]

  test "what has to stay the same is refused by what differs" do
    assert check(:same, [], [:click]) == :ok
    assert check(:same, stored([:click]), [:click]) == :ok

    assert_raise ArgumentError,
                 "expected :touches to be click, view, as the table T has it in its store, got: view, click. " <>
                   "To begin without what is stored, give it another :name",
                 fn -> check(:same, stored([:click, :view]), [:view, :click]) end

    assert_raise ArgumentError, ~r/to be click:7,/, fn ->
      check(:same, stored([{:click, 7}]), [{:click, 8}])
    end
  end

  test "what may grow has what it had before, and further items after that" do
    assert check(:grows, stored([{:click, 7}]), [{:click, 7}, {:view, 1}]) == :ok
    message = ~r/to be click:7, and further ones after them if any, as the table T/

    for now <- [[{:click, 8}], [{:view, 1}, {:click, 7}], [{:view, 1}]],
        do:
          assert_raise(ArgumentError, message, fn -> check(:grows, stored([{:click, 7}]), now) end)

    assert check(:names_grow, stored([{:click, 7}]), [{:click, 8}, {:view, 1}]) == :ok
    refused = fn -> check(:names_grow, stored([{:click, 7}]), [{:view, 1}, {:click, 7}]) end
    assert_raise ArgumentError, message, refused
  end

  test "what was left out in between is compared with what it was before" do
    [with_it, without] = stored([:click]) ++ stored([])
    assert check(:same, [with_it, without], []) == :ok
    assert check(:same, [with_it, without], [:click]) == :ok
    assert_raise ArgumentError, fn -> check(:same, [with_it, without], [:view]) end
    # The last one is that of now.
    assert check(:same, stored([:click]) ++ stored([:view]), [:view]) == :ok
  end
end
