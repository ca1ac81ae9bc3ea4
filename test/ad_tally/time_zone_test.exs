defmodule AdTally.TimeZoneTest do
  use ExUnit.Case, async: true

  alias AdTally.{Native, Options}

  test "a time zone is a name of the IANA database or an offset from UTC" do
    for zone <- [
          "Europe/Berlin",
          "Etc/UTC",
          "America/Argentina/Buenos_Aires",
          {:utc_offset, 0},
          {:utc_offset, -86_399_999}
        ],
        _twice <- 1..2,
        do: assert(Options.zone!(zone, ":zone") == zone)
  end

  test "another term is refused with what would be right" do
    for {zone, message} <- [
          {"Europe/Berlim",
           ~s(no time zone is named "Europe/Berlim": did you mean "Europe/Berlin"?)},
          {"europe/berlin",
           ~s(no time zone is named "europe/berlin": did you mean "Europe/Berlin"?)},
          {"Mars/Olympus",
           ~s(no time zone is named "Mars/Olympus": names are those of the IANA database, such as "Europe/Berlin" or "Etc/UTC")},
          {{:utc_offset, 86_400_000},
           ~s(expected :zone to be a time zone, such as "Europe/Berlin", or {:utc_offset, milliseconds}, ) <>
             "less than a day (86400000 ms) either way, got: {:utc_offset, 86400000}"},
          {:berlin,
           ~s(expected :zone to be a time zone, such as "Europe/Berlin", or {:utc_offset, milliseconds}, ) <>
             "less than a day (86400000 ms) either way, got: :berlin"}
        ] do
      error = assert_raise ArgumentError, fn -> Options.zone!(zone, ":zone") end
      assert error.message == message
    end
  end

  test "a zone is known once it was read, and no other name ever is" do
    assert Options.zone!("Indian/Mauritius", ":zone")
    assert Native.zone_known("Indian/Mauritius")
    assert Native.zone_check("Indian/Mauritius") == :ok

    for name <- ["", "indian/mauritius", "../zoneinfo/Etc/UTC", "/etc/passwd", <<255>>] do
      assert {:error, "no time zone is named" <> _} = Native.zone_check(name)
      refute Native.zone_known(name)
    end
  end
end
