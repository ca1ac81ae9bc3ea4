#!/usr/bin/env bash
# AdTally as its users meet it: a dependency of a fresh Mix project, inside a
# release, with a prebuilt library, and with none.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

unset AD_TALLY_NIF_PATH

# succeeds WITH_TEXT COMMAND... and fails WITH_TEXT COMMAND...
succeeds() { check 0 "$@"; }
fails() { check 1 "$@"; }

check() {
  local expected=$1 text=$2 output status=0
  output=$("${@:3}" 2>&1) || status=$?
  if ((status != expected)) || [[ $output != *"$text"* ]]; then
    printf 'FAILED: %s\nexpected status %s and the text: %s\ngot status %s and:\n%s\n' \
      "${*:3}" "$expected" "$text" "$status" "$output" >&2
    exit 1
  fi
}

# new_project FOLDER PATH_OF_AD_TALLY
new_project() {
  mkdir -p "$1/lib"
  cat >"$1/mix.exs" <<EOF
defmodule Fresh.MixProject do
  use Mix.Project

  def project do
    [app: :fresh, version: "0.1.0", deps: [{:ad_tally, path: "$2"}]]
  end
end
EOF
  cat >"$1/lib/fresh.ex" <<'EOF'
defmodule Fresh do
  def count do
    counters = AdTally.Counters.new(metrics: [:impressions], max_keys: 10)
    :ok = AdTally.Counters.add(counters, 1, :impressions)
    1 = AdTally.Counters.get(counters, 1, :impressions)
    IO.puts("counted in #{:code.priv_dir(:ad_tally)}")
  end
end
EOF
}

# A cargo that tells on whoever starts it.
mkdir "$work/no_cargo_wanted"
cat >"$work/no_cargo_wanted/cargo" <<'EOF'
#!/bin/sh
echo "cargo was started: $*" >&2
exit 99
EOF
chmod +x "$work/no_cargo_wanted/cargo"

# The PATH with each folder that has cargo in it replaced by links to all else
# that it holds, which may well be Elixir.
path_without_cargo() {
  local folder folders links result=
  IFS=: read -r -a folders <<<"$PATH"
  for folder in "${folders[@]}"; do
    if [[ -x $folder/cargo ]]; then
      links=$(mktemp -d "$work/links.XXXXXX")
      ln -s "$folder"/* "$links"
      rm "$links/cargo"
      folder=$links
    fi
    result+=":$folder"
  done
  printf '%s' "${result#:}"
}

with_cargo=$PATH
without_cargo=$(path_without_cargo)

echo "* compiled once, it is not built again, in whatever Mix environment"
cd "$root"
MIX_ENV=test succeeds "" mix compile
export PATH="$work/no_cargo_wanted:$with_cargo"
MIX_ENV=test succeeds "" mix compile
export MIX_ENV=prod

echo "* a fresh project depends on it by path, and counts"
new_project "$work/fresh" "$root"
cd "$work/fresh"
succeeds "counted in $work/fresh/_build/prod/lib/ad_tally/priv" mix run -e "Fresh.count()"

echo "* a release of that project carries the library"
release=$work/fresh/_build/prod/rel/fresh
succeeds "Release created" mix release
succeeds "counted in $release/lib/ad_tally-" "$release/bin/fresh" eval "Fresh.count()"

echo "* without the library the release boots, and the first call says what is wrong"
library=$(echo "$release"/lib/ad_tally-*/priv/native/ad_tally_nif.*)
rm "$library"
fails "$library" "$release/bin/fresh" eval "Fresh.count()"
fails "AdTally.NotLoadedError" "$release/bin/fresh" eval "Fresh.count()"

echo "* the files of the package are enough for cargo"
mkdir "$work/package"
cd "$root"
MIX_ENV=test mix run --no-compile --no-start \
  -e 'IO.puts(Enum.join(Mix.Project.config()[:package][:files], "\n"))' >"$work/files"
while read -r file; do
  mkdir -p "$work/package/$(dirname "$file")"
  cp -R "$root/$file" "$work/package/$(dirname "$file")"
done <"$work/files"
cd "$work/package"
PATH=$with_cargo succeeds "ad_tally_nif" cargo metadata --locked --no-deps --format-version 1

echo "* with a prebuilt library it needs no cargo"
export PATH=$without_cargo
new_project "$work/prebuilt" "$work/package"
cd "$work/prebuilt"
AD_TALLY_NIF_PATH=$(echo "$root"/priv/native/ad_tally_nif.*) \
  succeeds "counted" mix run -e "Fresh.count()"

echo "* with neither it says what to install"
fails "https://rustup.rs" mix compile
AD_TALLY_NIF_PATH=$work/none.so fails "$work/none.so" mix compile
