defmodule AdTally.FrameTest do
  use ExUnit.Case, async: true

  doctest AdTally.Frame
end
