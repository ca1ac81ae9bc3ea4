defmodule AdTally.InfoTest do
  # Not async: the tests of terms switch reading in place off and on.
  use ExUnit.Case

  doctest AdTally

  test "versions are those of mix.exs, of the library and of the VM" do
    info = AdTally.info()
    assert info.version == to_string(Application.spec(:ad_tally, :vsn))
    assert info.native_version == info.version
    assert info.otp_release == System.otp_release()
    assert [_major, _minor] = String.split(info.nif_version, ".")
  end
end
