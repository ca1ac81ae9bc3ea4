defmodule AdTally.Web.QueryTest do
  use ExUnit.Case, async: true

  alias AdTally.Web.Query

  defp parse!(text) do
    {:ok, query} = Query.parse(text)
    query
  end

  test "names and values are decoded, the first of a name counts, and all of them can be had" do
    query = parse!("a=1&b=x%20y+z&a=2&&c=&d&e=%C3%A4%3D%26")
    assert Query.get(query, "a") == "1"
    assert Query.all(query, "a") == ["1", "2"]
    assert Query.get(query, "b") == "x y z"
    assert Query.get(query, "c") == nil
    assert Query.all(query, "d") == [""]
    assert Query.get(query, "e") == "ä=&"
    assert Query.get(query, "f") == nil
  end

  test "what is no percent-encoding, or no UTF-8, is refused and shown" do
    for text <- ["a=%", "a=%2", "a=%zz", "%4=1", "a=%-1", "a=%ff", "a=\xFF"] do
      assert {:error, 400, message} = Query.parse(text)
      assert message =~ "expected a query of UTF-8 with percent-encodings"
      assert String.valid?(message)
    end
  end

  test "a query may be long, and not too long" do
    assert {:ok, _query} = Query.parse(String.duplicate("a", 8_192))
    assert {:error, 414, message} = Query.parse(String.duplicate("a", 8_193))
    assert message == "expected a query of at most 8192 bytes, got 8193 bytes"
  end

  test "integers are of a range" do
    query =
      parse!("limit=5&none=&low=0&high=11&text=5x&float=1.5&huge=#{String.duplicate("9", 400)}")

    assert Query.integer(query, "limit", 7, 1..10) == {:ok, 5}
    assert Query.integer(query, "other", 7, 1..10) == {:ok, 7}
    assert Query.integer(query, "none", 7, 1..10) == {:ok, 7}

    for name <- ~w(low high text float huge) do
      assert {:error, 400, message} = Query.integer(query, name, 7, 1..10)
      assert message =~ "expected #{name} to be an integer from 1 to 10, got: \""
      assert byte_size(message) < 200
    end
  end

  test "what was sent is shown as text, and its begin where it is long" do
    assert Query.shown("a\"b") == ~S("a\"b")
    assert Query.shown(String.duplicate("ä", 80)) == ~s("#{String.duplicate("ä", 80)}")
    assert Query.shown(String.duplicate("ä", 8_000)) == ~s("#{String.duplicate("ä", 80)}"...)
    assert Query.shown(<<0xFF, 0xFE>>) == "<<255, 254>>"
    assert byte_size(Query.shown(String.duplicate(<<0xFF>>, 8_000))) < 500
  end

  test "a value is one of several, the first by default" do
    query = parse!("order=asc&other=up")
    assert Query.one_of(query, "order", ["desc", "asc"]) == {:ok, "asc"}
    assert Query.one_of(query, "none", ["desc", "asc"]) == {:ok, "desc"}
    message = ~s(expected other to be one of desc, asc, got: "up")
    assert Query.one_of(query, "other", ["desc", "asc"]) == {:error, 400, message}
  end
end
