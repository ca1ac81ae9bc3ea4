defmodule AdTally.Web.JSONTest do
  use ExUnit.Case, async: true

  alias AdTally.Test.WebJSON
  alias AdTally.Web.JSON

  defp encode(term), do: term |> JSON.encode() |> IO.iodata_to_binary()

  test "objects, arrays, numbers and names are those of RFC 8259, objects in the order of their names" do
    term = %{
      b: [1, -2, 3.5, 1.0e30],
      a: %{"x" => nil, "y" => true},
      c: [],
      d: %{},
      e: :name,
      f: false
    }

    assert encode(term) ==
             ~s({"a":{"x":null,"y":true},"b":[1,-2,3.5,1.0e30],"c":[],"d":{},"e":"name","f":false})
  end

  test "integers that a float of 64 bits does not have are strings" do
    assert encode([9_007_199_254_740_991, 9_007_199_254_740_992]) ==
             ~s([9007199254740991,"9007199254740992"])

    assert encode([-9_007_199_254_740_991, -9_007_199_254_740_992]) ==
             ~s([-9007199254740991,"-9007199254740992"])
  end

  test "a string ends no script and no line of one" do
    assert encode("</script><!--&") == ~S("\u003C/script\u003E\u003C!--\u0026")
    assert encode("a\u2028b\u2029c\u2027") == ~S("a\u2028b\u2029c) <> "\u2027\""
    assert encode(~s(say "no"\\)) == ~S("say \"no\"\\")
    assert encode("\n\t\0\x7F") == ~S("\u000A\u0009\u0000\u007F")
    assert encode(%{"</script>" => 1}) == ~S({"\u003C/script\u003E":1})
    assert encode(%{:"</script>" => :"<b>"}) == ~S({"\u003C/script\u003E":"\u003Cb\u003E"})
  end

  test "bytes that are no UTF-8 are Base64" do
    assert encode(<<0xFF, 0>>) == ~s("base64:/wA=")
  end

  test "whatever text is written is read again" do
    seed = :rand.uniform(1_000_000_000)
    :rand.seed(:exsss, seed)
    chars = Enum.concat([0..0x7F, [0xE4, 0x2026, 0x2027, 0x2028, 0x2029, 0x202A, 0x1F600]])

    for _ <- 1..500 do
      text = for _ <- 1..:rand.uniform(20), into: "", do: <<Enum.random(chars)::utf8>>

      assert WebJSON.decode!(encode([text, %{text => text}])) == [text, %{text => text}],
             "seed #{seed}"
    end
  end
end
