defmodule AdTally.AttributionTest do
  use ExUnit.Case, async: true

  doctest AdTally.Attribution
end
