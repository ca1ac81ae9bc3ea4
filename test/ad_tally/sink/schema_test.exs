defmodule AdTally.Sink.SchemaTest do
  use ExUnit.Case, async: true

  alias AdTally.Sink.Files

  doctest Files
end
