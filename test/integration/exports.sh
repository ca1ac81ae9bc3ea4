#!/usr/bin/env bash
# What one release of Erlang/OTP exports, another one imports, both ways:
#
#   test/integration/exports.sh RELEASE
#
# has Debian's RELEASE (see debian.sh) read the files of test/golden, which OTP 25
# wrote, and the frames that this machine's release writes now; and has this
# machine read those that Debian's writes.
set -euo pipefail
(($# == 1)) || { echo "Usage: test/integration/exports.sh RELEASE, where RELEASE is trixie or forky." >&2; exit 2; }

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
source bin/environment
export MIX_ENV=test
readonly release=$1 shared=_build/debian/$1/home/exports

rm -rf -- "$shared"
mkdir -p "$shared"/{ours,theirs}
mix run --no-start test/golden/write.exs "$shared/ours"
# Its home folder is the one folder that both see.
test/integration/debian.sh "$release" bash -c '
  set -euo pipefail
  source bin/environment
  export MIX_ENV=test
  mix test test/ad_tally/export_test.exs
  mix run --no-start test/golden/read.exs /root/exports/ours
  mix run --no-start test/golden/write.exs /root/exports/theirs
'
mix run --no-start test/golden/read.exs "$shared/theirs"
