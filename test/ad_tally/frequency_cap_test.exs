defmodule AdTally.FrequencyCapTest do
  use ExUnit.Case, async: true
  doctest AdTally.FrequencyCap
end
