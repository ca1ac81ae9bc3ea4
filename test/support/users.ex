defmodule AdTally.Test.Users do
  @moduledoc """
  What is no user, for `AdTally.Reach` and `AdTally.Sketch`.
  """

  @doc "How an error about one begins."
  def rule,
    do: "a user is an integer from -2^63 to 2^64 - 1 or a binary of 1 to 65536 bytes, got: "

  @doc "Each with a name for it, and what an error shows of it."
  def bad do
    [
      {"a float", 1.5, "1.5"},
      {"a float without a fraction", 1.0, "1.0"},
      {"an atom", :ann, ":ann"},
      {"nil", nil, "nil"},
      {"an empty binary", "", ~S("")},
      {"a binary that is too long", String.duplicate("x", 65_537), ~S("xxx)},
      {"a bitstring", <<5::3>>, "a bitstring that is not a binary"},
      {"a long bitstring", <<0::511>>, ""},
      {"an integer below the smallest", -(2 ** 63) - 1, "-9223372036854775809"},
      {"an integer above the largest", 2 ** 64, "18446744073709551616"},
      {"an integer far above the largest", 2 ** 128 + 1, ""},
      {"an integer far below the smallest", -(2 ** 64), "-18446744073709551616"},
      {"a list", [1, 2], "[1, 2]"},
      {"an empty list", [], "[]"},
      {"a charlist", ~c"ann", ~S(~c"ann")},
      {"a tuple", {1}, "{1}"},
      {"an empty tuple", {}, "{}"},
      {"a map", %{user: 1}, "user"}
    ]
  end
end
